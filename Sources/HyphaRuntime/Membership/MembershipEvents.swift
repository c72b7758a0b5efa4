public import HyphaCore

/// Events of membership: what the node that states them takes another one for. Each node judges for itself, and states
/// what it judges under its own name (`hypha.node.NAME`); agents of its own that subscribe to them take them.
///
/// Durations are in microseconds in which the stating node was awake.
public protocol MembershipEvent: Event {
  /// The node that is judged.
  var node: NodeID { get }
  /// The node that judges.
  var by: NodeID { get }
}

extension MembershipEvent {
  public static var eventType: EventTypeName { EventTypeName(unchecked: "hypha.\(Self.self)") }
  public var subject: Subject { Subject(slug: "hypha.node.\(node)") }
}

/// A node has answered a greeting, for the first time since the judging one started.
public struct NodeUp: MembershipEvent, Hashable {
  public var node, by: NodeID
}

/// A node has been silent for longer than is usual.
public struct NodeSuspected: MembershipEvent, Hashable {
  public var node, by: NodeID
  /// `silent`; or `allSilent`, where every other node was silent, too: the judging one may be the one that is cut off.
  public var reason: String
  /// How long it was silent, and how long it might have been.
  public var silentMicroseconds, allowedMicroseconds: UInt64
}

/// A node has been silent for so long that others do without it.
public struct NodeDown: MembershipEvent, Hashable {
  public var node, by: NodeID
  /// `silent` or `allSilent`, as in ``NodeSuspected``; `neverHeard`, where it has not come since the judging one started.
  public var reason: String
  /// How long it was silent.
  public var silentMicroseconds: UInt64
}

/// A node that was missed was heard again, or has started anew before it was missed.
public struct NodeReturned: MembershipEvent, Hashable {
  public var node, by: NodeID
  /// `heardAgain` or `startedAgain`.
  public var reason: String
  /// What it was taken for before: `up`, `suspected`, `down` or `left`.
  public var was: String
  /// How long it was silent.
  public var silentMicroseconds: UInt64
}

/// A node has stopped in order.
public struct NodeLeft: MembershipEvent, Hashable {
  public var node, by: NodeID
}

/// A node has heard that another process runs it, which began later, and stops.
public struct NodeSuperseded: MembershipEvent, Hashable {
  /// The node itself, both times.
  public var node, by: NodeID
  /// The node that has heard of the newer one.
  public var heardFrom: NodeID
  /// The epoch in which the stating process began, and that of the newer one.
  public var epoch, newerEpoch: UInt64
}

/// What nodes state about each other and of themselves, for agents of their own.
public enum MembershipEvents {
  /// All of it.
  public static let all: Set<EventTypeName> = [
    NodeUp.eventType, NodeSuspected.eventType, NodeDown.eventType, NodeReturned.eventType, NodeLeft.eventType,
    LeftInDoubt.eventType, NodeSuperseded.eventType, Rejoined.eventType,
    EventsLost.eventType,
  ]
}

extension FailureDetector.Change {
  /// The event that says so.
  func event(by judge: NodeID) -> any MembershipEvent {
    switch to {
    case .suspected:
      NodeSuspected(
        node: node, by: judge, reason: reason.rawValue, silentMicroseconds: silence,
        allowedMicroseconds: allowed)
    case .down: NodeDown(node: node, by: judge, reason: reason.rawValue, silentMicroseconds: silence)
    case .left: NodeLeft(node: node, by: judge)
    case .up where from == .unknown, .unknown: NodeUp(node: node, by: judge)
    case .up:
      NodeReturned(
        node: node, by: judge, reason: reason.rawValue, was: from.rawValue, silentMicroseconds: silence)
    }
  }
}
