import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

/// The routes of one node, remembered: what is a walk over the tree the first time is a lookup after that.
///
/// There may be very many lanes, so that little is remembered of each: the steps of those that came lately. What many
/// lanes share is remembered once.
final class RouteTable: Sendable {
  /// What the node knows of a lane. It is the same for all lanes to one target.
  struct LanePlan: Sendable {
    /// The agents of this node that the lane is for.
    var local: [AgentID] = []
    /// The nodes that the lane is for, this one excluded.
    var nodes: [NodeID] = []
    /// How many agents the lane is for in all.
    var destinationCount = 0
    /// The subjects that those take who do not take all.
    var narrowed: [[Pattern]] = []
    /// Whether the node itself takes it: events of the live topology.
    var isForNode = false
    /// Whether the node holds a copy of all of its agent's streams.
    var isReplica = false

    /// Whether anybody here takes it.
    var isTaken: Bool { isForNode || isHeld }
    /// Whether the node takes it for agents of its own, or as a replica: then it may serve it to others that do.
    var isHeld: Bool { isReplica || !local.isEmpty }

    /// How many agents an event of the lane is for.
    func destinationCount(of subject: Subject) -> Int {
      if narrowed.isEmpty { return destinationCount }
      let misses = narrowed.count { patterns in !patterns.contains { $0.matches(subject) } }
      return destinationCount - misses
    }
  }

  private struct Key: Hashable {
    let version: UInt32
    let lane: Lane
    let entry: AgentID
  }

  /// What the way of an event depends on that came over a link.
  private struct Way: Hashable {
    let entry: AgentID
    let previous: AgentID
    let target: LaneTarget
  }

  private struct Cache {
    /// Of lanes that came lately, at most ``RouteTable/stepCountMax``.
    var steps: [Key: RouteStep] = [:]
    /// Of all lanes that share a way, where the topology has more than one neighbour behind which they may begin.
    var ways: [Way: RouteStep] = [:]
    /// Of lanes that came lately, at most ``RouteTable/stepCountMax``: whether they come by way of third nodes.
    var relayed: [Lane: Bool] = [:]
    /// Of lanes for which that follows from their target (``Routes/sharesDestinations(_:)``).
    var plans: [LaneTarget: LanePlan] = [:]
    /// Of the others.
    var ownPlans: [Lane: LanePlan] = [:]
    /// The routes of each version that frames may carry; the plain tree's are there always.
    var versions: [UInt32: Routes]
  }

  /// The most lanes whose steps are remembered, and the most ways that lanes share.
  static var stepCountMax: Int { 4096 }

  let node: NodeID
  let topology: Topology
  private let versions: ClosedRange<UInt8>
  /// What other nodes take.
  let peers: PeerVersions
  private let tree: Routes
  private let cache: Mutex<Cache>
  private let sendingVersion: Atomic<UInt32>
  /// The names under which nodes state events themselves, each with its node.
  private let authors: [AgentID: NodeID]
  /// The name under which this node states events.
  let author: AgentID
  /// The nodes that have, or may have, the observer's seat.
  private let seats: [NodeID]
  /// The agents that are between this node and another.
  let moving: MovingAgents
  /// How far lanes are fetched from the former nodes of agents that arrive here, and from which.
  private let goals = Mutex<[Lane: (point: LanePoint, node: NodeID)]>([:])
  /// Who holds copies of what agents of each node state; nodes without are not in it.
  private let replicas: [NodeID: [NodeID]]
  /// The former nodes of agents whose copies come from there (``MovingAgents/keepers``), until they work elsewhere.
  private let keepers: Mutex<[AgentID: AgentMoved]>

  /// The routes that a topology file says: those of the tree, and those with the links that it pins.
  init(
    node: NodeID, topology: Topology, moving: MovingAgents = MovingAgents(),
    versions: ClosedRange<UInt8> = Greeting.spokenVersions
  ) {
    self.node = node
    self.versions = versions
    peers = PeerVersions(own: versions)
    self.topology = topology
    self.moving = moving
    author = node.author
    let (tree, pinned) = (Routes(topology), Routes(topology, links: topology.observer.pins))
    self.tree = tree
    cache = Mutex(Cache(versions: [RouteSwitch.tree: tree, topology.version: pinned]))
    sendingVersion = Atomic(pinned.links.isEmpty ? topology.version : RouteSwitch.tree)
    authors = Dictionary(uniqueKeysWithValues: topology.nodes.map { ($0.id.author, $0.id) })
    seats = topology.observer.seats
    let replicated = topology.nodes.filter { !$0.replicas.nodes.isEmpty }
    replicas = Dictionary(uniqueKeysWithValues: replicated.map { ($0.id, $0.replicas.nodes) })
    keepers = Mutex(moving.keepers)
  }

