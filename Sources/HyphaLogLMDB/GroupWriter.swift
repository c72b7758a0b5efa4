import CLMDB
import Dispatch
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// The thread that writes the log, and the handle by which others stop it.
///
/// The thread alone has the planner and the write transactions. It keeps itself alive until it was told to
/// finish and nothing waits any more; then it lets go of the log and of the writer's lock.
final class GroupWriter: Sendable {
  let queue: WriteQueue
  /// Left by the thread as the last thing that it does.
  private let finished = DispatchGroup()
  private let threadID = Atomic<Int>(0)

  init(
    store: LogStore, lock: WriterLock, planner: AppendPlanner, settings: LMDBLogSettings,
    time: any TimeSource
  ) throws {
    queue = WriteQueue(
      groupAppendCountMax: settings.groupAppendCountMax, groupByteCountMax: settings.groupByteCountMax)
    let committer = Committer(store: store, lock: lock, planner: planner, queue: queue, time: time)
    let start = Start(writer: self, committer: committer, niceValue: settings.niceValue)
    let context = Unmanaged.passRetained(start)
    finished.enter()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    defer { pthread_attr_destroy(&attributes) }
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { context in
        // The thread is always given a context: the one that was retained for it.
        Unmanaged<Start>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    guard code == 0 else {
      finished.leave()
      context.release()
      throw HyphaError(
        .logFailed, "the log's writer cannot be started", remedy: "raise the limit of threads (ulimit -u)",
        cause: "pthread_create: \(String(cString: strerror(code)))")
    }
  }

  /// Lets the thread commit what waits and end, and waits for that, unless it is the thread that asks.
  func finish() {
    queue.close()
    if threadID.load(ordering: .acquiring) != hypha_lmdb_thread_id() { finished.wait() }
  }

  /// What the thread is given, to have and to release by itself.
  private final class Start {
    let writer: GroupWriter
    let committer: Committer
    let niceValue: Int32

    init(writer: GroupWriter, committer: Committer, niceValue: Int32) {
      self.writer = writer
      self.committer = committer
      self.niceValue = niceValue
    }

    func run() {
      hypha_lmdb_prepare_thread("hypha-log", niceValue)
      writer.threadID.store(hypha_lmdb_thread_id(), ordering: .releasing)
      committer.run()
      writer.finished.leave()
    }
  }
}

/// Commits group after group: plan, write, sync, tell. Stays on the writer's thread.
private final class Committer {
  private var store: LogStore?
  private var lock: WriterLock?
  private var planner: AppendPlanner
  private let queue: WriteQueue
  private let time: any TimeSource

  init(store: LogStore, lock: WriterLock, planner: AppendPlanner, queue: WriteQueue, time: any TimeSource) {
    self.store = store
    self.lock = lock
    self.planner = planner
    self.queue = queue
    self.time = time
  }

  func run() {
    while let environment = store?.environment, let group = queue.take() {
      let results = commit(group, to: environment)
      for (waiting, result) in zip(group, results) { waiting.completion(result) }
    }
    store = nil
    lock = nil
  }

  /// What a group adds up to.
  private struct Changes {
    var entries: [LogEntry] = []
    var cursors: [CursorKey: Cursor] = [:]
    var snapshots: [AgentID: [UInt8]] = [:]
    var isEmpty: Bool { entries.isEmpty && cursors.isEmpty && snapshots.isEmpty }
  }

  private func commit(
    _ group: [WriteQueue.Waiting], to environment: Environment
  ) -> [Result<CommitReceipt, HyphaError>] {
    let now = Timestamp(microseconds: time.microseconds())
    var changes = Changes()
    planner.beginGroup()
    let results = group.map { waiting -> Result<CommitReceipt, HyphaError> in
      do throws(HyphaError) {
        let (entries, receipt) = try planner.plan(waiting.batch, now: now)
        changes.entries += entries
        changes.cursors.merge(waiting.batch.cursors) { _, new in new }
        changes.snapshots.merge(waiting.batch.snapshots) { _, new in new }
        return .success(receipt)
      } catch {
        return .failure(error)
      }
    }
    do {
      if !changes.isEmpty { try write(changes, to: environment) }
      return results
    } catch {
      planner.rollBack()
      let error = error as? HyphaError ?? HyphaError(.logFailed, "the log failed", cause: "\(error)")
      // Even those that conflicted: what they conflicted with may not have been written.
      return group.map { _ in .failure(error) }
    }
  }

  /// One transaction, one sync. When it throws, nothing was written.
  private func write(_ changes: Changes, to environment: Environment) throws {
    var transaction = try environment.beginWriting()
    for entry in changes.entries {
      try EntryLayout.withKey(entry.position) { key in
        try transaction.append(byteCount: EntryLayout.byteCount(of: entry), at: key, in: environment.entries)
        {
          EntryLayout.write(entry, into: $0)
        }
      }
    }
    for lane in planner.movedLanes {
      guard let head = planner.lanes[lane] else { continue }
      try transaction.putSealed(
        TableLayout.value(of: head), at: TableLayout.key(of: lane), in: environment.lanes)
    }
    for stream in planner.movedStreams {
      guard let head = planner.streams[stream] else { continue }
      try transaction.putSealed(
        TableLayout.value(of: head), at: TableLayout.key(of: stream), in: environment.streams)
    }
    for (key, cursor) in changes.cursors {
      try transaction.putSealed(
        TableLayout.value(of: cursor), at: TableLayout.key(of: key), in: environment.cursors)
    }
    for (agent, snapshot) in changes.snapshots {
      try transaction.putSealed(
        snapshot, at: TableLayout.key(ofSnapshotOf: agent), in: environment.snapshots)
    }
    try transaction.putHead(planner.head, in: environment.meta)
    try transaction.commit()
  }
}
