import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

/// The routes of one node, remembered per lane: what is a walk over the tree the first time is a lookup
/// after that.
final class RouteTable: Sendable {
  /// What the node knows of a lane, wherever its events come from.
  struct LanePlan: Sendable {
    /// The agents of this node that the lane is for.
    var local: [AgentID] = []
    /// The nodes that the lane is for, this one excluded.
    var nodes: [NodeID] = []
    /// How many agents the lane is for in all.
    var destinationCount = 0
    /// Whether it comes to this node by way of others than its origin's.
    var isRelayed = false
    /// The subjects that those take who do not take all.
    var narrowed: [[Pattern]] = []

    /// How many agents an event of the lane is for.
    func destinationCount(of subject: Subject) -> Int {
      if narrowed.isEmpty { return destinationCount }
      let misses = narrowed.count { patterns in !patterns.contains { $0.matches(subject) } }
      return destinationCount - misses
    }
  }

  private struct Key: Hashable {
    let lane: Lane
    let entry: AgentID
  }

  private struct Cache {
    var steps: [Key: RouteStep] = [:]
    var plans: [Lane: LanePlan] = [:]
  }

  let node: NodeID
  private let routes: Routes
  private let cache = Mutex(Cache())

  init(node: NodeID, routes: Routes) {
    self.node = node
    self.routes = routes
  }

  var topology: Topology { routes.topology }

  /// What the node says of itself to others.
  var greeting: Greeting {
    Greeting(node: node, topologyVersion: topology.version, topologyHash: topology.hash)
  }

  /// The node of an agent, or nil where there is no such agent.
  func node(of agent: AgentID) -> NodeID? { topology.agent(agent)?.node }

  /// The tree edges between two agents.
  func distance(_ first: AgentID, _ second: AgentID) -> Int { routes.distance(first, second) }

  /// What to do with an event that an agent of this node states.
  func step(from lane: Lane) -> RouteStep { step(lane, at: lane.agent) }

  /// What to do with an event of another node that arrived for `agent`.
  func step(_ lane: Lane, at agent: AgentID) -> RouteStep {
    let key = Key(lane: lane, entry: agent)
    if let known = cache.withLock({ $0.steps[key] }) { return known }
    // Lanes that lead nowhere are not remembered: others name them, and there is no end of names.
    guard node(of: agent) == node, plan(of: lane).destinationCount > 0 else { return RouteStep() }
    let step =
      agent == lane.agent
      ? routes.step(lane, at: agent, from: nil) : routes.step(lane, arrivingAt: agent)
    cache.withLock { $0.steps[key] = step }
    return step
  }

  /// The agents, on whatever node, that an event reaches which leaves for `agent` of another node.
  func reached(_ lane: Lane, by agent: AgentID) -> [AgentID] { routes.reached(lane, arrivingAt: agent) }

  /// The agents that a lane is for, each with the subjects that it takes; none means all.
  func subscribers(of lane: Lane) -> [(agent: AgentID, subjects: [Pattern])] {
    routes.destinations(of: lane).map { agent in
      guard case .type(let type) = lane.target, let spec = topology.agent(agent) else { return (agent, []) }
      let subjects = spec.subscribes.filter { $0.type == type }.map(\.subjects)
      return (agent, subjects.contains(.everything) ? [] : subjects)
    }
  }

  /// Whether an event is for an agent: it is addressed to it, or one of the agent's subscriptions covers it.
  func wants(_ agent: AgentID, addressee: AgentID?, type: EventTypeName, subject: Subject) -> Bool {
    if let addressee { return addressee == agent }
    return topology.agent(agent)?.subscribes.contains { $0.type == type && $0.subjects.matches(subject) }
      ?? false
  }

  /// Whom a lane is for.
  func plan(of lane: Lane) -> LanePlan {
    if let known = cache.withLock({ $0.plans[lane] }) { return known }
    var plan = LanePlan()
    for agent in routes.destinations(of: lane) {
      guard let destination = node(of: agent) else { continue }
      plan.destinationCount += 1
      if case .type(let type) = lane.target, let spec = topology.agent(agent) {
        let subjects = spec.subscribes.filter { $0.type == type }.map(\.subjects)
        if !subjects.contains(.everything) { plan.narrowed.append(subjects) }
      }
      if destination == node {
        plan.local.append(agent)
        // What is stated here is delivered here, wherever else it goes.
        let isForeign = self.node(of: lane.agent) != node
        plan.isRelayed = plan.isRelayed || isForeign && routes.isRelayed(lane, to: agent)
      } else if !plan.nodes.contains(destination) {
        plan.nodes.append(destination)
      }
    }
    if plan.destinationCount > 0, node(of: lane.agent) != nil { cache.withLock { $0.plans[lane] = plan } }
    return plan
  }
}
