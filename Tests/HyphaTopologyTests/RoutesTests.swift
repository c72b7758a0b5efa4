import HyphaCore
import HyphaTopology
import Testing

private func routesOfEachNode(_ topology: Topology) throws -> [NodeID: Routes] {
  // Made from the parts again, as a node does that has read the file itself.
  try topology.nodes.reduce(into: [:]) { routes, node in
    routes[node.id] = Routes(
      try Topology(name: topology.name, nodes: topology.nodes, agents: topology.agents, log: topology.log))
  }
}

@Suite struct `The routes of a random tree on random nodes` {
  @Test func `take each event to each destination once, by the shortest way`() throws {
    for seed in seeds(60) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let routes = try routesOfEachNode(topology)
      let some = routes.values.first!
      for lane in lanes(of: topology) {
        let destinations = some.destinations(of: lane)
        let walk = Walk(lane, routes)
        let expected = destinations.reduce(into: [AgentID: [Int]]()) { expected, destination in
          expected[destination] = [path(lane.agent, destination, topology).count - 1]
        }
        #expect(walk.deliveries == expected, "seed \(seed), lane \(lane)")
        for destination in destinations {
          #expect(
            some.distance(lane.agent, destination) == expected[destination]?[0], "seed \(seed), lane \(lane)")
          let nodes = Set(path(lane.agent, destination, topology).compactMap { topology.agent($0)?.node })
          let ends = Set([lane.agent, destination].compactMap { topology.agent($0)?.node })
          #expect(some.isRelayed(lane, to: destination) == (nodes != ends), "seed \(seed), lane \(lane)")
        }
      }
    }
  }

  @Test func `touch nobody beside the paths, and nobody and no link twice`() throws {
    for seed in seeds(60) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let routes = try routesOfEachNode(topology)
      for lane in lanes(of: topology) {
        let paths = routes.values.first!.destinations(of: lane).map { path(lane.agent, $0, topology) }
        let walk = Walk(lane, routes)
        for link in walk.links.keys {
          #expect(
            routes[link.to]?.step(lane, arrivingAt: link.via).source == link.from,
            "seed \(seed), lane \(lane)")
        }
        // Whoever has a successor on some path passes the event on; the sender does it for itself.
        let relays = Set(paths.flatMap { $0.dropLast() }).subtracting([lane.agent])
        #expect(Set(walk.relays.keys) == relays, "seed \(seed), lane \(lane)")
        #expect(walk.relays.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        var links: Set<Walk.Link> = []
        for (from, to) in paths.flatMap({ zip($0, $0.dropFirst()) }) {
          let (here, there) = (topology.agent(from)!.node, topology.agent(to)!.node)
          if here != there { links.insert(.init(from: here, to: there, via: to)) }
        }
        #expect(Set(walk.links.keys) == links, "seed \(seed), lane \(lane)")
        #expect(walk.links.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        #expect(walk.entries.dropFirst().sorted() == links.map(\.via).sorted(), "seed \(seed), lane \(lane)")
      }
    }
  }

  @Test func `take exactly the links that each node expects`() throws {
    for seed in seeds(60) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let routes = try routesOfEachNode(topology)
      var taken: Set<Walk.Link> = []
      for lane in lanes(of: topology) { taken.formUnion(Walk(lane, routes).links.keys) }
      var expected: [Walk.Link] = []
      for (node, own) in routes {
        for (from, agents) in own.links(into: node) {
          #expect(agents == agents.sorted(), "seed \(seed)")
          expected += agents.map { Walk.Link(from: from, to: node, via: $0) }
        }
      }
      #expect(Set(expected) == taken, "seed \(seed)")
      #expect(expected.count == taken.count, "seed \(seed)")
    }
  }

  @Test func `do not hang on the order of the agents in the file`() throws {
    for seed in seeds(60) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let shuffled = try Topology(
        name: topology.name, nodes: topology.nodes.shuffled(using: &generator.random),
        agents: topology.agents.shuffled(using: &generator.random))
      let (routes, others) = (try routesOfEachNode(topology), try routesOfEachNode(shuffled))
      for lane in lanes(of: topology) {
        let (walk, other) = (Walk(lane, routes), Walk(lane, others))
        #expect(walk.deliveries == other.deliveries, "seed \(seed), lane \(lane)")
        #expect(walk.links == other.links, "seed \(seed), lane \(lane)")
      }
    }
  }

  @Test func `end where a frame arrives that should not have`() throws {
    for seed in seeds(60) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let routes = Routes(topology)
      for lane in lanes(of: topology) {
        let paths = routes.destinations(of: lane).flatMap { path(lane.agent, $0, topology) }
        for agent in topology.agents where agent.id == lane.agent || !paths.contains(agent.id) {
          #expect(routes.step(lane, arrivingAt: agent.id) == RouteStep(), "seed \(seed), lane \(lane)")
        }
      }
    }
  }
}

