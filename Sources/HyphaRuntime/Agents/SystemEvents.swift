public import HyphaCore

/// An agent began to work in a new epoch. The first event of each persistent stream.
public struct AgentActivated: Event {
  public static let eventType: EventTypeName = "hypha.AgentActivated"
  /// The agent.
  public var agent: AgentID
  /// The node that runs it.
  public var node: NodeID
  /// The number of this activation.
  public var epoch: UInt64
  /// The number of the activation before; 0 at the first.
  public var previousEpoch: UInt64
  /// The last sequence committed on each logged channel in the epoch before.
  public var committed: [String: UInt64]
  /// The fingerprint of the topology that it works under.
  public var topology: String

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// An agent's handler threw; its effects were discarded.
public struct HandlerFailed: Event {
  public static let eventType: EventTypeName = "hypha.HandlerFailed"
  /// The agent.
  public var agent: AgentID
  /// The event that it was handling; nil in `start` and `wake`.
  public var event: EventID?
  /// What it threw.
  public var error: String

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}
