import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// What waits to be committed, urgent batches first.
///
/// An urgent batch waits for the group that is being committed and for the one that is planned already, and for no other
/// than urgent ones besides. Both are bounded by ``GroupPolicy/planMax``.
///
/// Adding never blocks. The queue has no bound of its own: each caller waits for its commits or runs ahead
/// of them by a bounded window, and that bounds the sum. Nothing is dropped.
final class WriteQueue: Sendable {
  struct Waiting: Sendable {
    let batch: LogBatch
    /// The hash of each event's record, in order.
    let leaves: [Digest]
    /// What stands for the batch's body under its idempotency key.
    let body: [UInt8]
    let completion: @Sendable (Result<CommitReceipt, HyphaError>) -> Void

    /// What can be worked out before the writer has it is worked out here, on the caller's thread.
    init(
      _ batch: LogBatch, completion: @escaping @Sendable (Result<CommitReceipt, HyphaError>) -> Void
    ) {
      self.batch = batch
      leaves = Digest.ofEach(batch.appends)
      body = batch.idempotencyKey == nil ? [] : Digest.of(batch.bodyBytes).withUnsafeBytes { Array($0) }
      byteCount =
        batch.appends.reduce(0) { $0 + BlockLayout.entryHeaderByteCount + $1.record.byteCount }
        + batch.snapshots.values.reduce(0) { $0 + $1.count }
      self.completion = completion
    }

    /// What the batch adds to a group's size.
    let byteCount: Int
  }

  private struct State {
    var urgent = FirstInFirstOut()
    var others = FirstInFirstOut()
    var isClosed = false
    /// When a group is complete.
    var policy: GroupPolicy
    /// How many groups in a row had urgent batches alone while others waited.
    var passedOverCount = 0
    /// How many batches the group has that is being committed; 0 while none is.
    var committingCount = 0
    /// Work between groups, in order.
    var operations: [Operation] = []
    /// The writer waits for ``WriteQueue/wake`` until so many batches wait; 0 while it does not.
    var wakeCount = 0

    var waitingCount: Int { urgent.count + others.count }

    /// Whether the writer is to be woken; it is woken once.
    mutating func wakes() -> Bool {
      guard wakeCount > 0, waitingCount >= wakeCount || urgent.count > 0 || isClosed || !operations.isEmpty
      else { return false }
      wakeCount = 0
      return true
    }
  }

  /// What is done between two groups, on the writer's thread.
  typealias Operation = @Sendable (Committer) -> Void

  /// What the writer is to do next.
  enum Work {
    case group([Waiting])
    case operation(Operation)
  }

  private let groupAppendCountMax: Int
  private let groupByteCountMax: Int
  private let state: Mutex<State>
  private let wake = DispatchSemaphore(value: 0)

  /// A queue that gives groups of at most so many events and bytes, and of no more events than the policy says, but of
  /// at least one batch.
  init(groupAppendCountMax: Int, groupByteCountMax: Int, policy: GroupPolicy) {
    state = Mutex(State(policy: policy))
    self.groupAppendCountMax = groupAppendCountMax
    self.groupByteCountMax = groupByteCountMax
  }

  /// Adds a batch; false when the queue is closed.
  func add(_ waiting: Waiting) -> Bool {
    let (isAdded, wakes) = state.withLock { state in
      guard !state.isClosed else { return (false, false) }
      if waiting.batch.isUrgent { state.urgent.add(waiting) } else { state.others.add(waiting) }
      return (true, state.wakes())
    }
    if wakes { wake.signal() }
    return isAdded
  }

  /// Adds work that is done after the group in hand; false when the queue is closed.
  func add(_ operation: @escaping Operation) -> Bool {
    let (isAdded, wakes) = state.withLock { state in
      guard !state.isClosed else { return (false, false) }
      state.operations.append(operation)
      return (true, state.wakes())
    }
    if wakes { wake.signal() }
    return isAdded
  }

  /// Refuses what comes from now on.
  func close() {
    let wakes = state.withLock { state in
      state.isClosed = true
      return state.wakes()
    }
    if wakes { wake.signal() }
  }

