import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// replicated-means-n and in-doubt-kept, of the machine that decides.
@Suite struct ReplicationLedgerTests {
  private let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private let other = Lane(agent: "b", channel: .persistent, target: .addressee("c"))

  private func point(_ sequence: UInt64, epoch: UInt64 = 1) -> LanePoint {
    LanePoint(epoch: epoch, sequence: sequence)
  }

  private func group(_ ends: [Lane: LanePoint], level: Int, dueAt: UInt64 = 100, at position: UInt64 = 1)
    -> ReplicationLedger.Group
  {
    .init(
      ends: ends, level: level, dueAt: Timestamp(microseconds: dueAt), positions: position...position)
  }

  private func due(_ ledger: inout ReplicationLedger, at now: UInt64 = 0) -> [ReplicationLedger.Release] {
    ledger.due(now: Timestamp(microseconds: now))
  }

  @Test func `a group leaves once as many replicas as it asks for have all of it`() {
    var ledger = ReplicationLedger(replicas: ["x", "y", "z"])
    let number = ledger.hold(group([lane: point(3), other: point(2)], level: 2))
    #expect(due(&ledger).isEmpty && ledger.heldCount == 1)
    ledger.acknowledged([(lane, point(3)), (other, point(1))], by: "x")
    ledger.acknowledged([(lane, point(9)), (other, point(9))], by: "y")
    ledger.acknowledged([(lane, point(9)), (other, point(9))], by: "stranger")
    #expect(due(&ledger).isEmpty, "x lacks the end of one lane, and the stranger is no replica")
    ledger.acknowledged([(other, point(2))], by: "x")
    ledger.acknowledged([(other, point(1))], by: "x")
    #expect(
      due(&ledger) == [.init(number: number, reached: 2, isInDoubt: false, level: 2, positions: 1...1)],
      "what was said before stays true")
    #expect(due(&ledger).isEmpty && ledger.heldCount == 0)
  }

  @Test func `what agents stated that work elsewhere now is waited for no more`() {
    var ledger = ReplicationLedger(replicas: ["x"])
    let number = ledger.hold(group([lane: point(3), other: point(2)], level: 1))
    ledger.acknowledged([(other, point(2))], by: "x")
    #expect(due(&ledger).isEmpty)
    ledger.forget("a")
    #expect(due(&ledger).map(\.number) == [number])
  }

  @Test func `groups leave in their order, and what waits for nothing waits for what lies before it`() {
    var ledger = ReplicationLedger(replicas: ["x"])
    let first = ledger.hold(group([lane: point(1)], level: 1))
    let second = ledger.hold(group([other: point(1)], level: 0, at: 2))
    let third = ledger.hold(group([lane: point(2)], level: 1, at: 3))
    #expect(due(&ledger).isEmpty)
    ledger.acknowledged([(lane, point(1))], by: "x")
    #expect(due(&ledger).map(\.number) == [first, second])
    ledger.acknowledged([(lane, point(1, epoch: 2))], by: "x")
    #expect(due(&ledger).map(\.number) == [third])
  }

  @Test func `at its deadline a group leaves in doubt, and what lies behind it is not drawn along`() {
    var ledger = ReplicationLedger(replicas: ["x", "y"])
    let first = ledger.hold(group([lane: point(1)], level: 2, dueAt: 100))
    let second = ledger.hold(group([lane: point(2)], level: 2, dueAt: 150, at: 2))
    ledger.acknowledged([(lane, point(1))], by: "y")
    #expect(due(&ledger, at: 99).isEmpty)
    #expect(
      due(&ledger, at: 100) == [.init(number: first, reached: 1, isInDoubt: true, level: 2, positions: 1...1)]
    )
    #expect(due(&ledger, at: 149).isEmpty)
    let last = due(&ledger, at: 150)
    #expect(last.map(\.number) == [second] && last.map(\.reached) == [0] && last[0].isInDoubt)
  }

  @Test func `the lag of a replica is what it has not got to its end`() {
    var ledger = ReplicationLedger(replicas: ["x", "y"])
    ledger.acknowledged([(lane, point(3))], by: "x")
    #expect(ledger.lag(behind: [lane: point(3), other: point(1)]) == ["x": 1, "y": 2])
  }

  /// Replicas that crash, are cut off and come back, behind a network that loses, doubles and reorders what they say.
  @Test func `on every seed nothing leaves replicated that n logs do not have, nothing twice or out of turn`()
  {
    var (replicatedCount, inDoubtCount) = (0, 0)
    let seeds = seeds(2000)
    for seed in seeds {
      var model = LedgerModel(seed: seed)
      for _ in 0..<200 {
        model.step()
        #expect(model.violations.isEmpty, "HYPHA_SEED=\(seed): \(model.violations)")
        guard model.violations.isEmpty else { return }
      }
      replicatedCount += model.replicatedCount
      inDoubtCount += model.inDoubtCount
      #expect(model.finish() == 0, "HYPHA_SEED=\(seed): groups are held for ever")
    }
    guard seeds.count > 1 else { return }
    #expect(
      replicatedCount > seeds.count && inDoubtCount > seeds.count, "\(replicatedCount), \(inDoubtCount)")
  }
}

