import HyphaCore
public import HyphaLog

/// What a node that starts, and its operator, read of its log's entries, and a prune must leave.
///
/// Epochs, the ends of lanes and streams, consumers' places and snapshots stand in the log's tables, which no prune
/// touches; what consumers have not handled yet their places guard. But under which topology the log was written only the
/// agents' newest activations say, and where agents belong only the events of moves; an agent that was stated here is told from one whose events were received by what
/// is left of it; an event that is to be given to a handler again is read when its time comes; and an event-sourced state
/// follows from the events behind its snapshot.
public enum RestartNeeds {
  /// The positions of single entries that must stay: the newest activations of the agents that were activated here, events that
  /// are to be tried again, dead letters with what was stated of them, and the newest shared values.
  ///
  /// - Complexity: some reads for each agent, and one for each statement about a dead letter.
  public static func positions(in log: some LogReader) throws -> Set<Position> {
    var positions: Set<Position> = []
    for (agent, activation) in try activations(in: log) {
      positions.insert(activation)
      guard let snapshot = try AgentSnapshot.read(of: agent, in: log) else { continue }
      positions.formUnion(snapshot.agenda.retries.items.map(\.position))
    }
    positions.formUnion(try MoveReading(log).positions)
    positions.formUnion(try SharedReading.positions(in: log))
    for letter in try DeadLetter.open(in: log) {
      if let position = try letter.entry(in: log)?.position { positions.insert(position) }
      positions.insert(Position(rawValue: letter.statedPosition))
    }
    return positions
  }

  /// What must stay for event-sourced states, all behind the oldest snapshot that has not seen all of its agent's events; and
  /// for the live topology, all behind its snapshot.
  public static func guards(in log: some LogReader) throws -> [PruneGuard] {
    var epochs: [AgentID: UInt64] = [:]
    for stream in try log.streamHeads().keys {
      epochs[stream.agent] = max(epochs[stream.agent] ?? 0, stream.epoch)
    }
    var guards: [PruneGuard] = []
    for (agent, _) in try activations(in: log) {
      guard let coverage = try AgentSnapshot.read(of: agent, in: log)?.coverage,
        try StateTail(behind: coverage, of: agent, in: log, before: (epochs[agent] ?? 0) + 1) != nil
      else { continue }
      guards.append(PruneGuard("the state of agent '\(agent)'", through: coverage.after))
    }
    if let topology = try TopologySnapshot.read(in: log) {
      guards.append(
        PruneGuard("the topology since it was saved", through: Position(rawValue: topology.through)))
    }
    return guards
  }

  /// The newest activation of each agent that was activated here, in the order of the agents.
  private static func activations(in log: some LogReader) throws -> [(agent: AgentID, position: Position)] {
    var activations: [(agent: AgentID, position: Position)] = []
    for (lane, head) in try log.laneHeads() where lane.target == .type(AgentActivated.eventType) {
      if try log.entry(at: head.position)?.source == .stated {
        activations.append((lane.agent, head.position))
      }
    }
    return activations.sorted { $0.agent < $1.agent }
  }
}
