import FaultShim
import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// Making room and copying while the process is killed.
@Suite(.serialized) struct RetentionCrashTests {
  /// A log of `count` blocks of two events each, with an idempotency key for each block.
  private func fill(_ home: LogHome, _ count: Int, payload: Int = 600) async throws {
    let log = try home.openLMDB()
    var ana = Author("ana")
    if let head = try log.streamHead(StreamID(agent: "ana", epoch: 1, channel: .persistent)) {
      ana.sequence = head.sequence
      ana.ends[ana.lane()] = LanePoint(epoch: 1, sequence: head.sequence)
    }
    for index in 0..<count {
      let records = try (0..<2).map { _ in try ana.next(payload: [UInt8](repeating: 1, count: payload)) }
      _ = try await log.append(
        LogBatch(
          appends: records.map { .init($0) }, idempotencyKey: IdempotencyKey("\(ana.sequence)-\(index)")))
    }
    log.close()
  }

  /// What is in a log that was opened after its process had died: all from the end of its gap to its head.
  private func check(_ log: LMDBLog, _ model: [LogEntry], _ note: String) throws {
    let verification = try log.verify()
    #expect(verification.isSound, "\(note): \(verification.findings)")
    let gone = try log.gaps().first?.range.upperBound.rawValue ?? 0
    let entries = try log.read(after: .start, limit: .max, byteLimit: .max)
    #expect(entries.first?.position.rawValue == gone + 1, "\(note)")
    let old = entries.filter { $0.record.header.agent == "ana" }
    #expect(old == Array(model.suffix(old.count)), "\(note)")
    #expect(try UInt64(entries.count) == log.head().rawValue - gone, "\(note)")
  }

  @Test func `after kill -9 at any step a prune has left a sound log, and the next one goes on`() async throws
  {
    let home = Backend.lmdb.makeHome()
    try await fill(home, 400)
    var log = try home.openLMDB()
    let model = try log.read(after: .start, limit: .max, byteLimit: .max)
    log.close()
    var gone: UInt64 = 0
    for round in 0...8 {
      // Each one removes some steps of 64 blocks at the most, then dies.
      let child = try Child("prune", home.directory, "\(20 - round)", "\(round % 3)")
      let lines = child.readLines()
      let isOver = child.endsWithoutSignal()
      #expect(!isOver || lines.last?.hasPrefix("done") == true, "round \(round): \(lines)")
      log = try home.openLMDB()
      try check(log, model, "round \(round)")
      let now = try log.gaps().first?.range.upperBound.rawValue ?? 0
      #expect(now >= gone)
      if let said = lines.last(where: { $0.hasPrefix("step") })?.split(separator: " ").last {
        #expect(now >= UInt64(said) ?? 0)
      }
      gone = now
      log.close()
    }
    #expect(gone > 700)
  }

  /// Kills the child process at one of its writes and syncs, or in one.
  private func kill(at calls: ClosedRange<Int>, of home: LogHome, _ random: inout SeededGenerator) -> [String:
    String]
  {
    [
      "DIR": home.directory, "AT": "\(Int.random(in: calls, using: &random))",
      "DO": ["kill-before", "kill-torn", "kill-after"].randomElement(using: &random) ?? "",
    ]
  }

