import HyphaCore
import HyphaTopology

/// What became of one event that went from node to node by the routes.
struct Walk {
  /// The tree edges that the event had come by, for each delivery.
  var deliveries: [AgentID: [Int]] = [:]
  /// The agents that passed it on for others.
  var relays: [AgentID: Int] = [:]
  /// The links that it took: the node it left, and the node and the agent that it left for.
  var links: [Link: Int] = [:]
  /// The agents at which it entered a node.
  var entries: [AgentID] = []

  struct Link: Hashable {
    var from: NodeID
    var to: NodeID
    var via: AgentID
  }

  /// Each node has routes of its own, as in a deployment.
  init(_ lane: Lane, _ routes: [NodeID: Routes]) {
    var open: [(node: NodeID, at: AgentID, hops: Int)] = []
    let start = routes.values.first?.topology.agent(lane.agent)?.node
    if let start { open.append((start, lane.agent, 0)) }
    while let (node, agent, hops) = open.popLast(), entries.count < 10_000, let here = routes[node] {
      entries.append(agent)
      let step =
        entries.count == 1 ? here.step(lane, at: agent, from: nil) : here.step(lane, arrivingAt: agent)
      for delivery in step.deliveries {
        deliveries[delivery.agent, default: []].append(hops + Int(delivery.hops))
      }
      for relay in step.relays { relays[relay, default: 0] += 1 }
      for forward in step.forwards {
        links[Link(from: node, to: forward.node, via: forward.via), default: 0] += 1
        open.append((forward.node, forward.via, hops + Int(forward.hops)))
      }
    }
  }
}

/// The agents from one to another by a way of its own: both ways up to the root, less what they share.
func path(_ first: AgentID, _ second: AgentID, _ topology: Topology) -> [AgentID] {
  func wayUp(_ agent: AgentID) -> [AgentID] {
    sequence(first: agent) { topology.agent($0)?.reportsTo }.map { $0 }
  }
  let (up, down) = (wayUp(first), wayUp(second))
  let common = up.first { down.contains($0) }!
  return up.prefix { $0 != common } + [common] + down.prefix { $0 != common }.reversed()
}

func lane(_ agent: AgentID, to target: LaneTarget) -> Lane {
  Lane(agent: agent, channel: .persistent, target: target)
}

/// Every lane that a topology's agents could have.
func lanes(of topology: Topology) -> [Lane] {
  topology.agents.flatMap { agent in
    topology.agents.map { lane(agent.id, to: .addressee($0.id)) }
      + TopologyGenerator.types.map { lane(agent.id, to: .type($0)) }
  }
}
