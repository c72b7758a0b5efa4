public import HyphaCore
public import HyphaLog

/// Which events are wanted. What is given must all hold; a filter without any part is for every event.
///
/// It looks at the record alone, so the same filter gives the same events in every log that has them. Times are
/// those that the events state.
public struct EntryFilter: Hashable, Sendable {
  /// A stream, or several of one agent: without an epoch those of all its activations, without a channel all three.
  public struct StreamSelection: Hashable, Sendable {
    /// The agent that states the events.
    public var agent: AgentID
    /// The only activation that is wanted.
    public var epoch: UInt64?
    /// The only channel that is wanted.
    public var channel: Channel?

    /// A selection by its parts.
    public init(agent: AgentID, epoch: UInt64? = nil, channel: Channel? = nil) {
      self.agent = agent
      self.epoch = epoch
      self.channel = channel
    }
  }

  /// The event with this id.
  public var event: EventID?
  /// The events that this one caused directly.
  public var cause: EventID?
  /// The events of one of these streams. Empty: of any.
  public var streams: [StreamSelection] = []
  /// The events whose subject passes.
  public var subject: Pattern?
  /// The events of one of these types. Empty: of any.
  public var types: Set<EventTypeName> = []
  /// No event whose type passes one of these: `hypha.Observed` is that type, `hypha.>` all that begin so.
  public var excludedTypes: Set<Pattern> = []
  /// The events of one conversation.
  public var correlation: EventID?
  /// The events of one channel.
  public var channel: Channel?
  /// The events from this time on.
  public var since: Timestamp?
  /// The events before this time.
  public var until: Timestamp?
  /// The events with at least this sequence, the same in every stream.
  public var fromSequence: UInt64?
  /// The events with at most this sequence.
  public var throughSequence: UInt64?

  /// Whether what an imported log has beside its events is left out, unless the types of that or an id are asked for: objects,
  /// traces and declarations are entries, and nothing that happened.
  public var isForEventsAlone = false

  /// A filter that every event passes.
  public init() {}

  /// How much earlier than an event states a log may have taken it, in microseconds: clocks that are further ahead are
  /// refused.
  private static let clockAheadMax = 60_000_000 as UInt64

  /// The position up to which no entry of `log` passes, by when the log took them; an entry behind it may pass or not.
  ///
  /// Only what the bus has brought is taken at most so much before its stated time: what was imported states whatever its file
  /// does. Imports begin a log, so its first entry tells whether there are any. There is no such place for ``until``: an event
  /// of another node may be taken long after it was stated.
  ///
  /// - Complexity: logarithmic in the log.
  /// - Throws: what reading the log's entries does.
  public func placeBeforeAll(in log: any LogReader) throws -> Position {
    guard let since, since.microseconds > Self.clockAheadMax else { return .start }
    var isLive = false
    try log.visit(Position.start.next...Position(rawValue: .max), .forward) { first in
      isLive = !first.source.isImported
      return false
    }
    guard isLive else { return .start }
    return try log.position(before: Timestamp(microseconds: since.microseconds - Self.clockAheadMax))
  }

  /// What of it a log's index can be asked for: all that the filter passes is among what this finds.
  public var query: LogQuery {
    var query = LogQuery()
    query.event = event
    query.causes = cause.map { [$0] } ?? []
    query.correlation = correlation
    query.channel = channel
    query.types = types.sorted()
    query.subject = subject
    query.fromSequence = fromSequence
    if streams.count == 1, let selection = streams.first {
      query.agent = selection.agent
      if let epoch = selection.epoch, let channel = selection.channel {
        query.stream = StreamID(agent: selection.agent, epoch: epoch, channel: channel)
      }
    }
    return query
  }
}

/// An ``EntryFilter`` as bytes, held against records without an allocation.
public struct EntryTest: Sendable {
  private let query: EntryMatcher
  private let streams: [(agent: [UInt8], epoch: UInt64?, channel: Channel?)]
  private let times: (since: Timestamp, until: Timestamp?)
  private let excludedTypes: [BytePattern]
  private let throughSequence: UInt64
  private let passesAll: Bool
  private let leavesOutBackground: Bool

  /// The test that `filter` describes.
  public init(_ filter: EntryFilter) {
    query = EntryMatcher(filter.query)
    streams = filter.streams.map { (Array($0.agent.text.utf8), $0.epoch, $0.channel) }
    excludedTypes = filter.excludedTypes.map { BytePattern($0) }
    times = (filter.since ?? .zero, filter.until)
    throughSequence = filter.throughSequence ?? .max
    leavesOutBackground =
      filter.isForEventsAlone && filter.event == nil
      && filter.types.isDisjoint(with: ContentType.backgroundTypes)
    var rest = filter
    rest.isForEventsAlone = false
    passesAll = rest == EntryFilter()
  }

  /// Whether the event is wanted.
  public func passes(_ record: RecordView) -> Bool {
    if leavesOutBackground, record.contentType.isBackground { return false }
    if passesAll { return true }
    guard query.matches(record), record.sequence <= throughSequence, record.time >= times.since else {
      return false
    }
    if let until = times.until, record.time >= until { return false }
    if !excludedTypes.isEmpty {
      let type = record.type
      if excludedTypes.contains(where: { $0.matches(type) }) { return false }
    }
    guard !streams.isEmpty else { return true }
    return streams.contains { stream in
      (stream.epoch.map { record.epoch == $0 } ?? true)
        && (stream.channel.map { record.channel == $0 } ?? true)
        && record.agent.count == stream.agent.count && record.agent.elementsEqual(stream.agent)
    }
  }
}
