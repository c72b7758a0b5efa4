public import HyphaCore

/// Events left a node before as many replicas as they asked for were known to have them. They are kept and not retracted:
/// they are in the node's own log, and may be in the replicas'. Stated under the node's own name; agents on the node that
/// subscribe to it take it.
public struct LeftInDoubt: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.LeftInDoubt"
  /// The node whose events they are.
  public var node: NodeID
  /// The positions of the node's log that they lie in.
  public var first, last: UInt64
  /// How many replicas were to have them, and how many were known to have all of them.
  public var level, reached: Int
  public var subject: Subject { Subject(slug: "hypha.node.\(node)") }
}
