public import HyphaCore

/// What the observer may do, and how it weighs. The same for a live deployment and for a simulation.
public struct ObserverPolicy: Sendable, Hashable {
  /// What becomes of a change that the rule calls for.
  public enum Mode: String, Sendable, CaseIterable {
    /// It is made.
    case auto
    /// It is proposed, and an operator says.
    case suggest
    /// There is none: traffic is counted, nothing is learned.
    case off
  }

  /// The node that has the observer's seat; nil where nobody observes a running deployment.
  public var node: NodeID?
  /// The node that takes the seat over when that one is silent; nil where there is none.
  public var standby: NodeID?
  /// How long the node with the seat must have been silent before; one of ``MembershipSettings/silenceRange``, and it must
  /// count as down, or have left.
  public var standbyAfter = Duration.seconds(10)
  /// What becomes of changes.
  public var mode = Mode.auto
  /// The number that decisions carry, so that they can be told from those of another policy.
  public var version: UInt32 = 1
  /// What adding or removing one link costs, in hops; 1 to 10,000.
  public var charge = 10
  /// How far changes may run ahead of what links have saved, in charges; 0 to 10,000.
  public var overdraft = 50
  /// After how many events for each agent of the deployment evidence counts half; 1 to 10,000.
  public var halfLife = 32
  /// The most possible links that are remembered; 64 to 65,536.
  public var memory = 4096
  /// The most links of an agent, of a supervisor and of the root; 0 to 255 each.
  public var agentLinks = 4
  public var supervisorLinks = 8
  public var rootLinks = 16
  /// The kinds of link that may be made.
  public var kinds = Set(LinkKind.allCases)
  /// The supervisors that everything between their branch and the rest has to pass: no link leads around them.
  public var mustPass: [AgentID] = []
  /// The links that are there from the start and stay.
  public var pins: [DirectLink] = []
  /// The links that are never made.
  public var forbids: [DirectLink] = []

  /// The defaults.
  public init() {}

  /// The bounds of the numbers, by their keys in a policy file.
  static let bounds:
    [(key: String, path: any WritableKeyPath<ObserverPolicy, Int> & Sendable, range: ClosedRange<Int64>)] = [
      ("charge", \.charge, 1...10_000), ("overdraft", \.overdraft, 0...10_000),
      ("half-life", \.halfLife, 1...10_000), ("memory", \.memory, 64...65_536),
      ("agent-links", \.agentLinks, 0...255), ("supervisor-links", \.supervisorLinks, 0...255),
      ("root-links", \.rootLinks, 0...255),
    ]

  /// - Throws: `invalidTopology` for the first number that is out of its bounds.
  func check() throws {
    for (key, path, range) in Self.bounds where !range.contains(Int64(self[keyPath: path])) {
      throw HyphaError(
        .invalidTopology, "observer: \(key) is \(self[keyPath: path])",
        remedy: "use \(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// The most links of an agent in `role`.
  func linksMax(_ role: AgentTree.Role) -> Int {
    switch role {
    case .agent: agentLinks
    case .supervisor: supervisorLinks
    case .root: rootLinks
    }
  }
}
