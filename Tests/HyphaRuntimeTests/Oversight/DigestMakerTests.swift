import HyphaCore
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// The digests of one node, made from entries drawn at random, through crashes that keep no more than the log does.
@Suite struct DigestMakerTests {
  private let topology: Topology

  init() throws {
    topology = try Topology(
      name: "digests", nodes: [NodeSpec(id: "n"), NodeSpec(id: "m")],
      agents: [
        AgentSpec(id: "root", kind: "k", node: "m"),
        AgentSpec(id: "head", kind: "k", node: "m", reportsTo: "root"),
        AgentSpec(id: "ana", kind: "k", node: "n", reportsTo: "head"),
        AgentSpec(id: "ben", kind: "k", node: "n", reportsTo: "root"),
        AgentSpec(id: "cleo", kind: "k", node: "m", reportsTo: "head"),
      ],
      oversight: [
        OversightRule("a.B", by: "head", .after, every: .seconds(2)),
        OversightRule("a.B", by: "root", .after, every: .seconds(5)),
        OversightRule("a.C", by: "root", .after, every: .seconds(1)),
        OversightRule("a.C", by: "head", .parallel),
      ])
  }

  private struct Entry {
    var type: EventTypeName
    var agent: AgentID
    var id: EventID
  }

  private func id(_ number: UInt64) -> EventID {
    EventID(time: Timestamp(microseconds: number), random: number)
  }

  @Test func `a node without agents that are overseen afterwards has nothing to make`() throws {
    #expect(DigestMaker(topology, on: "n", now: .zero) != nil)
    let other = try Topology(
      name: "t", nodes: topology.nodes, agents: topology.agents,
      oversight: [OversightRule("a.B", by: "head", .in)])
    #expect(DigestMaker(other, on: "n", now: .zero) == nil)
  }

  @Test
  func `each event is in one digest of each rule that is about it, and no digest comes before its time`()
    throws
  {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed, name: "digests")
      var log: [Entry] = []
      var stated: [(digest: OversightDigest, time: Timestamp)] = []
      var now: UInt64 = 1
      var maker = try #require(DigestMaker(topology, on: "n", now: .zero))
      func scan(_ countMax: Int) {
        let end = min(log.count, Int(maker.through.rawValue) + countMax)
        for place in Int(maker.through.rawValue)..<end where maker.counts(log[place].type) {
          maker.take(
            log[place].type, by: log[place].agent, id: log[place].id,
            at: Position(rawValue: UInt64(place) + 1))
        }
        maker.advance(to: Position(rawValue: UInt64(end)))
      }
      func look() {
        scan(3)
        guard Int(maker.through.rawValue) == log.count else { return }
        let time = Timestamp(microseconds: now)
        for digest in maker.due(now: time) { stated.append((digest, time)) }
      }
      for _ in 0..<400 {
        switch random.next() % 8 {
        case 0...3:
          let type: EventTypeName = ["a.B", "a.C", "a.D"][Int(random.next() % 3)]
          log.append(
            Entry(
              type: type, agent: ["ana", "ben", "cleo"][Int(random.next() % 3)], id: id(UInt64(log.count))))
        case 4...5: now += random.next() % 500_000
        case 6: look()
        default:
          guard random.next() % 4 == 0 else { continue }
          maker = try #require(DigestMaker(topology, on: "n", now: Timestamp(microseconds: now)))
          var newest: [[String]: (digest: OversightDigest, time: Timestamp)] = [:]
          for one in stated { newest[[one.digest.by.text, one.digest.type.text]] = one }
          maker.resume(Array(newest.values))
        }
      }
      now += 10_000_000
      for _ in 0..<200 { look() }
      check(stated, log, seed: seed)
    }
  }

  private func check(
    _ stated: [(digest: OversightDigest, time: Timestamp)], _ log: [Entry], seed: UInt64
  ) {
    let wanted: [(by: AgentID, type: EventTypeName, agents: Set<AgentID>, every: Duration)] = [
      ("head", "a.B", ["ana"], .seconds(2)), ("root", "a.B", ["ana", "ben"], .seconds(5)),
      ("root", "a.C", ["ana", "ben"], .seconds(1)),
    ]
    for rule in wanted {
      let own = stated.filter { $0.digest.by == rule.by && $0.digest.type == rule.type }
      for (one, next) in zip(own, own.dropFirst()) {
        #expect(next.digest.after == one.digest.through, "HYPHA_SEED=\(seed)")
        #expect(next.time.since(one.time) >= rule.every, "HYPHA_SEED=\(seed)")
      }
      for agent in rule.agents.sorted() {
        let events = log.filter { $0.type == rule.type && $0.agent == agent }
        let counts = own.flatMap(\.digest.agents).filter { $0.agent == agent }
        #expect(
          counts.reduce(0) { $0 + $1.count } == UInt64(events.count), "HYPHA_SEED=\(seed) \(rule) \(agent)")
        #expect(counts.last?.newest == events.last?.id, "HYPHA_SEED=\(seed) \(rule) \(agent)")
      }
      #expect(Set(own.flatMap(\.digest.agents).map(\.agent)).isSubset(of: rule.agents), "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `agents that have no room are counted together`() throws {
    let count = OversightDigest.agentCountMax + 5
    let agents = (0..<count).map {
      AgentSpec(id: AgentID(unchecked: "a\($0)"), kind: "k", node: "n", reportsTo: "root")
    }
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "n")], agents: [AgentSpec(id: "root", kind: "k", node: "n")] + agents,
      oversight: [OversightRule("a.B", by: "root", .after)])
    var maker = try #require(DigestMaker(topology, on: "n", now: .zero))
    for (place, agent) in agents.enumerated() {
      let position = Position(rawValue: UInt64(place) + 1)
      maker.take("a.B", by: agent.id, id: id(UInt64(place)), at: position)
      maker.advance(to: position)
    }
    #expect(maker.due(now: Timestamp(microseconds: 1)) == [])
    let digest = try #require(maker.due(now: Timestamp(microseconds: 60_000_000)).first)
    #expect(digest.agents.count == OversightDigest.agentCountMax && digest.otherCount == 5)
    #expect(digest.eventCount == UInt64(count))
  }
}
