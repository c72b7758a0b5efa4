public import HyphaCore

/// Which entries of a log are wanted, and in which order.
///
/// All parts that are given must hold. A query without any is for every entry.
///
/// ```swift
/// var query = LogQuery()
/// query.subject = "incident.*.opened"
/// query.order = .backward
/// let page = try log.page(of: query, limit: 50)
/// ```
public struct LogQuery: Hashable, Sendable {
  /// The event with this id.
  public var event: EventID?
  /// The events that one of these caused directly; at most ``causeCountMax``. Empty: whatever the cause.
  public var causes: [EventID] = []
  /// The events of one conversation.
  public var correlation: EventID?
  /// What this agent stated.
  public var agent: AgentID?
  /// The events of one stream.
  public var stream: StreamID?
  /// With a sequence not below this one, the same in every stream.
  public var fromSequence: UInt64?
  /// The events of one lane.
  public var lane: Lane?
  /// The events of one of these types. Empty: whatever the type.
  public var types: [EventTypeName] = []
  /// The events whose subject passes.
  public var subject: Pattern?
  /// The events of one channel.
  public var channel: Channel?
  /// What the log took at these times; not the times that the events state.
  public var times: Range<Timestamp>?
  /// What stands at these positions.
  public var positions: ClosedRange<Position>?
  /// From the oldest on, or from the newest.
  public var order = ReadOrder.forward

  /// The most ids in ``causes``.
  public static let causeCountMax = 1_024

  /// Every entry, oldest first.
  public init() {}

  /// The event with an id.
  public static func event(_ id: EventID) -> LogQuery {
    var query = LogQuery()
    query.event = id
    return query
  }

  /// The direct children of events.
  public static func effects(of causes: [EventID]) -> LogQuery {
    var query = LogQuery()
    query.causes = causes
    return query
  }
}

extension LogQuery {
  /// What an index can be asked: entries wanted have at least one term of each group. Empty where none of the parts
  /// is indexed.
  public var termGroups: [[LogTerm]] {
    var groups: [[LogTerm]] = []
    if let event { groups.append([.event(event)]) }
    if !causes.isEmpty { groups.append(causes.map { .causedBy($0) }) }
    if let correlation { groups.append([.conversation(correlation)]) }
    if let stream { groups.append([.stream(stream)]) }
    if let agent { groups.append([.agent(agent)]) }
    if let lane { groups.append([.lane(lane)]) }
    if !types.isEmpty { groups.append(types.map { .type($0) }) }
    if let term = subject?.term { groups.append([term]) }
    if let channel, channel != .persistent { groups.append([.channel(channel)]) }
    return groups
  }
}

extension Pattern {
  /// The subject without wildcards, or the tokens before the first one; nil where it begins with one.
  fileprivate var term: LogTerm? {
    let tokens = tokens
    let literals = tokens.prefix { $0 != "*" && $0 != ">" }
    if literals.count == tokens.count { return .subject(Subject(unchecked: text)) }
    guard !literals.isEmpty else { return nil }
    let prefix = literals.prefix(LogTerm.subjectPrefixTokenCountMax).joined(separator: ".")
    return .subjectsBelow(Subject(unchecked: prefix))
  }
}

extension LogQuery: CustomStringConvertible {
  /// The parts that are given, in one line; equal queries have the same, in every process.
  public var description: String {
    var parts: [String] = []
    if let event { parts.append("event=\(event)") }
    if !causes.isEmpty { parts.append("cause=\(causes.map(\.description).joined(separator: "|"))") }
    if let correlation { parts.append("correlation=\(correlation)") }
    if let agent { parts.append("agent=\(agent)") }
    if let stream { parts.append("stream=\(stream)") }
    if let fromSequence { parts.append("from=\(fromSequence)") }
    if let lane { parts.append("lane=\(lane)") }
    if !types.isEmpty { parts.append("type=\(types.map(\.text).joined(separator: "|"))") }
    if let subject { parts.append("subject=\(subject)") }
    if let channel { parts.append("channel=\(channel)") }
    if let times { parts.append("times=\(times.lowerBound.rawValue)..<\(times.upperBound.rawValue)") }
    if let positions { parts.append("positions=\(positions.lowerBound)...\(positions.upperBound)") }
    parts.append(order == .forward ? "forward" : "backward")
    return parts.joined(separator: " ")
  }
}
