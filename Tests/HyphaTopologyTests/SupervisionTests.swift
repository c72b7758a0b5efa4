import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// When events and agents are tried again.
@Suite struct SupervisionTests {
  @Test func `waits grow by the factor up to the cap, and end with the last attempt`() {
    let policy = RetryPolicy(
      initial: .seconds(1), factor: 3, cap: .seconds(20), jitterPercent: 0, attemptCountMax: 6)
    let waits = (1...7).map { policy.wait(afterAttempt: $0, random: .max) }
    #expect(
      waits == [
        Duration.seconds(1), Duration.seconds(3), Duration.seconds(9), Duration.seconds(20),
        Duration.seconds(20), nil, nil,
      ])
    #expect(RetryPolicy(attemptCountMax: 1).wait(afterAttempt: 1, random: 0) == nil)
  }

  @Test func `jitter lengthens a wait, by its share at the most, and follows from the random bits alone`() {
    let policy = RetryPolicy(
      initial: .seconds(4), factor: 2, cap: .seconds(4), jitterPercent: 25, attemptCountMax: 9)
    var random = SeededGenerator(seed: 3)
    var waits: [Duration] = []
    for _ in 0..<200 {
      let bits = random.next()
      let wait = policy.wait(afterAttempt: 2, random: bits)
      #expect(wait == policy.wait(afterAttempt: 2, random: bits))
      waits.append(wait ?? .zero)
    }
    #expect(waits.allSatisfy { $0 >= .seconds(4) && $0 <= .seconds(5) })
    #expect((waits.max() ?? .zero) - (waits.min() ?? .zero) > .milliseconds(800))
  }

  @Test func `a wait of any policy is finite`() {
    let policy = RetryPolicy(
      initial: .milliseconds(1), factor: 100, cap: .seconds(7 * 86400), jitterPercent: 100,
      attemptCountMax: 1000)
    for attempt in 1...999 {
      let wait = policy.wait(afterAttempt: attempt, random: .max)
      #expect(wait.map { $0 <= .seconds(14 * 86400) } == true)
    }
  }

  @Test func `restarts are allowed up to the limit within the window, and again once they are past`() {
    let settings = SupervisionSettings(
      retry: RetryPolicy(jitterPercent: 0), restartCountMax: 3, restartWindow: .seconds(10))
    var budget = RestartBudget(settings)
    func at(_ second: UInt64) -> Timestamp { Timestamp(microseconds: 1_000_000_000 + second * 1_000_000) }
    #expect(budget.take(now: at(0), random: 0) == .zero)
    #expect(budget.take(now: at(1), random: 0) == .seconds(1))
    #expect(budget.take(now: at(2), random: 0) == .seconds(2))
    #expect(budget.take(now: at(9), random: 0) == nil)
    #expect(budget.take(now: at(11), random: 0) == .seconds(1), "the first two are past, the third is not")
    var none = RestartBudget(SupervisionSettings(restartCountMax: 0))
    #expect(none.take(now: at(0), random: 0) == nil)
  }

  @Test func `an agent's section replaces parts of the deployment's`() throws {
    let text = """
      hypha: 1
      name: n
      supervision: {attempts: 3, initial: 10ms, strategy: restart, handler-deadline: 5s}
      nodes: {m: }
      agents:
        a: {kind: k}
        b: {kind: k, reports-to: a, supervision: {attempts: 1, strategy: stop, restarts: 0}}
      """
    let topology = try TopologyFile.read(yaml: text, file: "f").topology
    var expected = SupervisionSettings(
      retry: RetryPolicy(initial: .milliseconds(10), attemptCountMax: 3), handlerDeadline: .seconds(5),
      strategy: .restart)
    #expect(topology.supervision(of: "a") == expected)
    expected.retry.attemptCountMax = 1
    expected.strategy = .stop
    expected.restartCountMax = 0
    #expect(topology.supervision(of: "b") == expected)
  }
}
