public import HyphaCore

/// Decides how long a replay waits before each event. Pure: it is given the times, and told what a person wants.
///
/// ```swift
/// switch pace.decide(recorded: entry.time, now: elapsed) {
/// case .deliver: show(entry)
/// case .wait(let pause): sleep(pause)   // then ask again: it may have been told otherwise
/// case .hold: waitForCommand()
/// }
/// ```
public struct ReplayPace: Hashable, Sendable {
  /// How fast time passes.
  public enum Rate: Hashable, Sendable {
    /// It does not: everything as fast as it can be shown.
    case unlimited
    /// This many recorded seconds a second; above 0.
    case times(Double)
  }

  /// What to do with the next event.
  public enum Decision: Hashable, Sendable {
    /// Show it now.
    case deliver
    /// Ask again after this long, or once something was commanded.
    case wait(Duration)
    /// Ask again once something was commanded.
    case hold
  }

  /// How fast time passes while nothing holds it.
  public private(set) var rate: Rate
  /// Whether only single steps are shown.
  public private(set) var isPaused: Bool
  /// The longest wait between two events; nil: as long as it was recorded.
  public let idleMax: Duration?
  /// The latest event that was shown, and when that was due.
  private struct Anchor: Hashable {
    var recorded: Timestamp
    var now: Duration
  }
  private var anchor: Anchor?
  private var stepCount = 0

  /// The slowest and the fastest that ``slower()`` and ``faster()`` go.
  public static let (timesMin, timesMax) = (1.0 / 1024, 1_048_576.0)

  /// A pace that begins with the first event.
  public init(rate: Rate = .unlimited, isPaused: Bool = false, idleMax: Duration? = nil) {
    self.rate = rate
    self.isPaused = isPaused
    self.idleMax = idleMax
  }

  /// What to do with an event of the time `recorded`, `now` being any clock that goes forward.
  ///
  /// An event that is older than one shown before, as one that was repaired is, is due at once.
  public mutating func decide(recorded: Timestamp, now: Duration) -> Decision {
    if isPaused {
      guard stepCount > 0 else { return .hold }
      stepCount -= 1
      return deliver(recorded, now)
    }
    guard case .times(let speed) = rate, let anchor, recorded > anchor.recorded else {
      return deliver(recorded, now)
    }
    // From when the one before was due, not from when it was shown: a replay that was late catches up.
    let recordedPause = recorded.since(anchor.recorded) / speed
    let due = anchor.now + min(recordedPause, idleMax ?? recordedPause)
    guard due <= now else { return .wait(due - now) }
    return deliver(recorded, due)
  }

  private mutating func deliver(_ recorded: Timestamp, _ due: Duration) -> Decision {
    if recorded > anchor?.recorded ?? .zero || anchor == nil { anchor = Anchor(recorded: recorded, now: due) }
    return .deliver
  }

  // MARK: Commands

  /// Holds before the next event.
  public mutating func pause() { isPaused = true }

  /// Goes on; time goes on from the last event that was shown.
  public mutating func resume(now: Duration) {
    isPaused = false
    stepCount = 0
    reanchor(now)
  }

  /// Shows one more event, and holds.
  public mutating func step() {
    stepCount = isPaused ? stepCount + 1 : 1
    isPaused = true
  }

  /// Changes how fast time passes, from the last event that was shown.
  public mutating func setRate(_ rate: Rate, now: Duration) {
    self.rate = rate
    reanchor(now)
  }

  /// Twice as fast; faster than the fastest is without a limit.
  public mutating func faster(now: Duration) {
    guard case .times(let times) = rate else { return }
    setRate(times * 2 > Self.timesMax ? .unlimited : .times(times * 2), now: now)
  }

  /// Half as fast.
  public mutating func slower(now: Duration) {
    switch rate {
    case .unlimited: setRate(.times(Self.timesMax), now: now)
    case .times(let times): setRate(.times(max(times / 2, Self.timesMin)), now: now)
    }
  }

  /// Forgets which time was shown last: the next event, of whatever time, is due at once.
  public mutating func seek() { anchor = nil }

  private mutating func reanchor(_ now: Duration) { anchor?.now = now }
}
