import HyphaApp

struct InvoiceSubmitted: Event {
  var invoice: String
  var amount: Int
}

struct InvoiceApproved: Event {
  var invoice: String
  var approver: AgentID
}

struct InvoiceRejected: Event {
  var invoice: String
  var reason: String
}

struct FraudSuspected: Event {
  static let channel = Channel.alert
  var invoice: String
}

/// Hands in invoices and waits until all are decided, by a program in another language.
actor Clerk: Agent {
  static let handles = Handlers(Clerk.self)
    .on(InvoiceApproved.self) { $0.note($1.invoice, true, in: $2) }
    .on(InvoiceRejected.self) { $0.note($1.invoice, false, in: $2) }
    .on(FraudSuspected.self) { $0.suspect($1.invoice, in: $2) }
  static let publishes: [any Event.Type] = [InvoiceSubmitted.self]
  static let finishes = true

  static let amounts = [40, 800, 2500, 120, 9000, 5]

  struct State: Codable {
    var submitted = 0
    var approved: [String] = []
    var rejected: [String] = []
    var suspected: [String] = []
  }
  var state = State()

  func start(in context: Context) async throws {
    for amount in Self.amounts.dropFirst(state.submitted) {
      state.submitted += 1
      try await context.publish(InvoiceSubmitted(invoice: "INV-\(state.submitted)", amount: amount))
    }
    report(in: context)
  }

  private func note(_ invoice: String, _ isApproved: Bool, in context: Context) {
    if isApproved { state.approved.append(invoice) } else { state.rejected.append(invoice) }
    report(in: context)
  }

  /// Answers the alert by returning.
  private func suspect(_ invoice: String, in context: Context) {
    state.suspected.append(invoice)
    report(in: context)
  }

  private func report(in context: Context) {
    context.report("invoices approved", Int64(state.approved.count))
    context.report("invoices rejected", Int64(state.rejected.count))
    context.report("frauds suspected", Int64(state.suspected.count))
    if state.approved.count + state.rejected.count == Self.amounts.count { context.finish() }
  }
}

@main struct Mixed: HyphaApp {
  static let agents: [any Agent.Type] = [Clerk.self]
}
