// Whichever module is loaded first has `stat` and `timespec`, and Dispatch does not show them.
import CLMDB
import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// What waits to be committed, urgent batches first.
///
/// An urgent batch waits for the group that is being committed and for the one that is planned already, and for no other
/// than urgent ones besides. Both are bounded by ``GroupPolicy/planMax``. Where urgent batches have come lately it is one
/// group, and that is small (``WaitingBatches``).
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
    var waiting = WaitingBatches()
    var isClosed = false
    /// When a group is complete.
    var policy: GroupPolicy
    /// How many batches the group has that is being committed; 0 while none is.
    var committingCount = 0
    /// Work between groups, in order.
    var operations: [Operation] = []
    /// The writer waits for ``WriteQueue/wake`` until so many batches wait; 0 while it does not.
    var wakeCount = 0

    /// Whether the writer is to be woken; it is woken once.
    mutating func wakes() -> Bool {
      guard wakeCount > 0, waiting.count >= wakeCount || waiting.hasUrgent || isClosed || !operations.isEmpty
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
      state.waiting.add(waiting)
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
        let count = state.waiting.count
        guard count > 0 else {
          state.wakeCount = max(1, state.committingCount)
          return (nil, state.isClosed, nil)
        }
        let appendCountMax = state.policy.appendCountMax(upTo: groupAppendCountMax)
        if !state.waiting.hasUrgent, !state.isClosed, count < appendCountMax {
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
        return (.group(state.waiting.takeGroup(appendCountMax, groupByteCountMax)), false, nil)
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

  /// Whether urgent batches have come lately: the next group is then taken no earlier than it can be committed.
  var isWary: Bool { state.withLock { $0.waiting.isWary } }

  /// A group of so many batches is being committed.
  func commitBegins(count: Int) { state.withLock { $0.committingCount = count } }

  /// A group of so many batches was committed, in so much time.
  func commitEnds(count: Int, duration: Duration) {
    let wakes = state.withLock { state in
      state.committingCount = 0
      state.policy.committed(count: count, duration: duration, arrivedMeanwhile: state.waiting.count)
      defer { state.wakeCount = 0 }
      return state.wakeCount > 0
    }
    if wakes { wake.signal() }
  }

  /// A group of so many events was planned in so much of the processor's time.
  func planned(appendCount: Int, duration: Duration) {
    state.withLock { $0.policy.planned(appendCount: appendCount, duration: duration) }
  }
}
