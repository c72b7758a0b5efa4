import HyphaCore
import HyphaLog
import Testing

/// What every backend promises about appending.
@Suite struct ConformanceAppendTests {
  @Test(arguments: Backend.allCases)
  func `appended events get positions without a gap and come back as they were`(_ backend: Backend)
    async throws
  {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    let first = try await log.append(ana.batch(3))
    let second = try await log.append(ana.batch(2))
    #expect(first.first == Position(rawValue: 1))
    #expect(second.first == Position(rawValue: 4))
    #expect(try log.head() == Position(rawValue: 5))
    var again = Author("ana")
    let entries = try log.read(after: .start, limit: 100, byteLimit: 1 << 20)
    #expect(entries.map(\.position.rawValue) == [1, 2, 3, 4, 5])
    #expect(entries.map(\.record) == (try again.batch(5)).appends.map(\.record))
    #expect(entries.allSatisfy { $0.source == .stated })
    #expect(entries.map(\.previousInLane.rawValue) == [0, 1, 2, 3, 4])
    #expect(entries[0].appendedAt == first.time)
    #expect(entries[3].appendedAt == second.time)
    #expect(try log.entry(at: Position(rawValue: 3)) == entries[2])
    #expect(try log.entry(at: .start) == nil)
    #expect(try log.entry(at: Position(rawValue: 6)) == nil)
    #expect(try log.entry(at: Position(rawValue: .max)) == nil)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `links lead to the entry before of the same lane and of the same stream`(_ backend: Backend)
    async throws
  {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    var bob = Author("bob")
    let records = try [
      ana.next(), bob.next(), ana.next(to: "bob"), ana.next(), bob.next(to: "ana"), ana.next(to: "bob"),
    ]
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    let entries = try log.read(after: .start, limit: 10, byteLimit: 1 << 20)
    #expect(entries.map(\.previousInLane.rawValue) == [0, 0, 0, 1, 0, 3])
    #expect(entries.map(\.previousInStream.rawValue) == [0, 0, 1, 3, 2, 4])
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a duplicate, a gap and a stale epoch are refused, and say what to do`(_ backend: Backend) async throws
  {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(2))
    await expectError(.logConflict, "1:2", "it is in the log already; drop it") {
      let duplicate = try event("ana", 1, 2, after: LanePoint(epoch: 1, sequence: 1))
      _ = try await log.append(LogBatch(appends: [.init(duplicate, source: .received(hops: 1))]))
    }
    await expectError(.logConflict, "1:5", "ends at 1:2", "append what lies between first") {
      let early = try event("ana", 1, 5, after: LanePoint(epoch: 1, sequence: 4))
      _ = try await log.append(LogBatch(appends: [.init(early, source: .received(hops: 1))]))
    }
    ana.beginEpoch()
    _ = try await log.append(ana.batch(1))
    await expectError(.logConflict, "1:3") {
      let stale = try event("ana", 1, 3, after: LanePoint(epoch: 1, sequence: 2))
      _ = try await log.append(LogBatch(appends: [.init(stale, source: .received(hops: 1))]))
    }
    #expect(try log.head() == Position(rawValue: 3))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a new epoch may fall back behind what the last one sent`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(5))
    // The next activation knows only of the first three.
    let fork = try event("ana", 2, 1, after: LanePoint(epoch: 1, sequence: 3))
    _ = try await log.append(LogBatch(appends: [.init(fork, source: .received(hops: 2))]))
    let head = try #require(try log.laneHead(ana.lane()))
    #expect(
      head == LaneHead(point: LanePoint(epoch: 2, sequence: 1), position: Position(rawValue: 6), count: 6))
    #expect(try log.entry(at: Position(rawValue: 6))?.source == .received(hops: 2))
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a stated stream has no gap, a received one may`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    await expectError(.logConflict, "not its next, 1", "let one writer number the stream") {
      _ = try await log.append(LogBatch(appends: [.init(event("ana", 1, 2))]))
    }
    _ = try await log.append(LogBatch(appends: [.init(event("ana", 1, 2), source: .received(hops: 1))]))
    // Even a received event that claims the last number of all leaves a log that goes on.
    let last = try event("eve", 1, .max)
    _ = try await log.append(LogBatch(appends: [.init(last, source: .received(hops: 1))]))
    await expectError(.logConflict) {
      _ = try await log.append(LogBatch(appends: [.init(event("eve", 1, 1, type: "U"))]))
    }
    #expect(try log.head() == Position(rawValue: 2))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `one bad append refuses its batch whole and leaves the others of its group alone`(_ backend: Backend)
    async throws
  {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    var bob = Author("bob")
    let key = CursorKey(agent: "bob", channel: .persistent)
    var bad = try bob.batch(2)
    bad.appends.append(.init(try event("cy", 1, 9)))
    bad.cursors[key] = Cursor(position: .start, handledCount: 9)
    bad.snapshots["bob"] = [9]
    let batches = [try ana.batch(2), bad, try ana.batch(1)]
    let outcomes = Outcomes()
    log.holdingWriter {
      for (tag, batch) in batches.enumerated() { log.submit(batch, completion: outcomes.completion(tag)) }
    }
    let results = outcomes.wait(3).map(\.result)
    #expect(try results[0].get().first == Position(rawValue: 1))
    #expect(throws: HyphaError.self) { try results[1].get() }
    #expect(try results[2].get().first == Position(rawValue: 3))
    #expect(try log.head() == Position(rawValue: 3))
    #expect(try log.laneHead(bob.lane()) == nil)
    #expect(try log.cursor(key) == nil)
    #expect(try log.snapshot(of: "bob") == nil)
    // What was refused can come again, without its fault.
    var again = Author("bob")
    _ = try await log.append(again.batch(2))
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `cursors and snapshots commit with the events, and the newest wins`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    let key = CursorKey(agent: "ana", channel: .alert)
    let other = CursorKey(agent: "ana", channel: .persistent)
    var batch = try ana.batch(1)
    batch.cursors = [key: Cursor(position: Position(rawValue: 7), handledCount: 3)]
    batch.snapshots = ["ana": [1, 2, 3], "bob": []]
    _ = try await log.append(batch)
    let large = [UInt8](repeating: 7, count: 100_000)
    let receipt = try await log.append(
      LogBatch(
        cursors: [key: Cursor(position: Position(rawValue: 8), handledCount: 4), other: .start],
        snapshots: ["ana": large]))
    #expect(receipt.first == Position(rawValue: 2))
    #expect(try log.cursor(key) == Cursor(position: Position(rawValue: 8), handledCount: 4))
    #expect(
      try log.cursors() == [key: Cursor(position: Position(rawValue: 8), handledCount: 4), other: .start])
    #expect(try log.snapshot(of: "ana") == large)
    #expect(try log.snapshot(of: "bob") == [])
    #expect(try log.snapshot(of: "cy") == nil)
    #expect(try log.cursor(CursorKey(agent: "cy", channel: .alert)) == nil)
    #expect(try await log.append(LogBatch()).first == Position(rawValue: 2))
    #expect(try log.head() == Position(rawValue: 1))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `urgent batches go before those that wait`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    let priorities: [LogBatch.Priority] = [.intake, .normal, .urgent, .urgent, .normal]
    var authors = ["a", "b", "c", "d", "e"].map { Author($0) }
    let batches = try authors.indices.map { index in
      var batch = try authors[index].batch(1)
      batch.priority = priorities[index]
      return batch
    }
    let outcomes = Outcomes()
    log.holdingWriter {
      for (tag, batch) in batches.enumerated() { log.submit(batch, completion: outcomes.completion(tag)) }
    }
    #expect(outcomes.wait(5).map(\.tag) == [2, 3, 1, 4, 0])
    let agents = try log.read(after: .start, limit: 10, byteLimit: 1 << 20).map(\.record.header.agent)
    #expect(agents == ["c", "d", "b", "e", "a"])
    log.close()
  }
}
