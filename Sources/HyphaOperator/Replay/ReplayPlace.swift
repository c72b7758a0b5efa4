import HyphaCore

/// Where a replay on a terminal has come: to the event that was shown last, or to where somebody has gone since. Pure.
///
/// So what keys do adds up while it is paused and nothing is shown: ten times ten seconds are a hundred.
struct ReplayPlace {
  /// The time that it is at; nil at the begin.
  private(set) var time: Timestamp?
  /// The earliest time that was met: before it there is nothing to go to.
  private var earliest: Timestamp?

  /// An event was shown, or is what comes next.
  mutating func meet(_ time: Timestamp, isShown: Bool) {
    earliest = min(earliest ?? time, time)
    if isShown || self.time == nil { self.time = time }
  }

  /// Goes on by so many seconds, or back; where it is then. Nil where there was no event yet to go from.
  mutating func move(by seconds: Int64) -> Timestamp? {
    guard let time else { return nil }
    let (target, isFar) = Int64(clamping: time.microseconds).addingReportingOverflow(seconds * 1_000_000)
    let moved = Timestamp(microseconds: isFar ? time.microseconds : UInt64(max(0, target)))
    self.time = max(moved, earliest ?? moved)
    return self.time
  }

  /// Goes to the begin.
  mutating func rewind() { time = nil }
}
