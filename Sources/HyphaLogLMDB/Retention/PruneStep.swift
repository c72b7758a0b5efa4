import HyphaCore
import HyphaLog

/// A few blocks that go in one transaction, with the gap that remembers them.
///
/// Whoever opens the log after any of these transactions finds it sound: what the gap covers is gone, and what is not
/// gone is not covered.
struct PruneStep {
  /// Which blocks go.
  let walk: PruneWalk
  /// The chain's link at the gap's end.
  private var anchor: Digest?
  /// The gaps that become part of the new one.
  private var gaps: [LogGap] = []
  /// Where it ends: with the last block, or with a gap behind it.
  private var gapEnd = Position.start

  /// The next step of a prune, from where the walk before it ended; it may have no blocks.
  ///
  /// - Complexity: a look at ``PruneWalk/lookCountMax`` blocks and the gaps between them at most.
  init(
    of view: LogView, from begin: Position, through last: Position, sparing spared: SparedPositions,
    blockCountMax: Int
  ) throws {
    var walk = PruneWalk(from: begin, through: last, sparing: spared, blockCountMax: blockCountMax)
    var isStopped = false
    try view.visitFront(after: Position(rawValue: begin.rawValue - 1)) { block in
      isStopped = !walk.look(
        at: block.first...block.last, byteCount: block.byteCountOnDisk, link: block.link)
      return !isStopped
    }
    self.walk = walk
    isAtEnd = !isStopped || !walk.goesOn
    guard let end = walk.blocks.last else { return }
    anchor = walk.anchor
    try view.checkAround(walk.blocks)
    let known = try view.gaps(from: walk.begin, through: end.next)
    gaps = known.filter { $0.range.upperBound <= end }
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

  /// Whether nothing is left behind this step.
  let isAtEnd: Bool

  /// How many pages beyond the file's end the transaction may take: copies of the pages that it changes, and the list
  /// of those that become free.
  var pageCountMax: Int { 256 + Int(walk.byteCount / 4_096 / 256) }

  /// Removes the blocks and remembers that they are gone.
  func apply(to transaction: borrowing WriteTransaction, in environment: Environment) throws {
    guard !walk.blocks.isEmpty, let anchor else { return }
    for block in walk.blocks {
      try BlockLayout.withKey(block) { try transaction.remove($0, from: environment.blocks) }
    }
    for gap in gaps {
      try BlockLayout.withKey(gap.range.upperBound) { try transaction.remove($0, from: environment.gaps) }
    }
    // Nothing is left between.
    let gap = LogGap(range: walk.begin...gapEnd, kind: .pruned, anchor: anchor)
    let key = BlockLayout.withKey(gapEnd) { Array($0) }
    try transaction.putSealed(TableLayout.value(of: gap), at: key, in: environment.gaps)
  }
}

extension Committer {
  /// What one call of ``pruneNext(from:through:sparing:)`` came to.
  struct PruneProgress: Sendable {
    /// Where the next call begins.
    let next: Position
    /// How far the log is pruned; nil where only blocks that stay were met.
    let end: Position?
    /// How many blocks were looked at.
    let lookCount: Int
  }

  /// Removes the next few blocks up to `last`, of those behind where the call before ended; nil when nothing was left.
  ///
  /// A disk without room gets smaller and smaller steps: LMDB needs free pages to change any, and the fewer blocks go,
  /// the fewer it needs.
  func pruneNext(
    from begin: Position, through last: Position, sparing spared: SparedPositions
  ) throws -> PruneProgress? {
    var blockCountMax = PruneWalk.blockCountMax
    while true {
      let step = try PruneStep(
        of: store.view(), from: begin, through: min(last, head.headsThrough), sparing: spared,
        blockCountMax: blockCountMax)
      guard let end = step.walk.blocks.last else {
        let passed = PruneProgress(next: step.walk.begin, end: nil, lookCount: step.walk.lookCount)
        guard step.isAtEnd else { return passed }
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
        return PruneProgress(next: step.walk.begin, end: end, lookCount: step.walk.lookCount)
      } catch let error as HyphaError where error.code == .logFull && step.walk.blocks.count > 1 {
        blockCountMax = step.walk.blocks.count / 4 + 1
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
