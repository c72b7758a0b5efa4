public import HyphaCore

/// Which way each lane goes, as a pure function of the topology and its direct links: every node computes the same.
///
/// In the tree an event climbs from its agent to the lowest common ancestor with its destination and
/// descends from there; supervisors on the way relay. A direct link between two agents of that path cuts it short
/// (``LaneWay``). ``step(_:at:from:)`` answers what one node has to do with a lane that is at one of its agents,
/// following the way through all agents of that node in one go.
public struct Routes: Sendable {
  /// The topology that the routes follow.
  public let topology: Topology
  /// The direct links, in order.
  public let links: [DirectLink]
  /// The branches that report to others than the topology says.
  public let attachments: [BranchAttachment]

  /// Whom published events are for.
  public let audience: Audience

  private let linked: [AgentID: Set<AgentID>]
  private let gates: Set<AgentID>
  /// The hierarchy as events take it, where branches are attached elsewhere than the topology file has them.
  private let attached: AttachedTree?

  /// The routes of `topology` with direct links; one with an end that is no agent leads nowhere.
  ///
  /// - Parameter attachments: the branches that report to others than the file says.
  public init(
    _ topology: Topology, links: some Sequence<DirectLink> = [], attachments: [BranchAttachment] = []
  ) {
    self.topology = topology
    self.links = Set(links).sorted()
    self.attachments = attachments
    let attached = AttachedTree(topology, attachments)
    self.attached = attached
    linked = self.links.reduce(into: [:]) { linked, link in
      linked[link.one, default: []].insert(link.other)
      linked[link.other, default: []].insert(link.one)
    }
    gates = topology.observer.mustPass.reduce(into: []) { gates, gate in
      // Who stands in for it is passed like itself.
      gates.formUnion([gate, attached?.places[gate] ?? gate])
    }
    audience = Audience(topology)
  }

  /// Whether every event takes the tree as the topology file has it.
  public var isPlain: Bool { links.isEmpty && attached == nil }

  /// The agents that a lane is for (``Audience``); its own agent is never among them, except where it addresses itself.
  public func destinations(of lane: Lane) -> [AgentID] {
    switch lane.target {
    case .addressee(let agent): topology.agent(agent) == nil || topology.isRetired(agent) ? [] : [agent]
    case .type(let type): audience.agents(for: type, by: lane.agent)
    }
  }

  /// Whether whom a lane is for follows from its target alone, as for all lanes to the target but those of agents who take it
  /// themselves, or whose supervisors oversee it.
  public func sharesDestinations(_ lane: Lane) -> Bool {
    guard case .type(let type) = lane.target else { return true }
    return !audience.isOverseen(type) && !audience.subscribes(lane.agent, to: type)
  }

  /// The name of an event type as its first subscriber has it.
  public func subscribedType(_ type: EventTypeName) -> EventTypeName? { audience.name(of: type) }

  /// What `node` does with an event of `lane` that has reached `agent` of this node, coming from its
  /// neighbour `previous` (nil at the lane's own agent).
  public func step(_ lane: Lane, at agent: AgentID, from previous: AgentID?) -> RouteStep {
    guard let node = topology.agent(agent)?.node, topology.agent(lane.agent) != nil else {
      return RouteStep()
    }
    var step = RouteStep()
    let wanted = Set(destinations(of: lane))
    guard !wanted.isEmpty else { return step }
    let way = isPlain ? nil : way(of: lane)
    // Only the edges towards a destination are walked: each destination's path is marked once.
    let onPath = way == nil ? agentsOnPaths(from: lane.agent, to: wanted) : []
    var open: [(agent: AgentID, previous: AgentID?, hops: UInt8)] = [(agent, previous, 0)]
    while let (agent, previous, hops) = open.popLast() {
      if wanted.contains(agent) { step.deliveries.append(.init(agent: agent, hops: hops)) }
      var passedOn = false
      let nexts =
        way.map { $0.next[agent] ?? [] } ?? neighbours(of: agent, in: onPath).filter { $0 != previous }
      for next in nexts {
        passedOn = true
        guard let nextNode = topology.agent(next)?.node else { continue }
        let nextHops = hops < .max ? hops + 1 : hops
        if nextNode == node {
          open.append((next, agent, nextHops))
        } else {
          step.forwards.append(.init(node: nextNode, via: next, hops: nextHops))
        }
      }
      if passedOn && agent != lane.agent { step.relays.append(agent) }
    }
    return step
  }

