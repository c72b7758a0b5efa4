import HyphaCore
import HyphaLog

/// Finds the positions that answer a question, run after run, in order.
///
/// A run is passed over when it lacks all terms of a group. Else it is gone through in windows of 65,536 positions: a bit
/// for each position that the rarest group has, and'ed with those of the others. So positions come in either order, terms
/// of a group are joined and groups met, without merging lists, in 16 KiB.
struct IndexLookup {
  private typealias Found = (list: RunView.List, roles: TermRoles)

  private let keys: [[(term: UInt64, roles: TermRoles)]]
  private let order: ReadOrder
  private let limit: Int
  private var bits = [UInt64](repeating: 0, count: Int(windowCount) / 64)
  private var others = [UInt64](repeating: 0, count: Int(windowCount) / 64)
  private var decodedCount = 0
  private(set) var positions: [Position] = []

  private static let windowCount: UInt32 = 1 << 16
  /// After so many postings an answer ends where it is: some milliseconds.
  private static let decodedCountMax = 4 << 20
  private static let weightRatioMax = 256

  /// A lookup of what has at least one term of each group.
  init(_ groups: [[LogTerm]], hash: TermHash, order: ReadOrder, limit: Int) {
    keys = groups.map { $0.map { hash.key(of: $0) } }
    self.order = order
    self.limit = limit
  }

  /// Adds the positions of `range` in `run`, which are all behind those that were added.
  ///
  /// - Returns: the position up to which the answer is complete, where it must end there; nil when it may go on.
  mutating func add(_ run: RunView, in range: ClosedRange<Position>) throws -> Position? {
    var groups: [[Found]] = []
    for keys in keys {
      let found = try keys.compactMap { key in try run.list(of: key.term).map { ($0, key.roles) } }
      guard !found.isEmpty else { return nil }
      groups.append(found)
    }
    groups.sort { $0.weight < $1.weight }
    // Looking at what the rarest group names costs less than decoding one that nearly every entry has.
    let weightMax = groups[0].weight * Self.weightRatioMax
    groups.removeAll { $0.weight > weightMax }
    let low = UInt32(max(range.lowerBound, run.first).rawValue - run.first.rawValue)
    let high = UInt32(min(range.upperBound, run.last).rawValue - run.first.rawValue)
    guard let extent = try extent(of: groups[0], in: low..<high + 1) else { return nil }
    var windows = Array(extent.lowerBound / Self.windowCount...extent.upperBound / Self.windowCount)
    if order == .backward { windows.reverse() }
    for window in windows {
      let start = window * Self.windowCount
      let offsets = max(start, low)..<min(start + Self.windowCount, high + 1)
      guard try fill(groups, offsets, start) else { continue }
      if let end = take(start, of: run) { return end }
      if decodedCount > Self.decodedCountMax {
        let end = order == .forward ? offsets.upperBound - 1 : offsets.lowerBound
        return Position(rawValue: run.first.rawValue + UInt64(end))
      }
    }
    return nil
  }

  /// Where the postings of a short group lie, or all of the range; nil when there are none in it.
  private mutating func extent(
    of group: [Found], in offsets: Range<UInt32>
  ) throws -> ClosedRange<UInt32>? {
    guard group.weight <= 2 * RunLayout.shortListByteCountMax else {
      return offsets.lowerBound...offsets.upperBound - 1
    }
    var low = UInt32.max
    var high: UInt32 = 0
    for (list, roles) in group {
      decodedCount += try list.forEach(in: offsets, roles: roles) { offset in
        low = min(low, offset)
        high = max(high, offset)
      }
    }
    return low <= high ? low...high : nil
  }

  /// Sets the bits of the window's positions that all groups have; whether there may be any.
  private mutating func fill(_ groups: [[Found]], _ offsets: Range<UInt32>, _ start: UInt32) throws -> Bool {
    guard try Self.mark(groups[0], offsets, start, in: &bits, &decodedCount) else { return false }
    for group in groups.dropFirst() {
      guard try Self.mark(group, offsets, start, in: &others, &decodedCount) else { return false }
      for word in bits.indices { bits[word] &= others[word] }
    }
    return true
  }

