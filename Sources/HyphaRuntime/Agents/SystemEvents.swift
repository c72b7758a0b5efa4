public import HyphaCore

/// An agent began to work in a new epoch. The first event of each persistent stream.
public struct AgentActivated: Event {
  public static let eventType: EventTypeName = "hypha.AgentActivated"
  /// The agent.
  public var agent: AgentID
  /// The node that runs it.
  public var node: NodeID
  /// The number of this activation.
  public var epoch: UInt64
  /// The number of the activation before; 0 at the first.
  public var previousEpoch: UInt64
  /// The last sequence committed on each logged channel in the epoch before.
  public var committed: [String: UInt64]
  /// The fingerprint of the topology that it works under.
  public var topology: String
  /// All persistent events for it up to this position of its node's log were handled before; nil where it comes from another node,
  /// or an older version has stated this.
  public var handledThrough: UInt64?
  /// Whether it goes on from what replicas have given back of it, its node's disk being lost; nil for no.
  public var hasReturned: Bool?

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// An agent's handler threw; its effects were discarded. Stated for each attempt on a persistent event, and for the first one
/// on others.
public struct HandlerFailed: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.HandlerFailed"
  /// The agent.
  public var agent: AgentID
  /// The event that it was handling; nil in `start` and `wake`.
  public var event: EventID?
  /// What it threw.
  public var error: String
  /// How often the handler was called with a persistent event, this time included.
  public var attempt: Int?
  /// After how many microseconds it is called with it again; nil where it is not.
  public var retryAfterMicroseconds: UInt64?

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// A persistent event was given to a handler as often as the retry policy has it, or its failure is permanent: it is put
/// aside until an operator requeues or discards it (`hypha dead-letters`).
///
/// Stated by the agent that could not handle it, to the nearest supervisor above that handles this type, caused by the
/// event.
public struct EventDeadLettered: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.EventDeadLettered"
  public static let channel = Channel.alert
  /// The agent that could not handle it.
  public var agent: AgentID
  /// The event.
  public var event: EventID
  /// The event's type.
  public var type: EventTypeName
  /// The agent that stated it.
  public var from: AgentID
  /// Where it stands in the log of the agent's node.
  public var position: UInt64
  /// How often it was given to the handler.
  public var attempts: Int
  /// What the handler threw the last time.
  public var error: String

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// An operator has settled a dead letter. Stated by the agent, on the operator's authority, caused by the event.
public struct DeadLetterResolved: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.DeadLetterResolved"
  /// What an operator does with a dead letter.
  public enum Resolution: String, Codable, Sendable {
    /// It is given to the handler again, with all its attempts.
    case requeued
    /// It is left as it is.
    case discarded
  }

  /// The agent.
  public var agent: AgentID
  /// The event.
  public var event: EventID
  /// What was done.
  public var resolution: Resolution
  /// What the operator said.
  public var note: String?

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// A handler has run longer than it should, and runs still. Stated once for each call, to the nearest supervisor that
/// handles this type.
public struct HandlerOverdue: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.HandlerOverdue"
  public static let channel = Channel.alert
  /// The agent.
  public var agent: AgentID
  /// The event that it is handling; nil in `start` and `wake`.
  public var event: EventID?
  /// That event's type.
  public var type: EventTypeName?
  /// How long it has run, in microseconds.
  public var runningMicroseconds: UInt64

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// An agent stands still until its node starts again: its start failed, or its handlers did, more often than the limit of
/// restarts allows. Stated to the nearest supervisor that handles this type.
public struct AgentStopped: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.AgentStopped"
  public static let channel = Channel.alert
  /// The agent.
  public var agent: AgentID
  /// Why.
  public var reason: String

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// What any agent states, whatever its kind declares.
enum SystemEvents {
  static let all: Set<EventTypeName> = AlertEvents.all.union([
    AgentActivated.eventType, HandlerFailed.eventType, EventDeadLettered.eventType,
    DeadLetterResolved.eventType, HandlerOverdue.eventType, AgentStopped.eventType, Asked.eventType,
    Answered.eventType, Observed.eventType, StateCheckpointed.eventType,
    InputsHandled.eventType, .moveKept,
  ])
}

/// An error that trying again cannot mend: an event on which a handler throws it is dead-lettered at once.
public protocol PermanentFailure: Error {}
