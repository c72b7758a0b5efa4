import HyphaCore
import HyphaLog

extension RunView {
  /// The postings of one term in a run.
  struct List {
    fileprivate let run: RunView
    fileprivate let data: Range<Int>
    fileprivate let skips: Range<Int>
    fileprivate let last: UInt32?
    fileprivate let single: UInt32?

    init(run: RunView, single: UInt32) {
      (self.run, self.single, last, data, skips) = (run, single, single, 0..<0, 0..<0)
    }

    init(run: RunView, data: Range<Int>, skips: Range<Int>, last: UInt32?) {
      (self.run, self.data, self.skips, self.last, single) = (run, data, skips, last, nil)
    }

    /// Whether it is a list of few bytes.
    var isShort: Bool { single == nil && last == nil }

    /// How much there is, for comparing lists: about the number of postings.
    var weight: Int { max(1, data.count) }
  }
}

// MARK: Reading

extension RunView.List {
  /// Calls `body` with the offset of each posting in `offsets` that has one of `roles`, in ascending order.
  ///
  /// - Returns: how many postings were decoded.
  /// - Throws: ``HyphaError/Code/logInvalid`` when the list is damaged.
  @inline(__always)
  func forEach(
    in offsets: Range<UInt32>, roles: TermRoles, _ body: (UInt32) -> Void
  ) throws -> Int {
    if let single {
      if offsets.contains(single >> 2), roles.contains(single) { body(single >> 2) }
      return 1
    }
    var (place, previous, end) = try window(offsets)
    try run.check(place, count: end - place)
    let spanCount = UInt32(run.spanCount)
    var decodedCount = 0
    let bytes = run.body
    while place < end {
      let posting = try Self.next(bytes, &place, end: end, previous: previous, run: run)
      previous = Int64(posting)
      decodedCount &+= 1
      let offset = posting >> 2
      guard offset < spanCount else { throw RunLayout.damaged(run.first, "has a posting beyond its end") }
      if offset >= offsets.upperBound { break }
      if offset >= offsets.lowerBound, roles.contains(posting) { body(offset) }
    }
    end = place
    return decodedCount
  }

  /// Where to read for `offsets`, found in the skips: the bytes, and the posting before them.
  private func window(_ offsets: Range<UInt32>) throws -> (start: Int, previous: Int64, end: Int) {
    guard !skips.isEmpty else { return (data.lowerBound, -1, data.upperBound) }
    // The last skip whose posting lies before the range, and the first that lies behind it.
    let before = try skipIndex { $0 >> 2 >= offsets.lowerBound } - 1
    let behind = try skipIndex { $0 >> 2 >= offsets.upperBound }
    let (start, previous) = before < 0 ? (0, -1) : try checkedSkip(before)
    let end = behind == skipCount ? data.count : try checkedSkip(behind).offset
    guard start <= end, end <= data.count else {
      throw RunLayout.damaged(run.first, "has skips that lead astray")
    }
    return (data.lowerBound + start, previous, data.lowerBound + end)
  }

  private var skipCount: Int { skips.count / RunLayout.skipByteCount }

  private func skip(_ index: Int) -> (posting: UInt32, offset: Int) {
    let word = UInt64(
      littleEndian: run.body.loadUnaligned(
        fromByteOffset: skips.lowerBound + index * RunLayout.skipByteCount, as: UInt64.self))
    return (UInt32(truncatingIfNeeded: word), Int(word >> 32))
  }

  private func checkedSkip(_ index: Int) throws -> (offset: Int, posting: Int64) {
    try run.check(skips.lowerBound + index * RunLayout.skipByteCount, count: RunLayout.skipByteCount)
    let (posting, offset) = skip(index)
    return (offset, Int64(posting))
  }

  /// The first skip whose posting has `isReached`, by bisection, checked on both sides.
  private func skipIndex(_ isReached: (UInt32) -> Bool) throws -> Int {
    var (low, high) = (0, skipCount)
    while low < high {
      let middle = (low + high) / 2
      if isReached(skip(middle).posting) { high = middle } else { low = middle + 1 }
    }
    if low > 0 {
      guard try !isReached(UInt32(checkedSkip(low - 1).posting)) else { throw astray() }
    }
    if low < skipCount {
      guard try isReached(UInt32(checkedSkip(low).posting)) else { throw astray() }
    }
    return low
  }

  private func astray() -> HyphaError { RunLayout.damaged(run.first, "has skips that lead astray") }

  /// The posting at `place`, which moves behind it.
  @inline(__always)
  private static func next(
    _ bytes: UnsafeRawBufferPointer, _ place: inout Int, end: Int, previous: Int64, run: RunView
  ) throws -> UInt32 {
    // A run that has a list has a body.
    let start = bytes.baseAddress!
    var byte = start.load(fromByteOffset: place, as: UInt8.self)
    place &+= 1
    var difference = UInt64(byte & 0x7F)
    var shift: UInt64 = 7
    while byte & 0x80 != 0 {
      guard place < end, shift < 35 else { throw RunLayout.damaged(run.first, "has a posting cut short") }
      byte = start.load(fromByteOffset: place, as: UInt8.self)
      place &+= 1
      difference |= UInt64(byte & 0x7F) &<< shift
      shift &+= 7
    }
    let posting = previous &+ Int64(difference)
    guard difference > 0, posting < 1 << 31 else {
      throw RunLayout.damaged(run.first, "has postings that do not ascend")
    }
    return UInt32(truncatingIfNeeded: posting)
  }
}

// MARK: Merging

/// For a run that was checked as a whole.
extension RunView.List {
  /// The first posting, and the bytes of the differences behind it.
  func split() throws -> (first: UInt32, rest: UnsafeRawBufferPointer) {
    if let single { return (single, UnsafeRawBufferPointer(start: nil, count: 0)) }
    var place = data.lowerBound
    let first = try Self.next(run.body, &place, end: data.upperBound, previous: -1, run: run)
    try checkBound(first)
    return (first, UnsafeRawBufferPointer(rebasing: run.body[place..<data.upperBound]))
  }

  /// The last posting: stated by a long list, decoded in a short one.
  func lastPosting() throws -> UInt32 {
    if let last { return last }
    var place = data.lowerBound
    var previous: Int64 = -1
    while place < data.upperBound {
      previous = Int64(try Self.next(run.body, &place, end: data.upperBound, previous: previous, run: run))
    }
    try checkBound(UInt32(previous))
    return UInt32(previous)
  }

  private func checkBound(_ posting: UInt32) throws {
    guard posting >> 2 < UInt32(run.spanCount) else {
      throw RunLayout.damaged(run.first, "has a posting beyond its end")
    }
  }

  /// Calls `body` with each skip, its offset counted from the `restByteCount` last bytes.
  func forEachSkip(restByteCount: Int, _ body: (_ posting: UInt32, _ offset: Int) -> Void) throws {
    for index in 0..<skipCount {
      let (posting, offset) = skip(index)
      let restOffset = offset - (data.count - restByteCount)
      guard restOffset > 0, restOffset <= restByteCount else { throw astray() }
      body(posting, restOffset)
    }
  }
}
