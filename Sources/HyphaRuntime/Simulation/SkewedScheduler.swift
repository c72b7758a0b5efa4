import HyphaCore

/// The loop's clock as a node has it whose own is ahead.
struct SkewedScheduler: Scheduler {
  private let loop: SimulationLoop
  private let aheadMicroseconds: UInt64

  init(_ loop: SimulationLoop, ahead: Duration) {
    (self.loop, aheadMicroseconds) = (loop, ahead.wholeMicroseconds)
  }

  func microseconds() -> UInt64 { loop.microseconds() + aheadMicroseconds }

  func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    loop.schedule(after: delay, work)
  }
}
