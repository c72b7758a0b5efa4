import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// rejoin-keeps-replicated, by simulation: a node that loses its disk, once or twice, among replicas that crash, are cut off, and
/// come late, on a network that loses, doubles and delays.
@Suite struct RejoinSimulationTests {
  @Test(arguments: 0..<2) func `what was on n replicas is there again, and each taker has each event once`(
    part: Int
  ) throws {
    var (lossCount, goneCount, recoveredCount) = (0, 0, UInt64(0))
    let seeds = seeds(60, part: part, of: 2)
    for seed in seeds {
      var run = try Run(seed: seed)
      try run.play()
      #expect(
        run.violations.isEmpty, "HYPHA_SEED=\(seed): \(run.violations.prefix(4).joined(separator: "; "))")
      guard run.violations.isEmpty else { return }
      lossCount += run.lossCount
      recoveredCount += run.recoveredCount
      goneCount += run.goneCount
    }
    guard seeds.count > 1 else { return }
    #expect(
      lossCount > seeds.count / 2 && recoveredCount > UInt64(seeds.count) && goneCount <= seeds.count / 10)
  }
}

private struct Run {
  private var random: SeededGenerator
  private let lost: LostDisk
  private let replicas: ReplicationSettings
  private var pings: [EventID] = []
  /// What was on enough replicas whenever x lost its disk.
  private var kept: Set<Record> = []
  private var down: Set<NodeID> = []
  private var epochs: [UInt64] = []
  private(set) var lossCount = 0
  private(set) var recoveredCount: UInt64 = 0
  private(set) var goneCount = 0
  private(set) var violations: [String] = []

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed, name: "lost")
    let others = (0..<Int.random(in: 1...4, using: &random)).map { NodeID(unchecked: "r\($0)") }
    replicas = ReplicationSettings(
      nodes: others, level: Int.random(in: 1...others.count, using: &random), within: .seconds(100_000))
    let low = UInt64.random(in: 20...400, using: &random)
    let faults = MemoryNetwork.Faults(
      loss: random.chance(0.4) ? 0 : Double.random(in: 0...0.3, using: &random),
      duplication: random.chance(0.5) ? 0 : 0.2,
      delay: .microseconds(low)...(.microseconds(low + UInt64.random(in: 0...4000, using: &random))))
    lost = try LostDisk(
      replicas: replicas, others: others, seed: seed, isMutual: random.chance(0.3), faults: faults)
  }

  mutating func play() throws {
    let deployment = lost.deployment
    try deployment.start()
    for _ in 0..<Int.random(in: 5...25, using: &random) {
      try step()
      deployment.run(for: .milliseconds(UInt64.random(in: 0...300, using: &random)))
    }
    if lossCount == 0 { try lose() }
    heal()
    for node in lost.topology.nodes.map(\.id) where down.remove(node) != nil {
      _ = try deployment.begin(node)
    }
    if try !lost.runUntil(pongCount: pings.count) { fail("persistent-complete", "answers are missing") }
    deployment.run(for: .seconds(8))
    try check()
  }

  private mutating func step() throws {
    let deployment = lost.deployment
    switch Int.random(in: 0...9, using: &random) {
    case 0...4:
      for _ in 0..<Int.random(in: 1...12, using: &random) {
        pings.append(
          try deployment.publish(Ping(number: pings.count + 1), from: "pinger", to: nil))
      }
    case 5:
      let node = replicas.nodes.randomElement(using: &random) ?? "r0"
      if down.insert(node).inserted { deployment.kill(node) }
    case 6:
      if let node = down.sorted().randomElement(using: &random), down.remove(node) != nil {
        _ = try deployment.begin(node)
      }
    case 7:
      let node = (replicas.nodes + ["y"]).randomElement(using: &random) ?? "y"
      deployment.network.setCut(random.chance(0.6), between: "x", and: node)
    case 8: if lossCount < 2, random.chance(0.5) { try lose() }
    default: if down.insert("x").inserted { deployment.kill("x") }
    }
  }

  private mutating func lose() throws {
    let deployment = lost.deployment
    if down.insert("x").inserted { deployment.kill("x") }
    lossCount += 1
    let own = try lost.entries("x").map(\.record).filter {
      $0.header.agent == "ponger" && $0.channel == .persistent
    }
    let copies = try replicas.nodes.map { Set(try lost.entries($0).map(\.record)) }
    for record in own
    where copies.count(where: { $0.contains(record) }) >= replicas.level {
      kept.insert(record)
    }
    epochs.append(own.map(\.header.epoch).max() ?? 0)
    deployment.loseDisk(of: "x")
  }

  private func heal() {
    for first in lost.topology.nodes {
      for second in lost.topology.nodes where first.id < second.id {
        lost.deployment.network.setCut(false, between: first.id, and: second.id)
      }
    }
  }

  private mutating func fail(_ promise: String, _ text: String) { violations.append("\(promise): \(text)") }

  private mutating func check() throws {
    let log = try lost.entries("x").map(\.record)
    let missing = kept.subtracting(log)
    if !missing.isEmpty { fail("rejoin-keeps-replicated", "\(missing.count) of \(kept.count) are gone") }
    let stated = try lost.records("x", Pong.eventType)
    var taken = try lost.records("y", Pong.eventType)
    // What had not left a replica may have given to y while x was silent: where x did not have to ask that one, it is a fork.
    let gone = taken.filter { !stated.contains($0) }
    let forks = try RecordedFork.all(in: lost.deployment.reader(of: "y")).filter { $0.lane.agent == "ponger" }
    for record in gone
    where !forks.contains(where: { $0.fork.common < record.point && record.point <= $0.fork.kept.point }) {
      fail("fork-reported", "nobody tells that x has lost \(record.point)")
    }
    if !forks.isEmpty, gone.isEmpty { fail("fork-reported", "y tells of forks that there are not") }
    if !gone.isEmpty { goneCount += 1 }
    taken.removeAll { gone.contains($0) }
    if taken != stated.sorted(by: { $0.point < $1.point }) {
      fail("persistent-order", "y has \(taken.count) of \(stated.count)")
    }
    let causes = Dictionary(grouping: taken, by: \.header.causation)
    for ping in pings where causes[ping]?.count != 1 {
      fail("persistent-once", "\(ping) was answered \(causes[ping]?.count ?? 0) times")
    }
    if try lost.state().count != pings.count {
      fail("state", "it counts \(try lost.state().count) of \(pings.count)")
    }
    let activations = try lost.records("x", AgentActivated.eventType).map { try AgentActivated.decode($0) }
      .filter { $0.agent == "ponger" }
    if Set(activations.map(\.epoch)).count != activations.count {
      fail("epoch-opens", "an epoch is used twice")
    }
    if let newest = activations.map(\.epoch).max(), newest <= epochs.max() ?? 0, try lost.told().count > 0 {
      fail("epoch-opens", "\(newest) is not above \(epochs)")
    }
    recoveredCount += try lost.told().reduce(0) { $0 + $1.takenCount }
    for node in lost.topology.nodes {
      let reader = try lost.deployment.reader(of: node.id)
      for finding in try reader.verify().findings { fail("log-sound", "\(node.id): \(finding)") }
    }
  }
}
