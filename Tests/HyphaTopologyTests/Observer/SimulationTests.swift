import Testing

@testable import HyphaTopology

/// The rules that the observer is compared with.
@Suite struct SimulatedRuleTests {
  private func traffic(_ shape: TrafficGenerator.Shape, seed: UInt64, events: Int = 3000) throws -> Traffic {
    let tree = try tree(levels: 3, width: 4)
    var generator = TrafficGenerator(seed: seed, shape, agentCount: tree.count)
    return Traffic(tree: tree, events: (0..<events).map { _ in generator.next() })
  }

  @Test(arguments: SimulatedRule.allCases)
  func `each rule counts every event, and what it adds and removes`(_ rule: SimulatedRule) throws {
    for seed in seeds(5) {
      let traffic = try traffic(TrafficGenerator.Shape.allCases[Int(seed) % 5], seed: seed)
      let row = try Simulation(traffic).run(rule)
      #expect(row == (try Simulation(traffic).run(rule)), "\(rule) differs from itself on seed \(seed)")
      #expect(row.eventCount == 3000 && row.addCount - row.removeCount == row.linkCount)
      #expect(row.treeHops == traffic.events.reduce(0) { $0 + Int64(traffic.tree.distance($1.from, $1.to)) })
      #expect(row.hops <= row.treeHops && row.readdCount <= row.addCount)
      #expect(row.totalCost == row.hops + 10 * Int64(row.changeCount))
      // Every hop beyond the first of an event was relayed by somebody, but for those of the mesh.
      let moving = traffic.events.count { $0.from != $0.to }
      #expect(rule == .mesh || row.rootRelays + row.supervisorRelays == row.hops - Int64(moving))
    }
  }

  @Test(arguments: TrafficGenerator.Shape.allCases)
  func `by reports, too, nothing is dearer than the plain tree and the overdraft`(
    _ shape: TrafficGenerator.Shape
  ) throws {
    for seed in seeds(8) {
      var policy = ObserverPolicy()
      (policy.charge, policy.overdraft, policy.halfLife) = (3, 5, 4)
      let row = try Simulation(traffic(shape, seed: seed, events: 20_000), policy: policy).run(.reports)
      #expect(row.overdraftMin >= -15, "\(shape) HYPHA_SEED=\(seed): \(row.overdraftMin)")
      #expect(row.totalCost <= row.treeHops + 15 && row.changeCount > 0)
    }
  }

  @Test func `the plain tree and the mesh are the ends of the scale`() throws {
    let traffic = try traffic(.uniform, seed: 3)
    let tree = try Simulation(traffic).run(.tree)
    let mesh = try Simulation(traffic).run(.mesh)
    #expect(tree.total == 1 && tree.changeCount == 0)
    #expect(mesh.hops == Int64(traffic.events.count { $0.from != $0.to }))
  }

  @Test func `static links in hindsight are the best for two known pairs`() throws {
    // Agents 1 to 3 below the root; one link each; the pairs (1, 2), (2, 3) and (1, 3) talk 30, 40 and 5 times.
    var policy = ObserverPolicy()
    policy.agentLinks = 1
    func repeated(_ from: Int32, _ to: Int32, _ count: Int) -> [Traffic.Event] {
      Array(repeating: .init(from: from, to: to), count: count)
    }
    let events = repeated(1, 2, 30) + repeated(2, 3, 40) + repeated(1, 3, 5)
    let traffic = Traffic(tree: try tree(levels: 2, width: 3), events: events)
    let row = try Simulation(traffic, policy: policy).run(.hindsight)
    #expect(row.addCount == 1 && row.hops == 2 * 75 - 40)
  }

  @Test func `no rule gives an agent more links than the policy`() throws {
    var policy = ObserverPolicy()
    policy.agentLinks = 2
    let traffic = try traffic(.skewed, seed: 8)
    func check(_ matching: inout some OnlineMatching) {
      var links: Set<AgentPair> = []
      for event in traffic.events where event.from >= 5 && event.to >= 5 && event.from != event.to {
        for change in matching.take(AgentPair(event.from, event.to), saving: 3) {
          switch change {
          case .add(let pair): #expect(links.insert(pair).inserted)
          case .remove(let pair): #expect(links.remove(pair) != nil)
          }
        }
        for agent in [event.from, event.to] {
          #expect(links.count { $0.low == agent || $0.high == agent } <= 2)
        }
      }
      #expect(links.count > 3)
    }
    var counted = CountedMatching(traffic.tree, policy)
    var marked = MarkedMatching(traffic.tree, policy)
    var recent = RecentMatching(traffic.tree, policy)
    check(&counted)
    check(&marked)
    check(&recent)
  }

  @Test func `a progress that throws ends the run`() throws {
    struct Stopped: Error {}
    let traffic = try traffic(.uniform, seed: 1)
    for rule in SimulatedRule.allCases where ![.mesh, .hindsight].contains(rule) {
      #expect(throws: Stopped.self) { try Simulation(traffic).run(rule) { _ in throw Stopped() } }
    }
  }
}
