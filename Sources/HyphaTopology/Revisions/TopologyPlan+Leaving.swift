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
      } else {
        add(.node, "node '\(node.id)' stays, and was to leave", of: node.id.text)
      }
    }
    for node in old.nodes where new.node(node.id) == nil {
      if node.id == past.seat {
        refuse(
          "node '\(node.id)' is not in the file any more, and orders what is applied",
          "leave it there, without agents if need be")
      }
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
