public import HyphaCore
import Synchronization

/// The in-memory twin of a log on disk, for tests and for simulation.
///
/// It keeps the promises of ``EventLog`` as long as its ``MemoryLogStore`` lives: a log opened again on the
/// same store finds what was acknowledged, as a log on disk does after its process was killed.
public final class MemoryLog: EventLog {
  private typealias Waiting = (LogBatch, @Sendable (Result<CommitReceipt, HyphaError>) -> Void)

  private struct State {
    var waiting: [Waiting] = []
    /// Whether a drain was begun or is to come.
    var isDraining = false
    /// Whether a drain has a group in hand.
    var isCommitting = false
    var isClosed = false
    var isReleased = false

    /// Whether the caller is to release the store: the first who asks.
    mutating func release() -> Bool {
      defer { isReleased = true }
      return !isReleased
    }
  }

  public let identity: LogIdentity
  public var headObservers: HeadObservers? { observers }
  private let observers = HeadObservers()
  private let store: MemoryLogStore
  private let time: any TimeSource
  private let commitLater: @Sendable (@escaping @Sendable () -> Void) -> Void
  private let state = Mutex(State())

  /// Opens the log that `store` holds.
  ///
  /// - Parameters:
  ///   - commitLater: runs a commit; a simulation gives its own to let time pass first. The default
  ///     commits inside ``submit(_:completion:)``.
  /// - Throws: ``HyphaError/Code/logLocked`` when the store is open for writing already.
  public init(
    store: MemoryLogStore, time: some TimeSource,
    commitLater: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { $0() }
  ) throws {
    try store.lock()
    self.store = store
    identity = store.identity
    self.time = time
    self.commitLater = commitLater
  }

  public func submit(
    _ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void
  ) {
    let (isClosed, begins) = state.withLock { state in
      guard !state.isClosed else { return (true, false) }
      let place = state.waiting.lastIndex { $0.0.priority <= batch.priority }.map { $0 + 1 } ?? 0
      state.waiting.insert((batch, completion), at: place)
      defer { state.isDraining = true }
      return (false, !state.isDraining)
    }
    if isClosed {
      completion(.failure(HyphaError(.logFailed, "the log of \(identity.node) is closed")))
    } else if begins {
      commitLater { self.drain() }
    }
  }

  /// Commits what waits, then releases the store. Closing again does nothing.
  ///
  /// Where a commit is under way already (on another thread, or around the completion that closes), what
  /// waits is committed behind it there, and the store is released then.
  public func close() {
    state.withLock { $0.isClosed = true }
    drain()
    observers.end()
  }

  /// Ends the log as a killed process would: what waits is gone, and nobody is told.
  public func crash() {
    let releases = state.withLock { state in
      state.isClosed = true
      state.waiting = []
      return state.release()
    }
    if releases { store.unlock() }
  }

  /// Commits group after group until nothing waits.
  private func drain() {
    while true {
      let (group, releases) = state.withLock { state -> ([Waiting], Bool) in
        // One at a time, or completions would lose the order of commits.
        guard !state.isCommitting else { return ([], false) }
        let group = state.waiting
        state.waiting = []
        state.isCommitting = !group.isEmpty
        if group.isEmpty { state.isDraining = false }
        return (group, group.isEmpty && state.isClosed && state.release())
      }
      if releases { store.unlock() }
      if group.isEmpty { return }
      let now = Timestamp(microseconds: time.microseconds())
      let results = store.commit(group.map(\.0), now: now)
      for ((_, completion), result) in zip(group, results) { completion(result) }
      observers.tell(store.read { $0.head })
      state.withLock { $0.isCommitting = false }
    }
  }

  public func head() throws -> Position { store.read { $0.head } }

