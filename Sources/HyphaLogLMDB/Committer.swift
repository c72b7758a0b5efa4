import HyphaCore
import HyphaLog

/// Commits group after group: plan, write, sync. Stays on the writer's thread.
final class Committer {
  let store: LogStore
  /// What the newest commit left behind.
  private(set) var head: CommitHead
  private var planner: AppendPlanner
  private let inlinePayloadByteCountMax: Int
  private let time: any TimeSource

  /// A committer that goes on behind `head`.
  init(
    store: LogStore, head: CommitHead, inlinePayloadByteCountMax: Int, time: any TimeSource
  ) throws {
    self.store = store
    self.head = head
    self.inlinePayloadByteCountMax = inlinePayloadByteCountMax
    self.time = time
    planner = AppendPlanner(head: head.position, lastTime: head.time)
    // What a process did not come to write down before it ended is still to be written.
    let moved = try store.heads.moved(store.view())
    planner.adopt(lanes: moved.lanes, streams: moved.streams)
  }

  /// What a group adds up to.
  private struct Changes {
    var entries: [PlacedEntry] = []
    /// Held until the commit is done, or a sweep would take them for leftovers.
    var payloads: [StoredPayload] = []
    var cursors: [CursorKey: Cursor] = [:]
    var snapshots: [AgentID: [UInt8]] = [:]
    var isEmpty: Bool { entries.isEmpty && cursors.isEmpty && snapshots.isEmpty }
  }

  /// Commits a group and says what became of each batch.
  func commit(_ group: [WriteQueue.Waiting]) -> [Result<CommitReceipt, HyphaError>] {
    do {
      let (changes, results) = try plan(group)
      if !changes.isEmpty { try write(changes) }
      return results
    } catch {
      planner.rollBack()
      let error = error as? HyphaError ?? HyphaError(.logFailed, "the log failed", cause: "\(error)")
      // Even those that conflicted: what they conflicted with may not have been written.
      return group.map { _ in .failure(error) }
    }
  }

  private func plan(
    _ group: [WriteQueue.Waiting]
  ) throws -> (Changes, [Result<CommitReceipt, HyphaError>]) {
    let now = Timestamp(microseconds: time.microseconds())
    var changes = Changes()
    planner.beginGroup()
    let results = try group.map { waiting -> Result<CommitReceipt, HyphaError> in
      do {
        switch try planner.plan(waiting.batch, body: waiting.body, now: now, heads: store) {
        case .repeated(let receipt): return .success(receipt)
        case .take(let receipt):
          let appends = waiting.batch.appends
          let placements = planner.placements.suffix(appends.count)
          for (index, placement) in placements.enumerated() {
            let append = appends[index]
            let stored = try store(append.record, leaf: waiting.leaves[index], &changes.payloads)
            changes.entries.append(PlacedEntry(placement: placement, source: append.source, stored: stored))
          }
          if !waiting.batch.cursors.isEmpty {
            changes.cursors.merge(waiting.batch.cursors) { _, new in new }
          }
          if !waiting.batch.snapshots.isEmpty {
            changes.snapshots.merge(waiting.batch.snapshots) { _, new in new }
          }
          return .success(receipt)
        }
      } catch let error as HyphaError where error.code == .logConflict {
        return .failure(error)
      }
    }
    return (changes, results)
  }

  /// What of a record goes into the log. A large payload is on the disk when this returns.
  private func store(
    _ record: Record, leaf: Digest, _ payloads: inout [StoredPayload]
  ) throws -> StoredRecord {
    guard record.payload.count > inlinePayloadByteCountMax else {
      return StoredRecord(bytes: record.bytes, isDetached: false, leaf: leaf)
    }
    let payload = try record.withPayload { try store.payloads.put($0) }
    payloads.append(payload)
    let detached = record.bytes.withUnsafeBytes {
      DetachedRecord.split($0, payloadOffset: record.payload.startIndex, payload: payload.reference)
    }
    return StoredRecord(bytes: detached, isDetached: true, leaf: leaf)
  }

