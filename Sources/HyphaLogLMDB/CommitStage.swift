// Whichever module is loaded first has `stat` and `timespec`, and Dispatch does not show them.
import CLMDB
import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// The second half of the writer: commits one group on a thread of its own while the next is being planned.
///
/// A sync keeps a thread waiting for most of its time; with the planning beside it, a group costs the longer of the two
/// and not their sum. What was planned waits in a slot, so that its commit begins the moment the one before it ends.
/// While a group stands in the slot the planner waits: whatever it plans stands on one group at most that is not
/// committed. A group alone is committed on the writer's own thread, since a hand-over would only cost it time.
final class CommitStage: Sendable {
  private enum Awaited {
    case nothing
    /// The planner waits for the slot.
    case room
    /// The planner waits for the committer.
    case rest
  }

  private struct State {
    var slot: PlannedGroup?
    var isCommitting = false
    var isClosed = false
    var awaited = Awaited.nothing
    /// Why the group before was not committed, until the planner has asked.
    var failure: HyphaError?

    var isIdle: Bool { slot == nil && !isCommitting }

    mutating func takeFailure() -> HyphaError? {
      defer { failure = nil }
      return failure
    }

    /// Whether the planner is to be woken; it is woken once.
    mutating func wakes() -> Bool {
      switch awaited {
      case .room where slot == nil, .rest where isIdle:
        awaited = .nothing
        return true
      case .nothing, .room, .rest: return false
      }
    }
  }

  private let committer: Committer
  private let queue: WriteQueue
  private let acknowledger: Acknowledger
  private let state = Mutex(State())
  private let handedOver = DispatchSemaphore(value: 0)
  private let wake = DispatchSemaphore(value: 0)

  /// A stage for `committer`, which it has whenever a group is in it.
  init(_ committer: Committer, queue: WriteQueue, acknowledger: Acknowledger) {
    self.committer = committer
    self.queue = queue
    self.acknowledger = acknowledger
  }

  // MARK: The planner's thread

  /// Whether no group is in it. For the planner's thread.
  var isIdle: Bool { state.withLock { $0.isIdle } }

  /// Waits until the slot is empty.
  func awaitRoom() { wait(for: .room) }

  /// Waits until nothing is being committed; the planner's thread has the committer then.
  ///
  /// - Returns: why a group failed since the last call, which what was planned behind it must share.
  func drain() -> HyphaError? {
    wait(for: .rest)
    return state.withLock { $0.takeFailure() }
  }

  /// Gives a group to the stage's thread. The slot must be empty.
  ///
  /// - Returns: why the group that it was planned behind has failed; it stands on nothing then, and was not taken.
  func handOver(_ group: PlannedGroup) -> HyphaError? {
    let failure = state.withLock { state in
      if state.failure == nil { state.slot = group }
      return state.takeFailure()
    }
    if failure == nil { handedOver.signal() }
    return failure
  }

  /// Commits a group on the calling thread. The stage must be idle.
  func commitHere(_ group: PlannedGroup) {
    let failure = commit(group)
    state.withLock { $0.failure = failure }
    acknowledger.add(.init(group, failure: failure, head: committer.head.position))
    acknowledger.call(here: true)
  }

  /// Ends the stage's thread, once nothing is being committed.
  func close() {
    state.withLock { $0.isClosed = true }
    handedOver.signal()
  }

  private func wait(for awaited: Awaited) {
    let waits = state.withLock { state in
      state.awaited = awaited
      return !state.wakes()
    }
    if waits { wake.wait() }
  }

  // MARK: The stage's thread

  /// What the stage's thread does until it is closed.
  func run() {
    while true {
      handedOver.wait()
      let (group, wakes, isClosed) = state.withLock { state -> (PlannedGroup?, Bool, Bool) in
        let group = state.slot.take()
        state.isCommitting = group != nil
        return (group, state.wakes(), state.isClosed)
      }
      if let group {
        queue.commitBegins(count: group.waiting.count)
        if wakes { wake.signal() }
        finish(group, commit(group))
      } else if isClosed {
        return
      }
    }
  }

  private func finish(_ group: PlannedGroup, _ failure: HyphaError?) {
    let head = committer.head.position
    let (isLast, wakes) = state.withLock { state in
      // Under the lock: once nothing is being committed, the planner's thread may commit the next group and tell of it.
      acknowledger.add(.init(group, failure: failure, head: head))
      state.isCommitting = false
      state.failure = state.failure ?? failure
      // What was planned behind a group that failed stands on nothing.
      let dropped = failure == nil ? nil : state.slot.take()
      if let dropped { acknowledger.add(.init(dropped, failure: failure, head: head)) }
      return (state.slot == nil, state.wakes())
    }
    if wakes { wake.signal() }
    // Where the next group waits already, its commit must not wait for the completions of this one.
    acknowledger.call(here: isLast)
  }

  private func commit(_ group: PlannedGroup) -> HyphaError? {
    let begin = ContinuousClock.now
    var failure: HyphaError?
    do { try committer.commit(group) } catch { failure = LogFailure.from(error) }
    queue.commitEnds(count: group.waiting.count, duration: .now - begin)
    return failure
  }
}
