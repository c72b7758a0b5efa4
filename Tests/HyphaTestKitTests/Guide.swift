import HyphaApp

// The program of docs/write-an-agent.md, which quotes it.

struct OrderPlaced: Event {
  var order: String
  var amount: Int
}

struct PaymentReceived: Event {
  var order: String
}

struct OrderConfirmed: Event {
  var order: String
}

struct PaymentOverdue: Event {
  var order: String
}

struct OrderCancelled: Event {
  var order: String
}

actor OrderDesk: Agent {
  static let handles = Handlers(OrderDesk.self)
    .on(OrderPlaced.self) { try await $0.place($1, in: $2) }
    .on(PaymentReceived.self) { try await $0.confirm($1, in: $2) }
    .on(PaymentOverdue.self) { try await $0.cancel($1, in: $2) }
    .answer(OpenOrders.self) { agent, _, _ in agent.state.timers.keys.sorted() }
  static let publishes: [any Event.Type] = [OrderConfirmed.self, OrderCancelled.self]

  struct State: Codable {
    /// The timer of each order that waits for its payment.
    var timers: [String: EventID] = [:]
  }
  var state = State()

  private func place(_ order: OrderPlaced, in context: Context) async throws {
    guard order.amount > 0 else { throw Worthless() }
    state.timers[order.order] = try context.schedule(
      PaymentOverdue(order: order.order), after: .seconds(3600))
  }

  private func confirm(_ payment: PaymentReceived, in context: Context) async throws {
    guard let timer = state.timers.removeValue(forKey: payment.order) else { return }
    try context.cancel(timer)
    try await context.publish(OrderConfirmed(order: payment.order))
  }

  private func cancel(_ overdue: PaymentOverdue, in context: Context) async throws {
    guard state.timers.removeValue(forKey: overdue.order) != nil else { return }
    try await context.publish(OrderCancelled(order: overdue.order))
  }
}

struct Worthless: PermanentFailure {}

struct OpenOrders: Question {
  typealias Answer = [String]
}

struct QuoteAsked: Event {
  var currency: String
  var amount: Int
}

struct Quoted: Event {
  var cents: Int
}

struct NoRate: Error {}

struct ExchangeRate: SharedValue {
  static let freshFor: Duration? = .seconds(30)
  var currency: String
  var cents: Int

  var subject: Subject { Self.about(currency) }
  static func about(_ currency: String) -> Subject { Subject(slug: "rate.\(currency)") }
}

actor Quoter: Agent {
  static let handles = Handlers(Quoter.self).on(QuoteAsked.self) { try await $0.quote($1, in: $2) }
  static let reads: [any SharedValue.Type] = [ExchangeRate.self]
  static let publishes: [any Event.Type] = [Quoted.self]

  private func quote(_ asked: QuoteAsked, in context: Context) async throws {
    let about = ExchangeRate.about(asked.currency)
    guard let rate = try context.shared(ExchangeRate.self, by: "treasury", about: about) else {
      throw NoRate()
    }
    try await context.publish(Quoted(cents: asked.amount * rate.value.cents))
  }
}
