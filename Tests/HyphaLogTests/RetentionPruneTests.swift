import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization
import Testing

/// Removing a log's oldest entries.
@Suite struct RetentionPruneTests {
  private let now = Timestamp(microseconds: 2_000_000)

  private func prune(_ log: LMDBLog, keeping count: UInt64, guards: [PruneGuard] = []) async throws
    -> PruneReport
  {
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: count), guards: guards, now: now)
    return try await log.prune(plan, principal: "ops", time: TestTime())
  }

  @Test func `what was pruned is gone, says so, and the rest is as it was`() async throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = Backend.lmdb.makeHome()
    var log = try home.openLMDB()
    var authors = ["ana", "bob", "cy"].map { Author(AgentID(stringLiteral: $0)) }
    var model: [LogEntry] = []
    var gone: UInt64 = 0
    for round in 1...40 {
      for _ in 0..<Int.random(in: 1...12, using: &random) {
        let index = Int.random(in: 0..<3, using: &random)
        let size = Bool.random(using: &random) ? 100_000 : Int.random(in: 0...3_000, using: &random)
        var batch = LogBatch()
        for _ in 0..<Int.random(in: 1...20, using: &random) {
          let payload = [UInt8](repeating: UInt8(round), count: size)
          batch.appends.append(.init(try authors[index].next(payload: payload)))
        }
        _ = try await log.append(batch)
      }
      let head = try log.head()
      if model.count < Int(head.rawValue) {
        model += try log.read(
          after: Position(rawValue: UInt64(model.count)), limit: .max, byteLimit: .max)
      }
      let heads = try log.heads()
      let plan = try log.planPrune(
        RetentionPolicy(entryCountMax: .random(in: 1...80, using: &random)), now: now)
      if let range = plan.range {
        #expect(range.lowerBound.rawValue == gone + 1, "HYPHA_SEED=\(seed)")
        let report = try await log.prune(plan, principal: "ops", time: TestTime())
        gone = range.upperBound.rawValue
        #expect(report.through == range.upperBound && report.event == head.next, "HYPHA_SEED=\(seed)")
        let event = try #require(try log.entry(at: report.event))
        model.append(event)
        let said = try LogPruned.decode(event.record)
        #expect(said.first == range.lowerBound.rawValue && said.last == gone && said.principal == "ops")
        #expect(said.anchor == (try log.gaps().first?.anchor?.description))
        for (lane, head) in heads.lanes where lane.agent != LogPruned.agent {
          #expect(try log.laneHead(lane) == head, "HYPHA_SEED=\(seed)")
        }
        for (stream, head) in heads.streams where stream.agent != LogPruned.agent {
          #expect(try log.streamHead(stream) == head)
        }
      }
      if Bool.random(using: &random) {
        log.close()
        log = try home.openLMDB()
      }
      let pruned: [LogGap] = try log.gaps()
      #expect(pruned.count == (gone == 0 ? 0 : 1), "HYPHA_SEED=\(seed): \(pruned)")
      if let gap = pruned.first {
        #expect(gap.kind == .pruned && gap.range == Position(rawValue: 1)...Position(rawValue: gone))
      }
      let rest = try log.read(after: .start, limit: .max, byteLimit: .max)
      #expect(rest == Array(model[Int(gone)...]), "HYPHA_SEED=\(seed), round \(round)")
      let verification = try log.verify()
      #expect(verification.isSound, "HYPHA_SEED=\(seed), round \(round): \(verification.findings)")
      #expect(verification.prunedCount == gone)
      if gone > 0 { #expect(try log.entry(at: Position(rawValue: gone)) == nil) }
    }
    log.close()
  }

  @Test func `what is spared stays where it is, proven by the chain, until it is spared no more`()
    async throws
  {
    let home = Backend.lmdb.makeHome()
    var log = try home.openLMDB(IndexLifeTests.settings)
    var ana = Author("ana")
    for _ in 0..<300 { _ = try await log.append(ana.batch(1)) }
    let model = try log.read(after: .start, limit: .max, byteLimit: .max)
    let spared: Set<Position> = [Position(rawValue: 1), Position(rawValue: 120), Position(rawValue: 200)]
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 50), sparing: spared, now: now)
    #expect(plan.entryCount == 247 && plan.sparedBlockCount == 3)
    let report = try await log.prune(plan, principal: "ops", time: TestTime())
    #expect(report.through.rawValue == 250)
    let pruned: [ClosedRange<UInt64>] = [2...119, 121...199, 201...250]
    for _ in 0..<2 {
      #expect(try log.gaps().map { $0.range.lowerBound.rawValue...$0.range.upperBound.rawValue } == pruned)
      #expect(try log.gaps().allSatisfy { $0.kind == .pruned && $0.anchor != nil })
      let rest = try log.read(after: .start, limit: .max, byteLimit: .max)
      let left = Array(rest[..<(rest.count - 1)])
      let wanted = model.filter { spared.contains($0.position) } + Array(model[250...])
      #expect(left == wanted)
      for position in spared { #expect(try log.entry(at: position) == model[Int(position.rawValue) - 1]) }
      var query = LogQuery()
      query.agent = "ana"
      #expect(try log.pages(of: query, limits: .standard).entries == left)
      // What is there before a gap is found by its time, its lane and its stream like everything else.
      for (index, entry) in left.enumerated() {
        let before = try log.position(before: entry.appendedAt)
        #expect(try log.read(after: before, limit: 1, byteLimit: 0) == [entry])
        query.times = entry.appendedAt..<left[min(index + 3, left.count - 1)].appendedAt
        let found = try log.pages(of: query, limits: .standard).entries
        #expect(found == left[index..<min(index + 3, left.count - 1)].map(\.self))
      }
      #expect(try log.positions(ofLane: ana.lane(), after: .start) == left.map(\.position))
      #expect(
        try log.positions(ofLane: ana.lane(), after: .start, limit: 2) == left.prefix(2).map(\.position))
      let stream = StreamID(agent: "ana", epoch: 1, channel: .persistent)
      #expect(try log.read(stream: stream) == left)
      #expect(try log.read(stream: stream, from: 100, limit: 3) == Array(left[1..<4]))
      #expect(try log.verify().isSound)
      let verification = try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }
      #expect(
        verification.findings == [] && verification.unprovenCount == 0 && verification.prunedCount == 247)
      log.close()
      log = try home.openLMDB(IndexLifeTests.settings)
    }
    // Then another one is spared.
    let next = try log.planPrune(
      RetentionPolicy(entryCountMax: 20), sparing: [Position(rawValue: 200)], now: now)
    #expect(next.entryCount == 2 + 31)
    _ = try await log.prune(next, principal: "ops", time: TestTime())
    #expect(
      try log.gaps().map { $0.range.lowerBound.rawValue...$0.range.upperBound.rawValue } == [
        1...199, 201...281,
      ])
    #expect(try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }.isSound)
    log.close()
  }

  @Test func `nothing above a consumer's cursor or a guard goes`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<10 { _ = try await log.append(ana.batch(10)) }
    let key = CursorKey(agent: "bob", channel: .persistent)
    _ = try await log.append(
      LogBatch(cursors: [key: Cursor(position: Position(rawValue: 55), handledCount: 1)]))
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 1), now: now)
    #expect(plan.range?.upperBound.rawValue == 50)
    #expect(plan.heldBackBy?.name == "the consumer bob on persistent")
    let kept = try log.planPrune(
      RetentionPolicy(entryCountMax: 1), guards: [PruneGuard(keeping: Position(rawValue: 31))], now: now)
    #expect(kept.range?.upperBound.rawValue == 30)
    #expect(try log.planPrune(RetentionPolicy(takesHandled: true), now: now).range == plan.range)
    log.close()
  }

  @Test func `idempotency keys go with their entries, and not before`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    func batch(_ key: Int) throws -> LogBatch {
      var batch = try ana.batch(2)
      batch.idempotencyKey = try IdempotencyKey("key-\(key)")
      return batch
    }
    for key in 0..<6_000 where key % 1_000 == 0 {
      let outcomes = Outcomes()
      for offset in 0..<1_000 { log.submit(try batch(key + offset), completion: outcomes.completion(offset)) }
      _ = outcomes.wait(1_000)
    }
    let report = try await prune(log, keeping: 3_000)
    let pruned = report.through.rawValue
    #expect(report.keyCount == Int(pruned / 2) && pruned > 1_000)
    // A key that is kept is answered; one that went with its entries is free again.
    var again = try batch(5_999)
    #expect(try await log.append(again).isRepeated)
    ana.sequence -= 2
    ana.ends[ana.lane()] = LanePoint(epoch: 1, sequence: ana.sequence)
    again = try batch(0)
    #expect(try await !log.append(again).isRepeated)
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test func `each step of a prune begins where the one before it ended`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<400 { _ = try await log.append(ana.batch(1)) }
    let spared = Set((UInt64(1)...180).map { Position(rawValue: 2 * $0) })
    var plan = try log.planPrune(RetentionPolicy(entryCountMax: 20), sparing: spared, now: now)
    #expect(plan.blockCount == 200 && plan.sparedBlockCount == 180)
    let report = try await log.prune(plan, principal: "ops", time: TestTime())
    // One look at each block, and one more at what ended a step.
    #expect(report.through.rawValue == 380 && report.lookCount <= 380 + 2 * 181, "\(report.lookCount)")
    #expect(try log.gaps().count == 181 && log.verify().isSound)
    // What is spared no more goes with what is around it.
    plan = try log.planPrune(
      RetentionPolicy(entryCountMax: 20), sparing: [Position(rawValue: 200)], now: now)
    _ = try await log.prune(plan, principal: "ops", time: TestTime())
    #expect(try log.gaps().map(\.range.upperBound.rawValue) == [199, 381])
    #expect(try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }.isSound)
    log.close()
  }

  @Test func `a block that is spared keeps the keys of its entries`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    var batches: [LogBatch] = []
    for number in 1...40 {
      var batch = try ana.batch(2)
      batch.idempotencyKey = try IdempotencyKey("key-\(number)")
      batches.append(batch)
      _ = try await log.append(batch)
    }
    let policy = RetentionPolicy(entryCountMax: 20)
    let plan = try log.planPrune(policy, sparing: [Position(rawValue: 11)], now: now)
    let report = try await log.prune(plan, principal: "ops", time: TestTime())
    #expect(report.keyCount == 29)
    #expect(try await log.append(batches[5]).first.rawValue == 11)
    #expect(try log.verify().isSound)
    let rest = try log.planPrune(policy, now: now)
    #expect(try await log.prune(rest, principal: "ops", time: TestTime()).keyCount > 0)
    await expectError(.logConflict, "ana") { _ = try await log.append(batches[5]) }
    log.close()
  }

  @Test func `whoever opens a log amid a prune finds the heads of what is gone`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(10))
    var bob = Author("bob")
    for _ in 0..<100 { _ = try await log.append(bob.batch(10)) }
    let lane = ana.lane()
    let found = Mutex<[LanePoint?]>([])
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 10), now: now)
    _ = try await log.prune(plan, principal: "ops", time: TestTime()) { _ in
      // A new reader has no heads in memory, as the next one who opens the log after a kill.
      let head = try? LMDBLogReader(directory: home.directory).laneHead(lane)
      found.withLock { $0.append(head?.point) }
    }
    let points = found.withLock { $0 }
    #expect(points.count > 1 && points.allSatisfy { $0 == LanePoint(epoch: 1, sequence: 10) }, "\(points)")
    log.close()
  }

  @Test func `a stream of which the highest sequence is gone is sound, and goes on behind it`() async throws {
    let log = try Backend.lmdb.makeHome().openLMDB()
    var ana = Author("ana")
    let records = try (0..<6).map { try ana.next(type: $0 % 2 == 0 ? "T" : "U") }
    for number in [1, 3, 5, 0, 2, 4] {
      _ = try await log.append(LogBatch(appends: [.init(records[number], source: .received(hops: 1))]))
    }
    let report = try await prune(log, keeping: 3)
    #expect(report.through == Position(rawValue: 3))
    #expect(try log.verify().findings == [])
    _ = try await log.append(LogBatch(appends: [.init(try ana.next(type: "U"))]))
    _ = try await log.append(LogBatch(appends: [.init(try ana.next(type: "T"))]))
    #expect(try log.verify().findings == [])
    log.close()
  }

  @Test func `payloads beside the log go when no entry is left that refers to them`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    func append(_ byte: UInt8) async throws {
      let record = try ana.next(payload: [UInt8](repeating: byte, count: 100_000))
      _ = try await log.append(LogBatch(appends: [.init(record)]))
    }
    for byte in [1, 2, 3, 1] as [UInt8] { try await append(byte) }
    let report = try await prune(log, keeping: 1)
    #expect(report.through.rawValue == 3 && report.payloadByteCount == 200_000)
    #expect(try log.verify().isSound)
    #expect(try log.entry(at: Position(rawValue: 4))?.record.payload.count == 100_000)
    try await append(2)
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test func `a prune runs between the commits of others, and their events are all there`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<300 {
      let records = try (0..<4).map { _ in try ana.next(payload: [UInt8](repeating: 7, count: 8_000)) }
      _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    }
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 10), now: now)
    var bob = Author("bob")
    let batches = try (0..<400).map { _ in try bob.batch(1) }
    let steps = Mutex(0)
    async let report = log.prune(plan, principal: "ops", time: TestTime()) { _ in steps.withLock { $0 += 1 } }
    for batch in batches { _ = try await log.append(batch) }
    #expect(try await report.through == plan.range?.upperBound)
    #expect(steps.withLock { $0 } >= plan.blockCount / 64)
    #expect(try log.streamHead(StreamID(agent: "bob", epoch: 1, channel: .persistent))?.sequence == 400)
    #expect(try log.verify().isSound)
    await expectError(.usage, "nothing to prune") {
      let empty = try log.planPrune(RetentionPolicy(), now: now)
      _ = try await log.prune(empty, principal: "ops", time: TestTime())
    }
    log.close()
  }

  @Test func `while as much is pruned as appended, the file keeps its size`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    var sizes: [Int] = []
    for round in 1...30 {
      for index in 0..<40 {
        // Small, middle and large blocks by turns.
        let size = [200, 3_000, 9_000, 40_000][(index + round) % 4]
        let records = try (0..<8).map { _ in try ana.next(payload: [UInt8](repeating: 7, count: size)) }
        _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
      }
      if round > 2 { _ = try await prune(log, keeping: 640) }
      let size = try FileManager.default.attributesOfItem(atPath: home.dataFile)[.size] as? Int
      sizes.append(size ?? 0)
    }
    let text = sizes.map { "\($0 >> 10)" }.joined(separator: " ")
    print("the file's size in KiB, 4,100 KiB appended and pruned a round: \(text)")
    #expect(sizes[29] < sizes[5] * 5 / 4, "\(text)")
    #expect(try log.verify().isSound)
    log.close()
  }
}
