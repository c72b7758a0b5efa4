public import HyphaCore

/// A link between two agents that are no neighbours in the tree: an event whose path has both goes from one to the
/// other at once. In which order the ends are named does not matter.
public struct DirectLink: Sendable, Hashable, Codable, Comparable {
  /// The end whose id sorts first.
  public let one: AgentID
  /// The end whose id sorts last.
  public let other: AgentID

  /// The link of two agents.
  public init(_ first: AgentID, _ second: AgentID) {
    one = min(first, second)
    other = max(first, second)
  }

  /// The end that is not `agent`.
  public func end(beside agent: AgentID) -> AgentID { agent == one ? other : one }

  /// By the first end, then by the last.
  public static func < (left: DirectLink, right: DirectLink) -> Bool {
    left.one == right.one ? left.other < right.other : left.one < right.one
  }
}

extension DirectLink: CustomStringConvertible {
  /// Both ends, as in `ana ↔ bo`.
  public var description: String { "\(one) ↔ \(other)" }
}
