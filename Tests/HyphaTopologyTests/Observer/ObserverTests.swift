import HyphaCore
import Testing

@testable import HyphaTopology

/// What the observer promises on any traffic.
@Suite struct ObserverTests {
  private func policy(_ random: inout SeededGenerator) -> ObserverPolicy {
    var policy = ObserverPolicy()
    policy.charge = [1, 3, 10, 50].randomElement(using: &random)!
    policy.overdraft = [0, 1, 5, 50].randomElement(using: &random)!
    policy.halfLife = [1, 4, 32].randomElement(using: &random)!
    policy.memory = [64, 128, 4096].randomElement(using: &random)!
    policy.agentLinks = Int.random(in: 0...3, using: &random)
    policy.supervisorLinks = Int.random(in: 0...3, using: &random)
    policy.rootLinks = Int.random(in: 0...4, using: &random)
    policy.kinds = Set(LinkKind.allCases.filter { _ in random.chance(80) })
    return policy
  }

  @Test func `on any traffic the whole costs at most the tree and the overdraft, within all bounds`() throws {
    for seed in seeds(60) {
      var random = SeededGenerator(seed: seed)
      let tree = try tree(
        levels: Int.random(in: 2...5, using: &random), width: Int.random(in: 2...4, using: &random))
      let shape = TrafficGenerator.Shape.allCases[Int(seed) % TrafficGenerator.Shape.allCases.count]
      var traffic = TrafficGenerator(seed: seed, shape, agentCount: tree.count)
      var witness = Witness(try Observer(tree, policy: policy(&random)))
      for _ in 0..<1500 { witness.observe(traffic.next()) }
    }
  }

  @Test func `an adversary that asks for what was just removed gains nothing`() throws {
    // Each agent may have one link, and the adversary asks for the pair that is not linked.
    var policy = ObserverPolicy()
    policy.agentLinks = 1
    var witness = Witness(try Observer(tree(levels: 2, width: 3), policy: policy))
    let pairs = [Traffic.Event(from: 1, to: 2), .init(from: 2, to: 3), .init(from: 1, to: 3)]
    for _ in 0..<100_000 {
      let event = pairs.first { !witness.observer.isLinked(AgentPair($0.from, $0.to)) }
      witness.observe(event ?? pairs[0])
    }
    #expect(witness.changeCount > 10, "the adversary did not make it change")
    // The rule has stopped long before: the total stays at the tree's as traffic goes on.
    #expect(Double(witness.cost) <= 1.003 * Double(witness.treeHops))
  }

  @Test func `the ledger alone holds the bound, by every charge`() throws {
    for charge in [1, 2, 7, 10, 100] {
      var policy = ObserverPolicy()
      policy.charge = charge
      policy.agentLinks = 1
      policy.overdraft = 3
      policy.halfLife = 10_000
      var witness = Witness(try Observer(tree(levels: 3, width: 3), policy: policy))
      var random = SeededGenerator(seed: UInt64(charge))
      for _ in 0..<4000 {
        // Whatever is not linked, in long runs, so that links come and are of no use.
        let from = Int32.random(in: 4..<13, using: &random)
        let to = Int32.random(in: 4..<13, using: &random)
        guard !witness.observer.isLinked(AgentPair(from, to)) else { continue }
        witness.observe(.init(from: from, to: to))
      }
      #expect(witness.observer.ledgerMin >= -Int64(3 * charge))
    }
  }

  @Test func `the same events give the same decisions and the same links`() throws {
    for seed in seeds(10) {
      let tree = try tree(levels: 4, width: 4)
      var policy = ObserverPolicy()
      // A memory so small that newcomers displace others by lot.
      policy.memory = 64
      func run() throws -> Witness {
        var traffic = TrafficGenerator(seed: seed, .skewed, agentCount: tree.count)
        var witness = Witness(try Observer(tree, policy: policy))
        for _ in 0..<4000 { witness.observe(traffic.next()) }
        return witness
      }
      let (one, other) = (try run(), try run())
      #expect(!one.decisions.isEmpty && one.decisions == other.decisions, "seed \(seed)")
      #expect(one.observer.topologyHash == other.observer.topologyHash, "seed \(seed)")
    }
  }

  @Test func `a worn path becomes a link, with its evidence`() throws {
    var witness = Witness(try Observer(tree(levels: 3, width: 3)))
    var decision: RewireDecision?
    var count = 0
    while decision == nil, count < 20 {
      decision = witness.observe(.init(from: 4, to: 12))
      count += 1
    }
    // Three hops saved each time, and seven tenths of a charge of ten needed.
    #expect(count == 3)
    let made = try #require(decision)
    #expect(made.promoted?.pair == AgentPair(4, 12) && made.promoted?.kind == .agents)
    #expect(made.cause == .earned && made.retired.isEmpty && made.ledgerAfter == -10)
    #expect(made.credit == 9 * Decay.one && made.threshold == 7 * Decay.one)
    witness.observe(.init(from: 12, to: 4))
    #expect(witness.observer.lastCost == 1 && witness.observer.lastTreeCost == 4)
  }