@Suite struct `The routes of a random tree with random links` {
  /// A tree, and links between some of its agents, with gates that no link may lead around.
  private struct Linked {
    var topology: Topology
    var links: [DirectLink] = []
    var gates: Set<AgentID>

    init(seed: UInt64) throws {
      var generator = TopologyGenerator(seed: seed)
      let tree = try generator.tree()
      gates = Set(tree.agents.map(\.id).filter { _ in generator.random.chance(10) })
      var policy = ObserverPolicy()
      policy.mustPass = gates.sorted()
      topology = try Topology(name: tree.name, nodes: tree.nodes, agents: tree.agents, observer: policy)
      for one in tree.agents {
        for other in tree.agents where one.id < other.id && generator.random.chance(15) {
          links.append(DirectLink(one.id, other.id))
        }
      }
    }

    func routesOfEachNode(_ random: inout SeededGenerator) -> [NodeID: Routes] {
      topology.nodes.reduce(into: [:]) { $0[$1.id] = Routes(topology, links: links.shuffled(using: &random)) }
    }

    /// The fewest edges and links of any way forward along a path, tried one after the other.
    func fewest(_ path: ArraySlice<AgentID>) -> Int {
      guard path.count > 1, let first = path.first else { return 0 }
      var fewest = fewest(path.dropFirst()) + 1
      for place in path.indices.dropFirst(2) where links.contains(DirectLink(first, path[place])) {
        if path[path.startIndex + 1..<place].contains(where: gates.contains) { continue }
        fewest = min(fewest, self.fewest(path[place...]) + 1)
      }
      return fewest
    }
  }

  @Test func `take each event to each destination once, by the shortest way forward`() throws {
    var cutCount = 0
    for seed in seeds(60) {
      let linked = try Linked(seed: seed)
      var random = SeededGenerator(seed: seed)
      let routes = linked.routesOfEachNode(&random)
      let some = routes.values.first!
      for lane in lanes(of: linked.topology) {
        let walk = Walk(lane, routes)
        var expected: [AgentID: [Int]] = [:]
        for destination in some.destinations(of: lane) {
          let path = path(lane.agent, destination, linked.topology)
          expected[destination] = [linked.fewest(path[...])]
          if linked.fewest(path[...]) < path.count - 1 { cutCount += 1 }
          #expect(some.distance(lane.agent, destination) == linked.fewest(path[...]), "seed \(seed), \(lane)")
          #expect(some.treeDistance(lane.agent, destination) == path.count - 1, "seed \(seed), \(lane)")
        }
        #expect(walk.deliveries == expected, "seed \(seed), lane \(lane)")
        #expect(walk.relays.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        #expect(walk.links.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        #expect(Set(walk.entries).count == walk.entries.count, "seed \(seed), lane \(lane)")
        for link in walk.links.keys {
          let known = routes[link.to]?.links(into: link.to)[link.from] ?? []
          #expect(known.contains(link.via), "seed \(seed), lane \(lane)")
          let step = routes[link.to]?.step(lane, arrivingAt: link.via)
          #expect(step?.source == link.from, "seed \(seed), lane \(lane)")
        }
      }
    }
    #expect(cutCount > 0)
  }

  @Test func `lead around nobody who must be passed`() throws {
    var passedCount = 0
    for seed in seeds(60) {
      let linked = try Linked(seed: seed)
      var random = SeededGenerator(seed: seed)
      let routes = linked.routesOfEachNode(&random)
      for lane in lanes(of: linked.topology) {
        guard case .addressee(let destination) = lane.target else { continue }
        let between = Set(path(lane.agent, destination, linked.topology).dropFirst().dropLast())
        let relays = Set(Walk(lane, routes).relays.keys)
        #expect(relays.isSuperset(of: between.intersection(linked.gates)), "seed \(seed), lane \(lane)")
        passedCount += between.intersection(linked.gates).count
      }
    }
    #expect(passedCount > 0)
  }

