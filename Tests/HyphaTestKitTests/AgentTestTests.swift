import HyphaApp
import HyphaTestKit
import Testing

private struct Alarm: Event {
  static let channel = Channel.alert
  var amount: Int
}

/// Tells whoever gave it a deposit that it has it, and the guard.
private actor Teller: Agent {
  static let handles = Handlers(Teller.self).on(Deposit.self) { _, deposit, context in
    try await context.publish(Deposited(amount: deposit.amount), to: context.event?.agent)
    try await context.publish(Alarm(amount: deposit.amount), to: "guard")
  }
  static let publishes: [any Event.Type] = [Deposited.self, Alarm.self]
}

/// Asks before it buys, and grants what others ask for.
private actor Buyer: Agent {
  struct State: Codable { var answers: [String?] = [] }
  static let publishes: [any Event.Type] = [DecisionRequested.self, DecisionAnswered.self]
  static let handles = Handlers(Buyer.self)
    .on(Deposit.self) { try await $2.decide($1, kind: "purchase", amount: Int64($1.amount)) }
    .on(DecisionTaken.self) { buyer, taken, _ in buyer.state.answers.append(taken.reason) }
    .on(DecisionReferred.self) { try await $2.grant($1) }
  var state = State()
}

/// The kit itself, on the agents of Examples/bank.
@Suite struct AgentTestTests {
  @Test func `an event-sourced agent with a question and timers is tested without waiting`() throws {
    let test = try AgentTest(Account.self, with: ["treasury": Treasury.self])
    for _ in 0..<10 { try test.give(Deposit(amount: 100)) }
    #expect(try test.state == Account.State(balance: 1000, deposits: 10, months: 0))
    #expect(try test.timerCount == 1)
    for month in 1...3 {
      test.advance(by: .milliseconds(60))
      try test.crash()
      #expect(try test.state.months == month)
    }
    #expect(try test.published(InterestPaid.self).map(\.amount) == [50, 52, 55])
    #expect(try test.state.balance == 1157 && test.failures.isEmpty)
  }

