import HyphaCore
import HyphaTopology
import HyphaTransport

/// What agents of other nodes may have stated, by the file under which they did: a pure machine.
///
/// What an agent states says the version of the file under which it did, and is judged by that: what has this file's version, by this
/// file; what has an earlier one's, by all that the agent's kind may publish, for the earlier file is not at hand. So that nobody passes
/// this file by claiming an earlier one, such events are taken of a lane only up to where the lane stood when its node had begun under
/// this file: the first end that the node tells of the lane after that (``adopted(_:at:)``). What it states then has this file's version.
struct PublishRights: Sendable {
  /// Whether an agent may have stated events of a type: under this file, or under an earlier one.
  private let declares: @Sendable (AgentID, EventTypeName, _ isEarlier: Bool) -> Bool
  private var ends: [Lane: LanePoint] = [:]
  /// Whether this node was added, and takes from any node which revision its file is (``join()``).
  private var isJoining = false
  private let topology: Topology

  init(
    _ topology: Topology, _ declares: @escaping @Sendable (AgentID, EventTypeName, _ isEarlier: Bool) -> Bool
  ) {
    (self.topology, self.declares) = (topology, declares)
  }

  /// What a topology and the kinds of its agents say.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for a kind that this program does not have.
  init(_ topology: Topology, _ kinds: KindRegistry) throws {
    var now: [AgentID: Set<EventTypeName>] = [:]
    // What their kinds publish beside, and whose kinds publish what the file says: any type may have been one.
    var (before, open): ([AgentID: Set<EventTypeName>], Set<AgentID>) = ([:], [])
    for node in topology.nodes {
      now[node.id.author] = TopologyEvents.forSeat.union([
        OversightDigest.eventType, LogHeadSigned.eventType, AgentHandedOver.eventType, AgentArrived.eventType,
        DelegationRuled.eventType, AnswerShared.eventType,
      ]).union(MoveEvents.forSeat).union(RevisionEvents.byAll)
      // It may have had the seat by an earlier file, and one that leaves may have ordered.
      if topology.revision > 1 {
        let orders = topology.hasOrdered(node.id) ? MoveEvents.forAll : []
        before[node.id.author] = TopologyEvents.forAll.union(orders)
      }
    }
    now[topology.moveSeat.author]?.formUnion(MoveEvents.forAll.union([LinksChanged.eventType]))
    for seat in topology.observer.seats { now[seat.author]?.formUnion(TopologyEvents.forAll) }
    for agent in topology.agents {
      now[agent.id] = SystemEvents.all
      // A retired agent's kind may be gone from the program.
      guard let kind = try topology.isRetired(agent.id) ? try? kinds.kind(agent.kind) : kinds.kind(agent.kind)
      else {
        now[agent.id]?.formUnion(agent.publishes ?? [])
        continue
      }
      guard let declaration = kinds.declaration(kind.kind) else { continue }
      now[agent.id]?.formUnion(declaration.published(by: agent))
      if topology.revision > 1 { before[agent.id] = declaration.publishes }
      if topology.revision > 1, declaration.isOpen { open.insert(agent.id) }
    }
    self.init(topology) { [now, before, open] agent, type, isEarlier in
      if now[agent]?.contains(type) ?? false { return true }
      return isEarlier && (open.contains(agent) || before[agent]?.contains(type) ?? false)
    }
  }

  /// Whether a record may be one of its agent's.
  func allow(_ record: Record) -> Bool {
    declares(record.agent, record.type, false)
      || isJoining && record.type == TopologyRevised.eventType
        && record.agent.text.hasPrefix(NodeID.authorPrefix)
      || isEarlier(record) && declares(record.agent, record.type, true)
  }

  /// The node that this one's file takes for the one that orders revisions runs under a later one, and this one's log has just begun:
  /// it was added, and who orders may be another, since the observer's seat was moved by a file. So any node may say what was ordered,
  /// until this one follows it.
  mutating func join() { isJoining = topology.revision == 1 }

  /// Whether a record says that it was stated under an earlier file. What is stated on another authority than the agent's own says
  /// nothing of files.
  func isEarlier(_ record: Record) -> Bool {
    let authority = record.header.authority
    return topology.isOutdated(authority.policyVersion) && authority.grant == "topology"
      && authority.principal == record.agent
  }

  /// Whether events of a lane say that they were stated under an earlier file, and lie behind where the lane stood when that was over.
  func areLate(_ records: [Record], of lane: Lane) -> Bool {
    guard let end = ends[lane] else { return false }
    var last: Record?
    for record in records where record.point > end {
      if let last, record.sharesNames(with: last) { continue }
      last = record
      if isEarlier(record) { return true }
    }
    return false
  }

  /// The node that states a lane, which runs under this file, tells how far the lane goes. Only the first time counts: what was stated
  /// under earlier files is not beyond that. A node with replicas does not tell of what it holds back of its agents, so nothing follows;
  /// and of what nodes state under their own names only what one has ordered that orders no more is held against it: one that has lost
  /// its disk begins under an earlier file.
  mutating func adopted(_ lane: Lane, at end: LanePoint) {
    guard topology.revision > 1, lane.channel.isLogged, ends[lane] == nil else { return }
    if let agent = topology.agent(lane.agent) {
      guard topology.node(agent.node)?.replicas.nodes.isEmpty == true else { return }
    } else {
      guard topology.nodes.contains(where: { $0.id.author == lane.agent && topology.hasOrdered($0.id) })
      else { return }
    }
    ends[lane] = end
  }
}

extension Courier {
  /// A courier whose agents may state what a rule says, under whatever file.
  init(
    channel: Channel, routes: RouteTable, heads: [Lane: LaneReceiver], limits: RateLimits? = nil,
    mayPublish: @escaping @Sendable (AgentID, EventTypeName) -> Bool
  ) {
    self.init(
      channel: channel, routes: routes, heads: heads, limits: limits,
      rights: PublishRights(routes.topology) { agent, type, _ in mayPublish(agent, type) })
  }
}
