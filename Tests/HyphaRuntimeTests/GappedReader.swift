import HyphaCore
import HyphaLog

/// A log that has lost the entries at some positions.
final class GappedReader: LogReader {
  private let log: any LogReader
  private let gap: LogGap
  private let kept: Set<Position>
  private let isUnreadable: Bool

  /// - Parameters:
  ///   - kept: what is there all the same.
  ///   - isUnreadable: whether looking for one of them fails.
  init(
    _ log: any LogReader, lost range: ClosedRange<Position>, but kept: Set<Position> = [], pruned: Bool,
    isUnreadable: Bool = false
  ) {
    (self.log, self.isUnreadable) = (log, isUnreadable)
    self.kept = kept
    gap = LogGap(range: range, kind: pruned ? .pruned : .quarantined(reason: "damaged"), anchor: nil)
  }

  private func isLost(_ position: Position) -> Bool {
    gap.range.contains(position) && !kept.contains(position)
  }

  func visit(_ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool) throws {
    try log.visit(range, order) { try isLost($0.position) || body($0) }
  }

  func entry(at position: Position) throws -> LogEntry? {
    if isUnreadable, isLost(position) { throw HyphaError(.logFailed, "position \(position) is unreadable") }
    return isLost(position) ? nil : try log.entry(at: position)
  }

  func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? { nil }

  var identity: LogIdentity { log.identity }
  var headObservers: HeadObservers? { nil }
  func head() throws -> Position { try log.head() }
  func indexStatus() throws -> LogIndexStatus? { nil }
  func confirmPresence() throws { try log.confirmPresence() }
  func gaps() throws -> [LogGap] { [gap] }
  func laneHead(_ lane: Lane) throws -> LaneHead? { try log.laneHead(lane) }
  func laneHeads() throws -> [Lane: LaneHead] { try log.laneHeads() }
  func streamHead(_ stream: StreamID) throws -> StreamHead? { try log.streamHead(stream) }
  func streamHeads() throws -> [StreamID: StreamHead] { try log.streamHeads() }
  func heads() throws -> LogHeads { try log.heads() }
  func cursor(_ key: CursorKey) throws -> Cursor? { try log.cursor(key) }
  func cursors() throws -> [CursorKey: Cursor] { try log.cursors() }
  func snapshot(of agent: AgentID) throws -> [UInt8]? { try log.snapshot(of: agent) }
}