  /// Sets the bits of the window's positions that one group has, and no others; whether there are any.
  private static func mark(
    _ group: [Found], _ offsets: Range<UInt32>, _ start: UInt32, in words: inout [UInt64],
    _ decodedCount: inout Int
  ) throws -> Bool {
    var any = false
    try words.withUnsafeMutableBufferPointer { words in
      // A window has words, and no bound needs to be looked at: its offsets lie within it.
      let words = words.baseAddress!
      words.update(repeating: 0, count: Int(windowCount) / 64)
      for (list, roles) in group {
        decodedCount += try list.forEach(in: offsets, roles: roles) { offset in
          let bit = Int(offset &- start)
          words[bit &>> 6] |= 1 &<< UInt64(bit & 63)
          any = true
        }
      }
    }
    return any
  }

  /// Adds the positions whose bits are set; the last one, when that makes the answer full.
  private mutating func take(_ start: UInt32, of run: RunView) -> Position? {
    let wordCount = bits.count
    for step in 0..<wordCount {
      let index = order == .forward ? step : wordCount - 1 - step
      var word = bits[index]
      while word != 0 {
        let bit = order == .forward ? word.trailingZeroBitCount : 63 - word.leadingZeroBitCount
        word &= ~(1 << UInt64(bit))
        let offset = UInt64(start) + UInt64(index * 64 + bit)
        positions.append(Position(rawValue: run.first.rawValue + offset))
        if positions.count == limit { return positions[limit - 1] }
      }
    }
    return nil
  }
}

extension [(list: RunView.List, roles: TermRoles)] {
  fileprivate var weight: Int { reduce(0) { $0 + $1.list.weight } }
}

// MARK: Over all runs

extension IndexStore {
  /// The positions in `range` that have at least one term of each group, as far as the index reaches and `limit` allows;
  /// nil where it covers nothing of the range. One read transaction of some milliseconds.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when what the answer would rest on is damaged.
  func positions(
    withAllOf groups: [[LogTerm]], in range: ClosedRange<Position>, _ order: ReadOrder, limit: Int
  ) throws -> IndexedPositions? {
    let transaction = try environment.beginReading()
    guard let covered = try meta(transaction).covered, covered.overlaps(range) else { return nil }
    let range = range.clamped(to: covered)
    var lookup = IndexLookup(groups, hash: hash, order: order, limit: max(limit, 1))
    let cursor = try transaction.cursor(in: runs)
    let begin = order == .forward ? range.lowerBound : range.upperBound
    var place = try BlockLayout.withKey(begin) { try cursor.seek($0) }
    var expected = begin
    while let found = place {
      let run = try RunView(found.value, last: BlockLayout.position(ofKey: found.key, table: "runs"))
      let isNext =
        expected == begin
        ? run.first <= begin && begin <= run.last : (order == .forward ? run.first : run.last) == expected
      guard isNext else { throw RunLayout.damaged(run.first, "does not follow the one before it") }
      if let end = try lookup.add(run, in: range) { return lookup.answer(order, range, through: end) }
      let isLast = order == .forward ? run.last >= range.upperBound : run.first <= range.lowerBound
      if isLast {
        return lookup.answer(order, range, through: order == .forward ? range.upperBound : range.lowerBound)
      }
      expected = order == .forward ? run.last.next : run.first.previous
      place = try order == .forward ? cursor.next() : cursor.previous()
    }
    throw IndexFailure.damaged("its runs end at position \(expected)")
  }
}

extension IndexLookup {
  /// What was found, complete up to `end`.
  fileprivate func answer(
    _ order: ReadOrder, _ range: ClosedRange<Position>, through end: Position
  ) -> IndexedPositions {
    IndexedPositions(
      positions: positions, covered: order == .forward ? range.lowerBound...end : end...range.upperBound)
  }
}
