public import HyphaCore

/// The append-only log of one node: the truth about everything that matters there.
///
/// Entries are numbered by ``Position`` from 1 without a gap. What the log acknowledges is durable: on
/// disk and synced, or, for the in-memory twin, in its store. One log has one writer and any number of
/// readers, in this process and in others.
///
/// A log refuses what would break a lane: each append must name the current head of its lane as its
/// predecessor. So an event can stand in a log at most once, whatever the network does.
public protocol EventLog: LogReader {
  /// Hands a batch to the writer and returns at once.
  ///
  /// Batches are committed in the order of their submission (urgent ones before others), several in one
  /// group; a batch is committed whole or not at all. `completion` is called once, after the sync that
  /// covers the batch, on the writer's thread, in the order of commits; it must not block.
  ///
  /// Errors: ``HyphaError/Code/logConflict`` when an append does not continue its lane or stream,
  /// ``HyphaError/Code/logFull`` when disk or map are full (nothing was written; submit again when there
  /// is room), ``HyphaError/Code/logFailed`` after ``close()`` and for what else went wrong.
  func submit(_ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void)

  /// Commits what waits, then releases the log. Later submissions fail.
  func close()
}

extension EventLog {
  /// Commits a batch and returns when it is durable.
  ///
  /// - Throws: the errors of ``submit(_:completion:)``.
  public func append(_ batch: LogBatch) async throws -> CommitReceipt {
    try await withCheckedThrowingContinuation { continuation in
      submit(batch) { continuation.resume(with: $0) }
    }
  }
}

/// Read access to a log. Every call sees what was committed before it, and may run on any thread.
///
/// Reads fail with ``HyphaError/Code/logInvalid`` where stored bytes are damaged; the error names the
/// position.
public protocol LogReader: AnyObject, Sendable {
  /// Who the log belongs to.
  var identity: LogIdentity { get }

  /// The position of the newest entry; ``Position/start`` when the log is empty.
  func head() throws -> Position

  /// Up to `limit` entries after `position`, oldest first, cut off after about `byteLimit` bytes but never
  /// empty while there is one. No read transaction outlives the call.
  func read(after position: Position, limit: Int, byteLimit: Int) throws -> [LogEntry]

  /// The entry at a position, or nil where there is none.
  func entry(at position: Position) throws -> LogEntry?

  /// The newest event of a lane, or nil where the log has none.
  func laneHead(_ lane: Lane) throws -> LaneHead?

  /// The newest event of every lane in the log.
  func laneHeads() throws -> [Lane: LaneHead]

  /// The newest events of every stream in the log.
  func streamHeads() throws -> [StreamID: StreamHead]

  /// The newest position with the newest events of every lane and stream, all as of one commit.
  ///
  /// What the calls above give one after the other need not agree while the log is written.
  func heads() throws -> LogHeads

  /// A consumer's durable place, or nil where it has handled nothing.
  func cursor(_ key: CursorKey) throws -> Cursor?

  /// The durable places of all consumers.
  func cursors() throws -> [CursorKey: Cursor]

  /// The newest snapshot of an agent's state, or nil where there is none.
  func snapshot(of agent: AgentID) throws -> [UInt8]?
}

/// An entry's place in one node's log, from 1.
public struct Position: Hashable, Comparable, Sendable, Codable, RawRepresentable, CustomStringConvertible {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Before the first entry.
  public static let start = Position(rawValue: 0)

  /// The next position.
  public var next: Position { Position(rawValue: rawValue + 1) }

  public static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// Who a log belongs to.
public struct LogIdentity: Hashable, Sendable {
  /// Made when the log was; another id at the same path is another log.
  public let id: EventID
  /// The node that writes the log.
  public let node: NodeID

  /// An identity by its parts.
  public init(id: EventID, node: NodeID) {
    self.id = id
    self.node = node
  }
}

/// One event as it stands in one node's log.
public struct LogEntry: Hashable, Sendable {
  /// The place in this log.
  public let position: Position
  /// When this log took it, on the node's hybrid clock; it grows with the position.
  public let appendedAt: Timestamp
  /// How it came here.
  public let source: EntrySource
  /// The entry before it of the same stream in this log, or ``Position/start``.
  public let previousInStream: Position
  /// The entry before it of the same lane in this log, or ``Position/start``.
  public let previousInLane: Position
  /// The event.
  public let record: Record

