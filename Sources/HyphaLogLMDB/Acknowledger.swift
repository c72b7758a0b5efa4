// Whichever module is loaded first has `stat` and `timespec`, and Dispatch does not show them.
import CLMDB
import Dispatch
import HyphaCore
import HyphaLog
import Synchronization

/// Tells those who appended what became of it, in the order of the commits.
///
/// One thread at a time calls completions: the one that has committed, where nothing else waits for it, or else a thread
/// of its own, so that what callers do with their receipts keeps no commit waiting. What waits here is bounded as what
/// waits for the log is: by each caller's window.
final class Acknowledger: Sendable {
  /// A group of which it is known what became of it.
  struct Group: Sendable {
    let waiting: [WriteQueue.Waiting]
    let results: [Result<CommitReceipt, HyphaError>]
    /// Why all of it failed.
    let failure: HyphaError?
    /// The newest position that is committed.
    let head: Position

    init(_ planned: PlannedGroup, failure: HyphaError?, head: Position) {
      waiting = planned.waiting
      results = planned.results
      self.failure = failure
      self.head = head
    }

    /// A group that never became one.
    init(_ waiting: [WriteQueue.Waiting], failure: HyphaError, head: Position) {
      self.waiting = waiting
      results = waiting.map { _ in .failure(failure) }
      self.failure = failure
      self.head = head
    }
  }

  private struct State {
    var groups: [Group] = []
    /// Whether a thread is calling completions; it takes what comes meanwhile.
    var isBusy = false
    var isClosed = false
  }

  private let afterGroup: @Sendable (Position) -> Void
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)

  /// An acknowledger.
  ///
  /// - Parameter afterGroup: called after the completions of each group, on their thread, with the head.
  init(afterGroup: @escaping @Sendable (Position) -> Void) { self.afterGroup = afterGroup }

  /// Takes a group, whose completions are called behind those of all that were added before. ``call(here:)`` follows.
  func add(_ group: Group) { state.withLock { $0.groups.append(group) } }

  /// Has the completions called of what was added.
  ///
  /// - Parameter here: whether the calling thread has the time to call them; it need not come to it.
  func call(here: Bool) {
    let isFree = state.withLock { state in
      guard here, !state.isBusy, !state.groups.isEmpty else { return false }
      state.isBusy = true
      return true
    }
    if isFree { deliver() } else { wake.signal() }
  }

  /// Ends the thread, once everyone was told.
  func close() {
    state.withLock { $0.isClosed = true }
    wake.signal()
  }

  /// What the thread does until it is closed.
  func run() {
    while true {
      wake.wait()
      let (isFree, isOver) = state.withLock { state in
        defer { state.isBusy = state.isBusy || !state.groups.isEmpty }
        return (!state.isBusy && !state.groups.isEmpty, state.isClosed && state.groups.isEmpty)
      }
      if isFree { deliver() } else if isOver { return }
    }
  }

  private func deliver() {
    while true {
      let (groups, isClosed) = state.withLock { state in
        defer { state.groups = [] }
        state.isBusy = !state.groups.isEmpty
        return (state.groups, state.isClosed)
      }
      guard !groups.isEmpty else {
        // The thread may have left its last groups to this one.
        if isClosed { wake.signal() }
        return
      }
      groups.forEach(deliver)
    }
  }

  private func deliver(_ group: Group) {
    for (waiting, result) in zip(group.waiting, group.results) {
      // When a group fails, even those that conflicted: what they conflicted with was not written.
      waiting.completion(group.failure.map { .failure($0) } ?? result)
    }
    afterGroup(group.head)
  }
}
