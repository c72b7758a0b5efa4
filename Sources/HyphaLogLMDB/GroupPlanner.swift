import HyphaCore
import HyphaLog

/// A group as it will stand in the log: all bytes are made, so that committing is copying and syncing.
struct PlannedGroup: Sendable {
  /// A key of a table with its sealed value.
  struct Row: Sendable {
    let key: [UInt8]
    let value: [UInt8]
  }

  /// The batches, and what to tell each once the group is durable.
  let waiting: [WriteQueue.Waiting]
  fileprivate(set) var results: [Result<CommitReceipt, HyphaError>] = []
  /// Blocks under the positions of their last entries.
  fileprivate(set) var blocks: [(last: Position, bytes: [UInt8])] = []
  fileprivate(set) var stateRows: [Row] = []
  fileprivate(set) var snapshotRows: [Row] = []
  /// Held until the commit is done, or a sweep would take them for leftovers.
  fileprivate(set) var payloads: [StoredPayload] = []
  /// What the commit leaves behind, but for its number.
  fileprivate(set) var head: CommitHead
  /// Whether heads of lanes and streams are among the rows.
  fileprivate(set) var writesHeads = false

  var isEmpty: Bool { blocks.isEmpty && stateRows.isEmpty && snapshotRows.isEmpty }
}

/// Plans group after group, one ahead of what is committed. Stays on the writer's thread.
final class GroupPlanner {
  private let store: LogStore
  private var planner: AppendPlanner
  /// What will have been committed when everything is that was planned.
  private(set) var head: CommitHead
  private let inlinePayloadByteCountMax: Int
  private let time: any TimeSource

  /// A planner that goes on behind `head`.
  init(store: LogStore, head: CommitHead, inlinePayloadByteCountMax: Int, time: any TimeSource) throws {
    self.store = store
    self.head = head
    self.inlinePayloadByteCountMax = inlinePayloadByteCountMax
    self.time = time
    planner = AppendPlanner(head: head.position, lastTime: head.time)
    try adoptMovedHeads()
  }

  /// Lets ``goOn(behind:)`` begin anew from what is in the log.
  func forgetHeads() { head.link = .zero }

  /// Takes note of what is committed, when nothing is being committed: work between groups may have changed it, and a
  /// group that failed is to be forgotten.
  func goOn(behind committed: CommitHead) throws {
    let isAsPlanned = committed.position == head.position && committed.link == head.link
    if isAsPlanned, committed.headsThrough >= head.headsThrough {
      head = committed
      return
    }
    planner = AppendPlanner(head: committed.position, lastTime: committed.time)
    try adoptMovedHeads()
    head = committed
  }

  /// What no one came to write down yet is still to be written.
  private func adoptMovedHeads() throws {
    let moved = try store.heads.moved(store.view())
    planner.adopt(lanes: moved.lanes, streams: moved.streams)
  }

  /// What a group becomes. Where that cannot be said, as on a full disk, all its batches have failed.
  ///
  /// - Parameter isAlone: whether no group before it is still on its way to the log.
  func plan(_ group: [WriteQueue.Waiting], isAlone: Bool) -> PlannedGroup {
    do {
      return try plannedGroup(group, isAlone: isAlone)
    } catch {
      planner.rollBack()
      var failed = PlannedGroup(waiting: group, head: head)
      // Even those that conflicted: what they conflicted with is not there.
      failed.results = group.map { _ in .failure(LogFailure.from(error)) }
      return failed
    }
  }