  @Test(.enabled(if: FaultShim.library != nil, FaultShim.isMissing))
  func `after kill -9 at a random moment of a prune the log is sound`() async throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = Backend.lmdb.makeHome()
    var model: [LogEntry] = []
    var killCount = 0
    for round in 1...8 {
      try await fill(home, 200, payload: round % 2 == 0 ? 600 : 12_000)
      var log = try home.openLMDB()
      let seen = model.last?.position ?? .start
      model += try log.read(after: seen, limit: .max, byteLimit: .max).filter {
        $0.record.header.agent == "ana"
      }
      log.close()
      let keeping = Int.random(in: 1...200, using: &random)
      let child = try Child(
        "prune", home.directory, "\(keeping)", faults: kill(at: 1...40, of: home, &random))
      _ = child.readLines()
      if !child.endsWithoutSignal() { killCount += 1 }
      log = try home.openLMDB()
      try check(log, model, "HYPHA_SEED=\(seed), round \(round)")
      log.close()
    }
    #expect(killCount >= 4, "HYPHA_SEED=\(seed)")
  }

  @Test(.enabled(if: FaultShim.library != nil, FaultShim.isMissing))
  func `after kill -9 at a random moment of a compaction there is a whole log`() async throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = Backend.lmdb.makeHome()
    try await fill(home, 300, payload: 20_000)
    var log = try home.openLMDB()
    let model = try log.read(after: .start, limit: .max, byteLimit: .max)
    log.close()
    var doneCount = 0
    for round in 1...12 {
      let child = try Child("compact", home.directory, faults: kill(at: 1...30, of: home, &random))
      if child.readLines().last?.hasPrefix("done") == true { doneCount += 1 }
      _ = child.endsWithoutSignal()
      log = try home.openLMDB()
      try check(log, model, "HYPHA_SEED=\(seed), round \(round)")
      #expect(!FileManager.default.fileExists(atPath: home.directory + "/log.new"))
      log.close()
    }
    print("\(doneCount) of 12 compactions came to their end before the kill")
    #expect(doneCount <= 6, "HYPHA_SEED=\(seed)")
  }

  @Test(
    .enabled(if: FaultShim.library != nil, FaultShim.isMissing), arguments: ["kill-before", "kill-after"])
  func `a restore that is killed at any change of names has lost nothing`(_ fault: String) async throws {
    let home = Backend.lmdb.makeHome()
    try await fill(home, 3, payload: 20)
    let backup = home.directory + "/backup"
    let saved = try LMDBRetention().backUp(home.directory, to: backup, withKey: false) { _, _ in }.head
    try await fill(home, 3, payload: 20)
    let data = home.directory + "/data"
    let known = try LMDBRetention().backUp(home.directory, to: data, withKey: false) { _, _ in }.head
    /// The heads of all logs there, but for those that a later copy may make anew.
    func heads() throws -> [String: Position] {
      let names = try FileManager.default.contentsOfDirectory(atPath: home.directory)
        .filter { $0.hasPrefix("data") && !$0.hasSuffix(".partial") }
      return try Dictionary(
        uniqueKeysWithValues: names.map {
          ($0, try LMDBLogReader(directory: "\(home.directory)/\($0)").head())
        })
    }
    var killCount = 0
    while killCount < 10 {
      let faults = ["DIR": home.directory, "CALLS": "name", "AT": "\(killCount + 1)", "DO": fault]
      let child = try Child("restore", backup, data, faults: faults)
      let isDone = child.readLines().last == "done"
      _ = child.endsWithoutSignal()
      let found = try heads()
      #expect(found["data"] == saved || found["data"] == known && !isDone, "\(found)")
      #expect(found.values.contains(known), "\(killCount): \(found)")
      if isDone { break }
      killCount += 1
    }
    // The copy gets the name that is free, and then changes it with what is there.
    #expect(killCount == 2)
  }

  @Test func `what is no node's directory is not moved aside`() async throws {
    let home = Backend.lmdb.makeHome()
    try await fill(home, 3, payload: 20)
    let backup = home.directory + "/backup"
    _ = try LMDBRetention().backUp(home.directory, to: backup, withKey: false) { _, _ in }
    let deployment = home.directory + "/deployment"
    _ = try LMDBRetention().restore(backup, to: deployment + "/hq", replaces: false) { _, _ in }
    let back = { _ = try LMDBRetention().restore(backup, to: $0, replaces: true) { _, _ in } }
    expectError(.fileUnavailable, "is no node's data directory", "\(deployment)/hq") { try back(deployment) }
    let notes = home.directory + "/notes"
    try FileManager.default.createDirectory(atPath: notes + "/old", withIntermediateDirectories: true)
    expectError(.fileUnavailable, "is no node's data directory", "an empty directory") { try back(notes) }
    #expect(FileManager.default.fileExists(atPath: notes + "/old"))
  }

  @Test func `a backup that was cut off has no name of its own`() async throws {
    let home = Backend.lmdb.makeHome()
    try await fill(home, 300, payload: 20_000)
    let output = home.directory + "/backup"
    let child = try Child("copy", home.directory, output)
    child.killNow()
    let isDone = child.readLines().last?.hasPrefix("done") == true
    _ = child.endsWithoutSignal()
    #expect(FileManager.default.fileExists(atPath: output) == isDone)
    guard !isDone else { return }
    // The next one makes it anew.
    let report = try LMDBRetention().backUp(home.directory, to: output, withKey: false) { _, _ in }
    #expect(report.head == Position(rawValue: 600))
    #expect(!FileManager.default.fileExists(atPath: output + ".partial"))
  }

  @Test func `a copy is made by one process at a time, and over nothing else`() async throws {
    let home = Backend.lmdb.makeHome()
    try await fill(home, 3, payload: 20)
    let output = home.directory + "/backup"
    let back = { (directory: String) in
      _ = try LMDBRetention().backUp(home.directory, to: directory, withKey: false) { _, _ in }
    }
    _ = try LMDBRetention().backUp(
      home.directory, to: output, withKey: false, progress: { _, _ in },
      verify: { _ in
        expectError(.fileUnavailable, "backup.partial is there already", "wait") { try back(output) }
      })
    #expect(FileManager.default.fileExists(atPath: output + "/log/data.mdb"))
    let other = home.directory + "/other"
    try FileManager.default.createDirectory(
      atPath: other + ".partial/log", withIntermediateDirectories: true)
    try Data("mine".utf8).write(to: URL(fileURLWithPath: other + ".partial/notes.txt"))
    expectError(.fileUnavailable, "it has notes.txt", "move it") { try back(other) }
    #expect(FileManager.default.fileExists(atPath: other + ".partial/log"))
    #expect(!FileManager.default.fileExists(atPath: other))
  }
}
