public import HyphaCore

extension LogReader {
  /// A page of what `query` finds, from `cursor` on.
  ///
  /// Every answer is right, whatever the state of the index: where it does not reach, the entries themselves are looked
  /// at. The work is bounded by `limits`; no read transaction outlives the call. Pages that follow each other by their
  /// cursors give together what one unbounded page would have given at the first one's time.
  ///
  /// - Parameters:
  ///   - query: what is wanted. With an upper bound in ``LogQuery/positions`` beyond the head, the head bounds it.
  ///   - cursor: where the page before ended; nil for the first.
  ///   - limits: how much the page may be.
  /// - Throws: ``HyphaError/Code/invalidInput`` for a cursor of another query or log, or with more causes than
  ///   ``LogQuery/causeCountMax``; ``HyphaError/Code/logInvalid`` where the log is damaged.
  public func page(
    of query: LogQuery, after cursor: LogCursor? = nil, limits: LogPageLimits = .standard
  ) throws -> LogPage {
    guard query.causes.count <= LogQuery.causeCountMax else {
      throw HyphaError(
        .invalidInput, "a query names \(query.causes.count) causes",
        remedy: "ask for at most \(LogQuery.causeCountMax) at a time")
    }
    let range = try cursor.map { try $0.rest(of: query, in: identity) } ?? range(of: query)
    guard let range else { return LogPage(entries: [], next: nil, examinedCount: 0) }
    var page = PageAssembly(query, range: range, limits: limits)
    let groups = query.termGroups
    while let rest = page.rest, !page.isFull {
      // Nearly all that the index names is wanted, so a few more than there is room for will do.
      let limit = min(page.examinableCount, page.takeableCount + Self.candidateSurplus)
      do {
        if !groups.isEmpty,
          let known = try indexedPositions(withAllOf: groups, in: rest, query.order, limit: limit)
        {
          try look(at: known, query.order, for: &page)
        } else {
          try look(at: rest, query.order, for: &page)
        }
      } catch  where !page.entries.isEmpty {
        // What stands before damage is given first; the next page begins with it, and throws.
        break
      }
    }
    return LogPage(
      entries: page.entries, next: page.rest.map { LogCursor(rest: $0, of: query, in: identity) },
      examinedCount: page.examinedCount)
  }

  /// The event with this id, or nil where the log does not have it. Without an index the whole log is looked at.
  public func entry(withID id: EventID) throws -> LogEntry? {
    var limits = LogPageLimits.standard
    limits.entryCountMax = 1
    var cursor: LogCursor?
    repeat {
      let page = try page(of: .event(id), after: cursor, limits: limits)
      if let found = page.entries.first { return found }
      cursor = page.next
    } while cursor != nil
    return nil
  }

  /// The positions that a query may find something at, as the log is now; nil where there are none.
  private func range(of query: LogQuery) throws -> ClosedRange<Position>? {
    let head = try head()
    var low = max(query.positions?.lowerBound ?? .start, Position.start.next)
    var high = min(query.positions?.upperBound ?? head, head)
    if let times = query.times {
      low = max(low, try position(before: times.lowerBound).next)
      high = min(high, try position(before: times.upperBound))
    }
    return low <= high ? low...high : nil
  }

  /// Looks at the entries that the index names, and at those before its part.
  private func look(
    at known: IndexedPositions, _ order: ReadOrder, for page: inout PageAssembly
  ) throws {
    guard let rest = page.rest else { return }
    let covered = known.covered
    let unknown: ClosedRange<Position>? =
      switch order {
      case .forward where rest.lowerBound < covered.lowerBound: rest.lowerBound...covered.lowerBound.previous
      case .backward where covered.upperBound < rest.upperBound: covered.upperBound.next...rest.upperBound
      default: nil
      }
    if let unknown { try look(at: unknown, order, for: &page) }
    var index = 0
    while index < known.positions.count, !page.isFull {
      // Neighbours are looked at in one visit, with the few entries between them.
      var end = index
      while end + 1 < known.positions.count,
        known.positions[end].distance(to: known.positions[end + 1]) <= Self.neighbourDistanceMax
      {
        end += 1
      }
      let (first, last) = (known.positions[index], known.positions[end])
      page.skip(before: first)
      try look(at: min(first, last)...max(first, last), order, for: &page)
      index = end + 1
    }
    if !page.isFull { page.skip(through: order == .forward ? covered.upperBound : covered.lowerBound) }
  }

  /// Looks at the entries of a range, until the page is full.
  private func look(
    at range: ClosedRange<Position>, _ order: ReadOrder, for page: inout PageAssembly
  ) throws {
    guard !page.isFull else { return }
    try visit(range, order) { try page.examine($0) }
    // What is gone at the end of the range was not shown.
    if !page.isFull { page.skip(through: order == .forward ? range.upperBound : range.lowerBound) }
  }

  private static var candidateSurplus: Int { 16 }
  private static var neighbourDistanceMax: UInt64 { 8 }
}

extension Position {
  fileprivate func distance(to other: Position) -> UInt64 {
    rawValue < other.rawValue ? other.rawValue - rawValue : rawValue - other.rawValue
  }
}

extension PageAssembly {
  /// Counts everything before `position`, in the order of the query, as looked at.
  fileprivate mutating func skip(before position: Position) {
    skip(through: isForward ? position.previous : position.next)
  }
}
