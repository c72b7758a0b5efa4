import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// A random tree on random nodes, with random links and rules of oversight.
private struct Overseen {
  let topology: Topology
  let routes: [NodeID: Routes]

  init(seed: UInt64) throws {
    var generator = TopologyGenerator(seed: seed)
    let tree = try generator.tree()
    let rules = generator.oversight(of: tree.agents)
    topology = try Topology(name: tree.name, nodes: tree.nodes, agents: tree.agents, oversight: rules)
    var links: [DirectLink] = []
    for one in tree.agents {
      for other in tree.agents where one.id < other.id && generator.random.chance(15) {
        links.append(DirectLink(one.id, other.id))
      }
    }
    routes = [NodeID: Routes](
      uniqueKeysWithValues: tree.nodes.map { [topology, links] in ($0.id, Routes(topology, links: links)) })
  }

  var lanes: [(lane: Lane, type: EventTypeName)] {
    topology.agents.flatMap { agent in
      TopologyGenerator.types.map { (lane(agent.id, to: .type($0)), $0) }
    }
  }

  func mode(of agent: AgentID, _ type: EventTypeName) -> OversightRule.Mode? {
    topology.oversight.first { $0.by == agent && $0.type == type }?.mode
  }

  /// The agents above an author, the nearest first.
  func above(_ author: AgentID) -> [AgentID] {
    Array(sequence(first: author) { topology.agent($0)?.reportsTo }.dropFirst())
  }
}

@Suite struct `Oversight of a random tree with random links` {
  @Test func `keeps what is overseen in from all but those up to who oversees it`() throws {
    var (endedCount, subscriberCount) = (0, 0)
    for seed in seeds(60) {
      let overseen = try Overseen(seed: seed)
      for (lane, type) in overseen.lanes {
        let above = overseen.above(lane.agent)
        guard let gate = above.firstIndex(where: { overseen.mode(of: $0, type) == .in }) else { continue }
        let seeing = above[..<gate].filter { overseen.mode(of: $0, type) == .parallel } + [above[gate]]
        #expect(Set(Walk(lane, overseen.routes).deliveries.keys) == Set(seeing), "seed \(seed), lane \(lane)")
        // Wherever a frame of it were brought, and whatever it came by, nobody else would get it.
        for agent in overseen.topology.agents {
          for routes in overseen.routes.values {
            let reached = routes.reached(lane, arrivingAt: agent.id)
            #expect(Set(reached).isSubset(of: seeing), "seed \(seed), lane \(lane)")
            let step = routes.step(lane, arrivingAt: agent.id)
            #expect(Set(step.deliveries.map(\.agent)).isSubset(of: seeing), "seed \(seed), lane \(lane)")
          }
        }
        endedCount += 1
        subscriberCount += overseen.topology.agents.count { agent in
          agent.subscribes.contains { $0.type == type } && !seeing.contains(agent.id)
        }
      }
    }
    #expect(endedCount > 100 && subscriberCount > 100)
  }

  @Test func `adds those who oversee in parallel, and leaves the others as they are`() throws {
    var copyCount = 0
    for seed in seeds(60) {
      let overseen = try Overseen(seed: seed)
      for (lane, type) in overseen.lanes {
        let above = overseen.above(lane.agent)
        guard !above.contains(where: { overseen.mode(of: $0, type) == .in }) else { continue }
        let copies = above.filter { overseen.mode(of: $0, type) == .parallel }
        let subscribers = overseen.topology.agents.filter { agent in
          agent.id != lane.agent && agent.subscribes.contains { $0.type == type }
        }.map(\.id)
        let deliveries = Walk(lane, overseen.routes).deliveries
        #expect(Set(deliveries.keys) == Set(subscribers + copies), "seed \(seed), lane \(lane)")
        #expect(deliveries.values.allSatisfy { $0.count == 1 }, "seed \(seed), lane \(lane)")
        copyCount += copies.count { !subscribers.contains($0) }
      }
    }
    #expect(copyCount > 100)
  }

  @Test func `says of each event whom it is for as the routes do`() throws {
    for seed in seeds(30) {
      let overseen = try Overseen(seed: seed)
      let audience = Audience(overseen.topology)
      for (lane, type) in overseen.lanes {
        let agents = Routes(overseen.topology).destinations(of: lane)
        #expect(audience.agents(for: type, "s", by: lane.agent) == agents)
        for agent in overseen.topology.agents.map(\.id) {
          #expect(audience.takes(agent, type, "s", by: lane.agent) == agents.contains(agent))
        }
      }
    }
  }
}

@Suite struct `Rules of oversight` {
  private let agents = [
    AgentSpec(id: "root", kind: "k", node: "n"),
    AgentSpec(id: "head", kind: "k", node: "n", reportsTo: "root"),
    AgentSpec(id: "ana", kind: "k", node: "n", reportsTo: "head"),
  ]