  /// What a node does with an event of `lane` that arrived over a link for `agent`: the tree tells which
  /// neighbour it came from.
  ///
  /// Where the routes are plain, it is the same for all lanes to one target that come by the same neighbour
  /// (``entry(of:to:)``).
  public func step(_ lane: Lane, arrivingAt agent: AgentID) -> RouteStep {
    guard let previous = entry(of: lane, to: agent) else { return RouteStep() }
    var step = step(lane, at: agent, from: previous)
    let leadsOn = !step.deliveries.isEmpty || !step.forwards.isEmpty
    step.source = leadsOn ? topology.agent(previous)?.node : nil
    return step
  }

  /// The agent by which events of a lane come to `agent`, if they do; nil at its own agent, and beside the way of a lane
  /// that direct links shorten.
  public func entry(of lane: Lane, to agent: AgentID) -> AgentID? {
    guard topology.agent(agent) != nil, topology.agent(lane.agent) != nil, agent != lane.agent else {
      return nil
    }
    return isPlain ? neighbour(of: agent, towards: lane.agent) : way(of: lane).previous[agent]
  }

  /// The agents that an event of `lane` reaches, on whatever node, once it has arrived over a link for `agent`; in
  /// alphabetical order.
  public func reached(_ lane: Lane, arrivingAt agent: AgentID) -> [AgentID] {
    guard let entry = entry(of: lane, to: agent) else { return [] }
    let wanted = Set(destinations(of: lane))
    let way = isPlain ? nil : way(of: lane)
    let onPath = way == nil ? agentsOnPaths(from: lane.agent, to: wanted) : []
    var reached: [AgentID] = []
    var open: [(agent: AgentID, previous: AgentID?)] = [(agent, entry)]
    while let (agent, previous) = open.popLast() {
      if wanted.contains(agent) { reached.append(agent) }
      let nexts =
        way.map { $0.next[agent] ?? [] } ?? neighbours(of: agent, in: onPath).filter { $0 != previous }
      for next in nexts { open.append((next, agent)) }
    }
    return reached.sorted()
  }

  /// Whether a lane passes a node on its way in the tree to an agent that is neither its origin's nor the agent's. A
  /// direct link may lead around that node.
  public func isRelayed(_ lane: Lane, to agent: AgentID) -> Bool {
    let ends = [topology.agent(lane.agent)?.node, topology.agent(agent)?.node]
    return path(from: lane.agent, to: agent).contains { !ends.contains(topology.agent($0)?.node) }
  }

  /// The agents that an event passes from one to another, both ends included.
  public func agents(from first: AgentID, to last: AgentID) -> [AgentID] {
    LaneWay.shortest(along: path(from: first, to: last), links: linked, gates: gates)
  }

  /// The number of edges and links that an event crosses between two agents.
  public func distance(_ first: AgentID, _ second: AgentID) -> Int {
    if isPlain { return treeDistance(first, second) }
    return agents(from: first, to: second).count - 1
  }

  /// The number of tree edges between two agents.
  public func treeDistance(_ first: AgentID, _ second: AgentID) -> Int {
    guard let ancestor = lowestCommonAncestor(first, second), let top = topology.depth(of: ancestor),
      let one = topology.depth(of: first), let other = topology.depth(of: second)
    else { return 0 }
    return one + other - 2 * top
  }

  /// The nodes from which frames for agents of `node` may come, and for which agents: the tree edges and direct links
  /// that cross from another node to this one.
  public func links(into node: NodeID) -> [NodeID: [AgentID]] {
    var links: [NodeID: Set<AgentID>] = [:]
    for agent in topology.agents {
      guard let supervisor = agent.reportsTo.flatMap(topology.agent), supervisor.node != agent.node else {
        continue
      }
      if agent.node == node { links[supervisor.node, default: []].insert(agent.id) }
      if supervisor.node == node { links[agent.node, default: []].insert(supervisor.id) }
    }
    for link in self.links {
      guard let one = topology.agent(link.one), let other = topology.agent(link.other), one.node != other.node
      else { continue }
      if one.node == node { links[other.node, default: []].insert(one.id) }
      if other.node == node { links[one.node, default: []].insert(other.id) }
    }
    return links.mapValues { $0.sorted() }
  }

