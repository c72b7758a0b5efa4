public import HyphaCore
public import HyphaLog
public import HyphaTopology

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

  /// How many events it had stated, as far as the logs have them; those of the bus in its name not counted.
  public private(set) var statedCount = 0
  /// The newest of these, and the node in whose log it stands.
  public private(set) var last: LogEntry?
  public private(set) var lastNode: NodeID?
  /// The event because of which it, or the bus in its name, had stated something last: what it had handled last, as far as a log
  /// shows that. Nil where there is none, or the log does not have it.
  public private(set) var cause: LogEntry?
  /// Nil where the place is not the end of the log.
  public private(set) var newest: Newest?
  /// What the log has lost, which may be events of the agent.
  public let gaps: [LogGap]
  /// By which it was moved last; nil where it never was.
  public let move: AgentMoved?

  /// - Parameters:
  ///   - elsewhere: the logs of the deployment's other nodes, by which events of an agent count that was moved, wherever it ran.
  ///   - includes: whether an entry is at the place or before it; nil for the end of the log. Of an entry of another log it is
  ///     asked by its time alone.
  ///   - progress: told how far in the log it is; what it throws ends it.
  /// - Complexity: linear in what the agent has stated, found by the log's index where there is one; memory for a page of it.
  /// - Throws: what the log does; ``HyphaError/Code/logInvalid`` for what no agent has left.
  public init(
    of agent: AgentID, in log: any LogReader, elsewhere: [any LogReader] = [],
    at includes: ((_ position: Position?, _ time: Timestamp) -> Bool)? = nil,
    progress: (Position, _ statedCount: Int) throws -> Void = { _, _ in }
  ) throws {
    // First what may become newer meanwhile.
    if includes == nil { newest = try Newest(of: agent, in: log) }
    gaps = try log.gaps()
    move = try MoveReading(log).moves.newest(of: agent)?.order
    var because: RecordHeader?
    // What an agent that was moved has stated elsewhere, its log has as received; other logs, where they are here, as stated.
    let hasOthers = move != nil && !elsewhere.isEmpty
    for reader in move == nil ? [log] : [log] + elsewhere {
      let isHome = reader === log
      var query = LogQuery()
      query.agent = agent
      var place: LogCursor?
      pages: repeat {
        let page = try reader.page(of: query, after: place)
        for entry in page.entries where entry.source == .stated || (move != nil && !hasOthers) {
          let header = entry.record.header
          guard includes?(isHome ? entry.position : nil, header.time) ?? true else {
            if move == nil { break pages }
            continue
          }
          if header.causation != .none, because.map({ $0.time < header.time }) ?? true { because = header }
          guard !header.type.text.hasPrefix("hypha.") else { continue }
          statedCount += 1
          if last.map({ $0.record.time < header.time }) ?? true {
            (last, lastNode) = (entry, reader.identity.node)
          }
        }
        place = page.next
        if let place, isHome { try progress(place.next, statedCount) }
      } while place != nil
    }
    guard let because else { return }
    var query = LogQuery()
    query.event = because.causation
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
