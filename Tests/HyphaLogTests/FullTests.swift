import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// The log when it cannot grow.
@Suite struct FullTests {
  @Test func `a full store refuses, and takes the same events when there is room`() async throws {
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 2), node: "hq"))
    let log = try MemoryLog(store: store, time: TestTime())
    var ana = Author("ana")
    let batch = try ana.batch(2)
    store.setFull(true)
    await expectError(.logFull, "setFull(false)") { _ = try await log.append(batch) }
    store.setFull(false)
    #expect(try await log.append(batch).first == Position(rawValue: 1))
    log.close()
  }

  @Test func `a full map refuses whole groups, keeps what it acknowledged, and goes on in a larger one`()
    async throws
  {
    let home = Backend.lmdb.makeHome()
    var settings = LMDBLogSettings.small
    settings.mapByteCount = 1 << 20
    settings.mapByteCountMax = 1 << 20
    let log = try home.openLMDB(settings)
    var ana = Author("ana")
    let taken = try await fill(log, &ana)
    #expect(try log.head().rawValue == UInt64(taken))
    #expect(try log.verify().isSound)
    log.close()
    settings.mapByteCountMax = 4 << 20
    let larger = try home.openLMDB(settings)
    #expect(try larger.head().rawValue == UInt64(taken))
    ana.beginEpoch()
    ana.ends[ana.lane()] = try larger.laneHead(ana.lane())?.point
    #expect(try await larger.append(ana.batch(5)).first.rawValue == UInt64(taken + 1))
    #expect(try larger.verify().isSound)
    larger.close()
  }

  /// Appends until the log is full; returns how many events it took.
  private func fill(_ log: LMDBLog, _ author: inout Author) async throws -> Int {
    var taken = 0
    while true {
      let records = try (0..<4).map { _ in try author.next(payload: [UInt8](repeating: 1, count: 2_000)) }
      do {
        _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
        taken += 4
      } catch let error as HyphaError {
        #expect(error.code == .logFull)
        #expect(error.description.contains("raise log.map-size"))
        #expect(error.description.contains("MDB_MAP_FULL"))
        return taken
      }
    }
  }

  @Test func `when a group fails, those that conflicted with it fail alike`() throws {
    let home = Backend.lmdb.makeHome()
    var settings = LMDBLogSettings.small
    settings.mapByteCount = 1 << 20
    settings.mapByteCountMax = 1 << 20
    settings.inlinePayloadByteCountMax = 2 << 20
    let log = try home.openLMDB(settings)
    var ana = Author("ana")
    let large = LogBatch(appends: [.init(try ana.next(payload: [UInt8](repeating: 1, count: 1 << 20)))])
    let outcomes = Outcomes()
    log.holdingWriter {
      log.submit(large, completion: outcomes.completion(0))
      // The same event again: a conflict, but only if the first is written.
      log.submit(large, completion: outcomes.completion(1))
    }
    for (_, result) in outcomes.wait(2) {
      expectError(.logFull) { _ = try result.get() }
    }
    #expect(try log.head() == .start)
    log.close()
  }

  @Test func `at the limit of a file's size the log is full, and goes on when the limit is lifted`() throws {
    let home = Backend.lmdb.makeHome()
    let child = try Child("fill", home.directory, "\(3 << 20 | 100)")
    let lines = child.readLines().filter { !$0.hasPrefix("ana ") }
    #expect(child.endsWithoutSignal())
    #expect(lines.count == 4)
    #expect(lines.first?.hasPrefix("full logFull: ") == true, "\(lines)")
    #expect(lines.first?.contains("ulimit -f") == true, "\(lines)")
    #expect(lines.dropFirst() == ["sound true", "again true", "sound true"])
    let log = try home.openLMDB()
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk the log is full, and goes on when there is room`() async throws {
    let disk = try #require(ScratchDisk())
    let home = LogHome(.lmdb)
    let log = try LMDBLog(
      directory: disk.path + "/data", node: "hq", settings: .small, time: home.time)
    let ballast = disk.path + "/ballast"
    try Data(repeating: 1, count: 1 << 20).write(to: URL(fileURLWithPath: ballast))
    var ana = Author("ana")
    var taken: UInt64 = 0
    var refused: LogBatch?
    while refused == nil {
      let records = try (0..<4).map { _ in try ana.next(payload: [UInt8](repeating: 1, count: 9_000)) }
      let batch = LogBatch(appends: records.map { .init($0) })
      do {
        _ = try await log.append(batch)
        taken += 4
      } catch let error as HyphaError {
        #expect(error.code == .logFull, "\(error)")
        #expect(error.description.contains("free space"), "\(error)")
        refused = batch
      }
    }
    #expect(taken > 0)
    #expect(try log.head().rawValue == taken)
    #expect(try log.verify().isSound)
    try FileManager.default.removeItem(atPath: ballast)
    #expect(try await log.append(#require(refused)).first.rawValue == taken + 1)
    #expect(try log.verify().isSound)
    log.close()
    withExtendedLifetime(disk) {}
  }
}
