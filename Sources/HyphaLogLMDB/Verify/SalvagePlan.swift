import HyphaCore
import HyphaLog

/// Which of the blocks that were found make the new log, from the newest down. Pure, but for reading blocks.
///
/// LMDB leaves old copies of pages about, and a process that ended within a commit leaves blocks that were never
/// committed. So a position may be claimed by several blocks. The chain decides: below a block that is kept, only that
/// one fits from which its link follows. Where the block above is lost, there is no such proof; then a block must stand
/// where LMDB put it, or follow from one that does, and of several the one that was written last is taken.
struct SalvagePlan {
  /// The blocks to keep, in ascending order.
  private(set) var blocks: [FoundBlock] = []
  /// The positions that no block has, in ascending order.
  private(set) var gaps: [LogGap] = []

  private let file: RawFile
  /// In ascending order of their last positions.
  private let found: [FoundBlock]
  private let known: [LogGap]
  /// The link of an empty chain.
  private let begin: Digest

  /// Plans a log up to `head`.
  ///
  /// - Parameters:
  ///   - link: the chain's link at the head, where it is known.
  ///   - begin: the link of the log's empty chain.
  ///   - known: the gaps that the damaged log had.
  init(
    _ found: [FoundBlock], in file: RawFile, head: Position, link: Digest?, begin: Digest, known: [LogGap]
  ) {
    self.file = file
    self.begin = begin
    self.found = Self.withoutCopies(found)
    self.known = known
    choose(head: head, link: link)
    blocks.reverse()
    gaps.sort { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// Of the copies of a block, the one of which most is whole.
  private static func withoutCopies(_ found: [FoundBlock]) -> [FoundBlock] {
    let sorted = found.sorted { left, right in
      if left.last != right.last { return left.last < right.last }
      if left.first != right.first { return left.first < right.first }
      if left.check != right.check { return left.check < right.check }
      if left.isWhole != right.isWhole { return left.isWhole }
      if (left.header == nil) != (right.header == nil) { return left.header == nil }
      return left.isInPlace && !right.isInPlace
    }
    var kept: [FoundBlock] = []
    for block in sorted {
      let isCopy = kept.last.map {
        $0.last == block.last && $0.first == block.first && $0.check == block.check
      }
      if isCopy != true { kept.append(block) }
    }
    return kept
  }

  /// What the block below must fit.
  private enum Proof {
    /// Its link is this.
    case link(Digest)
    /// Its link leads to the one of this block, unless the headers that are hashed for that are damaged.
    case follower([UInt8], isDamaged: Bool)
    /// Nothing is known.
    case none
  }

  private mutating func choose(head: Position, link: Digest?) {
    var rest = head.rawValue
    var proof = link.map(Proof.link) ?? .none
    let pruned = known.filter { $0.kind == .pruned }
    // The link at the end of a range that is lost, where it is known.
    var anchor = link
    var end = found.endIndex
    while rest > 0 {
      if let gap = pruned.first(where: { $0.range.contains(Position(rawValue: rest)) }) {
        gaps.append(gap)
        rest = gap.range.lowerBound.rawValue - 1
        (proof, anchor) = (.none, nil)
        continue
      }
      let lowest = pruned.map(\.range.upperBound.rawValue).filter { $0 < rest }.max() ?? 0
      while end > 0, found[end - 1].last > rest { end -= 1 }
      var begin = end
      while begin > 0, found[begin - 1].last == rest { begin -= 1 }
      if let block = pick(found[begin..<end].filter { $0.first > lowest }, proof) {
        blocks.append(block)
        rest = block.first - 1
        (proof, anchor) = (follower(block), nil)
      } else {
        // Down to the next block that may be kept without a proof, or to what was pruned.
        let next = found[..<begin].last { $0.last <= lowest || isRooted($0) }
        let bottom = max(next?.last ?? 0, lowest)
        lose(Position(rawValue: bottom + 1)...Position(rawValue: rest), anchor: anchor)
        rest = bottom
        (proof, anchor) = (.none, nil)
      }
    }
  }

  /// The block that fits, or nil. Where nothing can prove it, it is the newest of those in place.
  private func pick(_ candidates: [FoundBlock], _ proof: Proof) -> FoundBlock? {
    let fitting: [FoundBlock]
    switch proof {
    case .none: fitting = candidates.filter(isRooted)
    case .link(let link): fitting = candidates.filter { self.link(of: $0) == link }
    case .follower(let above, let isDamaged):
      let linked = candidates.filter { block in
        guard let link = self.link(of: block) else { return false }
        return above.withUnsafeBytes { BlockProof.isLinked($0, after: link) }
      }
      // A block whose header was made anew stands on its entries' checks. That its link is lost is a finding from then on.
      fitting =
        linked.isEmpty ? candidates.filter { (isDamaged || $0.header != nil) && isRooted($0) } : linked
    }
    return fitting.max { $0.time < $1.time }
  }

  /// Whether a block stands where LMDB put it, or follows by the chain from one that does or from the log's begin. What
  /// a payload quotes of another log does not.
  private func isRooted(_ block: FoundBlock) -> Bool {
    var block = block
    while !block.isInPlace {
      guard let bytes = block.bytes(in: file) else { return false }
      let isLinked = { (link: Digest?) in
        bytes.withUnsafeBytes { bytes in link.map { BlockProof.isLinked(bytes, after: $0) } ?? false }
      }
      if block.first == 1 { return isLinked(begin) }
      guard let below = blocks(endingAt: block.first - 1).first(where: { isLinked(link(of: $0)) }) else {
        return false
      }
      block = below
    }
    return true
  }

  private func blocks(endingAt last: UInt64) -> ArraySlice<FoundBlock> {
    var (low, high) = (0, found.count)
    while low < high {
      let middle = (low + high) / 2
      if found[middle].last < last { low = middle + 1 } else { high = middle }
    }
    return found[low...].prefix { $0.last == last }
  }

  /// What proves the block below `block`.
  private func follower(_ block: FoundBlock) -> Proof {
    guard let bytes = block.bytes(in: file) else { return .none }
    let isWhole =
      block.isWhole
      || bytes.withUnsafeBytes { bytes in
        (block.first...block.last).enumerated().allSatisfy { index, position in
          StoredEntry(index, of: bytes, at: Position(rawValue: position)).isBound
        }
      }
    return .follower(bytes, isDamaged: !isWhole)
  }

  private func link(of block: FoundBlock) -> Digest? { block.link(in: file) }

  private mutating func lose(_ range: ClosedRange<Position>, anchor: Digest?) {
    // What was lost before keeps its reason.
    if let gap = known.first(where: { $0.range == range }) { return gaps.append(gap) }
    gaps.append(
      LogGap(
        range: range, kind: .quarantined(reason: "no whole block with these positions was found"),
        anchor: anchor))
  }
}

// MARK: The end

extension SalvagePlan {
  /// What the newest commit left behind, as far as it can be known, and what is to be said where that is in doubt.
  static func chooseHead(
    _ scan: BlockScan, _ found: [FoundBlock], _ tables: RowsByTable, in file: RawFile
  ) -> (head: CommitHead, doubt: String?) {
    if let known = tables.state(TableLayout.headKey).flatMap(open) { return (known, nil) }
    let (newest, isCertain) = BlockScan.newestCommit(of: file)
    let bound = newest.map { isCertain ? $0 : $0 + 1 } ?? .max
    let heads = scan.heads.compactMap(open)
    let head = heads.filter { $0.commitNumber <= bound }.max { $0.commitNumber < $1.commitNumber }
    if var head, isCertain, head.commitNumber == newest {
      // Where the tables are lost, the heads of lanes and streams are counted again.
      head.headsThrough = .start
      return (head, nil)
    }
    // No position that anybody knows of may be given out again.
    var top = max(found.filter(\.isInPlace).map(\.last).max() ?? 0, head?.position.rawValue ?? 0)
    top = max(top, tables.positionMax)
    let doubt = doubt(of: file, top: top)
    guard top > head?.position.rawValue ?? 0, let time = found.map(\.time).max() else {
      return (head ?? CommitHead(), doubt)
    }
    return (
      CommitHead(position: Position(rawValue: top), link: .zero, time: Timestamp(rawValue: time)), doubt
    )
  }

  /// What is to be said of the end of a log whose head is lost.
  private static func doubt(of file: RawFile, top: UInt64) -> String {
    if let stated = BlockScan.statedByteCount(of: file), stated > file.byteCount {
      return
        "the file has \(file.byteCount) of \(stated) bytes: what stood behind position \(top) is lost with its end"
    }
    return
      "what the newest commit said of itself is lost: the end of the log is that of the newest block found, "
      + "and may have been about to be committed when the node ended"
  }

  /// The head that a sealed value is; nil where it is damaged.
  private static func open(_ sealed: [UInt8]) -> CommitHead? {
    TableLayout.headKey.withUnsafeBytes { key in
      sealed.withUnsafeBytes { sealed in
        guard var reader = try? TableLayout.unseal(sealed, key: key, table: "state") else { return nil }
        return try? TableLayout.head(&reader)
      }
    }
  }
}
