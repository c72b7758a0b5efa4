import CLMDB
import Dispatch
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// The thread that writes the log, and the handle by which others stop it.
///
/// The thread alone has the committer, and with it the planner and the write transactions. It keeps itself alive
/// until it was told to finish and nothing waits any more; then it lets go of the log and of the writer's lock.
final class GroupWriter: Sendable {
  let queue: WriteQueue
  /// Left by the thread as the last thing that it does.
  private let finished = DispatchGroup()
  private let threadID = Atomic<Int>(0)

  init(
    store: LogStore, lock: WriterLock, head: CommitHead, settings: LMDBLogSettings, time: any TimeSource,
    observers: HeadObservers
  ) throws {
    queue = WriteQueue(
      groupAppendCountMax: settings.groupAppendCountMax, groupByteCountMax: settings.groupByteCountMax)
    let committer = try Committer(
      store: store, head: head, inlinePayloadByteCountMax: settings.inlinePayloadByteCountMax, time: time)
    let start = Start(
      writer: self, committer: committer, lock: lock, settings: settings, observers: observers)
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
    private let writer: GroupWriter
    private var committer: Committer?
    private var lock: WriterLock?
    private var policy: GroupPolicy
    private let niceValue: Int32
    private let observers: HeadObservers
    private let reportLongReader: (@Sendable (LongReader) -> Void)?
    private var readers = ReaderWatch()

    init(
      writer: GroupWriter, committer: Committer, lock: WriterLock, settings: LMDBLogSettings,
      observers: HeadObservers
    ) {
      self.writer = writer
      self.committer = committer
      self.lock = lock
      policy = settings.groupPolicy
      niceValue = settings.niceValue
      self.observers = observers
      reportLongReader = settings.reportLongReader
    }

    func run() {
      hypha_lmdb_prepare_thread("hypha-log", niceValue)
      writer.threadID.store(hypha_lmdb_thread_id(), ordering: .releasing)
      while let committer, let work = writer.queue.take(policy) {
        switch work {
        case .operation(let operation): operation(committer)
        case .group(let group, let arrivedMeanwhile): commit(group, committer, arrivedMeanwhile)
        }
      }
      committer?.finish()
      committer = nil
      lock = nil
      writer.finished.leave()
    }

    private func commit(_ group: [WriteQueue.Waiting], _ committer: Committer, _ arrivedBefore: Int) {
      let begin = ContinuousClock.now
      let results = committer.commit(group)
      let duration = ContinuousClock.now - begin
      policy.committed(count: group.count, duration: duration, arrivedMeanwhile: writer.queue.waitingCount)
      for (waiting, result) in zip(group, results) { waiting.completion(result) }
      observers.tell(committer.head.position)
      watchReaders(committer.store.environment)
    }

    /// Only commits make the file grow, so they are the time to look.
    private func watchReaders(_ environment: Environment) {
      let now = ContinuousClock.now
      guard let reportLongReader, readers.isDue(at: now), let marks = try? environment.readers() else {
        return
      }
      for reader in readers.look(marks, at: now) { reportLongReader(reader) }
    }
  }
}
