import Synchronization

/// Lets others hold up a thread between two of its steps, for as long as they like.
final class WorkPause: Sendable {
  private struct State {
    var pauseCount = 0
    var isWorking = false
    /// Who waits for the step in hand to end.
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  /// For the thread: begins a step, or returns false while it is held up.
  func beginStep() -> Bool {
    state.withLock { state in
      state.isWorking = state.pauseCount == 0
      return state.isWorking
    }
  }

  /// For the thread: ends the step.
  func endStep() {
    let waiters = state.withLock { state in
      defer { (state.isWorking, state.waiters) = (false, []) }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Holds the thread up, and returns once its step has ended. Each call wants one of ``end()``.
  func begin() async {
    await withCheckedContinuation { continuation in
      let isWorking = state.withLock { state in
        state.pauseCount += 1
        if state.isWorking { state.waiters.append(continuation) }
        return state.isWorking
      }
      if !isWorking { continuation.resume() }
    }
  }

  /// Lets the thread go on, unless somebody else holds it up.
  ///
  /// - Returns: whether it may.
  func end() -> Bool {
    state.withLock { state in
      state.pauseCount -= 1
      return state.pauseCount == 0
    }
  }
}
