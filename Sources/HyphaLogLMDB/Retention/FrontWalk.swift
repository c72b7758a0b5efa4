import HyphaCore
import HyphaLog

/// What lies at the front of a log: blocks, one after the other, from the first that is still there.
extension LogStore {
  /// What a prune by `policy` would remove.
  func planPrune(
    _ policy: RetentionPolicy, guards: [PruneGuard], sparing spared: Set<Position>,
    places: [CursorKey: Cursor], now: Timestamp
  ) throws -> PrunePlan {
    let (head, byteCount) = try size()
    let consumers = try cursors().merging(places) { $1 }.map { PruneGuard($0, at: $1) }.sorted {
      $0.name < $1.name
    }
    var plan = PrunePlan(
      policy, head: head, byteCount: byteCount, guards: consumers + guards,
      sparing: spared, now: now)
    try visitBlocks { block in block.last <= plan.head && plan.add(PrunePlan.Block(block)) }
    return plan
  }

  /// The newest position, and the bytes that all blocks take.
  private func size() throws -> (head: Position, byteCount: UInt64) {
    let view = try view()
    return (view.head.position, environment.byteCount(of: environment.blocks, in: view.transaction))
  }

  /// The payloads beside the log that its entries refer to.
  func payloadReferences() throws -> Set<Digest> {
    var references: Set<Digest> = []
    try visitBlocks { block in
      try block.forEachPayload { references.insert($0.digest) }
      return true
    }
    return references
  }

  /// Calls `body` with each block from the first one on, until it returns false. No view is held for long.
  private func visitBlocks(_ body: (BlockView) throws -> Bool) throws {
    var end: Position?
    var isOver = false
    while !isOver {
      let view = try view()
      let deadline = LogView.nanoseconds() + 10_000_000
      isOver = true
      try view.visitFront(after: end) { block in
        guard try body(block) else { return false }
        end = block.last
        isOver = LogView.nanoseconds() <= deadline
        return isOver
      }
    }
  }
}

extension LogView {
  /// Calls `body` with each block after a position, or from the first one on, until it returns false. Each begins where
  /// the one before it or a gap ends.
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
      guard block.first == end.next else {
        throw HyphaError(
          .logInvalid, "the block that ends at position \(block.last) does not follow position \(end)",
          remedy: LogFailure.restore)
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

  /// Calls `body` with each payload that lies beside the log and that an entry refers to.
  fileprivate func forEachPayload(_ body: (PayloadReference) -> Void) throws {
    for index in 0...Int(last.rawValue - first.rawValue) {
      let header = UnsafeRawBufferPointer(
        rebasing: rawBytes[(BlockLayout.headerByteCount + index * BlockLayout.entryHeaderByteCount)...])
      guard header[26] == 1 else { continue }
      let offset = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 28, as: UInt32.self)))
      let count = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 32, as: UInt32.self)))
      guard offset <= rawBytes.count - count else {
        throw HyphaError(
          .logInvalid, "the block that ends at position \(last) has an entry beyond its end",
          remedy: LogFailure.restore)
      }
      let stored = UnsafeRawBufferPointer(rebasing: rawBytes[offset..<offset + count])
      body(try DetachedRecord(checking: stored).payload)
    }
  }

  /// The bytes that LMDB uses for the block, about: pages of its own, or a part of one.
  var byteCountOnDisk: UInt64 {
    let (page, header) = (4_096, 16)
    guard rawBytes.count > BlockLayout.inlineByteCountMax else { return UInt64(rawBytes.count + header) }
    return UInt64((rawBytes.count + header + page - 1) / page * page)
  }
}
