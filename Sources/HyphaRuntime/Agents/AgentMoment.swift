public import HyphaCore
public import HyphaLog

/// What a log says of an agent of any kind at a place: what it had stated up to there, and of now also what the log keeps beside
/// events. Questions that wait for an answer are realtime events, and in no log.
public struct AgentMoment {
  /// What a log keeps of an agent beside events, each time in place of what it kept before.
  public struct Newest {
    /// The state that was committed whole; nil where the agent keeps none.
    public let state: JSONValue?
    /// How far it has handled what it is given, and how many events that were, by channel.
    public let cursors: [(channel: Channel, cursor: Cursor)]
    /// Its timers, the soonest first.
    public let timers: [(type: EventTypeName, subject: Subject, dueAt: Timestamp)]
    /// How many events wait to be given to it again.
    public let retryCount: Int
  }

  /// How many events it had stated, those of the bus in its name not counted.
  public private(set) var statedCount = 0
  /// The newest of these.
  public private(set) var last: LogEntry?
  /// The event because of which it, or the bus in its name, had stated something last: what it had handled last, as far as a log
  /// shows that. Nil where there is none, or the log does not have it.
  public private(set) var cause: LogEntry?
  /// Nil where the place is not the end of the log.
  public private(set) var newest: Newest?

  /// - Parameters:
  ///   - includes: whether an entry is at the place or before it; nil for the end of the log.
  ///   - progress: told how far in the log it is; what it throws ends it.
  /// - Complexity: linear in what the agent has stated, found by the log's index where there is one; memory for a page of it.
  /// - Throws: what the log does; ``HyphaError/Code/logInvalid`` for what no agent has left.
  public init(
    of agent: AgentID, in log: any LogReader, at includes: ((LogEntry) -> Bool)? = nil,
    progress: (Position, _ statedCount: Int) throws -> Void = { _, _ in }
  ) throws {
    // First what may become newer meanwhile.
    if includes == nil { newest = try Newest(of: agent, in: log) }
    var query = LogQuery()
    query.agent = agent
    var (place, because): (LogCursor?, EventID?)
    pages: repeat {
      let page = try log.page(of: query, after: place)
      for entry in page.entries where entry.source == .stated {
        guard includes?(entry) ?? true else { break pages }
        let header = entry.record.header
        if header.causation != .none { because = header.causation }
        if !header.type.text.hasPrefix("hypha.") { (statedCount, last) = (statedCount + 1, entry) }
      }
      place = page.next
      if let place { try progress(place.next, statedCount) }
    } while place != nil
    guard let because else { return }
    query = LogQuery()
    query.event = because
    cause = try log.page(of: query).entries.first
  }
}

extension AgentMoment.Newest {
  fileprivate init(of agent: AgentID, in log: any LogReader) throws {
    let snapshot = try AgentSnapshot.read(of: agent, in: log)
    state = try snapshot.flatMap {
      $0.state.isEmpty ? nil : try JSON.decode(JSONValue.self, from: $0.state)
    }
    cursors = try Channel.allCases.compactMap { channel in
      try log.cursor(CursorKey(agent: agent, channel: channel)).map { (channel, $0) }
    }
    timers = snapshot?.agenda.timers.items.map { ($0.type, $0.subject, $0.dueAt) } ?? []
    retryCount = snapshot?.agenda.retries.count ?? 0
  }
}

extension KindRegistry {
  /// Whether the states of a kind's agents are made of their events, so that past ones are known.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` where there is no such kind.
  public func isEventSourced(_ name: String) throws -> Bool { Self.isEventSourced(try kind(name)) }

  private static func isEventSourced<Kind: Agent>(_ kind: Kind.Type) -> Bool { kind.evolves.isUsed }
}