  // MARK: Versions

  /// The version that this node's agents send by.
  var sending: UInt32 {
    get { sendingVersion.load(ordering: .acquiring) }
    set { sendingVersion.store(newValue, ordering: .releasing) }
  }

  /// Lets frames carry a version.
  func learn(_ live: LiveTopology) {
    let routes = live.routes(topology)
    cache.withLock { cache in
      cache.versions[live.version] = routes
      // Where branches are attached elsewhere, lanes come by way of others than before.
      if !live.attachments.isEmpty { cache.relayed = [:] }
    }
  }

  /// Forgets all versions but some and the tree's.
  func forget(allBut known: [UInt32]) {
    cache.withLock { cache in
      let kept = Set(known + [RouteSwitch.tree])
      cache.versions = cache.versions.filter { kept.contains($0.key) }
      cache.steps = cache.steps.filter { kept.contains($0.key.version) }
    }
  }

  /// Whether frames may carry `version`.
  func knows(_ version: UInt32) -> Bool { cache.withLock { $0.versions[version] != nil } }

  private func routes(_ version: UInt32) -> Routes { cache.withLock { $0.versions[version] } ?? tree }

  /// What the node says of itself to others.
  var greeting: Greeting {
    Greeting(
      node: node, versions: versions, topologyVersion: topology.version, topologyHash: topology.hash)
  }

  /// The node of an agent, or nil where there is no such agent.
  func node(of agent: AgentID) -> NodeID? { topology.agent(agent)?.node ?? authors[agent] }

  /// Whether the node of who states a lane has left the deployment.
  func hasLeft(originOf lane: Lane) -> Bool { node(of: lane.agent).map(topology.hasLeft) ?? false }

  // MARK: Agents between nodes

  /// Whether an agent belongs here and does not work here yet.
  func isArriving(_ agent: AgentID) -> Bool { !moving.arriving.isEmpty && moving.arriving[agent] != nil }

  /// Whether what an agent states is stated here.
  func isOwn(_ agent: AgentID) -> Bool { node(of: agent) == node && !isArriving(agent) }

  /// Whether a lane has what this node itself takes others for.
  func isOwnJudgement(_ lane: Lane) -> Bool {
    guard lane.agent == author, case .type = lane.target else { return false }
    return true
  }

  /// Whether a lane is for an agent, and comes to it wherever it is.
  func isFor(_ agent: AgentID, _ lane: Lane) -> Bool {
    if authors[lane.agent] != nil, case .type = lane.target { return false }
    return tree.destinations(of: lane).contains(agent)
  }

  /// Lets lanes be fetched from a node up to some points.
  func setGoals(_ points: [Lane: LanePoint], at node: NodeID) {
    goals.withLock { goals in for (lane, point) in points { goals[lane] = (point, node) } }
  }

  /// The former node of an agent that was moved and does not work elsewhere yet, where that has replicas: it has them take what the
  /// agent has stated there, and hands the agent over then.
  func keeper(of agent: AgentID) -> NodeID? {
    moving.keepers.isEmpty ? nil : keepers.withLock { $0[agent]?.from }
  }

  /// An agent that was moved works on its new node: its former one has handed it over.
  func arrived(_ arrival: AgentArrived) {
    guard !moving.keepers.isEmpty else { return }
    // A node whose log has just begun hears of earlier moves, too.
    keepers.withLock { if $0[arrival.agent]?.move == arrival.move { $0[arrival.agent] = nil } }
  }

  /// The node of whose replicas this one takes a lane's copies as one: that of its agent, or its former one.
  func copied(_ lane: Lane) -> NodeID? {
    guard let keeper = keeper(of: lane.agent), lane.channel.isLogged, replicas[keeper]?.contains(node) == true
    else { return node(of: lane.agent) }
    return keeper
  }

  /// Whether an agent is on a node, or was.
  func hasBeen(_ agent: AgentID, on other: NodeID) -> Bool {
    topology.agent(agent)?.node == other || moving.stays[agent]?[other] != nil
  }

  /// The node that has what follows `point` in a lane for certain: that of its agent; or, of what an agent had that arrives
  /// here, or whose former node's replica this one is, the node that it comes from.
  func source(of lane: Lane, after point: LanePoint) -> NodeID? {
    if let origin = copied(lane), origin != node(of: lane.agent) { return origin }
    guard !moving.arriving.isEmpty, let goal = goals.withLock({ $0[lane] }), point < goal.point else {
      return node(of: lane.agent)
    }
    return goal.node
  }

  /// Whether what a node says of a lane is all that there is.
  func isSource(_ other: NodeID, of lane: Lane) -> Bool {
    if node(of: lane.agent) == other || copied(lane) == other { return true }
    return !moving.arriving.isEmpty && goals.withLock { $0[lane]?.node == other }
  }

