import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime

/// Drives a replay: waits where its pace says so, does what keys and signals ask for, and shows what comes.
struct ReplaySession {
  /// Makes the replay anew, from another time on; nil: from the begin of its range.
  let makeReplay: (Timestamp?) throws -> Replay
  let follows: Bool
  /// When following ends; nil for never. What comes then is of no time that is wanted.
  private let until: Timestamp?
  let stop: StopSignal
  private(set) var player: ReplayPlayer
  private(set) var shownCount = 0
  /// How many of them were shown before somebody went elsewhere.
  private var soughtCount = 0
  private let clock = SuspendingClock()
  private let begin: SuspendingClock.Instant

  /// While something is waited for, keys and signals are looked at this often.
  private static let sliceMax = Duration.milliseconds(25)

  init(
    pace: ReplayPace, follows: Bool, until: Timestamp? = nil, stop: StopSignal,
    makeReplay: @escaping (Timestamp?) throws -> Replay
  ) throws {
    self.until = until
    self.makeReplay = makeReplay
    self.follows = follows
    self.stop = stop
    player = ReplayPlayer(try makeReplay(nil), pace: pace)
    begin = clock.now
    try player.look()
  }

  /// Whether the time has come up to which it follows.
  private var hasEnded: Bool { until.map { SystemScheduler().microseconds() >= $0.microseconds } ?? false }

  /// How long it has gone on.
  var elapsed: Duration { clock.now - begin }

  /// Shows events until all were, `limit` were, or somebody stops it; `idle` is called before each wait.
  mutating func run(
    limit: Int, show: (ReplayedEntry) throws -> Void, idle: () throws -> Void
  ) async throws {
    while !stop.isRaised, shownCount < limit {
      var count = shownCount
      let outcome = try player.advance(now: elapsed) { replayed in
        // A burst may have more than there is room for; whoever has enough stops right behind it.
        if count < limit { try show(replayed) }
        count += 1
      }
      shownCount = min(count, limit)
      switch outcome {
      case .shown: continue
      case .over: return
      case .dry:
        guard follows else { return }
        try idle()
        // What came up to the end is shown.
        if hasEnded { guard try player.look() else { return } } else { try await waitForMore() }
      case .wait(let pause):
        try idle()
        try await self.pause(min(pause, Self.sliceMax))
      case .hold:
        // There is no keyboard that could let it go on.
        return
      }
    }
  }

  /// Shows events on a terminal, and does what its keys say.
  mutating func run(limit: Int, keyboard: Keyboard, view: inout ReplayView, width: () -> Int) async throws {
    var isQuitting = false
    // Who has used a key may want to go back from the end.
    var staysAtEnd = false
    while !stop.isRaised, !isQuitting, shownCount < limit {
      let now = elapsed
      for key in keyboard.pressed() {
        staysAtEnd = true
        if try !take(key, now: now, view: &view) { isQuitting = true }
      }
      let columns = width()
      var count = shownCount
      let outcome = try player.advance(now: now) { replayed in
        if count < limit { try view.add(replayed, width: columns) }
        count += 1
      }
      shownCount = min(count, limit)
      if let next = player.pendingTime { view.place.meet(next, isShown: false) }
      let isAtEnd = outcome == .dry || outcome == .over
      let isLive = follows && outcome == .dry && !hasEnded
      let place: ReplayView.Place = !isAtEnd ? .within : isLive ? .live : .end
      try view.draw(player, place, count: shownCount - soughtCount, now: now, force: outcome == .hold)
      switch outcome {
      case .shown: continue
      case .dry where isLive: if try !player.look() { try await pause(Self.sliceMax) }
      case .over, .dry:
        if staysAtEnd { try await pause(Self.sliceMax) } else { isQuitting = true }
      case .wait(let pause): try await self.pause(min(pause, Self.sliceMax))
      case .hold: try await pause(Self.sliceMax)
      }
    }
    try view.draw(player, .within, count: shownCount - soughtCount, now: elapsed, force: true)
  }

  private mutating func waitForMore() async throws {
    var pause = Duration.milliseconds(1)
    while !stop.isRaised, !hasEnded, try !player.look() {
      try player.confirmPresence()
      try await self.pause(pause)
      pause = min(pause * 2, .milliseconds(20))
    }
  }

  private func pause(_ duration: Duration) async throws {
    try await clock.sleep(for: duration)
  }

  /// Does what a key says; whether the replay goes on.
  private mutating func take(_ key: Keyboard.Key, now: Duration, view: inout ReplayView) throws -> Bool {
    switch key {
    case .character(" "):
      if player.pace.isPaused { player.pace.resume(now: now) } else { player.pace.pause() }
    case .character("n"), .character("."): player.pace.step()
    case .character("+"), .character("="): player.pace.faster(now: now)
    case .character("-"): player.pace.slower(now: now)
    case .character("m"): player.pace.setRate(.unlimited, now: now)
    case .character("1"): player.pace.setRate(.times(1), now: now)
    case .left: try seek(by: -10, &view)
    case .right: try seek(by: 10, &view)
    case .down: try seek(by: -60, &view)
    case .up: try seek(by: 60, &view)
    case .home:
      view.place.rewind()
      try seek(to: nil, &view)
    case .resumed: view.resume()
    case .character("q"): return false
    default: break
    }
    return true
  }

  private mutating func seek(by seconds: Int64, _ view: inout ReplayView) throws {
    let place = view.place
    guard let target = view.place.move(by: seconds) else { return }
    // Behind the last event there is nothing to go to.
    if try !seek(to: target, &view, isWantedEmpty: seconds < 0) { view.place = place }
  }

  @discardableResult
  private mutating func seek(to time: Timestamp?, _ view: inout ReplayView, isWantedEmpty: Bool = true) throws
    -> Bool
  {
    guard try player.seek(to: makeReplay(time), isWantedEmpty: isWantedEmpty) else { return false }
    soughtCount = shownCount
    view.addMark(
      "── \(time.map { "from " + $0.text.prefix(19).replacing("T", with: " ") } ?? "from the begin") ──")
    return true
  }
}