  /// An entry by its parts.
  public init(
    position: Position, appendedAt: Timestamp, source: EntrySource, previousInStream: Position,
    previousInLane: Position, record: Record
  ) {
    self.position = position
    self.appendedAt = appendedAt
    self.source = source
    self.previousInStream = previousInStream
    self.previousInLane = previousInLane
    self.record = record
  }
}

/// How an event came into a log.
public enum EntrySource: Hashable, Sendable {
  /// An agent of this node stated it.
  case stated
  /// It was taken from another node, after this many edges of the tree.
  case received(hops: UInt8)
}

/// What is committed together: events, the places of their consumers, and their agents' states.
public struct LogBatch: Sendable {
  /// An event to append.
  public struct Append: Sendable {
    /// The event.
    public var record: Record
    /// How it came here.
    public var source: EntrySource

    /// An append of `record`.
    public init(_ record: Record, source: EntrySource = .stated) {
      self.record = record
      self.source = source
    }
  }

  /// The events, in order.
  public var appends: [Append]
  /// New places of consumers.
  public var cursors: [CursorKey: Cursor]
  /// New states of agents, as each agent encodes it.
  public var snapshots: [AgentID: [UInt8]]
  /// Whether the batch goes before those that wait already.
  public var isUrgent: Bool

  /// A batch by its parts.
  public init(
    appends: [Append] = [], cursors: [CursorKey: Cursor] = [:], snapshots: [AgentID: [UInt8]] = [:],
    isUrgent: Bool = false
  ) {
    self.appends = appends
    self.cursors = cursors
    self.snapshots = snapshots
    self.isUrgent = isUrgent
  }

  /// Whether there is nothing to commit.
  public var isEmpty: Bool { appends.isEmpty && cursors.isEmpty && snapshots.isEmpty }
}

/// What a log says of a batch that is durable.
public struct CommitReceipt: Hashable, Sendable {
  /// Where the batch's first event stands; the others follow it directly. For a batch without events, the
  /// position that would have been next.
  public let first: Position
  /// When the log took the batch.
  public let time: Timestamp

  /// A receipt by its parts.
  public init(first: Position, time: Timestamp) {
    self.first = first
    self.time = time
  }
}

/// A consumer of one channel.
public struct CursorKey: Hashable, Sendable {
  /// The consuming agent.
  public let agent: AgentID
  /// The channel that it consumes.
  public let channel: Channel

  /// A consumer by its parts.
  public init(agent: AgentID, channel: Channel) {
    self.agent = agent
    self.channel = channel
  }
}

/// How far a consumer has come in its node's log.
public struct Cursor: Hashable, Sendable {
  /// Everything for this consumer at or before this position is handled.
  public var position: Position
  /// How many events it has handled in all.
  public var handledCount: UInt64

  /// Before everything.
  public static let start = Cursor(position: .start, handledCount: 0)

  /// A cursor by its parts.
  public init(position: Position, handledCount: UInt64) {
    self.position = position
    self.handledCount = handledCount
  }
}

/// The ends of a log and of everything in it, as of one commit.
public struct LogHeads: Hashable, Sendable {
  /// The position of the newest entry.
  public var position: Position
  /// The newest event of every lane.
  public var lanes: [Lane: LaneHead]
  /// The newest events of every stream.
  public var streams: [StreamID: StreamHead]

  /// Heads by their parts.
  public init(position: Position, lanes: [Lane: LaneHead], streams: [StreamID: StreamHead]) {
    self.position = position
    self.lanes = lanes
    self.streams = streams
  }
}

/// The newest event of a lane in one log.
public struct LaneHead: Hashable, Sendable {
  /// The event's place in the lane.
  public var point: LanePoint
  /// Its place in the log.
  public var position: Position
  /// How many of the lane's events the log has.
  public var count: UInt64

  /// A head by its parts.
  public init(point: LanePoint, position: Position, count: UInt64) {
    self.point = point
    self.position = position
    self.count = count
  }
}

/// The newest events of a stream in one log. A node that only takes some of a stream's lanes has only
/// those events.
public struct StreamHead: Hashable, Sendable {
  /// The highest sequence.
  public var sequence: UInt64
  /// The newest entry of the stream.
  public var position: Position
  /// How many of the stream's events the log has.
  public var count: UInt64

  /// A head by its parts.
  public init(sequence: UInt64, position: Position, count: UInt64) {
    self.sequence = sequence
    self.position = position
    self.count = count
  }
}
