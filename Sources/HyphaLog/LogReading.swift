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
  /// `time`. Where entries are gone, the end of their gap stands for them.
  public func position(before time: Timestamp) throws -> Position {
    var low = try gaps().filter { $0.kind == .pruned }.map(\.range.upperBound).max() ?? .start
    var high = try head().next
    while low.next < high {
      let middle = Position(rawValue: low.rawValue + (high.rawValue - low.rawValue) / 2)
      // An entry that is gone has the time of the next one that is not.
      var next: (position: Position, time: Timestamp)?
      try visit(middle...Position(rawValue: high.rawValue - 1), .forward) { view in
        next = (view.position, view.appendedAt)
        return false
      }
      if let next, next.time < time { low = next.position } else { high = middle }
    }
    return low
  }

  /// The positions of a lane's entries after `point`, oldest first.
  ///
  /// The log is walked back along the lane's own links, so the cost is that of the entries found: 8 bytes
  /// of memory and one lookup each.
  public func positions(ofLane lane: Lane, after point: LanePoint) throws -> [Position] {
    var positions: [Position] = []
    var next = try laneHead(lane)?.position ?? .start
    while next > .start {
      // What was pruned is gone, and all before it.
      guard let entry = try entry(at: next) else { break }
      guard entry.record.point > point else { break }
      positions.append(next)
      next = entry.previousInLane
    }
    positions.reverse()
    return positions
  }

  /// The entries of a stream from `sequence` on, in the order of their sequence.
  public func read(stream: StreamID, from sequence: UInt64 = 1, limit: Int = .max) throws -> [LogEntry] {
    guard limit > 0 else { return [] }
    var found: [LogEntry] = []
    var next = try streamHead(stream)?.position ?? .start
    while next > .start {
      // What was pruned is gone, and all before it.
      guard let entry = try entry(at: next) else { break }
      // Repairs may have put a received stream's entries out of order, so the walk goes to its end.
      if entry.record.sequence >= sequence { found.append(entry) }
      if case .stated = entry.source, entry.record.sequence <= sequence { break }
      next = entry.previousInStream
    }
    // Another node may have claimed a number twice; those come in the order of the log.
    found.sort { ($0.record.sequence, $0.position) < ($1.record.sequence, $1.position) }
    return Array(found.prefix(limit))
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