  private func plannedGroup(_ group: [WriteQueue.Waiting], isAlone: Bool) throws -> PlannedGroup {
    let now = Timestamp(microseconds: time.microseconds())
    var planned = PlannedGroup(waiting: group, head: head)
    var entries: [PlacedEntry] = []
    entries.reserveCapacity(group.reduce(0) { $0 + $1.batch.appends.count })
    planned.results.reserveCapacity(group.count)
    var cursors: [CursorKey: Cursor] = [:]
    var snapshots: [AgentID: [UInt8]] = [:]
    planner.beginGroup(mayForget: isAlone)
    for waiting in group {
      do {
        switch try planner.plan(waiting.batch, body: waiting.body, now: now, heads: store) {
        case .repeated(let receipt): planned.results.append(.success(receipt))
        case .take(let receipt):
          try place(waiting, in: &entries, &planned.payloads)
          if !waiting.batch.cursors.isEmpty { cursors.merge(waiting.batch.cursors) { _, new in new } }
          if !waiting.batch.snapshots.isEmpty { snapshots.merge(waiting.batch.snapshots) { _, new in new } }
          planned.results.append(.success(receipt))
        }
      } catch let error as HyphaError where error.code == .logConflict {
        planned.results.append(.failure(error))
      }
    }
    planned.head.position = planner.head
    planned.head.time = entries.last?.placement.appendedAt ?? head.time
    planned.addBlocks(of: entries)
    for (key, cursor) in cursors {
      planned.stateRows.append(.init(key: TableLayout.key(of: key), value: TableLayout.value(of: cursor)))
    }
    for (key, kept) in planner.keys {
      planned.stateRows.append(.init(key: TableLayout.key(of: key), value: TableLayout.value(of: kept)))
    }
    for (agent, snapshot) in snapshots {
      planned.snapshotRows.append(.init(key: TableLayout.key(ofSnapshotOf: agent), value: snapshot))
    }
    planner.groupWasCommitted()
    let unwrittenCount = planner.head.rawValue - head.headsThrough.rawValue
    if unwrittenCount >= HeadTable.writeLimit(movedCount: planner.movedHeadCount) || planner.isCrowded {
      planned.stateRows += movedHeads()
      planned.head.headsThrough = planner.head
      planned.writesHeads = true
    }
    head = planned.head
    return planned
  }

  /// The heads that have moved since they were last taken, in the order of the table: each of its pages is touched
  /// once then. Whoever takes them writes them.
  func movedHeads() -> [PlannedGroup.Row] {
    var rows: [PlannedGroup.Row] = []
    planner.forEachMovedLane {
      rows.append(.init(key: TableLayout.key(of: $0), value: TableLayout.value(of: $1)))
    }
    planner.forEachMovedStream {
      rows.append(.init(key: TableLayout.key(of: $0), value: TableLayout.value(of: $1)))
    }
    rows.sort { TableLayout.precedes($0.key, $1.key) }
    planner.headsWereWritten()
    return rows
  }

  private func place(
    _ waiting: WriteQueue.Waiting, in entries: inout [PlacedEntry], _ payloads: inout [StoredPayload]
  ) throws {
    let count = waiting.batch.appends.count
    let begin = planner.placements.count - count
    for index in 0..<count {
      let append = waiting.batch.appends[index]
      let stored = try store(append.record, leaf: waiting.leaves[index], &payloads)
      entries.append(
        PlacedEntry(placement: planner.placements[begin + index], source: append.source, stored: stored))
    }
  }

  /// What of a record goes into the log. A large payload is on the disk when this returns.
  private func store(
    _ record: Record, leaf: Digest, _ payloads: inout [StoredPayload]
  ) throws -> StoredRecord {
    guard record.payloadByteCount > inlinePayloadByteCountMax else {
      return StoredRecord(record, leaf: leaf)
    }
    let payload = try record.withPayload { try store.payloads.put($0) }
    payloads.append(payload)
    let detached = record.withBytes {
      DetachedRecord.split($0, payloadOffset: record.payloadOffset, payload: payload.reference)
    }
    return StoredRecord(detached: detached, leaf: leaf)
  }
}

extension PlannedGroup {
  /// Makes of entries as few blocks as is good for them, and moves the chain on.
  fileprivate mutating func addBlocks(of entries: [PlacedEntry]) {
    var chain = HashChain(head: head.link)
    let byteCounts = entries.map(\.byteCount)
    var rest = byteCounts.reduce(0, +)
    var begin = 0
    while begin < entries.count {
      let count = BlockLayout.entryCount(ofNextBlock: byteCounts[begin...], restByteCount: rest)
      let end = begin + count
      let byteCount = byteCounts[begin..<end].reduce(0, +)
      let blockByteCount = BlockLayout.headerByteCount + byteCount
      let bytes = [UInt8](unsafeUninitializedCapacity: blockByteCount) { buffer, filled in
        let block = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[..<blockByteCount])
        BlockLayout.write(entries[begin..<end], chain: &chain, into: block)
        filled = blockByteCount
      }
      blocks.append((entries[end - 1].placement.position, bytes))
      rest -= byteCount
      begin = end
    }
    head.link = chain.head
  }
}
