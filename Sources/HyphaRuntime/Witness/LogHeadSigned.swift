public import HyphaCore
public import HyphaLog

/// A node's log stood so at one moment, as the node has signed it. The node states it under its own name, and the log of every
/// other node takes it: a node that writes its history anew cannot take back what it has signed.
public struct LogHeadSigned: Event, Hashable {
  /// The signed head's line (``SignedHead/description``). Who looks at it checks its signature: nodes do not.
  public var head: String

  /// A node's statement of its log's head.
  public init(_ head: SignedHead) { self.head = head.description }

  public static var eventType: EventTypeName { EventTypeName(unchecked: "hypha.LogHeadSigned") }
  public var subject: Subject { Subject(slug: "hypha.log") }
}

/// When a node signs its log's head: at its start, where the log has anything, so that what was there before is told of; then
/// after 10 s, and each time twice as long later, up to 10 min. Pure.
struct HeadPace: Sendable {
  static let firstInterval = Duration.seconds(10)
  static let intervalMax = Duration.seconds(600)

  private var dueAt: Timestamp?
  private var interval = Self.firstInterval
  private var signed = Position.start

  /// Whether the head is to be signed now, where the log ends at `head`; it counts as signed then.
  mutating func isDue(now: Timestamp, head: Position) -> Bool {
    if let dueAt {
      guard now >= dueAt else { return false }
      interval = min(interval + interval, Self.intervalMax)
    }
    dueAt = Timestamp(microseconds: now.microseconds + interval.wholeMicroseconds)
    // What the node said itself of the head before is nothing new.
    guard head.rawValue > signed.rawValue + (signed > .start ? 1 : 0) else { return false }
    signed = head
    return true
  }
}
