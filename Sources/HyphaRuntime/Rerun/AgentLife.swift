import HyphaCore
import HyphaLog
import HyphaTopology

/// The stays of an agent on one node after the other, as the logs that are there have them.
struct AgentLife {
  /// A stay, or what is known of one whose log is not there.
  struct Stage {
    let node: NodeID
    /// When the move was ordered by which it came; 0 for the begin of its life.
    let since: Timestamp
    let log: (any LogReader)?
    let stay: RerunStay?
  }

  /// In the order of the moves; at least one.
  let stages: [Stage]

  /// - Parameter topology: the one that the file says.
  /// - Throws: ``HyphaError/Code/invalidTopology`` where that has no such agent; what reading throws.
  init(of agent: AgentID, in topology: Topology, logs: [any LogReader]) throws {
    guard let home = topology.agent(agent)?.node else {
      throw HyphaError(
        .invalidTopology, "the topology '\(topology.name)' has no agent '\(agent)'",
        remedy: "give the topology file that the log was written under")
    }
    var moves = AgentMoves()
    for log in logs { moves.merge(try MoveReading(log).moves) }
    let stays = try logs.map { try RerunStay.all(topology, in: $0)[agent] ?? [] }
    func stage(on node: NodeID, by number: UInt32, since: Timestamp) -> Stage {
      let place = logs.firstIndex { $0.identity.node == node }
      return Stage(
        node: node, since: since, log: place.map { logs[$0] },
        stay: place.flatMap { stays[$0].first { $0.number == number } })
    }
    stages =
      [stage(on: home, by: 0, since: .zero)]
      + moves.moves.filter { $0.order.agent == agent && $0.stage == .arrived }.map {
        stage(on: $0.order.to, by: $0.order.move, since: $0.orderedAt)
      }
  }

  /// Whether the agent has spent its whole life, as far as is known, on one node.
  var isWhole: Bool { stages.count == 1 && stages[0].stay?.departure == nil }
}
