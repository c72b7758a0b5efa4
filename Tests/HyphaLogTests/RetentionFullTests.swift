import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// A log that is full, and how room is made in it.
@Suite(.serialized) struct RetentionFullTests {
  private func appendUntilFull(
    _ log: LMDBLog, _ author: inout Author, count: Int, payload: Int
  ) async throws -> LogBatch {
    while true {
      let records = try (0..<count).map { _ in
        try author.next(payload: [UInt8](repeating: 1, count: payload))
      }
      let batch = LogBatch(appends: records.map { .init($0) })
      do {
        _ = try await log.append(batch)
      } catch let error as HyphaError where error.code == .logFull {
        return batch
      }
    }
  }

  private func prune(_ log: LMDBLog, keeping count: UInt64) async throws -> PruneReport {
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: count), now: .zero)
    return try await log.prune(plan, principal: "ops", time: TestTime())
  }

  /// Fills the log, makes room, and appends what was refused; again and again.
  private func fillAndPrune(_ log: LMDBLog, count: Int, payload: Int) async throws {
    var ana = Author("ana")
    for round in 1...3 {
      let refused = try await appendUntilFull(log, &ana, count: count, payload: payload)
      let head = try log.head().rawValue
      let begin = try log.gaps().first?.range.upperBound.rawValue ?? 0
      let report = try await prune(log, keeping: (head - begin) / 2)
      #expect(report.through.rawValue > begin, "round \(round)")
      #expect(try await log.append(refused).first.rawValue == head + 2, "round \(round)")
      let verification = try log.verify()
      #expect(verification.isSound, "round \(round): \(verification.findings)")
    }
  }

  @Test(arguments: [(20, 100), (4, 1_000), (4, 9_000), (1, 60_000)])
  func `in a full map room is made by pruning, and the log goes on`(count: Int, payload: Int) async throws {
    let home = Backend.lmdb.makeHome()
    var settings = LMDBLogSettings.small
    settings.mapByteCount = 1 << 20
    settings.mapByteCountMax = 1 << 20
    let log = try home.openLMDB(settings)
    try await fillAndPrune(log, count: count, payload: payload)
    log.close()
  }

  @Test(
    .enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing),
    arguments: [(1, 100), (4, 1_000), (4, 9_000), (1, 60_000)])
  func `on a full disk room is made by pruning, and the log goes on`(count: Int, payload: Int) async throws {
    let disk = try #require(ScratchDisk())
    // With the index, which takes what room there is.
    let log = try LMDBLog(directory: disk.path + "/data", node: "hq", settings: .small, time: TestTime())
    try await fillAndPrune(log, count: count, payload: payload)
    log.close()
    withExtendedLifetime(disk) {}
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `where a copy does not fit, or an index, its disk is named as full, and nothing is left of it`()
    async throws
  {
    let disk = try #require(ScratchDisk())
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<400 {
      let records = try (0..<100).map { _ in try ana.next(payload: [UInt8](repeating: 1, count: 900)) }
      _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    }
    log.close()
    let backup = disk.path + "/backup"
    expectError(.logFull, backup, "there is no room") {
      _ = try LMDBRetention().backUp(home.directory, to: backup, withKey: false, progress: { _, _ in })
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == [])
    // A log on the full disk itself, of which nothing is written: its index has no room.
    let data = disk.path + "/data"
    let small = try LMDBLog(directory: data, node: "hq", settings: .small, time: TestTime())
    var bob = Author("bob")
    for _ in 0..<40 { _ = try await small.append(bob.batch(100)) }
    small.close()
    for name in ["log.reserve", "index/data.mdb", "index/lock.mdb", "index"] {
      try? FileManager.default.removeItem(atPath: "\(data)/\(name)")
    }
    try disk.fill()
    expectError(.logFull, "free space") { try LMDBLog.reindex(directory: data) }
    #expect(!FileManager.default.fileExists(atPath: data + "/index.new"))
    withExtendedLifetime((disk, home)) {}
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk the map grows, nothing acknowledged is lost, and it goes on with room`()
    async throws
  {
    let disk = try #require(ScratchDisk())
    var settings = LMDBLogSettings.small
    // The index takes and gives room when it likes, and this counts on what there is.
    settings.index = nil
    settings.mapByteCount = 1 << 20
    let log = try LMDBLog(directory: disk.path + "/data", node: "hq", settings: settings, time: TestTime())
    let ballast = disk.path + "/ballast"
    try Data(repeating: 1, count: 1 << 20).write(to: URL(fileURLWithPath: ballast))
    var ana = Author("ana")
    let refused = try await appendUntilFull(log, &ana, count: 4, payload: 2_000)
    let head = try log.head()
    #expect(head.rawValue > 500)
    await expectError(.logFull) { _ = try await log.append(refused) }
    #expect(try log.verify().isSound)
    try FileManager.default.removeItem(atPath: ballast)
    #expect(try await log.append(refused).first == head.next)
    log.close()
    let again = try LMDBLog(directory: disk.path + "/data", node: "hq", settings: settings, time: TestTime())
    #expect(try again.verify().entryCount == head.rawValue + 4)
    again.close()
    withExtendedLifetime(disk) {}
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a disk with little room a log is begun or refused, and no signal`() throws {
    let disk = try #require(ScratchDisk())
    var refusedCount = 0
    for pageCount in 0..<24 {
      try disk.fill()
      let size = try FileManager.default.attributesOfItem(atPath: disk.path + "/ballast")[.size] as? Int
      #expect(truncate(disk.path + "/ballast", try #require(size) - pageCount * 4_096) == 0)
      let directory = disk.path + "/data"
      do {
        try LMDBLog(directory: directory, node: "hq", settings: .small, time: TestTime()).close()
      } catch let error as HyphaError {
        #expect(error.code == .logFull && error.remedy?.contains("free space") == true, "\(error)")
        refusedCount += 1
      }
      try disk.empty()
      let log = try LMDBLog(directory: directory, node: "hq", settings: .small, time: TestTime())
      log.close()
      try FileManager.default.removeItem(atPath: directory)
    }
    #expect(refusedCount > 8 && refusedCount < 24, "\(refusedCount)")
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk a payload is refused and leaves nothing, and is stored with room`() throws {
    let disk = try #require(ScratchDisk())
    let payloads = PayloadStore(in: disk.path)
    let small = try [UInt8](repeating: 1, count: 1_000).withUnsafeBytes { try payloads.put($0) }
    let ballast = disk.path + "/ballast"
    try Data(repeating: 1, count: 2 << 20).write(to: URL(fileURLWithPath: ballast))
    let large = [UInt8](repeating: 2, count: 2 << 20)
    expectError(.logFull, "free space") { _ = try large.withUnsafeBytes { try payloads.put($0) } }
    try payloads.verify(small.reference)
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path + "/payloads/tmp").isEmpty)
    try FileManager.default.removeItem(atPath: ballast)
    let stored = try large.withUnsafeBytes { try payloads.put($0) }
    try payloads.verify(stored.reference)
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk a backup is refused, and leaves nothing`() async throws {
    let disk = try #require(ScratchDisk())
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<100 {
      _ = try await log.append(
        LogBatch(appends: [.init(try ana.next(payload: .init(repeating: 1, count: 60_000)))]))
    }
    log.close()
    expectError(.logFull, "free space") {
      _ = try LMDBRetention().backUp(home.directory, to: disk.path + "/b", withKey: false) { _, _ in }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path).isEmpty)
  }
}
