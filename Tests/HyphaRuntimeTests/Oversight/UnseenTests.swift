import HyphaCore
import HyphaLog
import HyphaTransport
import Testing

@testable import HyphaRuntime
@testable import HyphaTopology

/// Nothing passes a supervisor who is `in` unseen: not by a route, not by a repair, not by a replica. On random trees with random
/// rules, links and replicas, where every node's log has every event, as if it had got hold of it somehow.
@Suite struct UnseenTests {
  private static let types: [EventTypeName] = ["work.A", "work.B", "work.C"]

  private struct Place {
    let topology: Topology
    let links: Set<DirectLink>
    let tables: [NodeID: RouteTable]
    let servers: [NodeID: CatchUpServer]

    init(seed: UInt64) throws {
      var random = SeededGenerator(seed: seed, name: "unseen")
      func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
      let nodes = (0..<(2 + random.next() % 4)).map { NodeID(unchecked: "n\($0)") }
      func anyNode() -> NodeID { nodes[Int(random.next() % UInt64(nodes.count))] }
      var agents: [AgentSpec] = []
      for number in 0..<(5 + random.next() % 10) {
        let above = agents.isEmpty ? nil : agents[Int(random.next() % UInt64(agents.count))].id
        agents.append(
          AgentSpec(
            id: AgentID(unchecked: "a\(number)"), kind: "k", node: anyNode(), reportsTo: above,
            subscribes: UnseenTests.types.filter { _ in chance(40) }.map { Subscription(type: $0) }))
      }
      let rules = Set(agents.compactMap(\.reportsTo)).sorted().flatMap { supervisor in
        UnseenTests.types.filter { _ in chance(40) }.map { type in
          OversightRule(type, by: supervisor, chance(70) ? .in : .parallel)
        }
      }
      let specs = nodes.map { node in
        NodeSpec(id: node, replicas: ReplicationSettings(nodes: nodes.filter { $0 != node && chance(30) }))
      }
      topology = try Topology(name: "unseen", nodes: specs, agents: agents, oversight: rules)
      var links: Set<DirectLink> = []
      for one in agents.map(\.id) {
        for other in agents.map(\.id) where one < other && chance(20) { links.insert(DirectLink(one, other)) }
      }
      self.links = links
      var policy = ObserverPolicy()
      policy.pins = links.sorted()
      var live = LiveTopology(try topology.replacing(observer: policy))
      live.apply(LinksChanged(version: 2, changes: []), at: .zero)
      var tables: [NodeID: RouteTable] = [:]
      var servers: [NodeID: CatchUpServer] = [:]
      let records = try agents.flatMap { agent in
        try UnseenTests.types.enumerated().map { index, type in
          try record(agent.id, .persistent, UInt64(index + 1), after: .start, type: type)
        }
      }
      for node in nodes {
        let table = RouteTable(node: node, topology: topology)
        table.learn(live)
        let (log, _) = try memoryLog(node)
        log.submit(LogBatch(appends: records.map { .init($0) })) { _ in }
        let server = try CatchUpServer(log: log, routes: table)
        for other in nodes where other != node {
          let greeting = Greeting(
            node: other, topologyVersion: topology.version, topologyHash: topology.hash)
          _ = server.answer(.hello(greeting), from: other)
        }
        (tables[node], servers[node]) = (table, server)
      }
      (self.tables, self.servers) = (tables, servers)
    }

    func mode(_ agent: AgentID, _ type: EventTypeName) -> OversightRule.Mode? {
      topology.oversight.first { $0.by == agent && $0.type == type }?.mode
    }

    /// Who may see an author's events of a type, where a supervisor is `in`; nil where none is.
    func seeing(_ author: AgentID, _ type: EventTypeName) -> Set<AgentID>? {
      let above = Array(sequence(first: author) { topology.agent($0)?.reportsTo }.dropFirst())
      guard let gate = above.firstIndex(where: { mode($0, type) == .in }) else { return nil }
      return Set(above[..<gate].filter { mode($0, type) == .parallel } + [above[gate]])
    }

