import HyphaCore
import Testing

@testable import HyphaTopology

/// A random tree on random nodes, some of which are away, with random standbys, links, rules of oversight and agents that must be passed.
private struct Branches {
  let topology: Topology
  let away: Set<NodeID>
  let links: [DirectLink]
  let attachments: [BranchAttachment]
  let routes: [NodeID: Routes]

  init(seed: UInt64) throws {
    var generator = TopologyGenerator(seed: seed)
    let tree = try generator.tree(agentCountMax: 24, nodeCountMax: 8)
    let agents = generator.standbys(of: tree.agents)
    var policy = ObserverPolicy()
    if generator.random.chance(30) {
      policy.mustPass = agents.compactMap(\.reportsTo).prefix(1).map { $0 }
    }
    topology = try Topology(
      name: tree.name, nodes: tree.nodes, agents: agents, observer: policy,
      oversight: generator.oversight(of: agents))
    away = Set(tree.nodes.map(\.id).filter { _ in generator.random.chance(35) })
    attachments = topology.attachments(without: away)
    var links: [DirectLink] = []
    for one in agents {
      for other in agents where one.id < other.id && generator.random.chance(8) {
        links.append(DirectLink(one.id, other.id))
      }
    }
    self.links = links
    routes = Dictionary(
      uniqueKeysWithValues: tree.nodes.map { [topology, attachments, links] in
        ($0.id, Routes(topology, links: links, attachments: attachments))
      })
  }

  var some: Routes { routes.values.first! }

  func isThere(_ agent: AgentID) -> Bool { topology.agent(agent).map { !away.contains($0.node) } ?? false }

  /// The agents above one, the nearest first.
  func above(_ agent: AgentID) -> [AgentID] {
    Array(sequence(first: agent) { topology.agent($0)?.reportsTo }.dropFirst())
  }
}

@Suite struct `Branches of a random tree whose supervisors' nodes are away` {
  @Test func `are attached to somebody who is there, and are the same whoever computes them`() throws {
    var count = 0
    for seed in seeds(400) {
      let branches = try Branches(seed: seed)
      for attachment in branches.attachments {
        let agent = try #require(branches.topology.agent(attachment.supervisor))
        #expect(!branches.isThere(agent.id) && attachment.node == agent.node, "seed \(seed)")
        #expect(branches.isThere(attachment.to), "seed \(seed)")
        if let standby = agent.standby, branches.isThere(standby) {
          #expect(attachment.to == standby, "seed \(seed)")
        } else {
          #expect(branches.above(agent.id).contains(attachment.to) || agent.standby != attachment.to)
        }
      }
      count += branches.attachments.count
    }
    #expect(count > 200)
  }

