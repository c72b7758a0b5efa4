public import HyphaCore
public import HyphaLog
import Synchronization

extension LMDBLog {
  /// What a prune would remove: whole blocks from the front, as many as `policy` takes, below all consumers' cursors and
  /// all of `guards`. Nothing is changed.
  ///
  /// What other nodes have not taken yet the log does not know; say so with guards. What a node reads when it starts is
  /// spared by who knows it.
  ///
  /// - Complexity: one step for each block that would go.
  public func planPrune(
    _ policy: RetentionPolicy, guards: [PruneGuard] = [], sparing spared: Set<Position> = [],
    places: [CursorKey: Cursor] = [:], now: Timestamp
  ) throws -> PrunePlan {
    try open().planPrune(policy, guards: guards, sparing: spared, places: places, now: now)
  }

  /// Removes what `plan` says, while the log is written and read.
  ///
  /// First the event ``LogPruned`` is appended, by the agent `log` on the persistent channel. Then blocks go, some in
  /// each transaction, between the commits of others; the heads of their lanes and streams stay. At last the idempotency
  /// keys go that those entries had, and the payloads beside the log that only they referred to. Each transaction leaves a sound log, and a process that ends in between leaves
  /// the rest to the next prune. The pages that become free are used again by what is appended later; the file does not
  /// get shorter (compacting does that).
  ///
  /// - Parameters:
  ///   - principal: who wants it; stands in the event as its authority.
  ///   - time: when the event is stated.
  ///   - progress: told of the position up to which entries are gone after each step; on the writer's thread.
  /// - Throws: ``HyphaError/Code/logLocked`` while another prune runs; ``HyphaError/Code/logFull`` where the disk is so
  ///   full that even the room kept for this moment does not do (see `log.reserve` in the data directory).
  public func prune(
    _ plan: PrunePlan, principal: AgentID, time: some TimeSource,
    progress: @escaping @Sendable (Position) -> Void = { _ in }
  ) async throws -> PruneReport {
    guard let last = plan.range?.upperBound, let event = LogPruned(plan, principal: principal) else {
      throw HyphaError(.usage, "there is nothing to prune", remedy: "make a plan that removes something")
    }
    guard
      isPruning.withLock({ isPruning in
        defer { isPruning = true }
        return !isPruning
      })
    else {
      throw HyphaError(
        .logLocked, "the log in \(directory) is being pruned", remedy: "wait until that is done")
    }
    defer { isPruning.withLock { $0 = false } }
    guard let indexer else { return try await carryOut(plan, event, through: last, time: time, progress) }
    // The index is derived, and can wait; on a full disk it would take the room that this makes, and this needs.
    return try await indexer.paused { try await carryOut(plan, event, through: last, time: time, progress) }
  }

  private func carryOut(
    _ plan: PrunePlan, _ event: LogPruned, through last: Position, time: some TimeSource,
    _ progress: @escaping @Sendable (Position) -> Void
  ) async throws -> PruneReport {
    let record = try record(of: event, time: Timestamp(microseconds: time.microseconds()))
    let receipt = try await withReserve { try await append(LogBatch(appends: [.init(record)])) }
    lastPrune.withLock { $0 = LanePoint(epoch: record.header.epoch, sequence: record.header.sequence) }
    var (through, begin, lookCount) = (Position.start, Position(rawValue: 1), 0)
    while let step = try await withReserve({ [begin] in
      try await onWriter { try $0.pruneNext(from: begin, through: last, sparing: plan.spared) }
    }) {
      begin = step.next
      lookCount += step.lookCount
      guard let end = step.end else { continue }
      through = end
      progress(end)
    }
    var (keyCount, next): (Int, [UInt8]?) = (0, nil)
    repeat {
      let after = next
      let part = try await onWriter { try $0.pruneKeys(through: last, after: after) }
      keyCount += part.count
      next = part.next
    } while next != nil
    // LMDB uses pages again once the commit after the one that freed them is the oldest that anybody looks at.
    try await onWriter { try $0.commit { _, _ in } }
    try await waitForOldViews()
    try await onWriter { try $0.store.environment.returnReserve() }
    var report = PruneReport(
      event: receipt.first, through: through, keyCount: keyCount, payloadByteCount: try sweepPayloads())
    report.lookCount = lookCount
    return report
  }

  /// The event's record: the next of this opening's activation of the agent `log`, which begins with its first prune.
  private func record(of event: LogPruned, time: Timestamp) throws -> Record {
    let store = try open()
    let lane = Lane(agent: LogPruned.agent, channel: .persistent, target: .type(LogPruned.eventType))
    // A log that was put back to an older state states nothing anew under an epoch that others know.
    let newest = try store.newestEpoch(of: lane.agent, on: lane.channel) ?? 0
    let last = lastPrune.withLock { $0 }
    let point =
      last?.epoch == newest
      ? LanePoint(epoch: newest, sequence: (last?.sequence ?? 0) + 1)
      : LanePoint(epoch: newest + 1, sequence: 1)
    let id = EventID(time: time, random: .random(in: .min ... .max))
    var payload: [UInt8] = []
    try event.encode(into: &payload)
    return try Record(
      RecordHeader(
        id: id, time: time, channel: lane.channel, agent: lane.agent, epoch: point.epoch,
        sequence: point.sequence,
        previous: store.laneHead(lane)?.point ?? .start, addressee: nil, type: LogPruned.eventType,
        subject: event.subject, correlation: id, authority: Authority(principal: event.principal)),
      payload: payload)
  }

  /// Removes the payloads beside the log that no entry refers to any more; returns their size.
  private func sweepPayloads() throws -> UInt64 {
    let store = try open()
    guard store.payloads.isThere else { return 0 }
    return try store.payloads.sweep(isDryRun: false) { try store.payloadReferences() }.removedByteCount
  }

  /// Does what needs room, with that of the reserve where there is no other.
  private func withReserve<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as HyphaError where error.code == .logFull {
      try await onWriter { try $0.store.environment.lendReserve() }
      try await waitForOldViews()
      return try await body()
    }
  }

  /// Waits until nobody looks at an older commit than the newest of now, for a second at most: what is free since then
  /// cannot be used before. Views live for some milliseconds each.
  private func waitForOldViews() async throws {
    let newest = UInt64(try open().environment.facts().commitCount)
    for _ in 0..<1_000 {
      guard try readers().contains(where: { $0.commit.map { $0 < newest } ?? false }) else { return }
      try await Task.sleep(for: .milliseconds(1), clock: .suspending)
    }
  }

  /// Does work on the writer's thread, after the group in hand.
  private func onWriter<Value: Sendable>(
    _ body: @escaping @Sendable (Committer) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let isAdded = writer.queue.add { committer in
        continuation.resume(with: Result { try body(committer) })
      }
      if !isAdded { continuation.resume(throwing: closed) }
    }
  }
}
