/// How nodes watch each other.
public struct MembershipSettings: Sendable, Hashable {
  /// When a silent node falls under suspicion.
  public enum Suspicion: Sendable, Hashable {
    /// After a silence of this length.
    case fixed(after: Duration)
    /// When a silence is as unlikely as one in 10^`level`, given how regularly the node was heard before, and
    /// `pause` besides: what a busy machine may hold everything up for (Hayashibara et al., "The φ accrual failure
    /// detector", 2004). The level is one of ``levelRange``.
    case phi(level: Int, pause: Duration)

    /// The levels that can be asked for.
    public static let levelRange = 1...16
  }

  /// How often a node asks each other one what is new, which is its sign of life; one of ``heartbeatRange``.
  public var heartbeat: Duration
  /// When a silent node falls under suspicion; at ``downAfter`` at the latest.
  public var suspicion: Suspicion
  /// The silence after which a node counts as down; one of ``silenceRange``.
  public var downAfter: Duration

  /// What a heartbeat may be.
  public static let heartbeatRange: ClosedRange<Duration> = .milliseconds(20)...(.seconds(10))
  /// What a silence that means something may be.
  public static let silenceRange: ClosedRange<Duration> = .milliseconds(200)...(.seconds(3600))

  /// Default: asked every 200 ms, suspected at level 10 with a pause of 2 s, which is after about 3 s, and down
  /// after 10 s.
  public init(
    heartbeat: Duration = .milliseconds(200),
    suspicion: Suspicion = .phi(level: 10, pause: .seconds(2)), downAfter: Duration = .seconds(10)
  ) {
    self.heartbeat = heartbeat
    self.suspicion = suspicion
    self.downAfter = downAfter
  }
}
