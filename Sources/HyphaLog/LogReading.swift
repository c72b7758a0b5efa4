public import HyphaCore

/// Reads that every backend gets from the few of ``LogReader``.
extension LogReader {
  /// Up to `limit` entries after `position`, oldest first, cut off after about `byteLimit` bytes but never
  /// empty while there is one.
  public func read(after position: Position, limit: Int, byteLimit: Int) throws -> [LogEntry] {
    guard limit > 0, position.rawValue < .max else { return [] }
    var found: [LogEntry] = []
    var byteCount = 0
    try visit(position.next...Position(rawValue: .max), .forward) { view in
      byteCount += view.record.bytes.count
      if byteCount > byteLimit && !found.isEmpty { return false }
      found.append(try view.entry())
      return found.count < limit
    }
    return found
  }

  /// The last position whose entry was taken before `time`, found by bisection: reading after it begins at
  /// `time`. What is gone has the time of what was there before it, so the end of a gap may be the answer.
  ///
  /// - Complexity: a lookup for each bit of the head's position, wherever entries are gone.
  public func position(before time: Timestamp) throws -> Position {
    let head = try head()
    var (low, high) = (Position.start, head.next)
    while low.next < high {
      let middle = Position(rawValue: low.rawValue + (high.rawValue - low.rawValue) / 2)
      // In a gap it is the entry behind it that decides.
      if let next = try first(in: middle...Position(rawValue: high.rawValue - 1)), next.time < time {
        low = next.position
      } else {
        high = middle
      }
    }
    guard low < head else { return low }
    return try first(in: low.next...head).map { Position(rawValue: $0.position.rawValue - 1) } ?? head
  }

  /// Where the first entry of a range stands that is in the log, and when it was taken.
  private func first(in range: ClosedRange<Position>) throws -> (position: Position, time: Timestamp)? {
    var found: (Position, Timestamp)?
    try visit(range, .forward) { view in
      found = (view.position, view.appendedAt)
      return false
    }
    return found
  }

  /// Calls `body` with each entry after `position`, oldest first, until it returns false or the head that
  /// the log had at the call is reached.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the entries end before that head.
  public func scan(after position: Position = .start, _ body: (LogEntry) throws -> Bool) throws {
    let end = try head()
    guard position < end else { return }
    try visit(position.next...end, .forward) { try body($0.entry()) }
  }
}
