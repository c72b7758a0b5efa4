import HyphaCore
public import HyphaLog

/// What a node that starts reads of its log's entries, and a prune must leave.
///
/// Epochs, the ends of lanes and streams, consumers' places and snapshots stand in the log's tables, which no prune
/// touches; what consumers have not handled yet their places guard. But under which topology the log was written only the
/// agents' newest activations say, and an agent that was stated here is told from one whose events were received by what
/// is left of it.
public enum RestartNeeds {
  /// The positions of the newest activations of the agents that were activated here.
  ///
  /// - Complexity: one read for each agent.
  public static func positions(in log: some LogReader) throws -> Set<Position> {
    var positions: Set<Position> = []
    for (lane, head) in try log.laneHeads() where lane.target == .type(AgentActivated.eventType) {
      if try log.entry(at: head.position)?.source == .stated { positions.insert(head.position) }
    }
    return positions
  }
}
