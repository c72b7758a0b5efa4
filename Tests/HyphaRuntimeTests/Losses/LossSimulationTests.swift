import HyphaCore
import HyphaKinds
import Synchronization
import Testing

@testable import HyphaRuntime

/// Published, once for each that it is for, equals delivered, dropped and in flight, at any moment.
@Suite struct LossSimulationTests {
  private func run(_ seed: UInt64, faults: Bool) throws -> Set<LossCause>? {
    let scenario = try LossScenario(seed: seed, faults: faults)
    try scenario.start()
    for part in 0..<2 {
      for step in 0..<40 {
        try scenario.step(faults: faults)
        guard try check(scenario, seed, "at step \(step) of part \(part)") else { return nil }
      }
      guard part == 0 else { break }
      try scenario.stopAndStart()
      guard try check(scenario, seed, "after a stop") else { return nil }
    }
    try scenario.end()
    guard try check(scenario, seed, "at the end", atEnd: true) else { return nil }
    let causes = scenario.causes
    try scenario.deployment.stop()
    guard try check(scenario, seed, "from the logs alone") else { return nil }
    let unsaid = try scenario.receiptViolations()
    #expect(unsaid.isEmpty, "HYPHA_SEED=\(seed), receipts: \(unsaid.joined(separator: "; "))")
    guard unsaid.isEmpty else { return nil }
    return causes
  }

  private func check(_ scenario: LossScenario, _ seed: UInt64, _ when: String, atEnd: Bool = false) throws
    -> Bool
  {
    let violations = scenario.violations(atEnd: atEnd)
    #expect(violations.isEmpty, "HYPHA_SEED=\(seed), \(when): \(violations.joined(separator: "; "))")
    return violations.isEmpty
  }

  @Test func `all is accounted for where only agents and time lose events`() throws {
    var causes: Set<LossCause> = []
    for seed in seeds(10) {
      guard let met = try run(seed, faults: false) else { return }
      causes.formUnion(met)
    }
    if seeds(10).count >= 10 {
      #expect(
        causes.isSuperset(of: [.expired, .replaced, .inboxFull, .unhandled, .rateLimited]), "\(causes)")
    }
  }

  @Test(arguments: 0..<2)
  func `all is accounted for under loss, doubling, overtaking, partitions and crashes`(part: Int) throws {
    var causes: Set<LossCause> = []
    for seed in seeds(24, part: part, of: 2) {
      guard let met = try run(seed, faults: true) else { return }
      causes.formUnion(met)
    }
    if seeds(24).count >= 24 {
      #expect(causes.isSuperset(of: [.link, .superseded, .expired, .replaced]), "\(causes)")
    }
  }

  @Test func `a node that is killed while it stops leaves nobody waiting`() throws {
    for moment in 0..<30 {
      let deployment = SimulatedDeployment(
        try smallTopology(), kinds: try KindRegistry(BuiltInKinds.all), seed: 1,
        commitDelay: .milliseconds(1)...(.milliseconds(1)))
      try deployment.start()
      let node = try #require(deployment.node("x"))
      let end = End()
      Task(executorPreference: deployment.loop) {
        await node.stop()
        end.isReached.withLock { $0 = true }
      }
      deployment.run(for: .microseconds(moment * 100))
      deployment.kill("x")
      #expect(deployment.loop.run(until: { end.isReached.withLock { $0 } }, limit: .seconds(60)), "\(moment)")
    }
  }
}

private final class End: Sendable { let isReached = Mutex(false) }
