import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// What may stand in a data directory, and what opening says of it.
@Suite struct OpeningTests {
  @Test func `a new log has private files and the layout that is documented`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    func mode(_ path: String) throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: home.directory + path)[.posixPermissions] as? Int
    }
    #expect(try mode("") == 0o700)
    #expect(try mode("/log") == 0o700)
    for file in ["/log/data.mdb", "/log/lock.mdb", "/log.reserve", "/writer.lock"] {
      #expect(try mode(file) == 0o600)
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: home.directory).sorted()
        == ["index", "log", "log.reserve", "writer.lock"])
    let holder = try String(contentsOfFile: home.directory + "/writer.lock", encoding: .utf8)
    #expect(holder == "\(getpid())\n")
    log.close()
  }

  @Test func `commits are synced: no flag of LMDB's that gives that up is ever set`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    let flags = try log.open().environment.facts().flags
    // lmdb.h: NOMETASYNC, NOSYNC, MAPASYNC, WRITEMAP.
    #expect(flags & (0x40000 | 0x10000 | 0x100000 | 0x80000) == 0)
    // NOTLS.
    #expect(flags & 0x200000 != 0)
    log.close()
  }

  @Test func `what waits becomes one commit, up to the bounds of a group`() throws {
    let home = Backend.lmdb.makeHome()
    var settings = LMDBLogSettings.small
    settings.groupAppendCountMax = 30
    let log = try home.openLMDB(settings)
    var ana = Author("ana")
    let batches = try (0..<10).map { _ in try ana.batch(10) } + [try ana.batch(100)]
    let before = try log.open().environment.facts().commitCount
    let outcomes = Outcomes()
    log.holdingWriter {
      for (tag, batch) in batches.enumerated() { log.submit(batch, completion: outcomes.completion(tag)) }
    }
    #expect(outcomes.wait(11).allSatisfy { (try? $0.result.get()) != nil })
    // 30, 30, 30, 10, and one that is larger than a group.
    #expect(try log.open().environment.facts().commitCount - before == 5)
    log.close()
  }

  @Test func `a group whose batches are all refused writes nothing`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    let before = try log.open().environment.facts().commitCount
    let outcomes = Outcomes()
    log.submit(LogBatch(appends: [.init(try event("ana", 1, 4))]), completion: outcomes.completion(0))
    log.submit(LogBatch(), completion: outcomes.completion(1))
    _ = outcomes.wait(2)
    #expect(try log.open().environment.facts().commitCount == before)
    log.close()
  }

  @Test func `reads of a closed log fail, and a reader in the same process goes on`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    let reader = try LMDBLogReader(directory: home.directory)
    let outcomes = Outcomes()
    var ana = Author("ana")
    log.submit(try ana.batch(2), completion: outcomes.completion(0))
    _ = outcomes.wait(1)
    #expect(try reader.head() == Position(rawValue: 2))
    #expect(reader.identity == log.identity)
    log.close()
    expectError(.logFailed, "closed", "open it again") { _ = try log.head() }
    #expect(try reader.verify().isSound)
    let again = try home.openLMDB()
    again.submit(try ana.batch(2), completion: outcomes.completion(1))
    _ = outcomes.wait(1)
    #expect(try reader.head() == Position(rawValue: 4))
    again.close()
  }

  @Test func `a log that is let go of without close is closed`() throws {
    let home = Backend.lmdb.makeHome()
    var ana = Author("ana")
    let outcomes = Outcomes()
    do {
      let log = try home.openLMDB()
      log.submit(try ana.batch(1), completion: outcomes.completion(0))
    }
    #expect(try outcomes.wait(1)[0].result.get().first == Position(rawValue: 1))
    let log = try home.openLMDB()
    #expect(try log.head() == Position(rawValue: 1))
    log.close()
  }

  @Test func `another node's log is refused by both names`() throws {
    let home = Backend.lmdb.makeHome()
    try home.openLMDB().close()
    expectError(.logInvalid, "node hq", "not of branch", home.directory) {
      _ = try LMDBLog(directory: home.directory, node: "branch", time: home.time)
    }
    try home.openLMDB().close()
  }

  @Test func `a newer version's log asks for an upgrade`() throws {
    let home = Backend.lmdb.makeHome()
    try home.openLMDB().close()
    do {
      let log = DataDirectory(path: home.directory).log
      let lease = try EnvironmentRegistry.lease(
        log: log, mode: .writing(mapByteCount: 1 << 30, mapByteCountMax: 1 << 30))
      let environment = lease.environment
      try environment.write { transaction in
        try transaction.putSealed(
          TableLayout.bytes(of: UInt32(3)) + [1, 2], at: TableLayout.formatKey, in: environment.state)
      }
    }
    expectError(.logTooNew, "format 3", "knows 2", "upgrade") { _ = try home.openLMDB() }
    expectError(.logTooNew, "format 3") { _ = try LMDBLogReader(directory: home.directory) }
  }

  @Test func `a log of version 1 is refused by its number`() throws {
    let home = Backend.lmdb.makeHome()
    let log = DataDirectory(path: home.directory).log
    try FileManager.default.createDirectory(atPath: log, withIntermediateDirectories: true)
    do {
      let environment = try Environment(
        log: log, mode: .creating(mapByteCount: 1 << 20, mapByteCountMax: 1 << 20),
        tables: ["entries", "lanes", "streams", "meta"])
      defer { environment.close() }
      try environment.write { transaction in
        let meta = environment.tables[3]
        try transaction.putSealed(TableLayout.bytes(of: UInt32(1)), at: Array("format".utf8), in: meta)
      }
    }
    let before = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    expectError(.logInvalid, log, "has format 1", "it knows 2", "with the version of Hypha that wrote it") {
      _ = try home.openLMDB()
    }
    expectError(.logInvalid, "has format 1") { _ = try LMDBLogReader(directory: home.directory) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)) == before)
  }

  @Test func `a meta page that leads to the tables of an older commit is found`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<3 { _ = try await log.append(ana.batch(2)) }
    // The file as it is after the third commit; the pages of the second are still whole then.
    let damaged = Backend.lmdb.makeHome()
    try FileManager.default.createDirectory(
      atPath: damaged.directory + "/log", withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: home.dataFile, toPath: damaged.dataFile)
    log.close()
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: damaged.dataFile)))
    func commitNumber(_ page: Int) -> UInt64 {
      bytes[(page * 4_096 + 144)..<(page * 4_096 + 152)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let newer = commitNumber(0) > commitNumber(1) ? 0 : 1
    let number = commitNumber(newer)
    // All that a meta page says of tables and pages, but not its number: see MetaPageCheck.
    let tables = 40..<144
    bytes.replaceSubrange(
      tables.lowerBound + newer * 4_096..<tables.upperBound + newer * 4_096,
      with: Array(bytes[tables.lowerBound + (1 - newer) * 4_096..<tables.upperBound + (1 - newer) * 4_096]))
    try Data(bytes).write(to: URL(fileURLWithPath: damaged.dataFile))
    let problem = "is that of commit \(number - 1), not of \(number)"
    expectError(.logInvalid, problem, "hypha log verify") {
      _ = try LMDBLogReader(directory: damaged.directory).head()
    }
    expectError(.logInvalid, problem, "restore from a copy") { _ = try damaged.openLMDB() }
  }

  @Test func `a view that is newer than the mark of its reader is no damage`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(2))
    // What a reader sees whose thread had to wait between LMDB's mark and its look at the tables.
    let environment = try log.open().environment
    var head = try log.open().view().head
    try environment.write { transaction in
      head.commitNumber = transaction.commitNumber + 20
      try transaction.putHead(head, in: environment.state)
    }
    #expect(try log.head() == Position(rawValue: 2))
    #expect(try LMDBLogReader(directory: home.directory).verify().isSound)
    log.close()
  }

  @Test(arguments: ["", "garbage", String(repeating: "not a log at all ", count: 5_000)])
  func `a file that is no log is refused, and left as it is`(_ text: String) throws {
    let home = Backend.lmdb.makeHome()
    try home.openLMDB().close()
    try text.write(toFile: home.dataFile, atomically: false, encoding: .utf8)
    expectError(.logInvalid, home.dataFile, "restore from a copy") { _ = try home.openLMDB() }
    expectError(.logInvalid, home.dataFile) { _ = try LMDBLogReader(directory: home.directory) }
    #expect(try String(contentsOfFile: home.dataFile, encoding: .utf8) == text)
  }

  @Test func `a log that lost its file is not begun anew`() throws {
    let home = Backend.lmdb.makeHome()
    try home.openLMDB().close()
    try FileManager.default.removeItem(atPath: home.dataFile)
    expectError(.logInvalid, "has lost its file", "remove its directory") { _ = try home.openLMDB() }
  }

  @Test func `what an interrupted creation left is replaced`() throws {
    let home = Backend.lmdb.makeHome()
    try FileManager.default.createDirectory(
      atPath: home.directory + "/log.new", withIntermediateDirectories: true)
    try "half".write(toFile: home.directory + "/log.new/data.mdb", atomically: false, encoding: .utf8)
    let log = try home.openLMDB()
    #expect(try log.head() == .start)
    #expect(!FileManager.default.fileExists(atPath: home.directory + "/log.new"))
    log.close()
  }

  @Test func `a reader finds no log where there is none`() throws {
    let home = Backend.lmdb.makeHome()
    expectError(.fileUnavailable, "there is no log", "give the data directory of a node") {
      _ = try LMDBLogReader(directory: home.directory)
    }
    #expect(!FileManager.default.fileExists(atPath: home.directory))
  }

  @Test func `a data directory that is a file is refused`() throws {
    let home = Backend.lmdb.makeHome()
    try "text".write(toFile: home.directory, atomically: false, encoding: .utf8)
    expectError(.fileUnavailable, home.directory, "is not a directory") { _ = try home.openLMDB() }
    expectError(.fileUnavailable, home.directory) {
      _ = try LMDBLog(directory: home.directory + "/x", node: "hq", time: home.time)
    }
  }

  @Test(.enabled(if: getuid() != 0, "root may write everywhere"))
  func `a directory that may not be written is refused with a remedy`() throws {
    let home = Backend.lmdb.makeHome()
    try FileManager.default.createDirectory(
      atPath: home.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o500])
    expectError(.fileUnavailable, home.directory, "change its permissions") { _ = try home.openLMDB() }
  }
}
