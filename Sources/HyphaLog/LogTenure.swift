public import HyphaCore
import Synchronization

/// A log as one user of it has it, whose time ends before that of the log: after ``end()`` nothing of this user comes into
/// the log any more, whatever is still at work in its name.
///
/// Reading goes on. Any thread.
public final class LogTenure: EventLog {
  private struct State {
    var isEnded = false
    /// How many submissions are on their way to the log.
    var openCount = 0
  }

  private let log: any EventLog
  private let state = Mutex(State())

  /// The use of a log from now on.
  public init(_ log: any EventLog) { self.log = log }

  public func submit(
    _ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void
  ) {
    let isEnded = state.withLock { state in
      if !state.isEnded { state.openCount += 1 }
      return state.isEnded
    }
    guard !isEnded else {
      return completion(
        .failure(HyphaError(.logFailed, "the log of \(identity.node) is in other hands")))
    }
    log.submit(batch, completion: completion)
    state.withLock { $0.openCount -= 1 }
  }

  /// Takes nothing more. When the call returns, what was submitted before is committed, or never will be.
  public func end() async {
    state.withLock { $0.isEnded = true }
    while state.withLock({ $0.openCount > 0 }) { await Task.yield() }
    // Batches are committed in the order of their submission.
    _ = try? await log.append(LogBatch())
  }

  /// Takes nothing more; the log stays open.
  public func close() { state.withLock { $0.isEnded = true } }

  public func signedHead() throws -> SignedHead? { try log.signedHead() }
  public var identity: LogIdentity { log.identity }
  public var headObservers: HeadObservers? { log.headObservers }
  public func head() throws -> Position { try log.head() }
  public func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool
  ) throws { try log.visit(range, order, body) }
  public func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? {
    try log.indexedPositions(withAllOf: groups, in: range, order, limit: limit)
  }
  public func indexStatus() throws -> LogIndexStatus? { try log.indexStatus() }
  public func confirmPresence() throws { try log.confirmPresence() }
  public func entry(at position: Position) throws -> LogEntry? { try log.entry(at: position) }
  public func gaps() throws -> [LogGap] { try log.gaps() }
  public func laneHead(_ lane: Lane) throws -> LaneHead? { try log.laneHead(lane) }
  public func laneHeads() throws -> [Lane: LaneHead] { try log.laneHeads() }
  public func streamHead(_ stream: StreamID) throws -> StreamHead? { try log.streamHead(stream) }
  public func streamHeads() throws -> [StreamID: StreamHead] { try log.streamHeads() }
  public func heads() throws -> LogHeads { try log.heads() }
  public func cursor(_ key: CursorKey) throws -> Cursor? { try log.cursor(key) }
  public func cursors() throws -> [CursorKey: Cursor] { try log.cursors() }
  public func snapshot(of agent: AgentID) throws -> [UInt8]? { try log.snapshot(of: agent) }
}
