public import HyphaCore

/// An addressee has answered an alert: its handler returned, or it acknowledged the alert itself.
///
/// Stated by the addressee, to the agent that stated the alert, in the commit that notes that the input is handled; its
/// cause is the alert (or the ``AlertEscalated`` by which a supervisor was told of it). Where an operator
/// acknowledges by hand it is stated by the alert's own agent, on the operator's authority. The bus takes it; an
/// agent that wants to know handles it.
public struct AlertAcknowledged: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.AlertAcknowledged"
  public static let channel = Channel.alert
  /// The operator, where one has acknowledged by hand.
  public var by: AgentID?
  /// What the operator said.
  public var note: String?

  /// An acknowledgement by an agent, or by an operator by hand.
  public init(by: AgentID? = nil, note: String? = nil) {
    self.by = by
    self.note = note
  }
}

/// Some of those that an alert was for have not answered in time; the supervisor above them is told.
///
/// Stated by the alert's own agent, to that supervisor, caused by the alert. It wants an answer as the alert
/// does: a handler that returns acknowledges it, and with it the alert on behalf of those below.
public struct AlertEscalated: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.AlertEscalated"
  public static let channel = Channel.alert
  /// The alert.
  public var alert: EventID
  /// The alert's type.
  public var type: EventTypeName
  /// The agent that stated it.
  public var agent: AgentID
  /// Those that it was for and that have not answered, in alphabetical order; at most ``AlertTracker/nameCountMax``,
  /// the rest stands in further events.
  public var unanswered: [AgentID]
  /// How many times it was escalated for them, this one included.
  public var step: Int
  /// How many alerts of that agent are told of at once, for want of room to follow each (see
  /// ``AlertTracker/dutyCountMax``); 1 otherwise.
  public var count = 1

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// An alert came to the root of the tree and was not answered there in time either: only an operator, or a late
/// answer, can settle it now.
///
/// Stated by the alert's own agent, to all who subscribe to it, caused by the alert. It wants no answer.
public struct AlertUnanswered: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.AlertUnanswered"
  public static let channel = Channel.alert
  /// The alert.
  public var alert: EventID
  /// The alert's type.
  public var type: EventTypeName
  /// The agent that stated it.
  public var agent: AgentID
  /// Those that it was for and that have not answered, as in ``AlertEscalated/unanswered``.
  public var unanswered: [AgentID]
  /// How many times it was escalated for them.
  public var step: Int

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }
}

/// The next alert of an agent has a deadline of its own. Stated by the alert's agent just before the alert, for
/// nobody.
public struct AlertDeadlineSet: Event, Hashable {
  public static let eventType = EventTypeName.alertDeadlineSet
  public static let channel = Channel.alert
  /// The alert.
  public var alert: EventID
  /// How soon each that it is for is to answer, in microseconds from the alert's time.
  public var withinMicroseconds: UInt64

  public var subject: Subject { Subject(slug: Self.eventType.text) }
}

/// What the bus itself states about alerts.
enum AlertEvents {
  /// All of it: any agent may state these.
  static let all: Set<EventTypeName> = notAnswered.union([AlertEscalated.eventType])
  /// What wants no answer.
  static let notAnswered: Set<EventTypeName> = [
    AlertAcknowledged.eventType, AlertUnanswered.eventType, AlertDeadlineSet.eventType,
  ]
}
