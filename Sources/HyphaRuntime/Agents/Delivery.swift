import HyphaCore
import HyphaLog

/// An event on its way into one agent's mailbox.
struct Delivery: Sendable {
  /// The event as bytes, or as the value that another agent of this node published.
  enum Content: Sendable {
    case record(Record)
    case value(any Event)
  }

  var header: RecordHeader
  var content: Content
  /// Its place in this node's log; nil on the realtime channel.
  var position: Position?
  /// The edges of the tree that it has crossed; nil where it did not come through the tree.
  var hops: UInt8?
  /// When it is not worth delivering any more.
  var expiresAt: Timestamp?
  /// How often the agent is given it, this time included: an alert whose handler has thrown is given again.
  var attempt = 1
  /// Whether the agent's cursor has counted it before.
  var isAgain = false
}
