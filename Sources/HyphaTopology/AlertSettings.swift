/// How soon alerts are to be answered, and how often they are sent again until then.
public struct AlertSettings: Sendable, Hashable {
  /// How long an addressee has, from the alert's time on, before its supervisor is told, and then each supervisor
  /// from when it was told; 1 ms to 7 days. An alert may be published with a deadline of its own.
  public var deadline: Duration
  /// How long after an alert it is first sent again, and its handler first run again where it threw; doubled each
  /// time, to ``redeliveryMax`` at most; 1 ms to 7 days.
  public var redelivery: Duration

  /// The longest wait between two times that an alert is sent.
  public static let redeliveryMax = Duration.seconds(30)
  /// What a deadline or a wait may be.
  public static let range: ClosedRange<Duration> = .milliseconds(1)...(.seconds(7 * 86400))

  /// Default: 30 s, and 1 s.
  public init(deadline: Duration = .seconds(30), redelivery: Duration = .seconds(1)) {
    self.deadline = deadline
    self.redelivery = redelivery
  }

  /// How long to wait after the alert was sent `count` times.
  public func wait(after count: Int) -> Duration {
    min(redelivery * (1 << min(count - 1, 20)), max(redelivery, Self.redeliveryMax))
  }
}
