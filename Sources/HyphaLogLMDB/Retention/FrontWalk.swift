import HyphaCore
import HyphaLog

/// What lies at the front of a log: blocks, one after the other, from the first that is still there.
extension LogStore {
  /// What a prune by `policy` would remove.
  func planPrune(_ policy: RetentionPolicy, guards: [PruneGuard], now: Timestamp) throws -> PrunePlan {
    var view = try view()
    let byteCount = try environment.byteCount(of: environment.blocks, in: view.transaction)
    let consumers = try cursors().map { PruneGuard($0, at: $1) }.sorted { $0.name < $1.name }
    var plan = PrunePlan(
      policy, head: view.head.position, byteCount: byteCount, guards: consumers + guards, now: now)
    var isOver = false
    while !isOver {
      let deadline = LogView.nanoseconds() + 10_000_000
      isOver = true
      try view.visitFront(after: plan.range?.upperBound) { block in
        guard block.last <= plan.head, plan.add(PrunePlan.Block(block)) else { return false }
        isOver = LogView.nanoseconds() <= deadline
        return isOver
      }
      view = try self.view()
    }
    return plan
  }
}

extension LogView {
  /// Calls `body` with each block after a position, or from the first one on, until it returns false. Positions that no
  /// block has lie in gaps.
  func visitFront(after position: Position?, _ body: (BlockView) throws -> Bool) throws {
    let cursor = try transaction.cursor(in: environment.blocks)
    var end = position ?? .start
    var place = try BlockLayout.withKey(end.next) { try cursor.seek($0) }
    while let found = place {
      let block = try BlockView(found.value, last: BlockLayout.position(ofKey: found.key))
      while end.next < block.first {
        guard let gap = try gap(at: end.next) else { throw Self.hole(at: end.next) }
        end = gap.range.upperBound
      }
      guard try body(block) else { return }
      end = block.last
      place = try cursor.next()
    }
  }
}

extension PrunePlan.Block {
  /// The facts of a block.
  fileprivate init(_ block: BlockView) {
    self.init(
      range: block.first...block.last, newest: block.newestTime, byteCount: block.byteCountOnDisk,
      link: block.link)
  }
}

extension BlockView {
  /// When the newest entry was taken, as its header has it.
  fileprivate var newestTime: Timestamp {
    let index = Int(last.rawValue - first.rawValue)
    let offset = BlockLayout.headerByteCount + index * BlockLayout.entryHeaderByteCount
    return Timestamp(
      rawValue: UInt64(littleEndian: rawBytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
  }

  /// The bytes that LMDB uses for the block, about: pages of its own, or a part of one.
  var byteCountOnDisk: UInt64 {
    let (page, header) = (4_096, 16)
    guard rawBytes.count > BlockLayout.inlineByteCountMax else { return UInt64(rawBytes.count + header) }
    return UInt64((rawBytes.count + header + page - 1) / page * page)
  }
}
