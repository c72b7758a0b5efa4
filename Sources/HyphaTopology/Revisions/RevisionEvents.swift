public import HyphaCore

/// Events about the topology file that a deployment runs under. Nodes state them under their own names, and fetch them from each
/// other directly, as those about moves (``MoveEvents``): one node orders both.
public enum RevisionEvents {
  /// What is for the node that orders revisions (``Topology/moveSeat``).
  public static let forSeat: Set<EventTypeName> = [RevisionAsked.eventType]
  /// What is for every node.
  public static let forAll: Set<EventTypeName> = [
    TopologyRevised.eventType, RevisionRefused.eventType, NodeEnding.eventType, NodeReleased.eventType,
    NodeRetired.eventType,
  ]
  /// What any node may say of those.
  public static let byAll: Set<EventTypeName> = [NodeEnding.eventType, NodeReleased.eventType]
  /// All of them.
  public static let all = forSeat.union(forAll)

  /// The most bytes of a file that is applied, with the one that it replaces: both fit into a record of any deployment.
  public static let byteCountMax = 192 << 10
}

/// An operator wants the deployment to run under another topology file. Stated by the node that the operator has spoken to, on
/// the operator's authority; answered with ``TopologyRevised`` or ``RevisionRefused``, caused by this.
public struct RevisionAsked: TopologyEvent, Hashable {
  /// The text of the file.
  public var file: String
  /// The revision that the operator knew as the newest.
  public var after: UInt32
  /// Why, in the operator's words.
  public var note: String?
  /// The nodes that leave and that nobody is to wait for; nil for none.
  public var lost: [NodeID]?

  public init(file: String, after: UInt32, note: String? = nil, lost: [NodeID] = []) {
    (self.file, self.after, self.note) = (file, after, note)
    self.lost = lost.isEmpty ? nil : lost
  }
}

/// From now on the deployment runs under another topology file.
public struct TopologyRevised: TopologyEvent, Hashable {
  /// An agent that an earlier file had. It does not work any more; what it has stated stays, and comes to whom it is for.
  public struct Retired: Hashable, Sendable, Codable {
    public var agent: AgentID
    public var kind: String
    /// The node whose log has what it has stated.
    public var node: NodeID
    public var reportsTo: AgentID?
    /// What it was allowed to publish; nil for all that its kind declares.
    public var publishes: [EventTypeName]?
  }

  /// The number of the revision in its deployment; the file that that began with is 1.
  public var revision: UInt32
  /// The text of the file, and of the one that it replaces.
  public var file, replaced: String
  /// The fingerprints of the two.
  public var fingerprint, replacedFingerprint: String
  /// The version that frames carry from now on, above all before.
  public var version: UInt32
  /// The agents that earlier files had and this one has not.
  public var retired: [Retired]
  /// The moves of the agents that this file places elsewhere than the one before.
  public var moves: [AgentMoved]
  /// The node that orders moves and revisions from now on: the same as before, while the file has it.
  public var seat: NodeID
  /// The nodes that earlier files had and this one has not; nil for none.
  public var leaving: [LeavingNode]?
  /// Where nodes that have ordered revisions were by earlier files; nil for nowhere else.
  public var former: [FormerPlace]?
}

/// The file that an operator wanted to apply cannot be applied.
public struct RevisionRefused: TopologyEvent, Hashable {
  public var reasons: [String]

  public init(reasons: [String]) { self.reasons = reasons }
}
