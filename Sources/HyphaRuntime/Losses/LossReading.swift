import HyphaCore
public import HyphaLog

/// What a node's log keeps of its losses.
public enum LossReading {
  /// The name under which the log keeps it, beside the snapshots of agents.
  static let owner: AgentID = "hypha.losses"

  /// What the log's node had counted when it stopped, or at most 10 s before it was killed; nil where it has never run,
  /// or this version does not read it.
  ///
  /// - Throws: what reading the log throws.
  public static func saved(in log: any LogReader) throws -> NodeLosses? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(NodeLosses.self, from: $0) }
  }
}
