import HyphaCore

/// The way of one lane to all whom it is for, where direct links shorten it: a tree that begins at the lane's agent.
///
/// An event goes forward along its path in the hierarchy only, by its edges and by links between agents of the path that
/// lead around nobody who has to be passed; of equally short ways it takes that which leaves the path's beginning first. By
/// which agent an agent of the path is reached follows from the path up to it alone. So the ways to all destinations
/// agree where they meet, and nobody is reached twice.
struct LaneWay: Sendable {
  /// By which agent each agent is reached.
  private(set) var previous: [AgentID: AgentID] = [:]
  /// Whom each agent passes the event on to.
  private(set) var next: [AgentID: [AgentID]] = [:]

  /// Adds the way along one path.
  mutating func add(_ agents: [AgentID]) {
    for (from, to) in zip(agents, agents.dropFirst()) where previous[to] == nil {
      previous[to] = from
      next[from, default: []].append(to)
    }
  }
}

extension LaneWay {
  /// The agents on the shortest way along a path of the hierarchy.
  ///
  /// - Parameters:
  ///   - path: the agents from the first to the last.
  ///   - links: those whom each agent is linked with.
  ///   - gates: the agents that no link leads around.
  static func shortest(
    along path: [AgentID], links: [AgentID: Set<AgentID>], gates: Set<AgentID>
  ) -> [AgentID] {
    guard path.count > 2, path.contains(where: { links[$0] != nil }) else { return path }
    // For each place the fewest edges from the first agent, and the place before it on that way.
    var costs = [0]
    var before = [0]
    // The last place that no link may lead around.
    var gate = 0
    for place in 1..<path.count {
      var (cost, from) = (costs[place - 1] + 1, place - 1)
      if let linked = links[path[place]] {
        for earlier in gate..<max(gate, place - 1) where linked.contains(path[earlier]) {
          if costs[earlier] + 1 < cost { (cost, from) = (costs[earlier] + 1, earlier) }
        }
      }
      costs.append(cost)
      before.append(from)
      if gates.contains(path[place]) { gate = place }
    }
    var way = [path.count - 1]
    while let place = way.last, place > 0 { way.append(before[place]) }
    return way.reversed().map { path[$0] }
  }
}
