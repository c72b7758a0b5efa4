import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// What a process that has a log open takes of memory for it.
@Suite struct MemoryTests {
  @Test func `an open log takes as much memory however large it is`() async throws {
    for entryCount in [3, 600] {
      let home = Backend.lmdb.makeHome()
      let log = try home.openLMDB(IndexLifeTests.settings)
      var ana = Author("ana")
      for _ in 0..<entryCount / 3 {
        // Each has a block of its own.
        let records = try (0..<3).map { _ in try ana.next(payload: [UInt8](repeating: 7, count: 60_000)) }
        _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
      }
      // As after a kill: the heads of lanes and streams must be read from the entries, and there is no index.
      let copy = Backend.lmdb.makeHome()
      try FileManager.default.createDirectory(
        atPath: copy.directory + "/log", withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: home.dataFile, toPath: copy.dataFile)
      log.close()
      let child = try Child("hold", copy.directory)
      #expect(child.readLine() == "open")
      let reader = try LMDBLogReader(directory: copy.directory)
      try await until { try reader.indexStatus()?.through.rawValue == UInt64(entryCount) }
      let byteCount = try residentByteCount(of: child, mapping: copy.dataFile)
      print("\(entryCount) entries of 60,000 B: \(byteCount >> 10) KiB of the log's file in memory")
      #expect(byteCount < 1 << 20, "\(entryCount) entries")
      child.endInput()
      #expect(child.endsWithoutSignal())
    }
  }

  /// The bytes of a file that are in a process's memory (proc(5), `smaps`).
  private func residentByteCount(of child: Child, mapping file: String) throws -> Int {
    // Its size is said to be 0.
    let data = try #require(try FileHandle(forReadingAtPath: "/proc/\(child.id)/smaps")?.readToEnd())
    let text = String(decoding: data, as: UTF8.self)
    var isOfFile = false
    var kibibytes: [Int] = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      if words[0].contains("-") { isOfFile = line.hasSuffix(file) }
      if isOfFile, words[0] == "Rss:" { kibibytes.append(try #require(Int(words[1]))) }
    }
    #expect(!kibibytes.isEmpty, "\(file) is mapped")
    return kibibytes.reduce(0, +) << 10
  }

  /// Waits for a condition, for two minutes at the most.
  private func until(_ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while try !condition() {
      try #require(ContinuousClock.now < deadline)
      try await Task.sleep(for: .milliseconds(5), clock: .suspending)
    }
  }
}
