import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// What waits to be committed, urgent batches first.
///
/// Adding never blocks. The queue has no bound of its own: each caller waits for its commits or runs ahead
/// of them by a bounded window, and that bounds the sum. Nothing is dropped.
final class WriteQueue: Sendable {
  struct Waiting: Sendable {
    let batch: LogBatch
    let completion: @Sendable (Result<CommitReceipt, HyphaError>) -> Void

    /// What the batch adds to a group's size.
    var byteCount: Int {
      batch.appends.reduce(0) { $0 + EntryLayout.headerByteCount + $1.record.bytes.count }
        + batch.snapshots.values.reduce(0) { $0 + $1.count }
    }
  }

  private struct State {
    var urgent = FirstInFirstOut()
    var others = FirstInFirstOut()
    var isClosed = false
    /// Whether the writer waits for ``WriteQueue/wake``.
    var isWriterAsleep = false
  }

  private let groupAppendCountMax: Int
  private let groupByteCountMax: Int
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)

  /// A queue that gives groups of at most so many events and bytes, but of at least one batch.
  init(groupAppendCountMax: Int, groupByteCountMax: Int) {
    self.groupAppendCountMax = groupAppendCountMax
    self.groupByteCountMax = groupByteCountMax
  }

  /// Adds a batch; false when the queue is closed.
  func add(_ waiting: Waiting) -> Bool {
    let (isAdded, wakes) = state.withLock { state in
      guard !state.isClosed else { return (false, false) }
      if waiting.batch.isUrgent { state.urgent.add(waiting) } else { state.others.add(waiting) }
      defer { state.isWriterAsleep = false }
      return (true, state.isWriterAsleep)
    }
    if wakes { wake.signal() }
    return isAdded
  }

  /// Refuses what comes from now on.
  func close() {
    let wakes = state.withLock { state in
      state.isClosed = true
      defer { state.isWriterAsleep = false }
      return state.isWriterAsleep
    }
    if wakes { wake.signal() }
  }

  /// The next group, once there is one; nil when the queue is closed and empty. For one thread only.
  func take() -> [Waiting]? {
    while true {
      let (group, isOver) = state.withLock { state in
        let group = takeGroup(&state)
        state.isWriterAsleep = group.isEmpty && !state.isClosed
        return (group, group.isEmpty && state.isClosed)
      }
      if isOver { return nil }
      if !group.isEmpty { return group }
      wake.wait()
    }
  }

  private func takeGroup(_ state: inout State) -> [Waiting] {
    var group: [Waiting] = []
    var appendCount = 0
    var byteCount = 0
    while let next = state.urgent.first ?? state.others.first {
      appendCount += next.batch.appends.count
      byteCount += next.byteCount
      let isFull = appendCount > groupAppendCountMax || byteCount > groupByteCountMax
      if isFull && !group.isEmpty { break }
      group.append(next)
      if state.urgent.first != nil { state.urgent.removeFirst() } else { state.others.removeFirst() }
    }
    return group
  }
}

/// A queue in an array whose front moves; what was taken is let go of now and then.
private struct FirstInFirstOut {
  private var waiting: [WriteQueue.Waiting?] = []
  private var front = 0

  var first: WriteQueue.Waiting? { front < waiting.count ? waiting[front] : nil }

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
