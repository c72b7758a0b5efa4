public import HyphaCore
public import HyphaLog
import Synchronization

/// The log of one node in a data directory on disk, open for writing.
///
/// ```swift
/// let log = try LMDBLog(directory: "data/hq", node: "hq", time: clock)
/// let receipt = try await log.append(LogBatch(appends: [.init(record)]))   // durable from here on
/// ```
///
/// **Durability.** What was acknowledged is synced: it survives the end of the process at any moment and
/// the loss of power, as far as the disk keeps what it has synced. A batch is on disk whole or not at all.
///
/// **Threads.** All calls may come from any thread. One thread of the log's own, named `hypha-log`, commits
/// whatever waits as one group and calls the completions. Reads run on the calling thread, each in a short
/// transaction, and never wait for the writer.
///
/// **Processes.** One process writes a log; any number read it meanwhile with ``LMDBLogReader``. A process
/// must not use the log in a child made by `fork` without `exec`.
public final class LMDBLog: EventLog {
  public let identity: LogIdentity
  /// The data directory, as it was given.
  public let directory: String
  public var headObservers: HeadObservers? { observers }
  private let observers = HeadObservers()
  let writer: GroupWriter
  /// Whether a prune is under way: one at a time.
  let isPruning = Mutex(false)
  /// Where this opening's newest prune stands in the stream of the agent `log`; nil before its first.
  let lastPrune = Mutex<LanePoint?>(nil)
  private let store: Mutex<LogStore?>
  let indexer: LogIndexer?

  /// Opens the log in `directory`, or begins one where there is none.
  ///
  /// The directory and its parents are made where they are missing (mode 0700). Before anything is mapped,
  /// the file's meta pages, its size and the roots of its tables are checked, so that a truncated or
  /// damaged file is an error and no fault. A large log opens as fast as a small one.
  ///
  /// - Parameters:
  ///   - directory: the node's data directory, on a local file system.
  ///   - node: whose log it is; an existing log must be this node's.
  ///   - settings: sizes and bounds.
  ///   - time: the physical time from which entries get theirs.
  /// - Throws: ``HyphaError/Code/logLocked`` when it is open for writing already, here or in another
  ///   process; ``HyphaError/Code/logInvalid`` when it is damaged, no log, or another node's;
  ///   ``HyphaError/Code/logTooNew`` when a newer version wrote it; ``HyphaError/Code/fileUnavailable``
  ///   when the directory may not be used; ``HyphaError/Code/logFull`` when there is no room to begin one.
  public init(
    directory: String, node: NodeID, settings: LMDBLogSettings = .standard, time: some TimeSource
  ) throws {
    let place = DataDirectory(path: directory)
    try place.create()
    let lock = try WriterLock(place)
    let (store, head) = try LogOpening.openForWriting(place, node: node, settings: settings, time: time)
    self.directory = directory
    identity = store.identity
    writer = try GroupWriter(
      store: store, lock: lock, head: head, settings: settings, time: time, observers: observers)
    self.store = Mutex(store)
    indexer = try settings.index.map { try LogIndexer(place, of: store, settings: $0) }
    if let indexer { _ = observers.add { indexer.noteCommit(head: $0) } }
    // What was looked at until now is not looked at again soon.
    try store.view().transaction.pages.letGo()
  }

  deinit { close() }

  /// Hands a batch to the writer and returns at once, as ``EventLog/submit(_:completion:)`` says.
  ///
  /// What waits is not bounded here. It is bounded by the callers: each waits for its commits, or runs
  /// ahead of them by a bounded window, so the queue holds at most the sum of their windows.
  ///
  /// When a group cannot be written, every batch in it fails with the same error, even one that
  /// conflicted: what it conflicted with was not written either. After ``HyphaError/Code/logFailed`` by a
  /// failing disk, a batch may turn out to be in the log when it is opened again.
  public func submit(
    _ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void
  ) {
    guard writer.queue.add(WriteQueue.Waiting(batch, completion: completion)) else {
      return completion(.failure(closed))
    }
  }

  /// Commits what waits, calls its completions, ends the writer's thread and lets another process write.
  ///
  /// Closing again does nothing. From inside a completion it returns at once, and the log is released
  /// when the writer has run dry.
  public func close() {
    writer.finish()
    indexer?.close()
    store.withLock { $0 = nil }
    observers.end()
  }

  public func head() throws -> Position { try open().head() }

  public func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool
  ) throws {
    try open().visit(range, order, body)
  }

  public func indexedPositions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? {
    indexer?.reader.positions(withAllOf: groups, in: range, order, limit: limit)
  }

  /// How far the index is; nil where none is kept.
  public func indexStatus() -> LogIndexStatus? { indexer?.status() }

  public func entry(at position: Position) throws -> LogEntry? { try open().entry(at: position) }
  public func laneHead(_ lane: Lane) throws -> LaneHead? { try open().laneHead(lane) }
  public func laneHeads() throws -> [Lane: LaneHead] { try open().laneHeads() }
  public func streamHead(_ stream: StreamID) throws -> StreamHead? { try open().streamHead(stream) }
  public func gaps() throws -> [LogGap] { try open().gaps() }
  public func streamHeads() throws -> [StreamID: StreamHead] { try open().streamHeads() }
  public func heads() throws -> LogHeads { try open().allHeads() }
  public func cursor(_ key: CursorKey) throws -> Cursor? { try open().cursor(key) }
  public func cursors() throws -> [CursorKey: Cursor] { try open().cursors() }
  public func snapshot(of agent: AgentID) throws -> [UInt8]? { try open().snapshot(of: agent) }

  /// The marks of all who read the log, in this process and in others.
  public func readers() throws -> [LogReaderMark] { try open().environment.readers() }

  /// The open store, which the caller keeps alive for its call even when the log is closed meanwhile.
  func open() throws -> LogStore {
    guard let store = store.withLock({ $0 }) else { throw closed }
    return store
  }

  var closed: HyphaError {
    HyphaError(
      .logFailed, "the log of \(identity.node) in \(directory) is closed", remedy: "open it again")
  }
}