  /// One transaction, one sync. When it throws, nothing was written.
  private func write(_ changes: Changes) throws {
    let environment = store.environment
    let isDue =
      planner.head.rawValue - head.headsThrough.rawValue >= HeadTable.writeLimit || planner.isCrowded
    var next = head
    try environment.write { transaction in
      next = head
      next.position = planner.head
      next.time = changes.entries.last?.placement.appendedAt ?? head.time
      next.commitNumber = transaction.commitNumber
      next.link = try transaction.append(changes.entries, after: head.link, to: environment.blocks)
      for (key, cursor) in changes.cursors {
        try transaction.putSealed(
          TableLayout.value(of: cursor), at: TableLayout.key(of: key), in: environment.state)
      }
      for (agent, snapshot) in changes.snapshots {
        try transaction.putSealed(
          snapshot, at: TableLayout.key(ofSnapshotOf: agent), in: environment.snapshots)
      }
      for (key, kept) in planner.keys {
        try transaction.putSealed(
          TableLayout.value(of: kept), at: TableLayout.key(of: key), in: environment.state)
      }
      if isDue {
        try transaction.putHeads(of: planner, in: environment.state)
        next.headsThrough = planner.head
      }
      try transaction.putHead(next, in: environment.state)
    }
    head = next
    planner.groupWasCommitted()
    guard isDue else { return }
    planner.headsWereWritten()
    // Readers that died keep old pages from being used again.
    try? environment.clearDeadReaders()
  }

  /// Writes the heads down before the log is let go of, so that the next one who opens it need not read them
  /// together. Without that it would only take longer.
  func finish() { try? writeHeads() }

  /// Writes down the heads that have moved since they were written.
  func writeHeads() throws {
    guard head.headsThrough < head.position else { return }
    try commit { transaction, next in
      try transaction.putHeads(of: planner, in: store.environment.state)
      next.headsThrough = next.position
    }
    planner.headsWereWritten()
  }

  /// Commits other work than a group, between groups. `body` may run several times.
  func commit(_ body: (borrowing WriteTransaction, inout CommitHead) throws -> Void) throws {
    var next = head
    try store.environment.write { transaction in
      next = head
      next.commitNumber = transaction.commitNumber
      try body(transaction, &next)
      try transaction.putHead(next, in: store.environment.state)
    }
    head = next
  }
}

extension WriteTransaction {
  /// Appends entries in as few blocks as is good for them, and returns the chain's new link.
  fileprivate borrowing func append(
    _ entries: [PlacedEntry], after link: Digest, to table: Environment.Table
  ) throws -> Digest {
    var chain = HashChain(head: link)
    let byteCounts = entries.map(\.byteCount)
    var rest = byteCounts.reduce(0, +)
    var begin = 0
    while begin < entries.count {
      let count = BlockLayout.entryCount(ofNextBlock: byteCounts[begin...], restByteCount: rest)
      let end = begin + count
      let byteCount = byteCounts[begin..<end].reduce(0, +)
      let last = entries[end - 1].placement.position
      try BlockLayout.withKey(last) { key in
        try append(byteCount: BlockLayout.headerByteCount + byteCount, at: key, in: table) {
          BlockLayout.write(entries[begin..<end], chain: &chain, into: $0)
        }
      }
      rest -= byteCount
      begin = end
    }
    return chain.head
  }

  /// Writes down what the commit leaves behind. Every commit does.
  func putHead(_ head: CommitHead, in state: Environment.Table) throws {
    try putSealed(TableLayout.value(of: head), at: TableLayout.headKey, in: state)
  }

  /// Sets a value with its check behind it.
  func putSealed(_ value: [UInt8], at key: [UInt8], in table: Environment.Table) throws {
    try put(TableLayout.seal(value, key: key), at: key, in: table)
  }
}
