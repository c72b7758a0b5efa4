import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// The promises about decisions, on nodes that crash behind a network that loses, doubles and delays, while the desk moves.
@Suite struct DecisionSimulationTests {
  private func run(
    _ policy: DeskPolicy, seed: UInt64, moves: Bool = false, judge: [String: JSONValue]
  ) throws -> DecisionChecker {
    var random = SeededGenerator(seed: seed, name: "decisions")
    let faults = MemoryNetwork.Faults(
      loss: Double(random.next() % 15) / 100, duplication: Double(random.next() % 15) / 100,
      delay: .microseconds(100)...(.microseconds(3_000)))
    let place = try DecisionPlace(
      policy, count: 60, bad: seed.isMultiple(of: 2) ? 40 : nil, judge: judge, seed: seed, faults: faults)
    var home: NodeID = "top"
    for _ in 0..<4 {
      place.deployment.run(for: .milliseconds(Int64(random.next() % 200)))
      let node = DecisionPlace.nodes[Int(random.next() % 3)]
      if moves, let running = place.deployment.node("top") {
        let next = DecisionPlace.nodes[Int(random.next() % 3)]
        if next != home, (try? running.move(DecisionPlace.desk, to: next, by: "op", note: nil)) != nil {
          home = next
          place.deployment.run(for: .milliseconds(Int64(random.next() % 100)))
        }
      }
      place.deployment.kill(node)
      place.deployment.run(for: .milliseconds(Int64(random.next() % 80)))
      try place.deployment.start(node)
      if moves { place.deployment.run(for: .seconds(6)) }
    }
    place.deployment.run(for: .seconds(60))
    if moves {
      home =
        try MoveReading(place.deployment.reader(of: "top")).moves.newest(of: DecisionPlace.desk)?.order.to
        ?? "top"
    }
    return try DecisionChecker(place, policy, on: home)
  }

  private func check(
    _ policy: DeskPolicy, count: UInt64, moves: Bool = false, judge: [String: JSONValue] = [:]
  ) throws -> (granted: Int, audited: Int, revoked: Int) {
    var sums = (granted: 0, audited: 0, revoked: 0)
    for seed in seeds(count) {
      let checker = try run(policy, seed: seed, moves: moves, judge: judge)
      #expect(
        checker.violations.isEmpty,
        "HYPHA_SEED=\(seed): \(checker.violations.prefix(4).joined(separator: "; "))")
      sums.granted += checker.grantedCount
      sums.audited += checker.auditedCount
      sums.revoked += checker.revokedCount
    }
    return sums
  }

  @Test func `every decision is taken once, and delegated as it was earned, whatever crashes`() throws {
    // More than the bound alone would take.
    let sums = try check(
      DecisionPlace.policy(.auto) { $0.delegation.shadowed = 8 }, count: 12,
      judge: ["after": .integer(40), "twice": .bool(true)])
    #expect(sums.granted > 100 && sums.audited > 20 && sums.revoked > 2, "\(sums)")
  }

  @Test func `nothing is granted without the approver where nobody has said so`() throws {
    let sums = try check(DecisionPlace.policy(.off), count: 4, judge: ["twice": .bool(true)])
    #expect(sums == (0, 0, 0))
  }

  @Test func `a desk that moves keeps what it knows`() throws {
    let sums = try check(DecisionPlace.policy(.auto), count: 8, moves: true)
    #expect(sums.granted > 60, "\(sums)")
  }

  @Test func `desks, approvers and those who ask do the same when they are run again`() async throws {
    let place = try DecisionPlace(
      DecisionPlace.policy(.auto) { $0.amounts = [50] }, count: 60, bad: 45,
      judge: ["after": .integer(40), "twice": .bool(true)], seed: 3)
    place.deployment.run(for: .milliseconds(150))
    place.deployment.kill("top")
    place.deployment.run(for: .milliseconds(50))
    try place.deployment.start("top")
    place.deployment.run(for: .seconds(20))
    #expect(try place.stated(DecisionTaken.self).contains { $0.event.grant != nil })
    try place.deployment.stop()
    for (node, agent) in [("top", DecisionPlace.desk), ("top", "boss"), ("far", "ana")] as [(NodeID, AgentID)]
    {
      let rerun = try Rerun(
        place.topology, kinds: KindRegistry(BuiltInKinds.all + [Asker.self, Judge.self]),
        log: place.deployment.reader(of: node), agents: [agent])
      var differences: [String] = []
      let summary = try await rerun.run { outcome in
        differences += outcome.differences.map { "\($0)" }
        return true
      }
      #expect(differences.isEmpty, "\(agent): \(differences.prefix(3))")
      #expect(summary.agents.contains { $0.agent == agent && $0.callCount > 50 }, "\(summary)")
    }
  }
}