  @Test func `tell what an event reaches beyond each link as the walk does`() throws {
    for seed in seeds(30) {
      let linked = try Linked(seed: seed)
      let routes = Routes(linked.topology, links: linked.links)
      for lane in lanes(of: linked.topology) {
        let step = routes.step(lane, at: lane.agent, from: nil)
        let reached = step.forwards.flatMap { routes.reached(lane, arrivingAt: $0.via) }
        let all = (step.deliveries.map(\.agent) + reached).sorted()
        #expect(all == routes.destinations(of: lane).sorted(), "seed \(seed), lane \(lane)")
      }
    }
  }

  @Test func `are those of the tree where a link joins neighbours or nobody`() throws {
    for seed in seeds(30) {
      var generator = TopologyGenerator(seed: seed)
      let topology = try generator.tree()
      let edges = topology.agents.compactMap { agent in agent.reportsTo.map { DirectLink(agent.id, $0) } }
      let linked = Routes(topology, links: edges + [DirectLink("nobody", topology.root)])
      let plain = Routes(topology)
      for lane in lanes(of: topology) {
        for agent in topology.agents {
          let (one, other) = (
            linked.step(lane, arrivingAt: agent.id), plain.step(lane, arrivingAt: agent.id)
          )
          #expect(Set(one.forwards) == Set(other.forwards), "seed \(seed), lane \(lane)")
          #expect(Set(one.deliveries) == Set(other.deliveries), "seed \(seed), lane \(lane)")
          #expect(one.source == other.source, "seed \(seed), lane \(lane)")
        }
      }
    }
  }
}

@Suite struct `The routes` {
  private func chain(_ count: Int) throws -> Topology {
    let agents = (0..<count).map { number in
      AgentSpec(
        id: AgentID(unchecked: "a\(number)"), kind: "k", node: number.isMultiple(of: 2) ? "m" : "n",
        reportsTo: number == 0 ? nil : AgentID(unchecked: "a\(number - 1)"),
        subscribes: [Subscription(type: "t"), Subscription(type: "t", subjects: "x.>")])
    }
    return try Topology(name: "t", nodes: [NodeSpec(id: "m"), NodeSpec(id: "n")], agents: agents)
  }

  @Test func `are empty for agents that do not exist`() throws {
    let routes = Routes(try chain(3))
    let unknown: AgentID = "unknown"
    #expect(routes.destinations(of: lane("a0", to: .addressee(unknown))) == [])
    #expect(routes.step(lane(unknown, to: .type("t")), arrivingAt: "a0") == RouteStep())
    #expect(routes.step(lane(unknown, to: .type("t")), at: "a0", from: nil) == RouteStep())
    #expect(routes.step(lane("a0", to: .type("t")), arrivingAt: unknown) == RouteStep())
    #expect(routes.step(lane("a0", to: .addressee(unknown)), at: "a0", from: nil) == RouteStep())
    #expect(routes.links(into: "unknown") == [:])
  }

  @Test func `bring an event to its own agent only where it is the addressee`() throws {
    let routes = Routes(try chain(2))
    #expect(
      routes.step(lane("a0", to: .addressee("a0")), at: "a0", from: nil).deliveries.map(\.agent) == ["a0"])
    #expect(routes.destinations(of: lane("a0", to: .type("t"))) == ["a1"])
  }

  @Test func `name a subscriber once for all its subscriptions of a type`() throws {
    #expect(Routes(try chain(4)).destinations(of: lane("a1", to: .type("t"))) == ["a0", "a2", "a3"])
  }

  @Test func `stop counting hops at 255, on one node too`() throws {
    let agents = (0..<400).map { number in
      AgentSpec(
        id: AgentID(unchecked: "a\(number)"), kind: "k", node: "m",
        reportsTo: number == 0 ? nil : AgentID(unchecked: "a\(number - 1)"))
    }
    let routes = Routes(try Topology(name: "t", nodes: [NodeSpec(id: "m")], agents: agents))
    let step = routes.step(lane("a0", to: .addressee("a399")), at: "a0", from: nil)
    #expect(step.deliveries.map(\.hops) == [255])
    #expect(routes.distance("a0", "a399") == 399)
  }

  @Test func `of a thousand agents are found at once`() throws {
    var generator = TopologyGenerator(seed: 1)
    let topology = try generator.tree(agentCountMax: 1000, nodeCountMax: 50)
    let routes = Routes(topology)
    for node in topology.nodes {
      _ = topology.agents(on: node.id)
      _ = routes.links(into: node.id)
    }
    for agent in topology.agents { _ = routes.step(lane(agent.id, to: .type("a")), at: agent.id, from: nil) }
  }
}
