public import HyphaCore

/// Reads of lanes and streams, along the links that lead from each entry to the one before it.
///
/// Where a prune has spared older entries, the links between went with what is gone; there a query goes on. At a
/// position that was quarantined a walk fails, with the reason.
extension LogReader {
  /// The positions of a lane's entries after `point`, oldest first, `limit` at most.
  ///
  /// Who is near the lane's end is answered by a short walk along its links. For who is further behind and wants a part,
  /// its begin is found by bisection, since points grow with positions.
  ///
  /// - Complexity: a lookup for each position that is given and for at most `limit` more, or 4,096, whatever the
  ///   lane has besides; 8 bytes of memory each.
  public func positions(
    ofLane lane: Lane, after point: LanePoint, limit: Int = .max
  ) throws -> [Position] {
    guard limit > 0, let head = try laneHead(lane), head.point > point else { return [] }
    var query = LogQuery()
    query.lane = lane
    var positions: [Position] = []
    let stepCountMax = max(limit, 4_096)
    var isCut = false
    try walkBack(from: head.position, of: query, along: \.previousInLane) { view in
      guard LanePoint(epoch: view.record.epoch, sequence: view.record.sequence) > point else { return false }
      isCut = positions.count == stepCountMax
      if !isCut { positions.append(view.position) }
      return !isCut
    }
    guard isCut, let oldest = positions.last else { return Array(positions.reversed().prefix(limit)) }
    return try firstPositions(of: query, after: point, from: oldest, to: head.position, limit: limit)
  }

  /// The first positions of a lane behind `point`, of which one stands before `known`.
  private func firstPositions(
    of query: LogQuery, after point: LanePoint, from known: Position, to head: Position, limit: Int
  ) throws -> [Position] {
    // All of the lane up to `low` is not behind the point, and something before `high` is.
    var (low, high) = (Position.start, known)
    while low.next < high {
      let middle = Position(rawValue: low.rawValue + (high.rawValue - low.rawValue) / 2)
      var next: (position: Position, point: LanePoint)?
      try forEach(of: query, in: middle...Position(rawValue: high.rawValue - 1), limit: 1) { entry in
        next = (entry.position, entry.record.point)
      }
      if let next, next.point <= point { low = next.position } else { high = middle }
    }
    var positions: [Position] = []
    try forEach(of: query, in: low.next...head, limit: limit) { positions.append($0.position) }
    return positions
  }

  /// The entries of a stream from `sequence` on, in the order of their sequence, `limit` at most.
  ///
  /// - Complexity: a look at the header of each entry of the stream from `sequence` on, of all of them in a stream that
  ///   was received: repairs may have put those out of order. Only what is given is loaded; 16 bytes of memory for each
  ///   entry of twice `limit`.
  public func read(stream: StreamID, from sequence: UInt64 = 1, limit: Int = .max) throws -> [LogEntry] {
    guard limit > 0, let head = try streamHead(stream) else { return [] }
    var query = LogQuery()
    query.stream = stream
    var places = OldestPlaces(limit: limit)
    try walkBack(from: head.position, of: query, along: \.previousInStream) { view in
      let found = view.record.sequence
      if found >= sequence { places.add(found, at: view.position) }
      return view.source != .stated || found > sequence
    }
    return try places.inOrder.compactMap { try entry(at: $0) }
  }

  /// Calls `body` with the entries of a lane or stream from `position` on, newest first, until it returns false.
  private func walkBack(
    from position: Position, of query: LogQuery, along link: (EntryView) -> Position,
    _ body: (EntryView) throws -> Bool
  ) throws {
    var next = position
    while next > .start {
      var previous: Position?
      var isWanted = true
      try visit(next...next, .backward) { view in
        isWanted = try body(view)
        previous = link(view)
        return false
      }
      guard isWanted else { return }
      if let previous {
        next = previous
        continue
      }
      // It is gone, and its link with it; this fails where it was quarantined.
      guard try entry(at: next) == nil, next.rawValue > 1 else { return }
      var query = query
      query.order = .backward
      var older = Position.start
      try forEach(of: query, in: Position(rawValue: 1)...Position(rawValue: next.rawValue - 1), limit: 1) {
        older = $0.position
      }
      next = older
    }
  }

  /// Calls `body` with the first `limit` entries of a range that a query finds.
  private func forEach(
    of query: LogQuery, in range: ClosedRange<Position>, limit: Int, _ body: (LogEntry) -> Void
  ) throws {
    var query = query
    query.positions = range
    var left = limit
    var cursor: LogCursor?
    repeat {
      var limits = LogPageLimits.standard
      limits.entryCountMax = min(left, limits.entryCountMax)
      let page = try page(of: query, after: cursor, limits: limits)
      page.entries.forEach(body)
      left -= page.entries.count
      cursor = page.next
    } while left > 0 && cursor != nil
  }
}

/// The places of a stream's lowest sequences, so many of them, of places that come in any order. Pure.
private struct OldestPlaces {
  private var places: [(sequence: UInt64, position: Position)] = []
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  mutating func add(_ sequence: UInt64, at position: Position) {
    places.append((sequence, position))
    if places.count - limit == max(limit, 256) { cut() }
  }

  /// Where they stand. Another node may have claimed a number twice; those come in the order of the log.
  var inOrder: [Position] {
    var copy = self
    copy.cut()
    return copy.places.map(\.position)
  }

  private mutating func cut() {
    places.sort { ($0.sequence, $0.position) < ($1.sequence, $1.position) }
    places.removeLast(max(0, places.count - limit))
  }
}