  private func neighbours(of agent: AgentID, in path: Set<AgentID>) -> [AgentID] {
    let below = topology.children(of: agent, in: path)
    guard let supervisor = topology.agent(agent)?.reportsTo, path.contains(supervisor) else { return below }
    return [supervisor] + below
  }

  /// The way of a lane by the direct links that there are.
  private func way(of lane: Lane) -> LaneWay {
    var way = LaneWay()
    for destination in destinations(of: lane) {
      let path = path(from: lane.agent, to: destination)
      way.add(LaneWay.shortest(along: path, links: linked, gates: gates))
    }
    return way
  }

  /// The agents from one to another in the tree, both ends included.
  private func path(from first: AgentID, to last: AgentID) -> [AgentID] {
    if let attached { return attached.path(from: first, to: last) }
    guard let top = lowestCommonAncestor(first, last) else { return [first] }
    func climb(_ agent: AgentID) -> [AgentID] {
      var agents = [agent]
      while let up = agents.last, up != top, let supervisor = topology.agent(up)?.reportsTo {
        agents.append(supervisor)
      }
      return agents
    }
    return climb(first) + climb(last).dropLast().reversed()
  }

  private func lowestCommonAncestor(_ first: AgentID, _ second: AgentID) -> AgentID? {
    var (low, high) = (first, second)
    while low != high {
      guard let lowDepth = topology.depth(of: low), let highDepth = topology.depth(of: high) else {
        return nil
      }
      if lowDepth < highDepth { swap(&low, &high) }
      guard let up = topology.agent(low)?.reportsTo else { return nil }
      low = up
    }
    return low
  }

  /// The neighbour of `agent` that lies on the way to `other`.
  private func neighbour(of agent: AgentID, towards other: AgentID) -> AgentID? {
    guard let depth = topology.depth(of: agent), var below = topology.agent(other)?.id else { return nil }
    while let belowDepth = topology.depth(of: below), belowDepth > depth {
      guard let up = topology.agent(below)?.reportsTo else { return nil }
      if up == agent { return below }
      below = up
    }
    return topology.agent(agent)?.reportsTo
  }

  /// Every agent on a path from `origin` to one of `destinations`, the ends included.
  private func agentsOnPaths(from origin: AgentID, to destinations: Set<AgentID>) -> Set<AgentID> {
    var marked: Set<AgentID> = [origin]
    for destination in destinations.sorted() {
      guard let top = lowestCommonAncestor(origin, destination) else { continue }
      for end in [origin, destination] {
        var agent = end
        marked.insert(agent)
        while agent != top, let up = topology.agent(agent)?.reportsTo {
          agent = up
          marked.insert(agent)
        }
      }
    }
    return marked
  }
}

/// What one node has to do with an event of one lane that has reached one of its agents.
public struct RouteStep: Sendable, Hashable {
  /// An agent of this node that is to get the event, and the tree edges from the entry to it.
  public struct Delivery: Sendable, Hashable {
    public var agent: AgentID
    public var hops: UInt8
  }

  /// An agent of another node that is to relay or get the event next, and the tree edges from the entry
  /// to it, the link included.
  public struct Forward: Sendable, Hashable {
    public var node: NodeID
    public var via: AgentID
    public var hops: UInt8
  }

  /// The agents of this node that get the event.
  public var deliveries: [Delivery] = []
  /// The links that the event leaves by.
  public var forwards: [Forward] = []
  /// The agents of this node that pass the event on for others.
  public var relays: [AgentID] = []
  /// The node from which the event comes to the entry, the only one from which it may; nil at its own agent, and
  /// where the lane does not lead.
  public var source: NodeID?

  /// Nothing to do.
  public init() {}
}
