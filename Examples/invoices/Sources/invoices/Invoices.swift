import HyphaApp

struct InvoiceSubmitted: Event {
  var invoice: String
  var amount: Int
}

struct InvoiceApproved: Event {
  var invoice: String
  var approver: AgentID
}

/// Hands in three invoices and waits until all are approved.
actor Clerk: Agent {
  static let handles = Handlers(Clerk.self).on(InvoiceApproved.self) { $0.file($1, in: $2) }
  static let publishes: [any Event.Type] = [InvoiceSubmitted.self]
  static let finishes = true

  struct State: Codable {
    var submitted = 0
    var approved = 0
  }

  var state = State()

  func start(in context: Context) async throws {
    while state.submitted < 3 {
      state.submitted += 1
      try await context.publish(InvoiceSubmitted(invoice: "INV-\(state.submitted)", amount: 40))
    }
    report(in: context)
  }

  func file(_ event: InvoiceApproved, in context: Context) {
    state.approved += 1
    report(in: context)
  }

  func report(in context: Context) {
    context.report("invoices approved", Int64(state.approved))
    if state.approved == 3 { context.finish() }
  }
}

/// Approves what it is asked to.
actor Approver: Agent {
  static let handles = Handlers(Approver.self).on(InvoiceSubmitted.self) { try await $0.decide($1, in: $2) }
  static let publishes: [any Event.Type] = [InvoiceApproved.self]

  func decide(_ event: InvoiceSubmitted, in context: Context) async throws {
    try await context.publish(InvoiceApproved(invoice: event.invoice, approver: context.agent))
  }
}

@main struct Invoices: HyphaApp {
  static let agents: [any Agent.Type] = [Clerk.self, Approver.self]
}
