import Dispatch
import Glibc
import Synchronization

/// The threads that agents run on: as many as the machine has cores, for all nodes of the process.
///
/// An agent that wakes another one and then waits for it, as who asks does, *hands over*: the other one runs next on the same
/// thread, and no thread is woken. An agent that works on for long hands over to nobody; whom it wakes another thread
/// takes at once. Where such a thread is late to wait all the same, another one that is idle, or between two jobs, takes what
/// lies in its hand within some milliseconds.
///
/// Jobs run in the order in which they came, but for those that were handed over; of these at most ``handoverCountMax`` run in
/// a row before what waits for longer has its turn.
final class AgentExecutor: TaskExecutor {
  /// The executor of the process. Its threads live as long as that.
  static let shared = AgentExecutor(threadCount: max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

  /// How many jobs in a row are taken from a thread's hand.
  static let handoverCountMax = 16
  /// A job that has run for longer hands over to nobody.
  static let handoverNanosecondsMax: UInt64 = 50_000
  /// How often an idle thread looks at what the others have in hand, while any of them works, and a busy one between its jobs.
  static let watchNanoseconds: UInt64 = 1_000_000

  private let workers: [Worker]
  /// Threads that are not of the executor, and run jobs now and then. They are few, and live as long as their nodes.
  private let lent = Mutex<[Worker]>([])
  private let state: Mutex<State>
  /// How many threads wait, and whether one of them watches: hints that are looked at without the lock.
  private let idleCount = Atomic<Int>(0)
  private let isWatched = Atomic<Bool>(false)

  private struct State {
    var queue = Queue<UInt>()
    /// The threads that wait for work, by their numbers.
    var idle: [Int] = []
    /// The one of them that looks at the others' hands.
    var watcher: Int?
  }

  /// An executor with threads of its own, which never end.
  init(threadCount: Int) {
    workers = (0..<threadCount).map(Worker.init)
    state = Mutex(State())
    for worker in workers { start(worker) }
  }

  // MARK: Taking jobs

  func enqueue(_ job: consuming ExecutorJob) {
    // An `UnownedJob` is the pointer to its job, which stays until it has run.
    let job = unsafeBitCast(UnownedJob(job), to: UInt.self)
    guard let worker = Worker.current, worker.owner.load(ordering: .relaxed) == identity,
      Self.now() &- worker.began.load(ordering: .relaxed) < Self.handoverNanosecondsMax
    else { return push(job) }
    let other = worker.hand.exchange(job, ordering: .acquiringAndReleasing)
    if other != 0 { push(other) }
    if !worker.isLent, !isWatched.load(ordering: .relaxed), idleCount.load(ordering: .relaxed) > 0 {
      wakeOne()
    }
  }

  /// Puts a job where any thread takes it.
  private func push(_ job: UInt) {
    state.withLock { $0.queue.append(job) }
    wakeOne()
  }

  private func wakeOne() {
    let idle = state.withLock { state -> Int? in
      guard let idle = state.idle.popLast() else { return nil }
      note(&state, leaves: idle)
      return idle
    }
    if let idle { workers[idle].bell.signal() }
  }

  // MARK: Threads of others

  /// Calls `body` on a thread that is not of the executor. Returns whether a job that it has woken is left in this thread's hand,
  /// for ``runLent()``.
  func lends(_ body: () -> Void) -> Bool {
    let worker = lentWorker()
    worker.began.store(Self.now(), ordering: .relaxed)
    body()
    worker.began.store(0, ordering: .relaxed)
    return worker.hand.load(ordering: .relaxed) != 0
  }

  /// Runs the job that is in this thread's hand, and those that it wakes one after the other: agents that are soon done need no
  /// thread of the executor.
  func runLent() {
    guard let worker = Worker.current, worker.isLent else { return }
    worker.began.store(Self.now(), ordering: .relaxed)
    for _ in 0..<Self.handoverCountMax {
      let job = worker.hand.exchange(0, ordering: .acquiringAndReleasing)
      guard job != 0 else { break }
      execute(job)
    }
    worker.began.store(0, ordering: .relaxed)
    let rest = worker.hand.exchange(0, ordering: .acquiringAndReleasing)
    if rest != 0 { push(rest) }
  }

  /// Takes what lies in the hands of threads that are not of the executor.
  func reclaim() {
    for worker in lent.withLock({ $0 }) {
      let job = worker.hand.exchange(0, ordering: .acquiringAndReleasing)
      if job != 0 { push(job) }
    }
  }

  private func lentWorker() -> Worker {
    if let worker = Worker.current { return worker }
    let worker = Worker(number: -1)
    worker.owner.store(identity, ordering: .relaxed)
    Worker.current = worker
    lent.withLock { $0.append(worker) }
    return worker
  }

  // MARK: Running jobs

  private func start(_ worker: Worker) {
    worker.owner.store(identity, ordering: .relaxed)
    Worker.startThread { [self] in
      Worker.current = worker
      run(worker)
    }
  }

  private func run(_ worker: Worker) {
    var handoverCount = 0
    var look = Look()
    while true {
      guard let job = next(worker, &handoverCount) ?? wait(worker) else { continue }
      let now = Self.now()
      worker.jobCount.wrappingAdd(1, ordering: .relaxed)
      worker.began.store(now, ordering: .relaxed)
      // Where all threads are busy none waits to watch the others.
      if now &- look.time >= Self.watchNanoseconds {
        look.time = now
        if let late = lateJob(since: &look) { push(late) }
      }
      execute(job)
    }
  }

  /// Runs a job, on this thread, until it ends or waits.
  private func execute(_ job: UInt) {
    // As `enqueue` has made it, and nobody has run it since: who takes it from a hand or the queue is the only one.
    unsafeBitCast(job, to: UnownedJob.self).runSynchronously(on: asUnownedTaskExecutor())
  }

  private func next(_ worker: Worker, _ handoverCount: inout Int) -> UInt? {
    let handed = worker.hand.exchange(0, ordering: .acquiringAndReleasing)
    if handed != 0, handoverCount < Self.handoverCountMax {
      handoverCount += 1
      return handed
    }
    handoverCount = 0
    return state.withLock { state in
      // What was handed over waits now behind all others.
      if handed != 0 { state.queue.append(handed) }
      return state.queue.takeFirst()
    }
  }

  /// Waits until there may be work. Returns a job that was late in another thread's hand.
  private func wait(_ worker: Worker) -> UInt? {
    var look = Look()
    while true {
      let watches = state.withLock { state -> Bool? in
        guard state.queue.isEmpty else { return nil }
        state.idle.append(worker.number)
        let isLast = state.idle.count == workers.count
        if state.watcher == nil, !isLast { state.watcher = worker.number }
        note(&state)
        return state.watcher == worker.number
      }
      guard let watches else { return nil }
      guard watches else {
        worker.bell.wait()
        return nil
      }
      if worker.bell.wait(timeout: .now() + .nanoseconds(Int(Self.watchNanoseconds))) == .success {
        return nil
      }
      let isRung = state.withLock { state in
        guard let place = state.idle.firstIndex(of: worker.number) else { return true }
        state.idle.remove(at: place)
        note(&state, leaves: worker.number)
        return false
      }
      if isRung {
        worker.bell.wait()
        return nil
      }
      if let late = lateJob(since: &look) { return late }
    }
  }

  /// A look at what the threads have in hand.
  private struct Look {
    /// In nanoseconds.
    var time: UInt64 = 0
    /// How many jobs each had begun; none before the first look.
    var counts: [UInt64] = []
  }

  /// Takes a job that is in the hand of a thread which is at the same job as at the last look.
  private func lateJob(since look: inout Look) -> UInt? {
    let isFirst = look.counts.isEmpty
    if isFirst { look.counts = [UInt64](repeating: 0, count: workers.count) }
    var late: UInt?
    for (index, worker) in workers.enumerated() {
      let count = worker.jobCount.load(ordering: .relaxed)
      let isSame = !isFirst && count == look.counts[index]
      look.counts[index] = count
      guard isSame, late == nil else { continue }
      let job = worker.hand.exchange(0, ordering: .acquiringAndReleasing)
      if job != 0 { late = job }
    }
    return late
  }

  /// Keeps the hints true, and the watcher one of those that wait.
  private func note(_ state: inout State, leaves number: Int? = nil) {
    if let number, state.watcher == number { state.watcher = nil }
    isWatched.store(state.watcher != nil, ordering: .relaxed)
    idleCount.store(state.idle.count, ordering: .relaxed)
  }

  /// In nanoseconds.
  private static func now() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }

