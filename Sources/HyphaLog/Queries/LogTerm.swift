public import HyphaCore

/// What an index of a log can be asked for: one fact that an entry's record states.
public enum LogTerm: Hashable, Sendable {
  /// The event itself.
  case event(EventID)
  /// The events that this one caused directly.
  case causedBy(EventID)
  /// The events of the conversation that this one began, itself among them.
  case conversation(EventID)
  /// What an agent stated, on every channel and in every epoch.
  case agent(AgentID)
  /// The events of one stream.
  case stream(StreamID)
  /// The events of one lane.
  case lane(Lane)
  /// The events of one type.
  case type(EventTypeName)
  /// The events of a channel. The persistent one is not indexed: nearly every entry is of it.
  case channel(Channel)
  /// The events about exactly this subject.
  case subject(Subject)
  /// The events whose subject begins with these tokens and has more: one to
  /// ``subjectPrefixTokenCountMax`` tokens.
  case subjectsBelow(Subject)

  /// The most tokens of a subject's prefix that are indexed.
  public static let subjectPrefixTokenCountMax = 3
}

/// Positions that an index knows for a question.
public struct IndexedPositions: Hashable, Sendable {
  /// What may match, in the order asked for. A hash may have collided, so each is to be checked.
  public var positions: [Position]
  /// Where the index can speak for: no entry of this range matches but those of ``positions``.
  public var covered: ClosedRange<Position>

  /// An answer by its parts.
  public init(positions: [Position], covered: ClosedRange<Position>) {
    self.positions = positions
    self.covered = covered
  }
}