  @Test func `who is asked in vain is seen in the failures`() throws {
    let test = try AgentTest(Account.self)
    try test.give(Deposit(amount: 100))
    test.advance(by: .seconds(60))
    #expect(
      try test.failures == [
        "undeclared: agent 'agent' asks 'treasury' Rate, which does not exist; add that agent to the topology file"
      ])
    #expect(try test.deadLetters.count == 1, "what is not declared is not tried again")
  }

  @Test func `what the agent does not handle is refused`() throws {
    let test = try AgentTest(Treasury.self)
    #expect(try test.ask(Rate(balance: 10)) == 10 && test.ask(Rate(balance: 1000)) == 5)
    #expect {
      try test.give(Deposit(amount: 1))
    } throws: { error in
      "\(error)"
        == "undeclared: kind 'treasury' does not handle Deposit; add a handler of that type to its handles"
    }
  }

  // MARK: Decisions

  @Test func `whoever asks for decisions and whoever takes them are tested alone`() throws {
    let asking = try AgentTest(Buyer.self)
    try asking.give(Deposit(amount: 900))
    let asked = try #require(asking.published(DecisionRequested.self).first)
    #expect(asked.approver == "boss" && asked.amount == 900 && asked.role == "buyer")
    try asking.give(
      DecisionTaken(
        decision: asked.decision, requester: "agent",
        stratum: Delegation.Stratum(approver: "boss", kind: "purchase"), isGranted: false, reason: "too much")
    )
    #expect(try asking.state.answers == ["too much"] && asking.failures.isEmpty)

    let taking = try AgentTest(Buyer.self)
    let referred = DecisionReferred(
      decision: asked.decision, requester: "ana", desk: "outside",
      stratum: Delegation.Stratum(approver: "agent", kind: "purchase"), amount: 7)
    try taking.give(referred)
    #expect(try taking.published(DecisionAnswered.self, to: "outside").map(\.isGranted) == [true])
  }

  // MARK: Stand-ins

  @Test func `a stand-in answers as the test says, one question after the other`() throws {
    let test = try AgentTest(Account.self, standIns: ["treasury": StandIn().answer(Rate.self, with: 10, 0)])
    for _ in 0..<10 { try test.give(Deposit(amount: 100)) }
    for _ in 0..<3 {
      test.advance(by: .milliseconds(60))
      // What was asked stays asked: the test's side does not crash.
      try test.crash()
    }
    #expect(try test.published(InterestPaid.self).map(\.amount) == [100, 0, 0])
    #expect(try test.asked(Rate.self, of: "treasury").map(\.balance) == [1000, 1100, 1100])
    #expect(try test.asked(Rate.self, of: "nobody").isEmpty && test.failures.isEmpty)
  }

  @Test func `what a stand-in throws comes to the asker, and another try asks again`() throws {
    struct Closed: Error {}
    let test = try AgentTest(
      Account.self, standIns: ["treasury": StandIn().answer(Rate.self) { _ in throw Closed() }])
    try test.give(Deposit(amount: 100))
    test.advance(by: .milliseconds(60))
    #expect(
      try test.failures == [
        "askFailed: agent 'treasury' could not answer; see what it threw (Closed())"
      ])
    test.advance(by: .seconds(60))
    #expect(try test.failures.count == 5 && test.asked(Rate.self).count == 5 && test.deadLetters.count == 1)
  }

  @Test func `a question that a stand-in ignores runs out of time`() throws {
    let test = try AgentTest(Account.self, standIns: ["treasury": StandIn().ignore(Rate.self)])
    try test.give(Deposit(amount: 100))
    test.advance(by: .seconds(3))
    #expect(
      try test.failures == [
        "askExpired: agent 'agent' has waited 2.0 seconds for 'treasury' to answer Rate; ask with a longer 'within', or see "
          + "with 'hypha agents explain' what 'treasury' is at"
      ])
  }

  @Test func `a stand-in without a script says what to add`() throws {
    let test = try AgentTest(Account.self, standIns: ["treasury": StandIn()])
    try test.give(Deposit(amount: 100))
    test.advance(by: .milliseconds(60))
    #expect(
      try test.failures == [
        "askFailed: agent 'treasury' could not answer; see what it threw (undeclared: the stand-in 'treasury' has no answer to "
          + "Rate; add .answer(Rate.self) { … } to it)"
      ])
  }

  @Test func `a stand-in takes what is addressed to it, alerts too, and can seem to publish`() throws {
    let test = try AgentTest(Teller.self, standIns: ["vault": StandIn(), "guard": StandIn()])
    try test.give(Deposit(amount: 5), from: "vault")
    #expect(try test.published(Deposited.self, to: "vault").map(\.amount) == [5])
    #expect(try test.published(Deposited.self, to: "guard").isEmpty)
    #expect(try test.published(Alarm.self, to: "guard").map(\.amount) == [5])
    test.advance(by: .seconds(600))
    #expect(try test.published(AlertEscalated.self).isEmpty, "the guard has taken it")
    #expect {
      try test.give(Deposit(amount: 1), from: "nobody")
    } throws: { "\($0)".hasPrefix("usage: ") }
  }

  @Test func `stand-ins of tests that run at once answer each for its own`() async throws {
    let amounts = try await withThrowingTaskGroup(of: [Int].self) { group in
      for rate in 1...8 {
        group.addTask {
          let test = try AgentTest(
            Account.self, standIns: ["treasury": StandIn().answer(Rate.self, with: rate)])
          try test.give(Deposit(amount: 100))
          test.advance(by: .milliseconds(60))
          return try test.published(InterestPaid.self).map(\.amount)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(amounts.sorted { $0[0] < $1[0] } == (1...8).map { [$0] })
  }

  @Test func `two tests of the same give the same`() throws {
    func ids() throws -> [EventID] {
      let test = try AgentTest(Account.self, with: ["treasury": Treasury.self], seed: 9)
      return try (0..<5).map { try test.give(Deposit(amount: $0)) }
    }
    #expect(try ids() == ids())
  }
}
