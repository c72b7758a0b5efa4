/// Two agents by number, in either order: the ends of a link.
public struct AgentPair: Sendable, Hashable, Comparable, Codable {
  /// The end with the smaller number.
  public let low: Int32
  /// The end with the larger number.
  public let high: Int32

  /// The pair of two agents.
  public init(_ first: Int32, _ second: Int32) {
    low = min(first, second)
    high = max(first, second)
  }

  /// Both ends in one number.
  var key: UInt64 { UInt64(UInt32(bitPattern: low)) << 32 | UInt64(UInt32(bitPattern: high)) }

  /// By the smaller end, then by the larger.
  public static func < (one: AgentPair, other: AgentPair) -> Bool { one.key < other.key }
}

/// What a link joins. Each kind cuts a path of the tree short in its own way.
public enum LinkKind: UInt8, Sendable, Codable, CaseIterable {
  /// Two agents: the path becomes one edge.
  case agents
  /// An agent and a supervisor of another branch, or one further up its own.
  case agentAndSupervisor
  /// An agent and the root.
  case agentAndRoot
  /// Two supervisors, one of which may be the root.
  case supervisors

  /// The kind of a link between agents in these roles.
  init(_ one: AgentTree.Role, _ other: AgentTree.Role) {
    switch (one, other) {
    case (.agent, .agent): self = .agents
    case (.agent, .supervisor), (.supervisor, .agent): self = .agentAndSupervisor
    case (.agent, .root), (.root, .agent): self = .agentAndRoot
    default: self = .supervisors
    }
  }

  /// The name in policy files and tables.
  public var name: String {
    switch self {
    case .agents: "agent-agent"
    case .agentAndSupervisor: "agent-supervisor"
    case .agentAndRoot: "agent-root"
    case .supervisors: "supervisor-supervisor"
    }
  }
}