  /// What is to be done next, once there is something; nil when the queue is closed and empty. For one thread
  /// only.
  ///
  /// While a group is being committed, the next one gathers until it is as large, or that commit ends: what is taken
  /// earlier would only be a smaller group. Otherwise the policy says how long it gathers.
  func take() -> Work? {
    var gatheringSince: ContinuousClock.Instant?
    while true {
      let waited = gatheringSince.map { .now - $0 } ?? Duration.zero
      let (work, isOver, upTo) = state.withLock { state -> (Work?, Bool, Duration?) in
        state.wakeCount = 0
        if !state.operations.isEmpty { return (.operation(state.operations.removeFirst()), false, nil) }
        let count = state.waitingCount
        guard count > 0 else {
          state.wakeCount = max(1, state.committingCount)
          return (nil, state.isClosed, nil)
        }
        if state.urgent.count == 0, !state.isClosed, count < appendCountMax(state) {
          if state.committingCount > 0 {
            guard count >= state.committingCount else {
              state.wakeCount = state.committingCount
              return (nil, false, nil)
            }
          } else if case .gather(let untilCount, let upTo) = state.policy.decide(
            waitingCount: count, waited: waited)
          {
            state.wakeCount = untilCount
            return (nil, false, upTo)
          }
        }
        return (.group(takeGroup(&state)), false, nil)
      }
      if let work { return work }
      if isOver { return nil }
      if let upTo {
        gatheringSince = gatheringSince ?? .now
        // Whoever comes last, or the end of the time.
        _ = wake.wait(timeout: .now() + .nanoseconds(Int(upTo.components.attoseconds / 1_000_000_000)))
      } else {
        wake.wait()
      }
    }
  }

  /// A group of so many batches is being committed.
  func commitBegins(count: Int) { state.withLock { $0.committingCount = count } }

  /// A group of so many batches was committed, in so much time.
  func commitEnds(count: Int, duration: Duration) {
    let wakes = state.withLock { state in
      state.committingCount = 0
      state.policy.committed(count: count, duration: duration, arrivedMeanwhile: state.waitingCount)
      defer { state.wakeCount = 0 }
      return state.wakeCount > 0
    }
    if wakes { wake.signal() }
  }

  /// A group of so many events was planned in so much of the processor's time.
  func planned(appendCount: Int, duration: Duration) {
    state.withLock { $0.policy.planned(appendCount: appendCount, duration: duration) }
  }

  private func appendCountMax(_ state: State) -> Int {
    state.policy.appendCountMax(upTo: groupAppendCountMax)
  }

  /// The next group: what is urgent, and what else there is room for. Beside urgent batches that is a quarter of a
  /// group, since they wait for all of it; but in each ``passedOverCountMax`` + 1 groups another batch has its turn,
  /// however large it is.
  private func takeGroup(_ state: inout State) -> [Waiting] {
    var group = Group()
    let appendCountMax = appendCountMax(state)
    group.fill(from: &state.urgent, upTo: appendCountMax, groupByteCountMax)
    let urgentCount = group.waiting.count
    if urgentCount == 0 {
      group.fill(from: &state.others, upTo: appendCountMax, groupByteCountMax)
    } else if state.passedOverCount >= Self.passedOverCountMax {
      group.take(from: &state.others)
    } else {
      group.fill(
        from: &state.others, upTo: group.appendCount + appendCountMax / 4,
        group.byteCount + groupByteCountMax / 4)
    }
    let isPassedOver = group.waiting.count == urgentCount && state.others.count > 0
    state.passedOverCount = isPassedOver ? state.passedOverCount + 1 : 0
    return group.waiting
  }

  /// How many groups in a row may have urgent batches alone while others wait.
  static let passedOverCountMax = 3

  /// A group as it fills.
  private struct Group {
    var waiting: [Waiting] = []
    var appendCount = 0
    var byteCount = 0

    /// Takes what there is room for; the first one always.
    mutating func fill(from queue: inout FirstInFirstOut, upTo appendCountMax: Int, _ byteCountMax: Int) {
      while let next = queue.first {
        let isFull =
          appendCount + next.batch.appends.count > appendCountMax
          || byteCount + next.byteCount > byteCountMax
        if isFull && !waiting.isEmpty { return }
        take(from: &queue)
      }
    }

    mutating func take(from queue: inout FirstInFirstOut) {
      guard let next = queue.first else { return }
      queue.removeFirst()
      waiting.append(next)
      appendCount += next.batch.appends.count
      byteCount += next.byteCount
    }
  }
}

/// A queue in an array whose front moves; what was taken is let go of now and then.
private struct FirstInFirstOut {
  private var waiting: [WriteQueue.Waiting?] = []
  private var front = 0

  var first: WriteQueue.Waiting? { front < waiting.count ? waiting[front] : nil }
  var count: Int { waiting.count - front }

  mutating func add(_ new: WriteQueue.Waiting) { waiting.append(new) }

  mutating func removeFirst() {
    waiting[front] = nil
    front += 1
    if front == waiting.count {
      waiting.removeAll(keepingCapacity: waiting.count <= 4_096)
      front = 0
    } else if front >= 4_096, front * 2 >= waiting.count {
      waiting.removeFirst(front)
      front = 0
    }
  }
}
