import HyphaCore
import HyphaLog
import Synchronization

/// A log that counts what is looked at, and how many entries are copied out of it by their position.
final class CountingReader: LogReader {
  private let log: any LogReader
  private let counts = Mutex((looks: 0, loads: 0))

  init(_ log: any LogReader) { self.log = log }

  /// How many entries were shown.
  var lookCount: Int {
    get { counts.withLock { $0.looks } }
    set { counts.withLock { $0.looks = newValue } }
  }
  /// How many were asked for one by one.
  var loadCount: Int { counts.withLock { $0.loads } }

  func visit(_ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool) throws {
    try log.visit(range, order) { entry in
      counts.withLock { $0.looks += 1 }
      return try body(entry)
    }
  }

  func entry(at position: Position) throws -> LogEntry? {
    counts.withLock { $0.loads += 1 }
    return try log.entry(at: position)
  }

  func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? {
    try log.indexedPositions(withAllOf: groups, in: range, order, limit: limit)
  }

  var identity: LogIdentity { log.identity }
  var headObservers: HeadObservers? { log.headObservers }
  func head() throws -> Position { try log.head() }
  func indexStatus() throws -> LogIndexStatus? { try log.indexStatus() }
  func confirmPresence() throws { try log.confirmPresence() }
  func gaps() throws -> [LogGap] { try log.gaps() }
  func laneHead(_ lane: Lane) throws -> LaneHead? { try log.laneHead(lane) }
  func laneHeads() throws -> [Lane: LaneHead] { try log.laneHeads() }
  func streamHead(_ stream: StreamID) throws -> StreamHead? { try log.streamHead(stream) }
  func streamHeads() throws -> [StreamID: StreamHead] { try log.streamHeads() }
  func heads() throws -> LogHeads { try log.heads() }
  func cursor(_ key: CursorKey) throws -> Cursor? { try log.cursor(key) }
  func cursors() throws -> [CursorKey: Cursor] { try log.cursors() }
  func snapshot(of agent: AgentID) throws -> [UInt8]? { try log.snapshot(of: agent) }
}
