import HyphaCore
import HyphaLog

/// A run read in place. It must not outlive the bytes.
///
/// The bytes may be anything: what an answer rests on is checked, the header when the view is made, the blocks of rows
/// and lists when they are read. Nothing is allocated.
struct RunView {
  let first: Position
  /// How many positions it covers.
  let spanCount: Int
  let rowCount: Int
  /// Rows and lists, which the checks cover.
  let body: UnsafeRawBufferPointer
  private let checks: UnsafeRawBufferPointer
  private let listByteCount: Int
  /// Whether all of it was checked.
  private var isChecked = false

  var last: Position { Position(rawValue: first.rawValue + UInt64(spanCount) - 1) }
  var byteCount: Int { RunLayout.headerByteCount + body.count + checks.count }
  private var listStart: Int { rowCount * RunLayout.rowByteCount }

  /// A view of the run that is stored under the position `last`.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the header is not whole.
  init(_ bytes: UnsafeRawBufferPointer, last: Position) throws {
    guard bytes.count >= RunLayout.headerByteCount else {
      throw RunLayout.damaged(last, "is cut short: \(bytes.count) bytes")
    }
    func word(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    let header = UnsafeRawBufferPointer(rebasing: bytes[8..<RunLayout.headerByteCount])
    guard word(0) == RunLayout.magic, word(4) == checksumCRC32C(header), word(28) == 0 else {
      throw RunLayout.damaged(last, "has a header whose checksum does not match")
    }
    first = Position(
      rawValue: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    spanCount = Int(word(16))
    rowCount = Int(word(20))
    listByteCount = Int(word(24))
    let bodyByteCount = rowCount * RunLayout.rowByteCount + listByteCount
    let checkByteCount = 4 * RunLayout.blockCount(ofByteCount: bodyByteCount)
    guard spanCount > 0, spanCount <= RunLayout.spanCountMax, last.rawValue >= UInt64(spanCount),
      first.rawValue == last.rawValue - UInt64(spanCount) + 1,
      bytes.count == RunLayout.headerByteCount + bodyByteCount + checkByteCount
    else { throw RunLayout.damaged(last, "has a header that is impossible") }
    body = UnsafeRawBufferPointer(
      rebasing: bytes[RunLayout.headerByteCount..<RunLayout.headerByteCount + bodyByteCount])
    checks = UnsafeRawBufferPointer(rebasing: bytes[(RunLayout.headerByteCount + bodyByteCount)...])
  }

  /// The postings of a term, or nil when it has none here. About two probes, by interpolation; what was not found
  /// is proven by the rows beside it.
  func list(of term: UInt64) throws -> List? {
    let row = lowerBound(term)
    if row > 0 { try checkRow(row - 1) }
    if row < rowCount { try checkRow(row) }
    // The rows beside it may have led here wrongly, unchecked as they were; now they must agree.
    guard row == 0 || self.term(at: row - 1) < term, row == rowCount || self.term(at: row) >= term else {
      throw RunLayout.damaged(first, "has rows that do not ascend")
    }
    guard row < rowCount, self.term(at: row) == term else { return nil }
    return try list(atRow: row)
  }

  /// The first row whose term is not below `term`.
  private func lowerBound(_ term: UInt64) -> Int {
    var (low, high) = (0, rowCount)
    var (lowTerm, highTerm) = (0.0, Double(1 << TermPosting.termBitCount))
    var step = 0
    while low < high {
      step += 1
      var guess = (low + high) / 2
      // Hashes are spread evenly, so a guess comes close; each third step halves, whatever the rows hold.
      if step % 3 != 0, highTerm > lowTerm {
        let share = (Double(term) - lowTerm) / (highTerm - lowTerm)
        guess = low + Int(max(0, min(share, 1)) * Double(high - low - 1))
      }
      let found = self.term(at: guess)
      if found < term {
        (low, lowTerm) = (guess + 1, Double(found))
      } else {
        (high, highTerm) = (guess, Double(found))
      }
    }
    return low
  }

  // MARK: Rows

  @inline(__always)
  func term(at row: Int) -> UInt64 {
    UInt64(littleEndian: body.loadUnaligned(fromByteOffset: row &* RunLayout.rowByteCount, as: UInt64.self))
      & 0xFFFF_FFFF_FFFF
  }

  @inline(__always)
  private func reference(at row: Int) -> UInt32 {
    let offset = row &* RunLayout.rowByteCount &+ 6
    return UInt32(littleEndian: body.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The only posting of a row, whose own block was checked; nil where it has a list.
  @inline(__always)
  func single(atRow row: Int) throws -> UInt32? {
    let reference = reference(at: row)
    guard reference & RunLayout.inlineFlag != 0 else { return nil }
    let posting = reference & ~RunLayout.inlineFlag
    guard posting >> 2 < UInt32(spanCount) else { throw impossible(row) }
    return posting
  }

  /// The postings of a row, whose own block was checked.
  func list(atRow row: Int) throws -> List {
    if let single = try single(atRow: row) { return List(run: self, single: single) }
    let start = Int(reference(at: row))
    guard start < listByteCount else { throw impossible(row) }
    try check(listStart + start, count: 1)
    let shortByteCount = Int(body[listStart + start])
    if shortByteCount > 0 {
      guard listByteCount - start - 1 >= shortByteCount else { throw impossible(row) }
      let data = listStart + start + 1
      return List(run: self, data: data..<data + shortByteCount, skips: data..<data, last: nil)
    }
    let headerByteCount = RunLayout.longListHeaderByteCount
    guard listByteCount - start >= headerByteCount else { throw impossible(row) }
    try check(listStart + start, count: headerByteCount)
    func word(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: body.loadUnaligned(fromByteOffset: listStart + start + offset, as: UInt32.self))
    }
    let dataByteCount = Int(word(1))
    let skipByteCount = Int(word(9)) * RunLayout.skipByteCount
    let room = listByteCount - start - headerByteCount
    guard dataByteCount > RunLayout.shortListByteCountMax, dataByteCount <= room,
      skipByteCount <= room - dataByteCount, word(5) >> 2 < UInt32(spanCount)
    else { throw impossible(row) }
    let data = listStart + start + headerByteCount
    let skips = data + dataByteCount
    return List(run: self, data: data..<skips, skips: skips..<skips + skipByteCount, last: word(5))
  }

  private func impossible(_ row: Int) -> HyphaError {
    RunLayout.damaged(first, "has a list that is impossible in row \(row)")
  }

  // MARK: Checks

  private func checkRow(_ row: Int) throws {
    try check(row * RunLayout.rowByteCount, count: RunLayout.rowByteCount)
  }

  /// Checks the blocks that `count` bytes of the body from `offset` on lie in.
  func check(_ offset: Int, count: Int) throws {
    guard count > 0, !isChecked else { return }
    for block in offset / RunLayout.blockByteCount...(offset + count - 1) / RunLayout.blockByteCount {
      let start = block * RunLayout.blockByteCount
      let bytes = UnsafeRawBufferPointer(
        rebasing: body[start..<min(start + RunLayout.blockByteCount, body.count)])
      let stated = UInt32(littleEndian: checks.loadUnaligned(fromByteOffset: 4 * block, as: UInt32.self))
      guard stated == RunLayout.check(ofBlock: block, bytes, first: first) else {
        throw RunLayout.damaged(first, "has a block \(block) whose checksum does not match")
      }
    }
  }

  /// The view, once all of the run was checked.
  func checked() throws -> RunView {
    try check(0, count: body.count)
    var view = self
    view.isChecked = true
    return view
  }
}
