import HyphaCore

/// Decides when the rest that is in no run yet is worth writing. Pure.
///
/// Under load it waits for a full run; when nothing came for a while it is written; and a trickle that never pauses is
/// written once in a while.
struct IndexPace {
  enum Decision: Equatable {
    /// Write the rest now.
    case write
    /// Look again after so long.
    case lookAgain(Duration)
    /// Wait for a commit: nothing is left.
    case rest
  }

  let idleDelay: Duration
  let restDelayMax: Duration
  private var lastMove: ContinuousClock.Instant?
  private var restSince: ContinuousClock.Instant?
  private var failurePause = Duration.milliseconds(100)

  static let failurePauseMax = Duration.seconds(30)
  /// While there is a rest, commits do not wake the thread: it looks by itself, and takes many at a time.
  static let lookInterval = Duration.milliseconds(20)

  init(idleDelay: Duration, restDelayMax: Duration) {
    self.idleDelay = idleDelay
    self.restDelayMax = restDelayMax
  }

  /// What to do now that everything is read.
  mutating func next(hasRest: Bool, hasMoved: Bool, now: ContinuousClock.Instant) -> Decision {
    failurePause = .milliseconds(100)
    guard hasRest else {
      (lastMove, restSince) = (nil, nil)
      return .rest
    }
    if hasMoved || lastMove == nil { lastMove = now }
    let since = restSince ?? now
    restSince = since
    let due = min((lastMove ?? now) + idleDelay, since + restDelayMax)
    guard now >= due else { return .lookAgain(min(due - now, Self.lookInterval)) }
    (lastMove, restSince) = (nil, nil)
    return .write
  }

  /// How long to wait after a failure: longer each time.
  mutating func failed() -> Duration {
    defer { failurePause = min(failurePause * 2, Self.failurePauseMax) }
    return failurePause
  }
}
