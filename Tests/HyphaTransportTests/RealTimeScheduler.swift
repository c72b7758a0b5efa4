import Foundation
import HyphaCore

/// A scheduler of a thread of its own that runs work when its time has come, in order of time, then of
/// scheduling.
///
/// `@unchecked` because a lock of Foundation's guards everything here, for the sake of its condition.
final class RealTimeScheduler: Scheduler, @unchecked Sendable {
  private let condition = NSCondition()
  private var waiting: [(due: UInt64, work: @Sendable () -> Void)] = []
  private var isStopped = false

  init() { Thread.detachNewThread { self.run() } }

  func microseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1_000_000) }

  func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    let due = microseconds() + delay.wholeMicroseconds
    condition.withLock {
      // Most work is due last; it is sought from there.
      let place = waiting.lastIndex { $0.due <= due }.map { $0 + 1 } ?? 0
      waiting.insert((due, work), at: place)
      condition.signal()
    }
  }

  func stop() {
    condition.withLock {
      isStopped = true
      condition.signal()
    }
  }

  private func run() {
    while let work = next() { work() }
  }

  private func next() -> (@Sendable () -> Void)? {
    condition.withLock {
      while !isStopped {
        if let first = waiting.first {
          let now = microseconds()
          if first.due <= now { return waiting.removeFirst().work }
          _ = condition.wait(until: Date(timeIntervalSinceNow: Double(first.due - now) / 1_000_000))
        } else {
          condition.wait()
        }
      }
      return nil
    }
  }
}
