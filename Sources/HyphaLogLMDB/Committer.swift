import HyphaCore
import HyphaLog

/// Commits what was planned, and other work between groups: one transaction, one sync each.
///
/// `@unchecked Sendable`: one thread has it at a time. The thread that commits groups has it from a hand-over until it
/// says that it is done; at all other times the writer's thread has it.
final class Committer: @unchecked Sendable {
  let store: LogStore
  let planner: GroupPlanner
  /// What the newest commit left behind.
  private(set) var head: CommitHead

  /// A committer that goes on behind `head`.
  init(store: LogStore, head: CommitHead, settings: LMDBLogSettings, time: any TimeSource) throws {
    self.store = store
    self.head = head
    planner = try GroupPlanner(
      store: store, head: head, inlinePayloadByteCountMax: settings.inlinePayloadByteCountMax, time: time)
  }

  /// Commits a group. When it throws, nothing was written.
  func commit(_ group: PlannedGroup) throws {
    if group.isEmpty { return }
    let environment = store.environment
    try commit { transaction, next in
      next = group.head
      next.commitNumber = transaction.commitNumber
      for block in group.blocks {
        try BlockLayout.withKey(block.last) { key in
          try transaction.append(byteCount: block.bytes.count, at: key, in: environment.blocks) { value in
            block.bytes.withUnsafeBytes { value.copyMemory(from: $0) }
          }
        }
      }
      for row in group.stateRows { try transaction.putSealed(row.value, at: row.key, in: environment.state) }
      for row in group.snapshotRows {
        try transaction.putSealed(row.value, at: row.key, in: environment.snapshots)
      }
    }
  }

  /// Writes the heads down before the log is let go of, so that the next one who opens it need not read them
  /// together. Without that it would only take longer.
  func finish() { try? writeHeads() }

  /// Writes down the heads that have moved since they were written. On the writer's thread, while nothing is being
  /// committed.
  func writeHeads() throws {
    try planner.goOn(behind: head)
    guard head.headsThrough < head.position else { return }
    let rows = planner.movedHeads()
    do {
      try commit { transaction, next in
        for row in rows { try transaction.putSealed(row.value, at: row.key, in: store.environment.state) }
        next.headsThrough = next.position
      }
    } catch {
      // They were taken from the planner, and are read again from the entries.
      planner.forgetHeads()
      throw error
    }
    try planner.goOn(behind: head)
  }

  /// Commits other work than a group, between groups. `body` may run several times.
  ///
  /// - Throws: also when the file has other commits than this writer's; nothing is written over them.
  func commit(_ body: (borrowing WriteTransaction, inout CommitHead) throws -> Void) throws {
    var next = head
    try store.environment.write { transaction in
      guard transaction.commitNumber == head.commitNumber + 1 else {
        throw HyphaError(
          .logFailed,
          "the log in \(store.environment.failure.log) was written by someone else: it is at commit "
            + "\(transaction.commitNumber - 1), not \(head.commitNumber)",
          remedy: "let only Hypha write it, and start the node again")
      }
      next = head
      next.commitNumber = transaction.commitNumber
      try body(transaction, &next)
      try transaction.putHead(next, in: store.environment.state)
    }
    head = next
  }
}

extension WriteTransaction {
  /// Writes down what the commit leaves behind. Every commit does.
  func putHead(_ head: CommitHead, in state: Environment.Table) throws {
    try putSealed(TableLayout.value(of: head), at: TableLayout.headKey, in: state)
  }

  /// Sets a value with its check behind it.
  func putSealed(_ value: [UInt8], at key: [UInt8], in table: Environment.Table) throws {
    try put(TableLayout.seal(value, key: key), at: key, in: table)
  }
}
