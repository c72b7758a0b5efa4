import HyphaCore
import HyphaLog

/// Collects the rows and lists of a run, terms in ascending order, and lays them out.
///
/// ```swift
/// writer.begin(first: first, spanCount: 65_536)
/// writer.beginTerm(term); writer.add(posting) …; writer.endTerm()
/// write(into: room of writer.byteCount)
/// ```
/// It keeps its memory for the next run. For one thread.
final class RunWriter {
  private let rows = GrowingBytes(capacity: 1 << 16)
  private let lists = GrowingBytes(capacity: 1 << 16)
  private var skips: [UInt64] = []
  private var first = Position.start
  private var spanCount = 0

  /// The term at hand: its first posting waits until there is a second.
  private var term: UInt64 = 0
  private var listStart = 0
  private var lastPosting: Int64 = -1
  private var isList = false
  private var lastSkipOffset = 0

  /// Begins a run, forgetting what the last one had.
  func begin(first: Position, spanCount: Int) {
    precondition(spanCount > 0 && spanCount <= RunLayout.spanCountMax, "a run covers 1 to 2^28 positions")
    self.first = first
    self.spanCount = spanCount
    rows.removeAll()
    lists.removeAll()
  }

  @inline(__always)
  func beginTerm(_ term: UInt64) {
    self.term = term
    lastPosting = -1
    isList = false
  }

  /// Adds a posting above the term's last.
  @inline(__always)
  func add(_ posting: UInt32) {
    assert(Int64(posting) > lastPosting && Int(posting >> 2) < spanCount, "postings ascend within the run")
    if lastPosting >= 0 {
      if !isList { beginList() }
      addDifference(to: posting)
    }
    lastPosting = Int64(posting)
  }

  /// Adds a term that only one source has, with its short list, whose positions lie `base` behind this run's first;
  /// false, and nothing is added, where the list is none, or might become a long one.
  func add(_ term: UInt64, copying list: RunView.List, base: UInt32) throws -> Bool {
    guard list.isShort else { return false }
    let (firstPosting, rest) = try list.split()
    guard rest.count + RunLayout.differenceByteCountMax <= RunLayout.shortListByteCountMax else {
      return false
    }
    let start = lists.count
    lists.reserve(1 + RunLayout.differenceByteCountMax + rest.count)
    lists.add(UInt8(0))
    lists.addVariable(firstPosting + base << 2 + 1)
    lists.add(rest)
    (lists.start + start).storeBytes(of: UInt8(lists.count - start - 1), as: UInt8.self)
    addRow(term, UInt32(start))
    return true
  }

  /// Adds a source's whole list, its positions lying `base` behind this run's first: the first posting anew, the
  /// differences behind it as they are.
  func add(_ list: RunView.List, base: UInt32) throws {
    let shift = base << 2
    let (firstPosting, rest) = try list.split()
    add(firstPosting + shift)
    guard !rest.isEmpty else { return }
    if !isList { beginList() }
    let restStart = lists.count - dataStart
    lists.add(rest)
    try list.forEachSkip(restByteCount: rest.count) { posting, offset in
      noteSkip(posting &+ shift, at: restStart + offset)
    }
    lastPosting = Int64(try list.lastPosting() + shift)
    noteSkipIfDue()
  }

  func endTerm() {
    if isList {
      endList()
      addRow(term, UInt32(listStart))
    } else {
      addRow(term, UInt32(truncatingIfNeeded: lastPosting) | RunLayout.inlineFlag)
    }
  }

  /// Adds a term with a single posting, between two others.
  @inline(__always)
  func add(_ term: UInt64, single posting: UInt32) { addRow(term, posting | RunLayout.inlineFlag) }

  @inline(__always)
  private func addRow(_ term: UInt64, _ reference: UInt32) {
    rows.reserve(RunLayout.rowByteCount)
    rows.add(term | UInt64(reference) << 48)
    rows.add(UInt16(truncatingIfNeeded: reference >> 16))
  }

  // MARK: Lists

  /// A list is begun as a short one; its header grows when it turns out long.
  private var dataStart: Int { listStart + 1 }

  @inline(__always)
  private func beginList() {
    isList = true
    listStart = lists.count
    lastSkipOffset = 0
    if !skips.isEmpty { skips.removeAll(keepingCapacity: true) }
    lists.reserve(1 + RunLayout.differenceByteCountMax)
    lists.add(UInt8(0))
    if lastPosting >= 0 { lists.addVariable(UInt32(lastPosting + 1)) }
  }

  @inline(__always)
  private func addDifference(to posting: UInt32) {
    lists.reserve(RunLayout.differenceByteCountMax)
    lists.addVariable(UInt32(Int64(posting) - lastPosting))
    if lists.count &- dataStart &- lastSkipOffset >= RunLayout.skipIntervalByteCount {
      noteSkip(posting, at: lists.count - dataStart)
    }
  }

  private func noteSkip(_ posting: UInt32, at offset: Int) {
    guard offset - lastSkipOffset >= RunLayout.skipIntervalByteCount / 2 else { return }
    skips.append(UInt64(offset) << 32 | UInt64(posting))
    lastSkipOffset = offset
  }