  @Test func `get and send each event once, by somebody who is there`() throws {
    var (wayCount, attachedCount) = (0, 0)
    for seed in seeds(60) {
      let branches = try Branches(seed: seed)
      let (topology, some) = (branches.topology, branches.some)
      if !branches.attachments.isEmpty { attachedCount += 1 }
      // Below a root, or one that must be passed, for whom nobody stands in, all wait.
      let attached = Set(branches.attachments.map(\.supervisor))
      let isWhole = !topology.agents.contains { agent in
        !branches.isThere(agent.id) && !attached.contains(agent.id)
          && topology.children(of: agent.id).contains { branches.isThere($0) }
      }
      for lane in lanes(of: topology) {
        let walk = Walk(lane, branches.routes)
        let destinations = some.destinations(of: lane)
        #expect(Set(walk.deliveries.keys) == Set(destinations), "seed \(seed), lane \(lane)")
        #expect(walk.deliveries.values.allSatisfy { $0.count == 1 }, "seed \(seed), lane \(lane)")
        #expect(walk.relays.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        #expect(walk.links.values.allSatisfy { $0 == 1 }, "seed \(seed), lane \(lane)")
        for link in walk.links.keys {
          #expect(
            branches.routes[link.to]?.step(lane, arrivingAt: link.via).source == link.from,
            "seed \(seed), lane \(lane)")
        }
        guard isWhole, branches.isThere(lane.agent) else { continue }
        for destination in destinations where branches.isThere(destination) {
          let way = some.agents(from: lane.agent, to: destination)
          #expect(way.allSatisfy(branches.isThere), "seed \(seed), lane \(lane): \(way)")
          wayCount += 1
        }
      }
    }
    #expect(attachedCount > 15 && wayCount > 500, "\(attachedCount), \(wayCount)")
  }

  @Test func `pass nobody beyond who oversees them in`() throws {
    var count = 0
    for seed in seeds(400) {
      let branches = try Branches(seed: seed)
      guard !branches.attachments.isEmpty else { continue }
      for agent in branches.topology.agents {
        let above = branches.above(agent.id)
        for rule in branches.topology.oversight where rule.mode == .in && above.contains(rule.by) {
          let lane = lane(agent.id, to: .type(rule.type))
          let walk = Walk(lane, branches.routes)
          for passed in Set(walk.relays.keys).union(walk.deliveries.keys).union(walk.entries) {
            let isInside = passed == rule.by || branches.above(passed).contains(rule.by)
            #expect(isInside, "seed \(seed), lane \(lane): \(passed) is beyond \(rule.by)")
          }
          count += 1
        }
      }
    }
    #expect(count > 300)
  }

  @Test func `take no link that nobody has opened, and lead around nobody who must be passed`() throws {
    for seed in seeds(150) {
      let branches = try Branches(seed: seed)
      let topology = branches.topology
      var live = LiveTopology(topology)
      var event = LinksChanged(version: 2, changes: [])
      event.attachments = AttachmentsChange(from: [], to: branches.attachments)
      live.apply(event, at: .zero)
      #expect(
        live.attachments.map(\.attachment) == branches.attachments.sorted { $0.supervisor < $1.supervisor })
      let open = live.openings(topology).union(branches.links).union(
        topology.agents.compactMap { agent in agent.reportsTo.map { DirectLink(agent.id, $0) } })
      for lane in lanes(of: topology) {
        for destination in branches.some.destinations(of: lane) {
          let way = branches.some.agents(from: lane.agent, to: destination)
          for (from, to) in zip(way, way.dropFirst()) {
            #expect(open.contains(DirectLink(from, to)), "seed \(seed): \(from) – \(to)")
          }
          // Between its branch and the rest.
          let gates = topology.observer.mustPass.filter { gate in
            [lane.agent, destination].count { branches.above($0).contains(gate) } == 1
          }
          for gate in gates {
            let place = branches.attachments.first { $0.supervisor == gate }?.to ?? gate
            // Its standby may be the end of the way itself.
            #expect(way.contains(place) || way.contains(gate), "seed \(seed), lane \(lane): \(way)")
          }
        }
      }
    }
  }

  @Test func `an attachment that cannot be changes nothing`() throws {
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "k", node: "x"),
        AgentSpec(id: "one", kind: "k", node: "x", reportsTo: "root"),
        AgentSpec(id: "two", kind: "k", node: "x", reportsTo: "root"),
        AgentSpec(id: "a", kind: "k", node: "x", reportsTo: "one"),
        AgentSpec(id: "b", kind: "k", node: "x", reportsTo: "two"),
      ])
    // In a circle, to nobody, to itself.
    for attachments in [
      [BranchAttachment("one", to: "b", node: "x"), BranchAttachment("two", to: "a", node: "x")],
      [BranchAttachment("one", to: "nobody", node: "x")], [BranchAttachment("one", to: "one", node: "x")],
    ] {
      let routes = Routes(topology, attachments: attachments)
      #expect(routes.agents(from: "a", to: "b") == ["a", "one", "root", "two", "b"], "\(attachments)")
      #expect(
        routes.step(lane("a", to: .addressee("b")), at: "a", from: nil).deliveries.map(\.agent) == ["b"])
    }
  }
}