  @Test(
    arguments: [
      (OversightRule("a.B", by: "boss", .in), "by 'boss': there is no such agent; add it under agents:"),
      (
        OversightRule("a.B", by: "ana", .in),
        "by 'ana': nobody reports to it; name a supervisor of those who publish it"
      ),
      (
        OversightRule("hypha.AgentActivated", by: "head", .in),
        "by 'head': the bus states these events itself; name a type that agents publish"
      ),
      (OversightRule("a.B", by: "head", .after, every: .zero), "a digest every 0.0 seconds; use 1s to 7d"),
    ])
  func `that cannot hold are refused`(rule: OversightRule, what: String) {
    let error = #expect(throws: HyphaError.self) {
      try Topology(name: "t", nodes: [NodeSpec(id: "n")], agents: agents, oversight: [rule])
    }
    #expect(error?.description.hasSuffix(what) ?? false, "\(error?.description ?? "")")
  }

  @Test func `of one supervisor for one type are refused where there are two`() {
    let rules = [OversightRule("a.B", by: "head", .in), OversightRule("a.B", by: "head", .parallel)]
    let error = #expect(throws: HyphaError.self) {
      try Topology(name: "t", nodes: [NodeSpec(id: "n")], agents: agents, oversight: rules)
    }
    #expect(error?.description.contains("is declared twice") ?? false)
  }

  @Test func `change what a topology is recognised by`() throws {
    func hash(_ rules: [OversightRule]) throws -> UInt64 {
      try Topology(name: "t", nodes: [NodeSpec(id: "n")], agents: agents, oversight: rules).hash
    }
    let hashes = try [
      hash([]), hash([OversightRule("a.B", by: "head", .in)]), hash([OversightRule("a.B", by: "root", .in)]),
      hash([OversightRule("a.B", by: "head", .parallel)]), hash([OversightRule("a.C", by: "head", .in)]),
    ]
    #expect(Set(hashes).count == 5)
  }

  @Test func `that a file says in vain are listed by line`() {
    let text = """
      hypha: 1
      name: n
      nodes: {m: {}}
      oversight:
        - {type: a.B, by: haed, mode: in}
        - {type: a.B, by: ana, mode: in}
        - {type: a.B, mode: in}
        - {type: a.B, by: head, mode: inn}
        - {type: hypha.NodeUp, by: head, mode: in}
        - {type: a.B, by: head, mode: in, every: 5m}
        - {type: a.B, by: head, mode: after, every: 500ms}
        - {type: a.C, by: head, mode: after, every: 5m}
        - {type: a.C, by: head, mode: in}
        - head
      agents:
        root: {kind: k}
        head: {kind: k, reports-to: root}
        ana: {kind: k, reports-to: head}
      """
    #expect(
      problems(text) == [
        "f:5:21: a rule of oversight names 'haed', which does not exist; did you mean 'head'?",
        "f:6:21: a rule of oversight names 'ana', to whom nobody reports; "
          + "name a supervisor of those who publish a.B",
        "f:7:5: a rule of oversight has no by; write {type: TYPE, by: AGENT, mode: in}",
        "f:8:33: there is no mode of oversight 'inn'; did you mean 'in'?",
        "f:9:12: a rule of oversight names hypha.NodeUp, which the bus states itself; "
          + "name a type that agents publish",
        "f:10:37: every is for digests, which the mode 'in' has not; remove it, or use the mode 'after'",
        "f:11:47: every is out of range; use a duration from 1s to 7d",
        "f:13:5: 'head' oversees a.C twice: it does on line 12; remove one of them",
        "f:14:5: a rule of oversight must be a mapping, not a single value; "
          + "write lines of the form 'key: value', indented below it",
      ])
  }

  @Test func `that no kind can keep are listed by line`() throws {
    let text = """
      hypha: 1
      name: n
      nodes: {m: {}}
      oversight:
        - {type: work.Begun, by: head, mode: in}
        - {type: work.Begun, by: other, mode: in}
        - {type: work.Ended, by: head, mode: outside}
        - {type: work.Begun, by: root, mode: after}
        - {type: work.Begun, by: open, mode: parallel}
      agents:
        root: {kind: keeper}
        open: {kind: open, reports-to: root}
        head: {kind: keeper, reports-to: open}
        other: {kind: taker, reports-to: root}
        ana: {kind: worker, reports-to: head}
        ben: {kind: keeper, reports-to: other}
      """
    let declarations = [
      "keeper": KindDeclaration(handles: ["hypha.OversightDigest"]),
      "taker": KindDeclaration(handles: ["work.Begun"]),
      "worker": KindDeclaration(publishes: ["work.Begun"]),
      "open": KindDeclaration(isOpen: true),
    ]
    let problems = try TopologyFile.read(yaml: text, file: "f")
      .problems(kindNames: declarations.keys.sorted()) { declarations[$0] }.map(\.description)
    #expect(
      problems == [
        "f:5:5: 'head' is to oversee work.Begun, but its kind 'keeper' does not handle work.Begun; "
          + "let that kind handle it, or give 'head' another kind",
        "f:6:5: 'other' is to oversee work.Begun, which nobody below it publishes; "
          + "name a supervisor of ana",
        "f:7:5: 'head' is to oversee work.Ended, which nobody below it publishes; "
          + "name a type that an agent below it publishes",
      ])
  }
}
