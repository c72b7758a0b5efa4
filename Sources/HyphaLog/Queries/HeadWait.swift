import HyphaCore
import Synchronization

/// Waits until a log's head lies beyond a position.
///
/// Where the writer is in this process it tells; else the head is looked at again and again, at intervals that
/// ``PollingPace`` decides.
final class HeadWait: Sendable {
  private let log: any LogReader
  private let clock: any Clock<Duration>
  private let token: HeadObservers.Token?
  private let state = Mutex(State())

  private struct State {
    /// How often the writer told.
    var toldCount: UInt64 = 0
    var waiter: CheckedContinuation<Void, Never>?
    var pace = PollingPace()
  }

  init(_ log: any LogReader, clock: any Clock<Duration>) {
    self.log = log
    self.clock = clock
    // The list keeps the observer, so that must not keep this.
    let relay = Relay()
    token = log.headObservers?.add { _ in relay.target.withLock { $0.wait }?.wake() }
    relay.target.withLock { $0.wait = self }
  }

  deinit { if let token { log.headObservers?.remove(token) } }

  /// What an observer calls.
  private final class Relay: Sendable {
    struct Target { weak var wait: HeadWait? }
    let target = Mutex(Target())
  }

  /// The head, once it lies beyond `position`; nil when the task is cancelled.
  ///
  /// - Throws: what reading the head does: ``HyphaError/Code/logFailed`` when the log is closed.
  func head(beyond position: Position) async throws -> Position? {
    while !Task.isCancelled {
      // Counted before the look, so that no commit falls between look and wait.
      let toldCount = state.withLock { $0.toldCount }
      let head = try log.head()
      if head > position {
        state.withLock { $0.pace.moved() }
        return head
      }
      try log.confirmPresence()
      if log.headObservers?.isEnded == true { throw Self.closed(log) }
      if token != nil {
        await untilTold(after: toldCount)
      } else {
        let pause = state.withLock { $0.pace.nextPause() }
        try? await clock.sleep(for: pause)
      }
    }
    return nil
  }

  private static func closed(_ log: any LogReader) -> HyphaError {
    HyphaError(
      .logFailed, "the log of \(log.identity.node) is closed",
      remedy: "open it again and follow it from the last position")
  }

  private func untilTold(after toldCount: UInt64) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isTold = state.withLock { state in
          guard state.toldCount == toldCount, !Task.isCancelled else { return true }
          state.waiter = continuation
          return false
        }
        if isTold { continuation.resume() }
      }
    } onCancel: {
      wake()
    }
  }

  private func wake() {
    let waiter = state.withLock { state in
      state.toldCount += 1
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }
}

/// How long to wait before the next look at another process's log. Pure.
///
/// After traffic 1 ms, each look in vain twice as long, to 20 ms: an idle follower costs 50 looks a second of some
/// microseconds, a busy one lags by about a millisecond.
struct PollingPace: Equatable {
  static let pauseMin = Duration.milliseconds(1)
  static let pauseMax = Duration.milliseconds(20)
  private var pause = pauseMin

  /// The head has moved.
  mutating func moved() { pause = Self.pauseMin }

  /// It has not.
  mutating func nextPause() -> Duration {
    defer { pause = min(pause * 2, Self.pauseMax) }
    return pause
  }
}
