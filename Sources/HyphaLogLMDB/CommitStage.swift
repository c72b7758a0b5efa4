import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// The second half of the writer: commits one group on a thread of its own while the next is being planned.
///
/// A sync keeps a thread waiting for most of its time; with the planning beside it, a group costs the longer of the two
/// and not their sum. At most one group is here: whoever hands over the next waits for it. A group alone is committed on
/// the writer's own thread, since a hand-over would only cost it time.
final class CommitStage: Sendable {
  private enum Slot {
    case idle
    case waiting(PlannedGroup)
    case committing
  }

  private struct State {
    var slot = Slot.idle
    var isClosed = false
    /// Whether the writer's thread waits for the slot.
    var isAwaited = false
    /// Why the group before was not committed, until the writer has asked.
    var failure: HyphaError?

    var isBusy: Bool { if case .idle = slot { false } else { true } }
  }

  private let committer: Committer
  private let queue: WriteQueue
  private let afterCommit: @Sendable (Committer) -> Void
  private let state = Mutex(State())
  private let handedOver = DispatchSemaphore(value: 0)
  private let becameIdle = DispatchSemaphore(value: 0)

  /// A stage for `committer`, which it has whenever a group is in it.
  ///
  /// - Parameter afterCommit: called after the completions of each group, on the thread that committed it.
  init(_ committer: Committer, queue: WriteQueue, afterCommit: @escaping @Sendable (Committer) -> Void) {
    self.committer = committer
    self.queue = queue
    self.afterCommit = afterCommit
  }

  /// Whether a group is being committed. For the writer's thread.
  var isBusy: Bool { state.withLock { $0.isBusy } }

  /// Waits until nothing is being committed; the writer's thread has the committer then.
  ///
  /// - Returns: why a group failed since the last call, which what was planned behind it must share.
  func drain() -> HyphaError? {
    let waits = state.withLock { state in
      state.isAwaited = state.isBusy
      return state.isAwaited
    }
    if waits { becameIdle.wait() }
    return state.withLock { state in
      defer { state.failure = nil }
      return state.failure
    }
  }

  /// Gives a group to the stage's thread. The stage must be idle.
  func handOver(_ group: PlannedGroup) {
    queue.commitBegins(count: group.waiting.count)
    state.withLock { $0.slot = .waiting(group) }
    handedOver.signal()
  }

  /// Commits a group on the calling thread. The stage must be idle.
  func commitHere(_ group: PlannedGroup) {
    if let error = commit(group) { state.withLock { $0.failure = error } }
  }

  /// Ends the stage's thread, once nothing is being committed.
  func close() {
    state.withLock { $0.isClosed = true }
    handedOver.signal()
  }

  /// What the stage's thread does until it is closed.
  func run() {
    while true {
      handedOver.wait()
      let (group, isClosed) = state.withLock { state -> (PlannedGroup?, Bool) in
        guard case .waiting(let group) = state.slot else { return (nil, state.isClosed) }
        state.slot = .committing
        return (group, false)
      }
      if let group {
        let error = commit(group)
        let isAwaited = state.withLock { state in
          state.slot = .idle
          state.failure = state.failure ?? error
          defer { state.isAwaited = false }
          return state.isAwaited
        }
        if isAwaited { becameIdle.signal() }
      } else if isClosed {
        return
      }
    }
  }

  private func commit(_ group: PlannedGroup) -> HyphaError? {
    let begin = ContinuousClock.now
    var failure: HyphaError?
    do { try committer.commit(group) } catch { failure = LogFailure.from(error) }
    queue.commitEnds(count: group.waiting.count, duration: .now - begin)
    for (waiting, result) in zip(group.waiting, group.results) {
      // When a group fails, even those that conflicted: what they conflicted with was not written.
      waiting.completion(failure.map { .failure($0) } ?? result)
    }
    afterCommit(committer)
    return failure
  }
}