  private var identity: UInt { UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }
}

/// What one thread of an executor has.
private final class Worker: Sendable {
  let number: Int
  /// The executor that it is of.
  let owner = Atomic<UInt>(0)
  /// The job that was handed over; 0 for none.
  let hand = Atomic<UInt>(0)
  /// How many jobs have begun here.
  let jobCount = Atomic<UInt64>(0)
  /// When the job began that runs here, in nanoseconds.
  let began = Atomic<UInt64>(0)
  let bell = DispatchSemaphore(value: 0)
  /// Whether the thread is not of the executor.
  var isLent: Bool { number < 0 }

  init(number: Int) { self.number = number }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// The one whose thread this is; it is retained for ever, as its thread is there for ever.
  static var current: Worker? {
    get { pthread_getspecific(key).map { Unmanaged<Worker>.fromOpaque($0).takeUnretainedValue() } }
    set { pthread_setspecific(key, newValue.map { UnsafeRawPointer(Unmanaged.passRetained($0).toOpaque()) }) }
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  static func startThread(_ run: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { body in
        if let body { Unmanaged<Body>.fromOpaque(body).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(Body(run)).toOpaque())
    // Without a thread no agent runs, as without memory.
    precondition(code == 0, "the system has no thread for agents (error \(code)); raise its limit of threads")
    pthread_detach(thread)
  }
}