  /// The entries of the range are copied out in parts, so `body` may do what it likes.
  public func visit(
    _ range: ClosedRange<Position>, _ order: ReadOrder, _ body: (EntryView) throws -> Bool
  ) throws {
    let head = try head()
    guard range.lowerBound <= head, range.upperBound > .start else { return }
    var rest = max(range.lowerBound.rawValue, 1)...min(range.upperBound.rawValue, head.rawValue)
    while true {
      let part =
        order == .forward
        ? rest.lowerBound...min(rest.upperBound, rest.lowerBound + 255)
        : max(rest.lowerBound, rest.upperBound - min(rest.upperBound, 255))...rest.upperBound
      let entries = store.read { $0.entries[(Int(part.lowerBound) - 1)...(Int(part.upperBound) - 1)] }
      for offset in entries.indices {
        let entry = entries[
          order == .forward ? offset : entries.endIndex - 1 - (offset - entries.startIndex)]
        guard try entry.withView(body) else { return }
      }
      guard part != rest else { return }
      rest =
        order == .forward
        ? part.upperBound + 1...rest.upperBound : rest.lowerBound...part.lowerBound - 1
    }
  }

  public func entry(at position: Position) throws -> LogEntry? {
    store.read { contents in
      guard position > .start, position <= contents.head else { return nil }
      return contents.entries[Int(position.rawValue) - 1]
    }
  }

  /// Nothing is ever removed from memory.
  public func gaps() throws -> [LogGap] { [] }
  public func laneHead(_ lane: Lane) throws -> LaneHead? { store.read { $0.lanes[lane] } }
  public func laneHeads() throws -> [Lane: LaneHead] { store.read { $0.lanes } }
  public func streamHead(_ stream: StreamID) throws -> StreamHead? { store.read { $0.streams[stream] } }
  public func streamHeads() throws -> [StreamID: StreamHead] { store.read { $0.streams } }
  public func heads() throws -> LogHeads {
    store.read { LogHeads(position: $0.head, lanes: $0.lanes, streams: $0.streams) }
  }

  public func cursor(_ key: CursorKey) throws -> Cursor? { store.read { $0.cursors[key] } }
  public func cursors() throws -> [CursorKey: Cursor] { store.read { $0.cursors } }
  public func snapshot(of agent: AgentID) throws -> [UInt8]? { store.read { $0.snapshots[agent] } }
}

/// What outlives a ``MemoryLog``, as a disk outlives a process.
public final class MemoryLogStore: Sendable {
  struct Contents: HeadSource {
    var planner = AppendPlanner()
    var entries: [LogEntry] = []
    var lanes: [Lane: LaneHead] = [:]
    var streams: [StreamID: StreamHead] = [:]
    var keys: [IdempotencyKey: KeptReceipt] = [:]
    var cursors: [CursorKey: Cursor] = [:]
    var snapshots: [AgentID: [UInt8]] = [:]
    var isLocked = false
    var isFull = false

    var head: Position { planner.head }
    func laneHead(_ lane: Lane) -> LaneHead? { lanes[lane] }
    func streamHead(_ stream: StreamID) -> StreamHead? { streams[stream] }
    func keptReceipt(_ key: IdempotencyKey) -> KeptReceipt? { keys[key] }
    func newestEpoch(of agent: AgentID, on channel: Channel) -> UInt64? {
      streams.keys.lazy.filter { $0.agent == agent && $0.channel == channel }.map(\.epoch).max()
    }
  }

  /// Who the log belongs to.
  public let identity: LogIdentity
  private let contents = Mutex(Contents())

  /// An empty store.
  public init(identity: LogIdentity) { self.identity = identity }

  /// Lets every commit fail with ``HyphaError/Code/logFull``, as a full disk does, or work again.
  public func setFull(_ isFull: Bool) { contents.withLock { $0.isFull = isFull } }

  /// The newest event of a lane that is kept; nil where there is none.
  public func laneEnd(_ lane: Lane) -> LanePoint? { contents.withLock { $0.lanes[lane]?.point } }

