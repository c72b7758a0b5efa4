public import HyphaCore

/// What a supervisor who oversees a type `after` is told now and then: what agents below it have published meanwhile.
///
/// Each node on which such agents are states it under its own name, for the supervisor alone, once there is something to tell
/// and not before the rule's period has passed since the one before. It covers the places of that node's log from behind
/// ``after`` to ``through``, and the next one begins where it ends: together they tell of every event once, after any crash.
/// Realtime events that no log has are not in it.
public struct OversightDigest: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.OversightDigest"
  public var subject: Subject { Subject(slug: "hypha.oversight.\(type)") }

  /// The rule: who oversees what.
  public var by: AgentID
  public var type: EventTypeName
  /// The node whose log it tells of, and the places in it: behind the first, up to the last.
  public var node: NodeID
  public var after, through: UInt64
  /// The events of each agent, in alphabetical order; at most ``agentCountMax`` agents.
  public var agents: [Count]
  /// The events of all agents that have no room in ``agents``.
  public var otherCount: UInt64

  /// A digest of its parts.
  public init(
    by: AgentID, type: EventTypeName, node: NodeID, after: UInt64, through: UInt64, agents: [Count],
    otherCount: UInt64
  ) {
    self.by = by
    self.type = type
    self.node = node
    self.after = after
    self.through = through
    self.agents = agents
    self.otherCount = otherCount
  }

  /// One agent's events.
  public struct Count: Sendable, Hashable, Codable {
    public var agent: AgentID
    public var count: UInt64
    /// The newest of them, to look it up by.
    public var newest: EventID

    /// So many events of an agent.
    public init(agent: AgentID, count: UInt64, newest: EventID) {
      self.agent = agent
      self.count = count
      self.newest = newest
    }
  }

  /// The most agents that one digest names.
  public static let agentCountMax = 1_000

  /// How many events it tells of.
  public var eventCount: UInt64 { agents.reduce(otherCount) { $0 + $1.count } }
}
