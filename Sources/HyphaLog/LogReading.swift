public import HyphaCore

/// Reads that every backend gets from the few of ``LogReader``.
extension LogReader {
  /// The last position whose entry was taken before `time`, found by bisection: reading after it begins at
  /// `time`.
  public func position(before time: Timestamp) throws -> Position {
    var low = Position.start
    var high = try head().next
    while low.next < high {
      let middle = Position(rawValue: (low.rawValue + high.rawValue) / 2)
      guard let entry = try entry(at: middle) else { throw Self.hole(at: middle) }
      if entry.appendedAt < time { low = middle } else { high = middle }
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
      guard let entry = try entry(at: next) else { throw Self.hole(at: next) }
      guard entry.record.header.point > point else { break }
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
    var next = try streamHeads()[stream]?.position ?? .start
    while next > .start {
      guard let entry = try entry(at: next) else { throw Self.hole(at: next) }
      // Repairs may have put a received stream's entries out of order, so the walk goes to its end.
      if entry.record.header.sequence >= sequence { found.append(entry) }
      if case .stated = entry.source, entry.record.header.sequence <= sequence { break }
      next = entry.previousInStream
    }
    found.sort { $0.record.header.sequence < $1.record.header.sequence }
    return Array(found.prefix(limit))
  }

  /// Calls `body` with each entry after `position`, oldest first, until it returns false or the head that
  /// the log had at the call is reached.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the entries end before that head.
  public func scan(after position: Position = .start, _ body: (LogEntry) throws -> Bool) throws {
    let end = try head()
    var last = position
    while last < end {
      let chunk = try read(after: last, limit: 1024, byteLimit: 4 << 20)
      guard let newest = chunk.last else { throw Self.hole(at: last.next) }
      for entry in chunk {
        guard entry.position == last.next else { throw Self.hole(at: last.next) }
        last = entry.position
        if entry.position > end { return }
        guard try body(entry) else { return }
      }
      last = newest.position
    }
  }

  static func hole(at position: Position) -> HyphaError {
    HyphaError(
      .logInvalid, "the log has no entry at position \(position), though its head lies beyond",
      remedy: "run 'hypha log verify' and restore from a copy")
  }
}
