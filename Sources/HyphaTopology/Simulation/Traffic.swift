/// Recorded traffic between the agents of a hierarchy, for simulation.
public struct Traffic: Sendable {
  /// One event: who sent it, and who it was for.
  public struct Event: Sendable, Hashable {
    public var from: Int32
    public var to: Int32

    public init(from: Int32, to: Int32) {
      self.from = from
      self.to = to
    }
  }

  /// The hierarchy.
  public let tree: AgentTree
  /// The events in their order.
  public let events: [Event]

  /// Traffic in a hierarchy; every number of an event is one of `tree`.
  public init(tree: AgentTree, events: [Event]) {
    self.tree = tree
    self.events = events
  }
}

/// A hierarchy made for agents that come with groups alone: a root, a supervisor for each group, and whoever is in no
/// group below the root.
public struct GroupedAgents: Sendable {
  /// Each agent's supervisor: the root is 0, the groups' supervisors follow, then the agents in their order.
  public let parents: [Int32]
  /// The number of the first agent.
  public let firstAgent: Int32
  /// The groups by name, in order of appearance.
  public let groups: [String]

  /// A hierarchy for agents in these groups, nil where in none.
  public init(_ groupOfEach: [String?]) {
    var numbers: [String: Int32] = [:]
    var groups: [String] = []
    for case .some(let group) in groupOfEach where numbers[group] == nil {
      groups.append(group)
      numbers[group] = Int32(groups.count)
    }
    self.groups = groups
    firstAgent = Int32(groups.count + 1)
    parents = [-1] + groups.map { _ in 0 } + groupOfEach.map { $0.flatMap { numbers[$0] } ?? 0 }
  }
}
