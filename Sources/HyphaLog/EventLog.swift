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
  /// Errors: ``HyphaError/Code/logConflict`` when an append does not continue its lane or stream, or a
  /// condition of the batch does not hold; ``HyphaError/Code/logFull`` when disk or map are full (nothing
  /// was written; submit again when there is room); ``HyphaError/Code/logFailed`` after ``close()`` and for
  /// what else went wrong.
  func submit(_ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void)

  /// Commits what waits, then releases the log. Later submissions fail.
  func close()

  /// The log's newest head, signed with its node's key; nil for a log that has no keys, such as the in-memory twin.
  ///
  /// - Throws: errors of reading, and of the file of the key.
  func signedHead() throws -> SignedHead?
}

extension EventLog {
  public func signedHead() throws -> SignedHead? { nil }

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

  /// Told of each new head by the writer in this process; nil where another process writes.
  var headObservers: HeadObservers? { get }

  /// The position of the newest entry; ``Position/start`` when the log is empty.
  func head() throws -> Position

  /// Calls `body` with each entry in `range` that is in the log, in `order`, until it returns false or the
  /// range ends, or, going forward, the head that the log has at the call.
  ///
  /// Nothing is allocated for an entry. A view is good only within the call that it is given to. Entries that
  /// are gone (see ``gaps()``) are passed over; every other position of the range is met, or the call
  /// throws. A read transaction lives for some milliseconds at most while `body` is quick, so a long visit
  /// keeps no old pages; `body` must not wait for an append to the same log, and should not read it: when another
  /// process makes the map larger at that moment, the read fails with ``HyphaError/Code/logFailed`` after 10 s.
  func visit(_ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool) throws

  /// What an index beside the log knows of the entries that have at least one term of each group, as
  /// ``IndexedPositions`` says; nil where there is none, or it covers nothing of `range`.
  func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions?

  /// How far the index is; nil where there is none, or none that is right for the log.
  func indexStatus() throws -> LogIndexStatus?

  /// Throws ``HyphaError/Code/logFailed`` when what is read is no longer the log at its place.
  func confirmPresence() throws

  /// The entry at a position, or nil where there is none.
  func entry(at position: Position) throws -> LogEntry?

  /// The positions whose entries are gone, in ascending order.
  func gaps() throws -> [LogGap]

  /// The newest event of a lane, or nil where the log has none.
  func laneHead(_ lane: Lane) throws -> LaneHead?

  /// The newest event of every lane in the log.
  func laneHeads() throws -> [Lane: LaneHead]

  /// The newest events of a stream, or nil where the log has none.
  func streamHead(_ stream: StreamID) throws -> StreamHead?

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
