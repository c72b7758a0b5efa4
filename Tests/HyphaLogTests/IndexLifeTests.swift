import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

@testable import HyphaLogLMDB

/// The index beside a log on disk: it follows, it comes back after whatever happened to it, and it is never believed
/// when it is not this log's.
struct IndexLifeTests {
  let home = LogHome(.lmdb)
  static let settings = LMDBLogSettings(
    mapByteCount: 1 << 28, niceValue: 0,
    index: LogIndexSettings(
      runSpanCount: 128, mergeCount: 3, idleDelay: .milliseconds(1), mapByteCount: 1 << 26, niceValue: 0))

  func fill(_ count: Int, _ source: inout RecordSource) async throws -> [Record] {
    let log = try home.openLMDB(Self.settings)
    defer { log.close() }
    let records = try (0..<count).map { _ in try source.next() }
    try await log.append(records)
    await untilIndexed(log)
    return records
  }

  /// Waits until nothing lags.
  func untilIndexed(_ log: LMDBLog) async {
    while let status = log.indexStatus(), status.lagCount > 0 || status.failure != nil { await Task.yield() }
  }

  /// Checks that each event is found, with the index where there is one.
  func expectFound(_ records: [Record], in log: some LogReader) throws {
    for record in records { #expect(try log.entry(withID: record.header.id)?.record == record) }
    var query = LogQuery()
    query.agent = "bob"
    query.order = .backward
    let found = try log.pages(of: query, limits: LogPageLimits(entryCountMax: 30)).entries
    #expect(found.map(\.record) == records.filter { $0.header.agent == "bob" }.reversed())
  }

  var indexFile: String { home.directory + "/index/data.mdb" }

  @Test func `the lag becomes nothing soon after the last append`() async throws {
    var source = RecordSource(seed: 1)
    let log = try home.openLMDB(Self.settings)
    defer { log.close() }
    for _ in 0..<5 {
      try await log.append((0..<100).map { _ in try source.next() })
      await untilIndexed(log)
      #expect(try log.indexStatus()?.through == log.head())
    }
    // A reader beside the writer has it too, and examines no more than it finds.
    let reader = try LMDBLogReader(directory: home.directory)
    #expect(try reader.indexStatus()?.lagCount == 0)
    let page = try reader.page(of: .event(source.ids[250]))
    #expect(page.entries.count == 1 && page.examinedCount == 1)
  }

  @Test func `an index that is gone, cut, damaged or another log's is made anew`() async throws {
    var source = RecordSource(seed: 2)
    var records = try await fill(700, &source)
    let sound = try Data(contentsOf: URL(fileURLWithPath: indexFile))
    let other = LogHome(.lmdb)
    let otherLog = try other.openLMDB(Self.settings)
    var otherSource = RecordSource(seed: 3)
    try await otherLog.append((0..<50).map { _ in try otherSource.next() })
    await untilIndexed(otherLog)
    otherLog.close()
    let foreign = try Data(contentsOf: URL(fileURLWithPath: other.directory + "/index/data.mdb"))
    let files: [Data?] = [nil, Data(), sound.prefix(sound.count / 2), foreign, Data(sound.map { $0 ^ 1 })]
    for file in files {
      if let file {
        try file.write(to: URL(fileURLWithPath: indexFile))
      } else {
        try FileManager.default.removeItem(atPath: home.directory + "/index")
      }
      // A reader does without it; the writer makes a new one.
      try expectFound(records, in: LMDBLogReader(directory: home.directory))
      let log = try home.openLMDB(Self.settings)
      await untilIndexed(log)
      let added = try (0..<20).map { _ in try source.next() }
      try await log.append(added)
      records += added
      try expectFound(records, in: log)
      await untilIndexed(log)
      #expect(try log.indexStatus()?.through == log.head())
      log.close()
    }
  }

  @Test func `flipped bits in the index never change an answer`() async throws {
    let seed = SeededGenerator.seed
    var source = RecordSource(seed: seed)
    let records = try await fill(500, &source)
    let sound = try Data(contentsOf: URL(fileURLWithPath: indexFile))
    // Only the runs' own bytes: a run begins behind a page's header of 16 bytes, and the next header may be LMDB's.
    let runs = ranges(of: Array("HXR1".utf8), in: sound)
    #expect(!runs.isEmpty)
    for _ in 0..<60 {
      var damaged = sound
      let start = source.pick(runs)
      for _ in 0..<20 {
        damaged[start + Int(source.generator.next() % 3_000) % (sound.count - start)] ^= UInt8(
          1 << (source.generator.next() % 8))
      }
      try damaged.write(to: URL(fileURLWithPath: indexFile))
      let reader = try LMDBLogReader(directory: home.directory)
      for record in records.prefix(30) {
        #expect(try reader.entry(withID: record.header.id)?.record == record, "HYPHA_SEED=\(seed)")
      }
    }
  }

  private func ranges(of magic: [UInt8], in data: Data) -> [Int] {
    stride(from: 16, to: data.count - 4, by: 4096).filter { Array(data[$0..<$0 + 4]) == magic }
  }

  @Test func `an index of another history of the log is made anew`() async throws {
    var source = RecordSource(seed: 3)
    let early = try await fill(300, &source)
    let copy = home.directory + "-copy"
    defer { try? FileManager.default.removeItem(atPath: copy) }
    try FileManager.default.copyItem(atPath: home.directory, toPath: copy)
    let branch = source
    _ = try await fill(200, &source)
    // The log goes back to its copy, the index does not, and the log grows past it with other events.
    try FileManager.default.removeItem(atPath: home.directory + "/log")
    try FileManager.default.copyItem(atPath: copy + "/log", toPath: home.directory + "/log")
    try expectFound(early, in: LMDBLogReader(directory: home.directory))
    home.time.set(microseconds: 5_000_000)
    source = branch
    source.generator = SeededGenerator(seed: 99)
    var bare = Self.settings
    bare.index = nil
    let log = try home.openLMDB(bare)
    let late = try (0..<400).map { _ in try source.next() }
    try await log.append(late)
    log.close()
    try expectFound(early + late, in: LMDBLogReader(directory: home.directory))
    let indexed = try home.openLMDB(Self.settings)
    defer { indexed.close() }
    await untilIndexed(indexed)
    try expectFound(early + late, in: indexed)
  }

  @Test func `reindexing makes the index anew and tells how far it is`() async throws {
    var source = RecordSource(seed: 4)
    let records = try await fill(1_000, &source)
    try FileManager.default.removeItem(atPath: home.directory + "/index")
    var seen: [Position] = []
    let status = try LMDBLog.reindex(
      directory: home.directory, settings: LogIndexSettings(runSpanCount: 300, mapByteCount: 1 << 26)
    ) { position, head in
      #expect(head.rawValue == 1_000)
      seen.append(position)
    }
    #expect(status.lagCount == 0 && seen.last == Position(rawValue: 1_000) && seen == seen.sorted())
    try expectFound(records, in: LMDBLogReader(directory: home.directory))
    let log = try home.openLMDB(Self.settings)
    expectError(.logLocked, "this process") { _ = try LMDBLog.reindex(directory: home.directory) }
    log.close()
    try LMDBLog.remove(directories: [home.directory])
    #expect(!FileManager.default.fileExists(atPath: home.directory + "/index"))
  }

  @Test func `appends and queries at once are right at every moment`() async throws {
    var source = RecordSource(seed: 5)
    let log = try home.openLMDB(Self.settings)
    defer { log.close() }
    let records = try (0..<3_000).map { _ in try source.next() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await log.append(records, upTo: 11) }
      for order in [ReadOrder.forward, .backward] {
        group.addTask {
          var query = LogQuery()
          query.types = ["seen"]
          query.order = order
          var head = Position.start
          while head.rawValue < 3_000 {
            head = try log.head()
            query.positions = Position(rawValue: 1)...Position(rawValue: max(1, head.rawValue))
            let found = try log.pages(of: query, limits: LogPageLimits(entryCountMax: 200)).entries
            let wanted = records.prefix(Int(head.rawValue)).filter { $0.header.type == "seen" }
            #expect(found.map(\.record) == (order == .forward ? wanted : wanted.reversed()))
            await Task.yield()
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
