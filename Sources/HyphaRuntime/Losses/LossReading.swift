import HyphaCore
public import HyphaLog

/// What a node's log keeps of its losses.
public enum LossReading {
  /// The name under which the log keeps it, beside the snapshots of agents.
  static let owner: AgentID = "hypha.losses"

  /// What the log's node had counted when it stopped, or was killed: of what is in no log, the realtime channel and the
  /// losses, that is what it had counted at most 10 s before, and ``NodeLosses/interruptionCount`` says so. Nil where it has never run, or this version does not read it.
  ///
  /// - Throws: what reading the log throws.
  public static func saved(in log: any LogReader) throws -> NodeLosses? {
    func kept<Value: Decodable>(_ name: AgentID, as type: Value.Type) throws -> Value? {
      try log.snapshot(of: name).flatMap { try? JSON.decode(type, from: $0) }
    }
    var saved = try kept(owner, as: NodeLosses.self)
    if let known = saved, known.isFinal != true {
      saved?.interruptionCount = (known.interruptionCount ?? 0) + 1
    }
    guard let audience = try kept(LossAudience.owner, as: LossAudience.self) else { return saved }
    var losses = saved ?? NodeLosses(node: log.identity.node)
    losses.agents = audience.agents
    losses.channels.merge(try audience.totals(in: log)) { _, new in new }
    return losses
  }
}