  /// Whether a lane is of an agent, or for one, that has belonged here and belongs to `other` now.
  func hasHandedOver(_ lane: Lane, to other: NodeID) -> Bool {
    moving.departed.contains { agent, node in node == other && (lane.agent == agent || isFor(agent, lane)) }
  }

  // MARK: Lanes

  /// The edges and links between two agents.
  func distance(_ first: AgentID, _ second: AgentID) -> Int { routes(sending).distance(first, second) }

  /// What to do with an event that an agent of this node states, and under which version it leaves.
  func departure(of lane: Lane) -> (step: RouteStep, version: UInt32) {
    let version = sending
    return (step(lane, at: lane.agent, version), version)
  }

  /// What to do with an event of a lane that is at `agent` of this node, under a version of the routes.
  func step(_ lane: Lane, at agent: AgentID, _ version: UInt32) -> RouteStep {
    if agent == author { return copyStep(lane) }
    let key = Key(version: version, lane: lane, entry: agent)
    if let known = cache.withLock({ $0.steps[key] }) { return known }
    // Lanes that lead nowhere are not remembered: others name them, and there is no end of names.
    guard node(of: agent) == node, plan(of: lane).destinationCount > 0 else { return RouteStep() }
    let routes = routes(version)
    let step =
      agent == lane.agent ? routes.step(lane, at: agent, from: nil) : arrival(lane, at: agent, by: routes)
    cache.withLock { cache in
      if cache.steps.count >= Self.stepCountMax { cache.steps.removeAll(keepingCapacity: true) }
      cache.steps[key] = step
    }
    return step
  }

  /// What to do with an event that came by this node's own name: it is a copy for a replica.
  private func copyStep(_ lane: Lane) -> RouteStep {
    var step = RouteStep()
    if plan(of: lane).isReplica { step.source = copied(lane) }
    return step
  }

  private func arrival(_ lane: Lane, at agent: AgentID, by routes: Routes) -> RouteStep {
    // Over direct links, with branches attached elsewhere, and below those who oversee it, each lane has a way of its own.
    guard routes.isPlain, !isOverseen(lane) else { return routes.step(lane, arrivingAt: agent) }
    guard let previous = routes.entry(of: lane, to: agent) else { return RouteStep() }
    let way = Way(entry: agent, previous: previous, target: lane.target)
    if let known = cache.withLock({ $0.ways[way] }) { return known }
    let step = routes.step(lane, arrivingAt: agent)
    cache.withLock { cache in
      if cache.ways.count >= Self.stepCountMax { cache.ways.removeAll(keepingCapacity: true) }
      cache.ways[way] = step
    }
    return step
  }

  /// The agents, on whatever node, that an event reaches which leaves for `agent` of another node.
  func reached(_ lane: Lane, by agent: AgentID, _ version: UInt32) -> [AgentID] {
    routes(version).reached(lane, arrivingAt: agent)
  }

  /// The agents that a lane is for, each with the subjects that it takes; none means all.
  func subscribers(of lane: Lane) -> [(agent: AgentID, subjects: [Pattern])] {
    let agents = authors[lane.agent] == nil ? tree.destinations(of: lane) : plan(of: lane).local
    return agents.map { ($0, subjects(of: lane, for: $0)) }
  }

  /// The subjects that an agent takes of a lane that is for it; none means all.
  private func subjects(of lane: Lane, for agent: AgentID) -> [Pattern] {
    guard case .type(let type) = lane.target else { return [] }
    return audience.subjects(of: type, by: lane.agent, for: agent)
  }

  private func isOverseen(_ lane: Lane) -> Bool {
    if case .type(let type) = lane.target { audience.isOverseen(type) } else { false }
  }

  /// Whom published events are for.
  var audience: Audience { tree.audience }

  /// Whether an event of an author is for an agent: it is addressed to it, or it is of its audience.
  func wants(
    _ agent: AgentID, by author: AgentID, addressee: AgentID?, type: EventTypeName, subject: Subject
  ) -> Bool {
    if let addressee { return addressee == agent }
    return audience.takes(agent, type, subject, by: author)
  }

  /// Whom a lane is for, and who holds a copy of it.
  func plan(of lane: Lane) -> LanePlan {
    var plan = destinationPlan(of: lane)
    // What an agent has stated comes with it.
    if isArriving(lane.agent), lane.channel.isLogged { plan.isReplica = true }
    guard !replicas.isEmpty, lane.channel.isLogged, let origin = topology.agent(lane.agent)?.node else {
      return plan
    }
    var holders = replicas[origin] ?? []
    if let keeper = keeper(of: lane.agent) { holders += replicas[keeper] ?? [] }
    guard !holders.isEmpty else { return plan }
    var copied = plan
    copied.isReplica = plan.isReplica || holders.contains(node)
    for holder in holders where holder != node && !copied.nodes.contains(holder) {
      copied.nodes.append(holder)
    }
    return copied
  }

