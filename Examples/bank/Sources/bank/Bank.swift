import HyphaApp

// A bank account whose state follows from its events, a rate that it asks for, and interest by a durable timer.

struct Deposit: Event { var amount: Int }
struct Deposited: Event { var amount: Int }
struct InterestDue: Event { var month: Int }
struct InterestPaid: Event {
  var month: Int
  var amount: Int
}

/// What is the rate for a balance? In percent.
struct Rate: Question {
  typealias Answer = Int
  var balance: Int
}

/// Takes deposits, and pays interest each month: a month lasts 50 ms here.
actor Account: Agent {
  static let handles = Handlers(Account.self)
    .on(Deposit.self) { try await $0.take($1, in: $2) }
    .on(InterestDue.self) { try await $0.payInterest($1, in: $2) }
  static let publishes: [any Event.Type] = [Deposited.self, InterestPaid.self]
  static let evolves = Evolution(State.self)
    .on(Deposited.self) { state, event in
      state.balance += event.amount
      state.deposits += 1
    }
    .on(InterestPaid.self) { state, event in
      state.balance += event.amount
      state.months = event.month
    }
  static let finishes = true

  struct State: Codable, Equatable {
    var balance = 0
    var deposits = 0
    var months = 0
  }
  var state = State()

  static let monthCount = 3

  func take(_ deposit: Deposit, in context: Context) async throws {
    try await context.publish(Deposited(amount: deposit.amount))
    // The first deposit opens the account.
    if state.deposits == 1 { try context.schedule(InterestDue(month: 1), after: .milliseconds(50)) }
    report(in: context)
  }

  func payInterest(_ due: InterestDue, in context: Context) async throws {
    let rate = try await context.ask("treasury", Rate(balance: state.balance), within: .seconds(2))
    try await context.publish(InterestPaid(month: due.month, amount: state.balance * rate / 100))
    if due.month < Self.monthCount {
      try context.schedule(InterestDue(month: due.month + 1), after: .milliseconds(50))
    }
    report(in: context)
  }

  func start(in context: Context) { report(in: context) }

  private func report(in context: Context) {
    context.report("balance", Int64(state.balance))
    context.report("months", Int64(state.months))
    if state.months == Self.monthCount { context.finish() }
  }
}

/// Knows the rates.
actor Treasury: Agent {
  static let handles = Handlers(Treasury.self).answer(Rate.self) { _, question, _ in
    question.balance < 1000 ? 10 : 5
  }
}

/// Deposits 100, ten times.
actor Customer: Agent {
  static let publishes: [any Event.Type] = [Deposit.self]
  static let finishes = true

  struct State: Codable { var deposits = 0 }
  var state = State()

  func start(in context: Context) async throws {
    while state.deposits < 10 {
      state.deposits += 1
      try await context.publish(Deposit(amount: 100), to: "account")
    }
    context.finish()
  }
}
