import HyphaCore
import HyphaLog

/// A few blocks that go in one transaction, with the gap that remembers them.
///
/// Whoever opens the log after any of these transactions finds it sound: what the gap covers is gone, and what is not
/// gone is not covered.
struct PruneStep {
  /// The keys of the blocks.
  private(set) var blocks: [Position] = []
  /// What they take on the disk.
  private(set) var byteCount: UInt64 = 0
  /// The chain's link at the gap's end.
  private(set) var anchor: Digest?
  /// The gaps that become part of the new one.
  private var gaps: [LogGap] = []
  /// Where the new gap begins: with the log, or behind a block that stays.
  private var begin = Position(rawValue: 1)
  /// Where it ends: with the last block, or with a gap behind it.
  private var gapEnd = Position.start

  /// More than this would keep the writer from its groups too long.
  static let blockCountMax = 64
  private static let byteCountMax: UInt64 = 4 << 20

  /// The next step of a prune; it has no blocks where nothing is left to do.
  init(of view: LogView, through last: Position, sparing spared: Set<Position>, blockCountMax: Int) throws {
    try view.visitFront(after: nil) { block in
      if spared.contains(where: (block.first...block.last).contains) {
        // The gap ends before what stays, or begins behind it.
        guard blocks.isEmpty, block.last <= last else { return false }
        begin = block.last.next
        return true
      }
      guard block.last <= last, blocks.count < blockCountMax,
        blocks.isEmpty || byteCount + block.byteCountOnDisk <= Self.byteCountMax
      else { return false }
      blocks.append(block.last)
      byteCount += block.byteCountOnDisk
      anchor = block.link
      return true
    }
    guard let end = blocks.last else { return }
    try view.checkAround(blocks)
    let known = try view.gaps()
    gaps = known.filter { $0.range.lowerBound >= begin && $0.range.upperBound <= end }
    // What was pruned up to a block that was spared then.
    if let next = known.first(where: { $0.range.lowerBound == end.next && $0.kind == .pruned }),
      let link = next.anchor
    {
      gaps.append(next)
      (gapEnd, anchor) = (next.range.upperBound, link)
    } else {
      gapEnd = end
    }
  }

  /// How many pages beyond the file's end the transaction may take: copies of the pages that it changes, and the list
  /// of those that become free.
  var pageCountMax: Int { 256 + Int(byteCount / 4_096 / 256) }

  /// Removes the blocks and remembers that they are gone.
  func apply(to transaction: borrowing WriteTransaction, in environment: Environment) throws {
    guard !blocks.isEmpty, let anchor else { return }
    for block in blocks {
      try BlockLayout.withKey(block) { try transaction.remove($0, from: environment.blocks) }
    }
    for gap in gaps {
      try BlockLayout.withKey(gap.range.upperBound) { try transaction.remove($0, from: environment.gaps) }
    }
    // Nothing is left between.
    let gap = LogGap(range: begin...gapEnd, kind: .pruned, anchor: anchor)
    let key = BlockLayout.withKey(gapEnd) { Array($0) }
    try transaction.putSealed(TableLayout.value(of: gap), at: key, in: environment.gaps)
  }
}

extension Committer {
  /// Removes the next few blocks up to `last`; returns how far the log is pruned then, or nil when nothing was left.
  ///
  /// A disk without room gets smaller and smaller steps: LMDB needs free pages to change any, and the fewer blocks go,
  /// the fewer it needs.
  func pruneNext(through last: Position, sparing spared: Set<Position>) throws -> Position? {
    var blockCountMax = PruneStep.blockCountMax
    while true {
      let step = try PruneStep(
        of: store.view(), through: min(last, head.headsThrough), sparing: spared,
        blockCountMax: blockCountMax)
      guard let end = step.blocks.last else {
        guard head.headsThrough < last else { return nil }
        // The heads of what goes could not be read from it any more. Not before that is so: it takes room.
        try writeHeads()
        continue
      }
      do {
        try store.environment.extendFile(pageCount: step.pageCountMax)
        try commit { transaction, _ in
          try step.apply(to: transaction, in: store.environment)
        }
        return end
      } catch let error as HyphaError where error.code == .logFull && step.blocks.count > 1 {
        blockCountMax = step.blocks.count / 4 + 1
      }
    }
  }

  /// Removes idempotency keys of which the last entry is gone, at or before `last`: those behind `key` in the table, some
  /// at a time. Returns how many went, and where to go on, or nil at the end.
  func pruneKeys(through last: Position, after key: [UInt8]?) throws -> (count: Int, next: [UInt8]?) {
    let (expired, next) = try store.view().expiredKeys(through: last, after: key, limit: 4_096)
    guard !expired.isEmpty else { return (0, next) }
    try store.environment.extendFile(pageCount: 256)
    try commit { transaction, _ in
      for key in expired {
        try key.withUnsafeBytes { try transaction.remove($0, from: store.environment.state) }
      }
    }
    return (expired.count, next)
  }
}

extension LogView {
  /// Checks the pages that LMDB may change when it removes these blocks.
  fileprivate func checkAround(_ blocks: [Position]) throws {
    let tree = transaction.tree(of: environment.blocks)
    let pages = transaction.pages
    for block in blocks {
      do throws(PageMap.Broken) {
        try BlockLayout.withKey(block) { key throws(PageMap.Broken) in
          _ = try pages.checkPath(to: key, in: tree)
        }
      } catch {
        throw environment.failure.error(error, in: "blocks")
      }
    }
  }

  /// The idempotency keys among the next `limit` whose last entry is gone, at or before `last`.
  fileprivate func expiredKeys(
    through last: Position, after key: [UInt8]?, limit: Int
  ) throws -> (expired: [[UInt8]], next: [UInt8]?) {
    var expired: [[UInt8]] = []
    let kind = TableLayout.Kind.idempotencyKey.rawValue
    let cursor = try transaction.cursor(in: environment.state)
    // A key with a zero behind it is the next one that there can be.
    let begin = key.map { $0 + [0] } ?? [kind]
    var place = try begin.withUnsafeBytes { try cursor.seek($0) }
    for _ in 0..<limit {
      guard let found = place, found.key.first == kind else { return (expired, nil) }
      var reader = try TableLayout.unseal(found.value, key: found.key, table: "state")
      let end = try TableLayout.keptReceipt(&reader).receipt.last
      // A block that was spared keeps the keys of its entries.
      if end <= last, try gap(at: end) != nil { expired.append(Array(found.key)) }
      if expired.count == limit { break }
      let next = try cursor.next()
      if next == nil { return (expired, nil) }
      place = next
    }
    return (expired, place.map { Array($0.key) })
  }
}