  private func destinationPlan(of lane: Lane) -> LanePlan {
    if let author = authors[lane.agent] { return plan(ofAuthor: author, lane) }
    let isOwn = !tree.sharesDestinations(lane)
    if let known = cache.withLock({ isOwn ? $0.ownPlans[lane] : $0.plans[lane.target] }) { return known }
    let plan = plan(for: tree.destinations(of: lane), lane)
    // Others name lanes, and there is no end of names.
    if plan.destinationCount > 0, node(of: lane.agent) != nil {
      cache.withLock { cache in
        if isOwn { cache.ownPlans[lane] = plan } else { cache.plans[lane.target] = plan }
      }
    }
    return plan
  }

  /// The plan of a lane for some agents.
  private func plan(for agents: [AgentID], _ lane: Lane) -> LanePlan {
    var plan = LanePlan()
    for agent in agents {
      guard let destination = node(of: agent) else { continue }
      plan.destinationCount += 1
      let subjects = subjects(of: lane, for: agent)
      if !subjects.isEmpty { plan.narrowed.append(subjects) }
      if destination == node {
        plan.local.append(agent)
      } else if !plan.nodes.contains(destination) {
        plan.nodes.append(destination)
      }
    }
    return plan
  }

  /// Whether a lane comes to agents of this node by way of others than its origin's. That depends on where it begins.
  func isRelayed(_ lane: Lane) -> Bool {
    if let known = cache.withLock({ $0.relayed[lane] }) { return known }
    // What is stated here is delivered here, wherever else it goes.
    guard let origin = node(of: lane.agent), origin != node else { return false }
    let ways = [tree] + cache.withLock { $0.versions.values.filter { !$0.attachments.isEmpty } }
    let isRelayed = plan(of: lane).local.contains { agent in ways.contains { $0.isRelayed(lane, to: agent) } }
    cache.withLock { cache in
      if cache.relayed.count >= Self.stepCountMax { cache.relayed.removeAll(keepingCapacity: true) }
      cache.relayed[lane] = isRelayed
    }
    return isRelayed
  }

  /// The same lane with the topology's own names, which all lanes of an agent share: what is decoded from a frame has
  /// names of its own, and those of more than 15 bytes take room for each lane.
  func shared(_ lane: Lane) -> Lane {
    let target: LaneTarget =
      switch lane.target {
      case .addressee(let agent): .addressee(topology.agent(agent)?.id ?? agent)
      case .type(let type): .type(tree.subscribedType(type) ?? type)
      }
    return Lane(agent: topology.agent(lane.agent)?.id ?? lane.agent, channel: lane.channel, target: target)
  }

  /// Whom a lane is for that a node states under its own name: what it says of the topology is for nodes, who ask for it
  /// themselves, as they do for what it tells one agent; and what it takes others for is for agents of its own.
  private func plan(ofAuthor author: NodeID, _ lane: Lane) -> LanePlan {
    guard lane.channel == .persistent else { return LanePlan() }
    guard case .type(let type) = lane.target else { return plan(addressed: lane, by: author) }
    if MembershipEvents.all.contains(type) {
      guard author == node else { return LanePlan() }
      let agents = tree.destinations(of: lane).filter { self.node(of: $0) == node }
      return plan(for: agents, lane)
    }
    var nodes: [NodeID] = []
    let present = topology.presentNodes.map(\.id)
    if TopologyEvents.forAll.contains(type) || type == LogHeadSigned.eventType { nodes = present }
    if TopologyEvents.forSeat.contains(type) { nodes = seats }
    if MoveEvents.forAll.contains(type) { nodes = present }
    // One that has left, and does not know it, learns it.
    if RevisionEvents.forAll.contains(type) { nodes = topology.nodes.map(\.id) }
    if MoveEvents.forSeat.contains(type) { nodes = [topology.moveSeat] }
    return plan(forNodes: nodes, by: author)
  }

  /// Whom a lane is for that a node addresses to one agent, or to one node by its name.
  private func plan(addressed lane: Lane, by author: NodeID) -> LanePlan {
    guard case .addressee(let addressee) = lane.target, let other = authors[addressee] else {
      return plan(for: tree.destinations(of: lane), lane)
    }
    return plan(forNodes: [other], by: author)
  }

  private func plan(forNodes nodes: [NodeID], by author: NodeID) -> LanePlan {
    var plan = LanePlan()
    plan.nodes = nodes.filter { $0 != node }
    plan.isForNode = author != node && nodes.contains(node)
    return plan
  }
}
