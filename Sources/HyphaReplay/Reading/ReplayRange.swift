public import HyphaCore
import HyphaFormats
public import HyphaLog

/// From where to where a replay goes.
public struct ReplayRange: Hashable, Sendable {
  /// A place in what was recorded.
  public enum Bound: Hashable, Sendable {
    /// A place in one log; of several logs each has its own, so it is refused there.
    case position(Position)
    /// A place in each stream.
    case sequence(UInt64)
    /// A time, as the events state it.
    case time(Timestamp)
    /// The end of what there is when the replay is made; only to begin at.
    case end
  }

  /// The first that is wanted; nil: from the beginning.
  public var from: Bound?
  /// The last position or sequence that is wanted, or the first time that is not; nil: to the end.
  public var to: Bound?

  /// A range by its ends.
  public init(from: Bound? = nil, to: Bound? = nil) {
    self.from = from
    self.to = to
  }

  /// Everything.
  public static let all = ReplayRange()

  /// `filter` with what of the range every log tells alike.
  func narrowing(_ filter: EntryFilter) -> EntryFilter {
    var filter = filter
    switch from {
    case .sequence(let sequence): filter.fromSequence = max(sequence, filter.fromSequence ?? 0)
    case .time(let time): filter.since = max(time, filter.since ?? .zero)
    case .position, .end, nil: break
    }
    switch to {
    case .sequence(let sequence):
      filter.throughSequence = min(sequence, filter.throughSequence ?? .max)
    case .time(let time): filter.until = min(time, filter.until ?? time)
    case .position, .end, nil: break
    }
    return filter
  }

  /// Checks that the range goes forward: of two ends of one kind, the first is not behind the second.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where it goes backward, which nothing can be in.
  public func confirmDirection() throws {
    let problem: String
    switch (from, to) {
    case (.position(let from), .position(let to)) where from > to:
      problem = "position \(from) lies behind position \(to)"
    case (.sequence(let from), .sequence(let to)) where from > to:
      problem = "sequence \(from) lies behind sequence \(to)"
    case (.time(let from), .time(let to)) where from > to:
      func text(_ time: Timestamp) -> String {
        RecordedTime.text(Int64(clamping: time.microseconds)) ?? "\(time.microseconds) µs"
      }
      problem = "\(text(from)) is later than \(text(to))"
    default: return
    }
    throw HyphaError(.usage, problem, remedy: "let the range go forward")
  }

  /// The positions that are wanted.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where positions are given for several logs, or the range goes backward.
  func positions(logCount: Int) throws -> ClosedRange<Position> {
    var (low, high) = (Position.start.next, Position(rawValue: .max))
    if case .position(let position) = from { low = max(low, position) }
    if case .position(let position) = to { high = position }
    guard to != .end else {
      throw HyphaError(
        .usage, "a replay ends at the end by itself", remedy: "leave the range's end out")
    }
    guard logCount == 1 || (low == Position.start.next && high.rawValue == .max) else {
      throw HyphaError(
        .usage, "a position is a place in one log, and there are \(logCount)",
        remedy: "name one node, or give a time")
    }
    try confirmDirection()
    guard low <= high else {
      throw HyphaError(
        .usage, "position \(high) lies before the first entry", remedy: "let the range end at 1 or later")
    }
    return low...high
  }
}