  @Test func `a link without use goes once it is idle, and one in use stays`() throws {
    var policy = ObserverPolicy()
    policy.halfLife = 1
    var witness = Witness(try Observer(tree(levels: 2, width: 4), policy: policy))
    for _ in 0..<200 { witness.observe(.init(from: 1, to: 2)) }
    #expect(witness.observer.links == [AgentPair(1, 2)])
    for _ in 0..<20_000 { witness.observe(.init(from: 3, to: 4)) }
    #expect(witness.observer.links == [AgentPair(3, 4)])
    #expect(witness.decisions.contains { $0.cause == .idle && $0.retired.map(\.pair) == [AgentPair(1, 2)] })
  }

  @Test func `the memory keeps its bound and the heavy pairs, whatever else passes`() throws {
    var policy = ObserverPolicy()
    policy.memory = 64
    let tree = try tree(levels: 3, width: 30)
    var witness = Witness(try Observer(tree, policy: policy))
    var traffic = TrafficGenerator(seed: 5, .uniform, agentCount: tree.count)
    for place in 0..<8000 {
      witness.observe(place % 4 == 0 ? .init(from: 40, to: 900) : traffic.next())
    }
    #expect(witness.observer.itemCount == 64)
    #expect(witness.observer.isLinked(AgentPair(40, 900)))
  }

  @Test func `events with themselves, with neighbours and over very long paths are counted at their cost`()
    throws
  {
    let chain = try AgentTree(
      parents: [-1] + (0..<20).map { Int32($0) } + (20..<40).map { $0 == 20 ? 0 : Int32($0) })
    var witness = Witness(try Observer(chain))
    for _ in 0..<100 {
      witness.observe(.init(from: 20, to: 40))
      witness.observe(.init(from: 3, to: 3))
      witness.observe(.init(from: 3, to: 4))
    }
    #expect(witness.cost == witness.treeHops && witness.observer.links.isEmpty)
    #expect(witness.treeHops == 100 * (40 + 0 + 1))
  }

  @Test func `among a hundred thousand agents it keeps the same bounds`() throws {
    var traffic = try LevelledTraffic(agentCount: 100_000)
    #expect(traffic.tree.depth(Int32(traffic.tree.count - 1)) == 4 && traffic.tree.count < 110_000)
    #expect(traffic.tree.role(Int32(traffic.tree.count - 100_000)) == .agent)
    var witness = Witness(try Observer(traffic.tree))
    for _ in 0..<3000 { witness.observe(traffic.next()) }
    #expect(witness.observer.itemCount == 4096)
  }

  @Test func `extreme numbers neither overflow nor trap`() throws {
    let decay = Decay(halfLifeEventCount: 64)
    #expect(decay.decayed(Decay.weightMax, steps: 0) == Decay.weightMax)
    for steps: Int32 in [1, 63, 64, 65, 1000, .max] {
      let weight = decay.decayed(Decay.weightMax, steps: steps)
      #expect(weight >= 0 && weight < Decay.weightMax)
    }
    #expect(decay.decayed(Decay.weightMax, steps: 64) == Decay.weightMax / 2)
    #expect(decay.decayed(1 << 20, steps: 32) == 741_456)
    var policy = ObserverPolicy()
    (policy.charge, policy.overdraft, policy.halfLife) = (10_000, 10_000, 10_000)
    var observer = try Observer(tree(levels: 2, width: 2), policy: policy)
    // A weight near its bound is cut and not added to.
    for _ in 0..<20_000 { observer.observe(from: 1, to: 2) }
    let slot = observer.table.find(AgentPair(1, 2))
    observer.table.items[Int(slot)].score = Decay.weightMax - 1
    observer.observe(from: 1, to: 2)
    #expect(observer.table.items[Int(slot)].score == Decay.weightMax)
  }

  @Test(arguments: [("charge", 0), ("overdraft", -1), ("half-life", 0), ("memory", 63), ("root-links", 256)])
  func `a policy out of bounds is refused by name`(_ key: String, _ value: Int) throws {
    var policy = ObserverPolicy()
    let path = try #require(ObserverPolicy.bounds.first { $0.key == key }).path
    policy[keyPath: path] = value
    let tree = try tree(levels: 2, width: 2)
    #expect { try Observer(tree, policy: policy) } throws: {
      "\($0)".contains("observer: \(key) is \(value); use ")
    }
  }

  @Test(arguments: TrafficGenerator.Shape.allCases)
  func `events of one pair in a row are learned from as if each came by itself`(
    _ shape: TrafficGenerator.Shape
  ) throws {
    for seed in seeds(6) {
      var policy = ObserverPolicy()
      (policy.charge, policy.memory, policy.halfLife) = (3, 64, 2)
      var quick = try Observer(tree(levels: 4, width: 3), policy: policy)
      var slow = quick
      var generator = TrafficGenerator(seed: seed, shape, agentCount: quick.tree.count)
      for _ in 0..<400 {
        let event = generator.next()
        for _ in 0..<Int.random(in: 1...30, using: &generator.random) {
          // Whatever an observer keeps of the event before is gone.
          try slow.resume(slow.memory)
          let decision = quick.observe(from: event.from, to: event.to)
          #expect(decision == slow.observe(from: event.from, to: event.to), "\(shape) HYPHA_SEED=\(seed)")
          #expect(quick.ledger == slow.ledger && quick.lastCost == slow.lastCost)
        }
      }
      #expect(quick.links == slow.links && quick.topologyHash == slow.topologyHash)
      #expect(shape == .uniform || quick.linkCount > 0)
    }
  }
}
