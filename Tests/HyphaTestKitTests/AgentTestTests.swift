import HyphaApp
import HyphaTestKit
import Testing

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

  @Test func `two tests of the same give the same`() throws {
    func ids() throws -> [EventID] {
      let test = try AgentTest(Account.self, with: ["treasury": Treasury.self], seed: 9)
      return try (0..<5).map { try test.give(Deposit(amount: $0)) }
    }
    #expect(try ids() == ids())
  }
}