  /// Whether the newest event of a stream was stated by this log's node.
  public func isStated(_ stream: StreamID) -> Bool {
    contents.withLock { contents in
      guard let head = contents.streams[stream] else { return false }
      return contents.entries[Int(head.position.rawValue) - 1].source == .stated
    }
  }

  func lock() throws {
    let wasLocked = contents.withLock { contents in
      defer { contents.isLocked = true }
      return contents.isLocked
    }
    guard !wasLocked else {
      throw HyphaError(
        .logLocked, "the in-memory log of \(identity.node) is open for writing already",
        remedy: "close the other one first")
    }
  }

  func unlock() { contents.withLock { $0.isLocked = false } }

  func read<Value: Sendable>(_ body: (inout sending Contents) -> Value) -> Value {
    contents.withLock { body(&$0) }
  }

  /// Commits one group and says what became of each batch.
  func commit(_ batches: [LogBatch], now: Timestamp) -> [Result<CommitReceipt, HyphaError>] {
    contents.withLock { contents in
      guard !contents.isFull else {
        let error = HyphaError(
          .logFull, "the in-memory log of \(identity.node) is full", remedy: "call setFull(false)")
        return batches.map { _ in .failure(error) }
      }
      return contents.commit(batches, now: now)
    }
  }
}

extension MemoryLogStore {
  /// A copy of a log as it is now: its entries at their positions, where each consumer stood, and the newest snapshots of
  /// agents that have stated anything. It takes the memory of the records and about 300 bytes an entry.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where entries are gone: what is in memory has no gaps; what reading throws.
  public convenience init(copyOf log: any LogReader) throws {
    self.init(identity: log.identity)
    guard try log.gaps().isEmpty else {
      throw HyphaError(
        .usage,
        "the log of node '\(log.identity.node)' was pruned or salvaged, and a copy in memory has no gaps",
        remedy: "read it where it is")
    }
    var agents: Set<AgentID> = []
    let head = try log.head()
    if head > .start {
      try log.visit(Position.start.next...head, .forward) { view in
        let record = try Record(view.record)
        agents.insert(record.agent)
        let append = LogBatch(appends: [.init(record, source: view.source)])
        _ = try contents.withLock { try $0.commit([append], now: view.appendedAt)[0].get() }
        return true
      }
    }
    let (cursors, snapshots) = (
      try log.cursors(), try agents.reduce(into: [:]) { $0[$1] = try log.snapshot(of: $1) }
    )
    contents.withLock { ($0.cursors, $0.snapshots) = (cursors, snapshots) }
  }
}

extension MemoryLogStore.Contents {
  fileprivate mutating func commit(
    _ batches: [LogBatch], now: Timestamp
  ) -> [Result<CommitReceipt, HyphaError>] {
    planner.beginGroup()
    let results = batches.map { batch in commit(batch, now: now) }
    planner.groupWasCommitted()
    planner.forEachMovedLane { lanes[$0] = $1 }
    planner.forEachMovedStream { streams[$0] = $1 }
    planner.headsWereWritten()
    keys.merge(planner.keys) { _, new in new }
    return results
  }

  private mutating func commit(_ batch: LogBatch, now: Timestamp) -> Result<CommitReceipt, HyphaError> {
    do {
      // What the batch says is its body: there is room for it here.
      let body = batch.idempotencyKey == nil ? [] : batch.bodyBytes
      switch try planner.plan(batch, body: body, now: now, heads: self) {
      case .repeated(let receipt): return .success(receipt)
      case .take(let receipt):
        for (append, placement) in zip(batch.appends, planner.placements.suffix(batch.appends.count)) {
          entries.append(LogEntry(append, placement))
        }
        cursors.merge(batch.cursors) { _, new in new }
        snapshots.merge(batch.snapshots) { _, new in new }
        return .success(receipt)
      }
    } catch let error as HyphaError {
      return .failure(error)
    } catch {
      return .failure(HyphaError(.logFailed, "the in-memory log failed", cause: "\(error)"))
    }
  }
}