  private func noteSkipIfDue() {
    let offset = lists.count - dataStart
    if offset - lastSkipOffset >= RunLayout.skipIntervalByteCount {
      noteSkip(UInt32(lastPosting), at: offset)
    }
  }

  private func endList() {
    let dataByteCount = lists.count - dataStart
    if dataByteCount <= RunLayout.shortListByteCountMax {
      (lists.start + listStart).storeBytes(of: UInt8(dataByteCount), as: UInt8.self)
      return
    }
    lists.openGap(RunLayout.longListHeaderByteCount - 1, at: dataStart)
    let header = lists.start + listStart + 1
    header.storeBytes(of: UInt32(dataByteCount).littleEndian, as: UInt32.self)
    header.storeBytes(of: UInt32(lastPosting).littleEndian, toByteOffset: 4, as: UInt32.self)
    header.storeBytes(of: UInt32(skips.count).littleEndian, toByteOffset: 8, as: UInt32.self)
    lists.reserve(skips.count * RunLayout.skipByteCount)
    for skip in skips { lists.add(skip) }
  }
}

// MARK: The whole run

extension RunWriter {
  /// The size of the run that was collected.
  var byteCount: Int {
    let bodyByteCount = rows.count + lists.count
    return RunLayout.headerByteCount + bodyByteCount + 4 * RunLayout.blockCount(ofByteCount: bodyByteCount)
  }

  /// Lays the run out in `bytes`, which are ``byteCount``.
  func write(into bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count == byteCount, "a run is laid out in room of its size")
    // A run has at least a header.
    let body = bytes.baseAddress! + RunLayout.headerByteCount
    body.copyMemory(from: rows.start, byteCount: rows.count)
    (body + rows.count).copyMemory(from: lists.start, byteCount: lists.count)
    let bodyByteCount = rows.count + lists.count
    for block in 0..<RunLayout.blockCount(ofByteCount: bodyByteCount) {
      let start = block * RunLayout.blockByteCount
      let count = min(RunLayout.blockByteCount, bodyByteCount - start)
      let check = RunLayout.check(
        ofBlock: block, UnsafeRawBufferPointer(start: body + start, count: count), first: first)
      (body + bodyByteCount + 4 * block).storeBytes(of: check.littleEndian, as: UInt32.self)
    }
    bytes.storeBytes(of: RunLayout.magic.littleEndian, as: UInt32.self)
    bytes.storeBytes(of: first.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
    bytes.storeBytes(of: UInt32(spanCount).littleEndian, toByteOffset: 16, as: UInt32.self)
    let rowCount = rows.count / RunLayout.rowByteCount
    bytes.storeBytes(of: UInt32(rowCount).littleEndian, toByteOffset: 20, as: UInt32.self)
    bytes.storeBytes(of: UInt32(lists.count).littleEndian, toByteOffset: 24, as: UInt32.self)
    bytes.storeBytes(of: 0, toByteOffset: 28, as: UInt32.self)
    let check = checksumCRC32C(UnsafeRawBufferPointer(rebasing: bytes[8..<RunLayout.headerByteCount]))
    bytes.storeBytes(of: check.littleEndian, toByteOffset: 4, as: UInt32.self)
  }

  /// Collects a run of `postings`, which are in ascending order and whose offsets count from `base`.
  func collect(
    _ postings: UnsafeBufferPointer<UInt64>, first: Position, spanCount: Int, base: Int
  ) {
    begin(first: first, spanCount: spanCount)
    let shift = UInt32(base) << 2
    var index = 0
    while index < postings.count {
      let term = TermPosting(rawValue: postings[index]).term
      var end = index &+ 1
      while end < postings.count, TermPosting(rawValue: postings[end]).term == term { end &+= 1 }
      if end == index &+ 1 {
        add(term, single: TermPosting(rawValue: postings[index]).posting &- shift)
      } else {
        beginTerm(term)
        addList(UnsafeBufferPointer(rebasing: postings[index..<end]), shift: shift)
        endTerm()
      }
      index = end
    }
  }

  /// Adds a term's postings, at least two: what ``add(_:)`` does for each, with everything at hand.
  private func addList(_ postings: UnsafeBufferPointer<UInt64>, shift: UInt32) {
    beginList()
    lists.reserve(RunLayout.differenceByteCountMax * postings.count)
    let data = lists.start + dataStart
    var byteCount = 0
    var previous: Int64 = -1
    for raw in postings {
      let posting = Int64(TermPosting(rawValue: raw).posting &- shift)
      // Two terms of one event may collide; the posting counts once.
      guard posting != previous else { continue }
      var difference = UInt64(truncatingIfNeeded: posting &- previous)
      previous = posting
      while difference >= 0x80 {
        data.storeBytes(
          of: UInt8(truncatingIfNeeded: difference) | 0x80, toByteOffset: byteCount, as: UInt8.self)
        byteCount &+= 1
        difference &>>= 7
      }
      data.storeBytes(of: UInt8(truncatingIfNeeded: difference), toByteOffset: byteCount, as: UInt8.self)
      byteCount &+= 1
      if byteCount &- lastSkipOffset >= RunLayout.skipIntervalByteCount {
        noteSkip(UInt32(truncatingIfNeeded: posting), at: byteCount)
      }
    }
    lists.extend(by: byteCount)
    lastPosting = previous
  }
}
