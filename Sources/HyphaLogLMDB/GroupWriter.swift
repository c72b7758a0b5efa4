import CLMDB
import Dispatch
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// The threads that write the log, and the handle by which others stop them.
///
/// One plans: it takes what waits, decides what becomes of it and makes its bytes. The next commits what was planned,
/// and the last tells those who wait for it. They keep themselves alive until they were told to finish and nothing waits any more; then they let go of the log
/// and of the writer's lock.
final class GroupWriter: Sendable {
  let queue: WriteQueue
  /// Left by each thread as the last thing that it does.
  private let finished = DispatchGroup()
  private let threadIDs = Mutex<Set<Int>>([])

  init(
    store: LogStore, lock: WriterLock, head: CommitHead, settings: LMDBLogSettings, time: any TimeSource,
    observers: HeadObservers
  ) throws {
    queue = WriteQueue(
      groupAppendCountMax: settings.groupAppendCountMax, groupByteCountMax: settings.groupByteCountMax,
      policy: settings.groupPolicy)
    let committer = try Committer(store: store, head: head, settings: settings, time: time)
    let watch = CommitWatch(store: store, settings: settings, observers: observers)
    let acknowledger = Acknowledger { watch.committed($0) }
    let stage = CommitStage(committer, queue: queue, acknowledger: acknowledger)
    let work = PlanWork(queue: queue, stage: stage, acknowledger: acknowledger, committer: committer)
    // All have the lock, so that it goes with the last of them.
    try start("hypha-log", settings.niceValue) { withExtendedLifetime(lock) { work.run() } }
    do {
      try start("hypha-commit", settings.niceValue) { withExtendedLifetime(lock) { stage.run() } }
      try start("hypha-ack", settings.niceValue) { withExtendedLifetime(lock) { acknowledger.run() } }
    } catch {
      queue.close()
      throw error
    }
  }

  /// Starts a thread of this name that runs `body`.
  private func start(_ name: String, _ niceValue: Int32, _ body: @escaping () -> Void) throws {
    let context = Unmanaged.passRetained(Start(self, name: name, niceValue: niceValue, body: body))
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

  /// Lets the threads commit what waits and end, and waits for that, unless it is one of them that asks.
  func finish() {
    queue.close()
    if !threadIDs.withLock({ $0.contains(hypha_lmdb_thread_id()) }) { finished.wait() }
  }

  /// What a thread is given, to have and to release by itself.
  private final class Start {
    private let writer: GroupWriter
    private let name: String
    private let niceValue: Int32
    private var body: (() -> Void)?

    init(_ writer: GroupWriter, name: String, niceValue: Int32, body: @escaping () -> Void) {
      self.writer = writer
      self.name = name
      self.niceValue = niceValue
      self.body = body
    }

    func run() {
      hypha_lmdb_prepare_thread(name, niceValue)
      writer.threadIDs.withLock { _ = $0.insert(hypha_lmdb_thread_id()) }
      body?()
      // What it holds goes before others are told: the log's lock among it.
      body = nil
      writer.finished.leave()
    }
  }
}

/// What the writer's thread does: plans group after group, and hands each over when the one before is committed.
private final class PlanWork {
  private let queue: WriteQueue
  private let stage: CommitStage
  private let acknowledger: Acknowledger
  private let committer: Committer

  init(queue: WriteQueue, stage: CommitStage, acknowledger: Acknowledger, committer: Committer) {
    self.queue = queue
    self.stage = stage
    self.acknowledger = acknowledger
    self.committer = committer
  }

  func run() {
    while let work = nextWork() {
      switch work {
      case .operation(let operation):
        _ = stage.drain()
        operation(committer)
      case .group(let group): commit(group)
      }
    }
    _ = stage.drain()
    committer.finish()
    stage.close()
    acknowledger.close()
  }

  /// Taken as late as can be, for the group to be as large.
  private func nextWork() -> WriteQueue.Work? {
    stage.awaitRoom()
    // What is planned ahead cannot be overtaken. A failure concerns nobody: nothing was planned behind it.
    if queue.isWary { _ = stage.drain() }
    return queue.take()
  }

  private func commit(_ group: [WriteQueue.Waiting]) {
    let isAlone = stage.isIdle
    if isAlone {
      _ = stage.drain()
      do { try committer.planner.goOn(behind: committer.head) } catch {
        return tell(group, LogFailure.from(error))
      }
    }
    let begin = Self.threadTime()
    let planned = committer.planner.plan(group, isAlone: isAlone)
    let appendCount = group.reduce(0) { $0 + $1.batch.appends.count }
    queue.planned(appendCount: appendCount, duration: Self.threadTime() - begin)
    if isAlone && group.count == 1 {
      stage.commitHere(planned)
    } else if let error = stage.handOver(planned) {
      tell(group, error)
    }
  }

  /// The processor's time that this thread has had: how long others have kept it waiting says nothing about its work.
  private static func threadTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  /// Nothing is being committed.
  private func tell(_ group: [WriteQueue.Waiting], _ error: HyphaError) {
    acknowledger.add(.init(group, failure: error, head: committer.head.position))
    acknowledger.call(here: true)
  }
}

/// What follows a commit: those are told who wait for the head, and readers are looked at that hold old pages.
///
/// `@unchecked Sendable`: called by one thread at a time.
private final class CommitWatch: @unchecked Sendable {
  private let store: LogStore
  private let observers: HeadObservers
  private let reportLongReader: (@Sendable (LongReader) -> Void)?
  private var readers = ReaderWatch()

  init(store: LogStore, settings: LMDBLogSettings, observers: HeadObservers) {
    self.store = store
    self.observers = observers
    reportLongReader = settings.reportLongReader
  }

  func committed(_ head: Position) {
    observers.tell(head)
    // Only commits make the file grow, so they are the time to look.
    let now = ContinuousClock.now
    guard readers.isDue(at: now) else { return }
    // One that has died keeps old pages from being used again as a slow one does.
    try? store.environment.clearDeadReaders()
    guard let marks = try? store.environment.readers() else { return }
    for reader in readers.look(marks, at: now) { reportLongReader?(reader) }
  }
}
