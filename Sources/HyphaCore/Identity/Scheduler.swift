/// Time that can be read and waited for. Nodes take both from here, so that a simulation can give its own.
public protocol Scheduler: TimeSource {
  /// Runs `work` once, about `delay` from now, on a thread of the scheduler's. Never before.
  func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void)
}