/// A node and its replicas: who has what is known here, and the ledger learns of it only what comes through.
private struct LedgerModel {
  private var random: SeededGenerator
  private let replicas: [NodeID]
  private let lanes: [Lane]
  private var ledger: ReplicationLedger
  private var now: UInt64 = 1000
  private var ends: [Lane: UInt64] = [:]
  /// What each replica has synced.
  private var synced: [NodeID: [Lane: UInt64]] = [:]
  /// What replicas have said that has not arrived.
  private var underWay: [(node: NodeID, heads: [(lane: Lane, point: LanePoint)])] = []
  private var waiting: [(number: UInt64, ends: [Lane: UInt64], level: Int, dueAt: UInt64)] = []
  private(set) var violations: [String] = []
  private(set) var (replicatedCount, inDoubtCount) = (0, 0)

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed, name: "ledger")
    replicas = (0..<Int.random(in: 1...4, using: &random)).map { NodeID(unchecked: "r\($0)") }
    lanes = (0..<Int.random(in: 1...4, using: &random)).map {
      Lane(agent: AgentID(unchecked: "a\($0)"), channel: .persistent, target: .type("load.Entry"))
    }
    ledger = ReplicationLedger(replicas: replicas)
  }

  mutating func step() {
    now += UInt64.random(in: 0...20, using: &random)
    switch Int.random(in: 0...9, using: &random) {
    case 0...2: commit()
    case 3...5: replicate(to: replicas.randomElement(using: &random) ?? "r0")
    case 6...8: arrive()
    default: now += UInt64.random(in: 0...100, using: &random)
    }
    look()
  }

  /// Lets time pass until everything must have left, and returns what has not.
  mutating func finish() -> Int {
    now += 1000
    look()
    return ledger.heldCount
  }

  private mutating func commit() {
    var group: [Lane: UInt64] = [:]
    for lane in lanes where random.chance(0.5) {
      ends[lane, default: 0] += UInt64.random(in: 1...5, using: &random)
      group[lane] = ends[lane]
    }
    guard !group.isEmpty else { return }
    let level = Int.random(in: 0...replicas.count, using: &random)
    let dueAt = now + UInt64.random(in: 1...300, using: &random)
    let number = ledger.hold(
      .init(
        ends: group.mapValues { LanePoint(epoch: 1, sequence: $0) }, level: level,
        dueAt: Timestamp(microseconds: dueAt), positions: now...now))
    waiting.append((number, group, level, dueAt))
  }

  private mutating func replicate(to node: NodeID) {
    for lane in lanes {
      let (have, end) = (synced[node]?[lane] ?? 0, ends[lane] ?? 0)
      synced[node, default: [:]][lane] = UInt64.random(in: have...end, using: &random)
    }
    guard random.chance(0.7) else { return }
    underWay.append(
      (node, lanes.map { ($0, LanePoint(epoch: 1, sequence: synced[node]?[$0] ?? 0)) }))
  }

  private mutating func arrive() {
    guard let place = underWay.indices.randomElement(using: &random) else { return }
    let message = random.chance(0.8) ? underWay.remove(at: place) : underWay[place]
    ledger.acknowledged(message.heads, by: message.node)
  }

  private mutating func look() {
    for release in ledger.due(now: Timestamp(microseconds: now)) {
      guard let first = waiting.first, first.number == release.number else {
        return violations.append("\(release.number) leaves out of turn, or again")
      }
      waiting.removeFirst()
      let have = replicas.count { node in
        first.ends.allSatisfy { synced[node]?[$0.key] ?? 0 >= $0.value }
      }
      if release.isInDoubt {
        inDoubtCount += 1
        if now < first.dueAt { violations.append("\(release.number) is in doubt before its time") }
      } else if have < first.level {
        violations.append("\(release.number) leaves on \(have) replicas instead of \(first.level)")
      } else if first.level > 0 {
        replicatedCount += 1
      }
      if release.reached > have { violations.append("\(release.number) is said to be on too many") }
    }
    if let first = waiting.first, now >= first.dueAt { violations.append("\(first.number) is held too long") }
  }
}
