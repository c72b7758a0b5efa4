import HyphaCore
import Testing

@testable import HyphaTopology

/// What operators ask of the observer, and what oversight asks of it.
@Suite struct ObserverOperatorTests {
  private func observer(
    _ change: (inout ObserverPolicy) -> Void = { _ in }, pins: [AgentPair] = [], forbids: Set<AgentPair> = [],
    gates: Set<Int32> = []
  ) throws -> Observer {
    var policy = ObserverPolicy()
    change(&policy)
    return try Observer(tree(levels: 3, width: 3, gates: gates), policy: policy, pins: pins, forbids: forbids)
  }

  @Test func `a supervisor who must be passed is passed by every event, on any traffic`() throws {
    for seed in seeds(25) {
      var random = SeededGenerator(seed: seed)
      let plain = try tree(levels: 4, width: 3)
      let supervisors = (0..<Int32(plain.count)).filter { plain.role($0) == .supervisor }
      let gates = Set(supervisors.shuffled(using: &random).prefix(3))
      let tree = try tree(levels: 4, width: 3, gates: gates)
      var observer = try Observer(tree)
      var traffic = TrafficGenerator(
        seed: seed, TrafficGenerator.Shape.allCases[Int(seed) % 5], agentCount: tree.count)
      var path = [Int32](repeating: -1, count: 17)
      for _ in 0..<1500 {
        let event = traffic.next()
        let count = try #require(tree.fill(&path, from: event.from, to: event.to))
        // An overseer of this event alone, beside those of all.
        let overseer =
          random.chance(30) && count >= 2 ? [path[Int.random(in: 1..<count, using: &random)]] : []
        observer.observe(from: event.from, to: event.to, passing: overseer)
        var relays: Set<Int32> = []
        observer.forEachRelay { relays.insert($0) }
        for between in path[0..<count].dropFirst() where gates.contains(between) || overseer.contains(between)
        {
          #expect(relays.contains(between), "seed \(seed): an event went around \(between)")
        }
      }
      #expect(observer.linkCount > 0, "seed \(seed): there was nothing to go around")
    }
  }

  @Test func `an event that has to pass a supervisor teaches nothing about links around it`() throws {
    var observer = try observer()
    for _ in 0..<200 { observer.observe(from: 4, to: 12, passing: [0, 1, 3]) }
    #expect(observer.links.isEmpty && observer.itemCount == 0)
  }

  @Test func `in mode suggest nothing changes until an operator approves`() throws {
    var observer = try observer { $0.mode = .suggest }
    var suggestion: RewireDecision?
    for _ in 0..<3 { suggestion = observer.observe(from: 4, to: 12) }
    let made = try #require(suggestion)
    #expect(
      made.isSuggestion && made.promoted?.pair == AgentPair(4, 12) && made.ledgerAfter == made.ledgerBefore)
    #expect(observer.links.isEmpty && observer.ledger == 0)
    // It is not said again at once, but after as much evidence as before.
    #expect(observer.observe(from: 4, to: 12) == nil)
    let approval = try observer.operate(.approve(AgentPair(4, 12)))
    #expect(approval?.cause == .operated && observer.links == [AgentPair(4, 12)])
  }

  @Test func `in mode off, and frozen, only operators change anything`() throws {
    var off = try observer { $0.mode = .off }
    for _ in 0..<100 { off.observe(from: 4, to: 12) }
    #expect(off.links.isEmpty && off.itemCount == 0 && off.eventCount == 100)
    var frozen = try observer()
    try frozen.operate(.freeze)
    for _ in 0..<100 { frozen.observe(from: 4, to: 12) }
    #expect(frozen.links.isEmpty)
    try frozen.operate(.pin(AgentPair(5, 10)))
    frozen.observe(from: 5, to: 10)
    #expect(frozen.lastCost == 1)
    try frozen.operate(.thaw)
    for _ in 0..<3 { frozen.observe(from: 4, to: 12) }
    #expect(frozen.isLinked(AgentPair(4, 12)))
  }

  @Test func `a pinned link is never displaced, and no room is left where all are pinned`() throws {
    let pin = AgentPair(4, 12)
    var observer = try observer({ $0.agentLinks = 1 }, pins: [pin])
    for _ in 0..<2000 { observer.observe(from: 4, to: 8) }
    #expect(observer.isLinked(pin) && observer.degree(4) == 1)
    #expect(throws: HyphaError.self) { try observer.operate(.pin(AgentPair(4, 9))) }
    try observer.operate(.unpin(pin))
    for _ in 0..<200 { observer.observe(from: 4, to: 8) }
    #expect(observer.links.contains(AgentPair(4, 8)) && !observer.isLinked(pin))
  }

  @Test func `a forbidden link is never made, goes if it is there, and may be allowed again`() throws {
    let pair = AgentPair(4, 12)
    var observer = try observer({ $0.kinds = [.agents] }, forbids: [pair])
    for _ in 0..<200 { observer.observe(from: 4, to: 12) }
    #expect(observer.links.isEmpty)
    #expect(throws: HyphaError.self) { try observer.operate(.approve(pair)) }
    try observer.operate(.allow(pair))
    for _ in 0..<3 { observer.observe(from: 4, to: 12) }
    #expect(observer.links == [pair])
    let gone = try observer.operate(.forbid(pair))
    #expect(gone?.retired.map(\.pair) == [pair] && observer.links.isEmpty)
  }

  @Test func `a retired link has to earn its place again`() throws {
    var observer = try observer()
    for _ in 0..<10 { observer.observe(from: 4, to: 12) }
    try observer.operate(.retire(AgentPair(4, 12)))
    #expect(observer.links.isEmpty)
    #expect(observer.observe(from: 4, to: 12) == nil)
    for _ in 0..<2 { observer.observe(from: 4, to: 12) }
    #expect(observer.isLinked(AgentPair(4, 12)))
    #expect { try observer.operate(.retire(AgentPair(5, 12))) } throws: {
      "\($0)" == "invalidTopology: agent 5 and agent 12 are not linked; retire one of the links"
    }
  }

  @Test(
    arguments: [
      (AgentPair(0, 1), "joins neighbours of the tree; link agents that are further apart"),
      (AgentPair(4, 4), "joins neighbours of the tree; link agents that are further apart"),
      (AgentPair(4, 99), "has an end that is no agent; use numbers from 0 to 12"),
      (AgentPair(-1, 4), "has an end that is no agent; use numbers from 0 to 12"),
      (AgentPair(7, 12), "leads around agent 2, who must be passed; link agents on one side of it"),
    ])
  func `a link that cannot be is refused with the reason`(_ pair: AgentPair, _ reason: String) throws {
    var observer = try observer(gates: [2])
    #expect { try observer.operate(.pin(pair)) } throws: {
      "\($0)" == "invalidTopology: the link of agent \(pair.low) and agent \(pair.high) \(reason)"
    }
  }
}
