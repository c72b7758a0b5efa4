public import HyphaCore
import HyphaLog

/// A replay at a pace. It never waits itself: it says for how long whoever drives it should.
///
/// ```swift
/// while true {
///   switch try player.advance(now: elapsed, { print($0.entry.position) }) {
///   case .shown: continue
///   case .wait(let pause): sleep(pause)
///   case .hold: …                       // until player.pace is told to go on
///   case .dry: sleep; try player.look() // what comes is shown then
///   case .over: return
///   }
/// }
/// ```
public struct ReplayPlayer {
  /// What became of a call.
  public enum Outcome: Hashable, Sendable {
    /// Some events were shown; there may be more.
    case shown
    /// The next one is due after this long.
    case wait(Duration)
    /// The next one waits for a command.
    case hold
    /// All was shown that was there at the last look.
    case dry
    /// All was shown, and nothing will follow.
    case over
  }

  /// How fast it goes; commands go to it.
  public var pace: ReplayPace
  private var replay: Replay
  private var pending: (node: NodeID, entry: LogEntry)?

  /// How many events a call shows at most.
  public static let burstMax = 1_024

  /// A player of `replay`, which has looked at nothing yet.
  public init(_ replay: Replay, pace: ReplayPace) {
    self.replay = replay
    self.pace = pace
  }

  /// As ``Replay/look()``.
  @discardableResult
  public mutating func look() throws -> Bool { try replay.look() }

  /// As ``Replay/leftCount``, with the event that waits.
  public var leftCount: UInt64 { replay.leftCount + (pending == nil ? 0 : 1) }

  /// The time of the event that waits, if one does.
  public var pendingTime: Timestamp? { pending?.entry.record.header.time }

  /// As ``Replay/confirmPresence()``.
  public func confirmPresence() throws { try replay.confirmPresence() }

  /// Goes on with another replay, such as one that begins at another time.
  ///
  /// - Parameter isWantedEmpty: whether it does so also where that has nothing to show.
  /// - Returns: whether it does.
  @discardableResult
  public mutating func seek(to replay: Replay, isWantedEmpty: Bool = true) throws -> Bool {
    var replay = replay
    try replay.look()
    let first = try replay.next()
    guard isWantedEmpty || first != nil else { return false }
    (self.replay, pending) = (replay, first)
    pace.seek()
    return true
  }

  /// Shows `body` what is due.
  ///
  /// - Parameter now: any clock that goes forward.
  /// - Throws: what `body` and reading do.
  public mutating func advance(now: Duration, _ body: (ReplayedEntry) throws -> Void) throws -> Outcome {
    if case .unlimited = pace.rate, !pace.isPaused, pending == nil {
      var count = 0
      var latest = Timestamp.zero
      let isDry = try replay.visit { replayed in
        try body(replayed)
        latest = replayed.entry.record.time
        count += 1
        return count < Self.burstMax
      }
      if count > 0 {
        _ = pace.decide(recorded: latest, now: now)
        return .shown
      }
      return isDry && replay.isOver ? .over : .dry
    }
    for count in 0..<Self.burstMax {
      guard let next = try pending ?? replay.next() else {
        return count > 0 ? .shown : replay.isOver ? .over : .dry
      }
      pending = next
      switch pace.decide(recorded: next.entry.record.header.time, now: now) {
      case .deliver:
        pending = nil
        try next.entry.withView { try body(ReplayedEntry(node: next.node, entry: $0)) }
      case .wait(let pause): return count > 0 ? .shown : .wait(pause)
      case .hold: return count > 0 ? .shown : .hold
      }
    }
    return .shown
  }
}
