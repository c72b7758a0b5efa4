public import HyphaCore
public import HyphaLog

/// A log on disk, open for reading only, also while another process writes it.
///
/// Nothing is locked and nothing is written but a reader's mark in `log/lock.mdb`, for which the user needs
/// write permission there. The reader sees each commit from the moment that it is durable. It is released
/// when the last reference to it goes.
///
/// In a process that has the log open as an ``LMDBLog`` a reader shares that one's file. The other way
/// round it cannot be: open the writer first, or let go of the reader before.
public final class LMDBLogReader: LogReader {
  public let identity: LogIdentity
  /// The data directory, as it was given.
  public let directory: String
  /// Another process writes, and tells nobody.
  public var headObservers: HeadObservers? { nil }
  let store: LogStore
  private let index: IndexReader
  /// Names the log where it is damaged: who reads several must know which.
  private let failure: LogFailure

  /// Opens the log in `directory`, the data directory of a node.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when there is no log there or it may not be read;
  ///   ``HyphaError/Code/logInvalid`` when it is damaged or no log; ``HyphaError/Code/logTooNew`` when a
  ///   newer version wrote it.
  public init(directory: String) throws {
    self.directory = directory
    failure = LogFailure(log: directory)
    store = try failure.naming { try LogOpening.openForReading(DataDirectory(path: directory)) }
    identity = store.identity
    index = IndexReader(DataDirectory(path: directory), of: store)
  }

  public func head() throws -> Position { try failure.naming { try store.head() } }

  public func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool
  ) throws {
    try failure.naming { try store.visit(range, order, body) }
  }

  public func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? {
    index.positions(withAllOf: groups, in: range, order, limit: limit)
  }

  /// How far the index is; nil where there is none, or none that is right for the log.
  public func indexStatus() throws -> LogIndexStatus? {
    guard let through = index.through() else { return nil }
    let head = try head()
    return LogIndexStatus(
      through: through, lagCount: head > through ? head.rawValue - through.rawValue : 0, failure: nil)
  }

  public func confirmPresence() throws { try failure.naming { try store.confirmPresence() } }

  public func entry(at position: Position) throws -> LogEntry? {
    try failure.naming { try store.entry(at: position) }
  }
  public func laneHead(_ lane: Lane) throws -> LaneHead? { try failure.naming { try store.laneHead(lane) } }
  public func laneHeads() throws -> [Lane: LaneHead] { try failure.naming { try store.laneHeads() } }
  public func streamHead(_ stream: StreamID) throws -> StreamHead? {
    try failure.naming { try store.streamHead(stream) }
  }
  public func gaps() throws -> [LogGap] { try failure.naming { try store.gaps() } }
  public func streamHeads() throws -> [StreamID: StreamHead] {
    try failure.naming { try store.streamHeads() }
  }
  public func heads() throws -> LogHeads { try failure.naming { try store.allHeads() } }
  public func cursor(_ key: CursorKey) throws -> Cursor? { try failure.naming { try store.cursor(key) } }
  public func cursors() throws -> [CursorKey: Cursor] { try failure.naming { try store.cursors() } }
  public func snapshot(of agent: AgentID) throws -> [UInt8]? {
    try failure.naming { try store.snapshot(of: agent) }
  }

  /// The marks of all who read the log, in this process and in others.
  public func readers() throws -> [LogReaderMark] { try store.environment.readers() }
}
