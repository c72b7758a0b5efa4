import HyphaCore

/// Nodes that a file has no more, or has again.
extension TopologyPlan {
  mutating func compareLeaving(_ old: Topology, _ new: Topology, _ past: Past) {
    for node in new.nodes {
      guard let hasLeft = past.leaving[node.id] else { continue }
      if hasLeft {
        refuse(
          "node '\(node.id)' was there before and has left, and what it states anew would not follow what it has stated",
          "give the new node another name")
      } else if past.formerSeats.contains(node.id) {
        refuse(
          "node '\(node.id)' leaves, and another one orders in its place",
          "let it leave, and give the new node another name")
      } else {
        add(.node, "node '\(node.id)' stays, and was to leave", of: node.id.text)
      }
    }
    for node in old.nodes where new.node(node.id) == nil {
      if node.id == past.seat { compareSeat(leaving: node.id, old, new, past) }
      if past.lost.contains(node.id) {
        given(up: node.id, new, past)
      } else {
        add(
          .nodeRemoved, "node '\(node.id)' leaves", of: node.id.text,
          cost: "it runs on until every other node has what it wants of its log, then it ends by itself")
      }
    }
    for node in past.lost.sorted() where old.node(node) == nil || new.node(node) != nil {
      if new.node(node) == nil, past.leaving[node] == false {
        given(up: node, new, past)
      } else {
        refuse(
          "node '\(node)' does not leave, and cannot be given up", "name a node that the file has no more")
      }
    }
  }

  /// The node that orders moves and revisions leaves.
  private mutating func compareSeat(
    leaving seat: NodeID, _ old: Topology, _ new: Topology, _ past: Past
  ) {
    let problem = "node '\(seat)' is not in the file any more, and orders what is applied"
    if past.lost.contains(seat) {
      refuse("\(problem): it cannot be given up", "let it leave, without --lost")
    } else if let former = past.formerSeats.sorted().first(where: { past.leaving[$0] == false }) {
      refuse("\(problem); node '\(former)', which did before, has not left yet", "apply the file when it has")
    } else if let next = new.orderer(after: seat, in: old) {
      add(
        .node, "node '\(next)' orders moves and files in the place of '\(seat)'", of: next.text,
        cost: "it orders nothing before it has all that '\(seat)' has stated")
    } else {
      refuse("\(problem); all other nodes are new", "apply the file with '\(seat)' first, then without it")
    }
  }

  private mutating func given(up node: NodeID, _ new: Topology, _ past: Past) {
    for move in past.moves.newest
    where move.stage != .arrived && [move.order.from, move.order.to].contains(node)
      && new.agent(move.order.agent) != nil
    {
      refuse(
        "agent '\(move.order.agent)' is on its way from '\(move.order.from)' to '\(move.order.to)', and node '\(node)' is given up",
        "remove the agent, and add one of another name")
    }
    add(
      .nodeRemoved, "node '\(node)' is given up", of: node.text,
      cost: "what of its log no other node has nobody will get; where it runs it ends")
  }
}
