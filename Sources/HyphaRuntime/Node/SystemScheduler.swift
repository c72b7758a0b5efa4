import Dispatch
import Glibc
public import HyphaCore

/// The machine's own clock and timers.
public struct SystemScheduler: Scheduler {
  private static let queue = DispatchQueue(label: "hypha.timers")

  /// The scheduler of this process.
  public init() {}

  public func microseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
  }

  public func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    let nanoseconds = Int(min(delay.wholeMicroseconds, 1 << 50)) * 1000
    Self.queue.asyncAfter(deadline: .now() + .nanoseconds(nanoseconds), execute: work)
  }
}