    func nodes(of agents: Set<AgentID>) -> Set<NodeID> { Set(agents.compactMap { topology.agent($0)?.node }) }
  }

  @Test func `nothing passes who is in unseen, by route, by repair or by replica`() throws {
    var (laneCount, servedCount, refusedCount, copiedCount) = (0, 0, 0, 0)
    for seed in seeds(80) {
      let place = try Place(seed: seed)
      for author in place.topology.agents {
        for type in Self.types {
          guard let seeing = place.seeing(author.id, type) else { continue }
          laneCount += 1
          let lane = Lane(agent: author.id, channel: .persistent, target: .type(type))
          let holders = Set(place.topology.node(author.node)?.replicas.nodes ?? [])
          // Whose disk was lost has its own back.
          let allowed = place.nodes(of: seeing).union(holders).union([author.node])
          for (node, table) in place.tables {
            checkRoutes(place, table, lane, type, seeing, "HYPHA_SEED=\(seed) \(lane) on \(node)")
            if holders.contains(node) { copiedCount += 1 }
            guard let server = place.servers[node] else { continue }
            for other in place.tables.keys where other != node {
              let isServed = serves(server, lane, to: other, origin: author.node)
              #expect(
                !isServed || allowed.contains(other), "HYPHA_SEED=\(seed) \(lane) from \(node) to \(other)")
              if isServed { servedCount += 1 } else { refusedCount += 1 }
              if node == author.node, place.nodes(of: seeing).contains(other) {
                #expect(isServed, "HYPHA_SEED=\(seed) \(lane) is kept from \(other)")
              }
            }
          }
        }
      }
    }
    #expect(
      laneCount > 300 && servedCount > 300 && refusedCount > 300 && copiedCount > 100,
      "\(laneCount) \(servedCount) \(refusedCount) \(copiedCount)")
  }

  /// No agent is handed it, at whatever agent a frame of it comes in, whether there are links or not.
  private func checkRoutes(
    _ place: Place, _ table: RouteTable, _ lane: Lane, _ type: EventTypeName, _ seeing: Set<AgentID>,
    _ what: String
  ) {
    #expect(Set(table.plan(of: lane).local).isSubset(of: seeing), "\(what)")
    for version in [RouteSwitch.tree, 2] {
      for agent in place.topology.agents {
        let step = table.step(lane, at: agent.id, version)
        #expect(Set(step.deliveries.map(\.agent)).isSubset(of: seeing), "\(what)")
        #expect(
          step.forwards.allSatisfy { Set(table.reached(lane, by: $0.via, version)).isSubset(of: seeing) },
          "\(what)")
      }
      #expect(table.step(lane, at: table.node.author, version).deliveries.isEmpty, "\(what)")
    }
    for agent in place.topology.agents where table.node == agent.node {
      let wants = table.wants(agent.id, by: lane.agent, addressee: nil, type: type, subject: "s")
      #expect(!wants || seeing.contains(agent.id), "\(what)")
    }
  }

  /// Whether a node gives another one something of a lane, or tells of it.
  private func serves(_ server: CatchUpServer, _ lane: Lane, to node: NodeID, origin: NodeID) -> Bool {
    var isServed = false
    if case .records(_, _, let records)? = server.answer(.fetch(lane: lane, after: .start), from: node) {
      isServed = !records.isEmpty
    }
    if case .heads(_, _, let heads)? = server.answer(.sync(log: .none, since: 0), from: node) {
      isServed = isServed || heads.contains { $0.lane == lane }
    }
    if case .copied(_, _, _, let heads)? = server.answer(
      .copies(of: origin, log: .none, since: 0), from: node)
    {
      isServed = isServed || heads.contains { $0.lane == lane }
    }
    return isServed
  }
}
