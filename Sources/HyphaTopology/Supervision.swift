public import HyphaCore

/// How an agent's failures are dealt with.
public struct SupervisionSettings: Sendable, Hashable {
  /// What becomes of an agent when one of its handlers has thrown, beside the retry of the event.
  public enum Strategy: String, Sendable, Hashable, CaseIterable {
    /// The actor goes on; its state is as before the handler.
    case resume
    /// A new actor takes its place: its state is as before, `start` runs again, and whatever else it held is gone.
    case restart
    /// The agent stands still until its node starts again; its events wait.
    case stop
  }

  /// When an event on whose handler threw is given to it again.
  public var retry: RetryPolicy
  /// How long a handler may run before that is reported; 1 ms to 7 days.
  public var handlerDeadline: Duration
  /// What a failure does to the actor.
  public var strategy: Strategy
  /// How many times the actor may be replaced within ``restartWindow``, for strategy `restart` and where its `start` has
  /// thrown; beyond, the agent stands still and its supervisor is told. 0 to 1000.
  public var restartCountMax: Int
  /// The span that restarts are counted over; 1 ms to 7 days.
  public var restartWindow: Duration

  /// Default: the usual retries, 1 min, `resume`, and 3 restarts a minute.
  public init(
    retry: RetryPolicy = RetryPolicy(), handlerDeadline: Duration = .seconds(60),
    strategy: Strategy = .resume, restartCountMax: Int = 3, restartWindow: Duration = .seconds(60)
  ) {
    self.retry = retry
    self.handlerDeadline = handlerDeadline
    self.strategy = strategy
    self.restartCountMax = restartCountMax
    self.restartWindow = restartWindow
  }

  /// What the durations of the settings may be.
  public static let durations: ClosedRange<Duration> = .milliseconds(1)...(.seconds(7 * 86400))
}

/// When a persistent event is given again to a handler that threw. Pure.
///
/// The wait after the first attempt is ``initial``; each further one is ``factor`` times as long, ``cap`` at most, and
/// lengthened by up to ``jitterPercent`` by chance, so that what failed together is not tried together.
public struct RetryPolicy: Sendable, Hashable {
  /// The wait after the first attempt; 1 ms to 7 days.
  public var initial: Duration
  /// What each wait is multiplied by; 1 to 100.
  public var factor: Int
  /// The longest wait without its jitter; 1 ms to 7 days.
  public var cap: Duration
  /// How much longer than that a wait may be by chance, in percent; 0 to 100.
  public var jitterPercent: Int
  /// How often an event is given to the handler in all; 1 to 1000, 1 being no retry.
  public var attemptCountMax: Int

  /// What the numbers may be.
  public static let factors: ClosedRange<Int> = 1...100
  /// The most attempts that may be asked for.
  public static let attemptCounts: ClosedRange<Int> = 1...1000

  /// Default: 5 attempts, after 1, 2, 4 and 8 s, each up to a tenth longer.
  public init(
    initial: Duration = .seconds(1), factor: Int = 2, cap: Duration = .seconds(60), jitterPercent: Int = 10,
    attemptCountMax: Int = 5
  ) {
    self.initial = initial
    self.factor = factor
    self.cap = cap
    self.jitterPercent = jitterPercent
    self.attemptCountMax = attemptCountMax
  }

  /// How long to wait after attempt number `attempt`, from 1; nil where it was the last.
  ///
  /// - Parameter random: 64 random bits, for the jitter.
  public func wait(afterAttempt attempt: Int, random: UInt64) -> Duration? {
    guard attempt < attemptCountMax else { return nil }
    var wait = min(initial, cap)
    for _ in 1..<max(attempt, 1) where wait < cap { wait = min(wait * factor, cap) }
    let jitterMax = wait.wholeMicroseconds / 100 * UInt64(clamping: jitterPercent)
    return wait + .microseconds(Int64(clamping: jitterMax > 0 ? random % (jitterMax + 1) : 0))
  }
}

/// How often an agent was replaced lately: the limit of restarts. Pure.
public struct RestartBudget: Sendable {
  private let settings: SupervisionSettings
  private var restarts: [Timestamp] = []

  /// A budget of which nothing was used.
  public init(_ settings: SupervisionSettings) { self.settings = settings }

  /// Counts a restart at `now`. Returns how long to wait before it, or nil where there were too many within the window.
  ///
  /// The first one follows at once, each further one in the window after a wait as the retry policy has it.
  public mutating func take(now: Timestamp, random: UInt64) -> Duration? {
    restarts.removeAll { now.since($0) >= settings.restartWindow }
    guard restarts.count < settings.restartCountMax else { return nil }
    defer { restarts.append(now) }
    guard !restarts.isEmpty else { return .zero }
    var policy = settings.retry
    policy.attemptCountMax = .max
    return policy.wait(afterAttempt: restarts.count, random: random) ?? .zero
  }
}
