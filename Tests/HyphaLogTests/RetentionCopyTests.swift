import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Compacting, backing up and restoring.
@Suite(.serialized) struct RetentionCopyTests {
  private let retention = LMDBRetention(settings: .small)

  private func entries(_ log: any LogReader) throws -> [LogEntry] {
    try log.read(after: .start, limit: .max, byteLimit: .max)
  }

  /// Three agents, large and small events, a cursor and a snapshot; the first half pruned where asked.
  private func fill(_ log: LMDBLog, isPruned: Bool) async throws {
    for name in ["ana", "bob", "cy"] {
      var author = Author(AgentID(stringLiteral: name))
      for index in 0..<60 {
        var batch = LogBatch()
        for _ in 0..<4 {
          let payload = [UInt8](repeating: UInt8(index), count: index % 10 == 0 ? 60_000 : 400)
          batch.appends.append(.init(try author.next(payload: payload)))
        }
        if index == 7 {
          let key = CursorKey(agent: author.agent, channel: .persistent)
          batch.cursors[key] = Cursor(position: Position(rawValue: 600), handledCount: 9)
          batch.snapshots[author.agent] = [UInt8](repeating: 9, count: 10_000)
        }
        _ = try await log.append(batch)
      }
    }
    guard isPruned else { return }
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 300), now: .zero)
    _ = try await log.prune(plan, principal: "ops", time: TestTime())
  }

  @Test(arguments: [false, true])
  func `a compact log has the same entries, heads and chain, in less room`(isPruned: Bool) async throws {
    let home = Backend.lmdb.makeHome()
    var log = try home.openLMDB()
    try await fill(log, isPruned: isPruned)
    let before = (try entries(log), try log.heads(), try log.gaps(), try log.cursors())
    log.close()
    let link = try retention.backUp(home.directory, to: home.directory + "/b", withKey: false) { _, _ in }
      .link
    let report = try retention.compact(home.directory) { _, _ in }
    #expect(report.byteCountAfter < report.byteCountBefore)
    print(
      "compacted\(isPruned ? " after a prune" : ""): \(report.byteCountBefore) → \(report.byteCountAfter)")
    do {
      // A head of another commit would pass for one that was about to be committed, were the log salvaged.
      let store = try LogOpening.openForReading(DataDirectory(path: home.directory))
      try withExtendedLifetime(store) {
        let view = try store.view()
        #expect(view.head.commitNumber == view.transaction.commitNumber)
      }
    }
    log = try home.openLMDB()
    #expect(try entries(log) == before.0)
    #expect(try log.heads() == before.1 && log.gaps() == before.2 && log.cursors() == before.3)
    #expect(try log.snapshot(of: "bob")?.count == 10_000)
    let verification = try log.verify()
    #expect(verification.isSound, "\(verification.findings)")
    var dee = Author("dee")
    _ = try await log.append(dee.batch(3))
    #expect(try log.verify().isSound)
    log.close()
    // Again, and again: nothing is lost where nothing is to be gained.
    for _ in 1...2 { _ = try retention.compact(home.directory) { _, _ in } }
    log = try home.openLMDB()
    #expect(try log.verify().isSound && log.head() == before.1.position.next.next.next)
    log.close()
    let compacted = try retention.backUp(home.directory, to: home.directory + "/c", withKey: false) { _, _ in
    }
    #expect(compacted.link != link)
  }

  @Test func `the chain's link stays when a log is compacted`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    try await fill(log, isPruned: true)
    log.close()
    let before = try retention.backUp(home.directory, to: home.directory + "/b", withKey: false) { _, _ in }
    _ = try retention.compact(home.directory) { _, _ in }
    let after = try retention.backUp(home.directory, to: home.directory + "/c", withKey: false) { _, _ in }
    #expect(after.link == before.link && after.head == before.head && after.byteCount < before.byteCount)
  }

  @Test func `a log that is open is not compacted`() async throws {
    let home = Backend.lmdb.makeHome()
    let writer = try Child("hold", home.directory)
    #expect(writer.readLine() == "open")
    expectError(.logLocked, "by process \(writer.id)") {
      _ = try retention.compact(home.directory) { _, _ in }
    }
    writer.endInput()
    _ = writer.endsWithoutSignal()
    let reader = try Child("follow", home.directory)
    #expect(reader.readLine() == "open")
    expectError(.logLocked, "is being read by process \(reader.id)") {
      _ = try retention.compact(home.directory) { _, _ in }
    }
    reader.killNow()
    _ = reader.endsWithoutSignal()
    _ = try retention.compact(home.directory) { _, _ in }
  }

  @Test func `a backup of a log that another process writes is whole, and can be restored`() async throws {
    let home = Backend.lmdb.makeHome()
    let child = try Child("append", home.directory, "1")
    for _ in 0..<200 { _ = child.readLine() }
    var heads: [Position] = []
    for number in 1...5 {
      let report = try retention.backUp(home.directory, to: home.directory + "/b\(number)", withKey: false) {
        _, _ in
      }
      heads.append(report.head)
      for _ in 0..<50 { _ = child.readLine() }
    }
    child.killNow()
    _ = child.readLines()
    _ = child.endsWithoutSignal()
    #expect(heads == heads.sorted() && heads[0].rawValue > 100 && heads[0] < heads[4])
    let log = try home.openLMDB()
    for (index, head) in heads.enumerated() {
      let backup = home.directory + "/b\(index + 1)"
      #expect(!FileManager.default.fileExists(atPath: backup + ".partial"))
      let restored = home.directory + "/r\(index + 1)"
      let report = try retention.restore(backup, to: restored, replaces: false) { _, _ in }
      #expect(report.copy.head == head && report.movedAside == nil)
      let reader = try LMDBLogReader(directory: restored)
      #expect(try reader.head() == head && reader.verify().isSound)
      #expect(try entries(reader) == entries(log).filter { $0.position <= head })
      #expect(reader.identity == log.identity)
    }
    log.close()
  }

  @Test func `payloads are in a backup, the node's key only where it is asked for`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    let payloads = PayloadStore(in: home.directory)
    let stored = try [UInt8](repeating: 5, count: 100_000).withUnsafeBytes { try payloads.put($0) }
    try Data("secret".utf8).write(to: URL(fileURLWithPath: home.directory + "/node.key"))
    let without = try retention.backUp(home.directory, to: home.directory + "/b/", withKey: false) { _, _ in }
    #expect(without.byteCount > 100_000)
    try PayloadStore(in: home.directory + "/b").verify(stored.reference)
    #expect(!FileManager.default.fileExists(atPath: home.directory + "/b/node.key"))
    _ = try retention.backUp(home.directory, to: home.directory + "/k", withKey: true) { _, _ in }
    #expect(FileManager.default.contents(atPath: home.directory + "/k/node.key") == Data("secret".utf8))
    let names = try FileManager.default.contentsOfDirectory(atPath: home.directory + "/k/log")
    #expect(names == ["data.mdb"])
    log.close()
  }

  @Test func `a restore takes no directory that is in use, and removes none`() async throws {
    let home = Backend.lmdb.makeHome()
    var log = try home.openLMDB()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(3))
    let backup = home.directory + "/backup"
    _ = try retention.backUp(home.directory, to: backup, withKey: false) { _, _ in }
    expectError(.fileUnavailable, "backup is not empty") {
      _ = try retention.backUp(home.directory, to: backup, withKey: false) { _, _ in }
    }
    _ = try await log.append(ana.batch(3))
    log.close()
    let data = home.directory + "/data"
    _ = try retention.restore(backup, to: data, replaces: false) { _, _ in }
    expectError(.fileUnavailable, "\(data) is not empty", "--replace") {
      _ = try retention.restore(backup, to: data, replaces: false) { _, _ in }
    }
    log = try LMDBLog(directory: data, node: "hq", settings: .small, time: home.time)
    expectError(.logLocked, data) { _ = try retention.restore(backup, to: data, replaces: true) { _, _ in } }
    _ = try await log.append(ana.batch(0))
    ana.beginEpoch()
    ana.ends[ana.lane()] = try log.laneHead(ana.lane())?.point
    _ = try await log.append(ana.batch(2))
    log.close()
    for aside in ["\(data).replaced", "\(data).replaced-2"] {
      let report = try retention.restore(backup, to: data, replaces: true) { _, _ in }
      #expect(report.movedAside == aside)
      #expect(try LMDBLogReader(directory: data).head().rawValue == 3)
    }
    #expect(try LMDBLogReader(directory: "\(data).replaced").head().rawValue == 5)
    #expect(try LMDBLogReader(directory: "\(data).replaced-2").head().rawValue == 3)
  }

  @Test func `a damaged log is not compacted, and stays as it is`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    try await fill(log, isPruned: false)
    log.close()
    var data = try #require(FileManager.default.contents(atPath: home.dataFile))
    let place = try #require(data.range(of: Data(repeating: 10, count: 50_000)))
    data[place.lowerBound + 9] ^= 1
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    expectError(.logInvalid, "the log in \(home.directory) is damaged", "log salvage") {
      _ = try retention.compact(home.directory) { _, _ in }
    }
    #expect(FileManager.default.contents(atPath: home.dataFile) == data)
    #expect(!FileManager.default.fileExists(atPath: home.directory + "/log.new"))
  }

  @Test func `a damaged log is not backed up, and the backup before stays`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    try await fill(log, isPruned: false)
    log.close()
    let (first, second) = (home.directory + "/first", home.directory + "/second")
    _ = try retention.backUp(home.directory, to: first, withKey: false) { _, _ in }
    let names = try FileManager.default.contentsOfDirectory(atPath: first + "/log")
    #expect(names == ["data.mdb"])
    var data = try #require(FileManager.default.contents(atPath: home.dataFile))
    let place = try #require(data.range(of: Data(repeating: 10, count: 50_000)))
    data[place.lowerBound + 9] ^= 1
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    expectError(.logInvalid, "the log in \(home.directory) is damaged", "keep the backups") {
      _ = try retention.backUp(home.directory, to: second, withKey: false) { _, _ in }
    }
    #expect(!FileManager.default.fileExists(atPath: second))
    #expect(!FileManager.default.fileExists(atPath: second + ".partial"))
    #expect(try LMDBLogInspection().verify(first, linksAt: []) { _ in }.isSound)
  }

  @Test func `a damaged backup is not restored`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    try await fill(log, isPruned: false)
    log.close()
    let backup = home.directory + "/backup"
    _ = try retention.backUp(home.directory, to: backup, withKey: false) { _, _ in }
    let file = backup + "/log/data.mdb"
    var data = try #require(FileManager.default.contents(atPath: file))
    // The payload of a large event.
    let place = try #require(data.range(of: Data(repeating: 10, count: 50_000)))
    data[place.lowerBound + 9] ^= 1
    try data.write(to: URL(fileURLWithPath: file))
    let target = home.directory + "/data"
    expectError(.logInvalid, "the backup \(backup) is damaged", "another backup") {
      _ = try retention.restore(backup, to: target, replaces: false) { _, _ in }
    }
    #expect(!FileManager.default.fileExists(atPath: target))
    #expect(!FileManager.default.fileExists(atPath: target + ".partial"))
    expectError(.fileUnavailable, "no log in") {
      _ = try retention.restore(home.directory + "/none", to: target, replaces: false) { _, _ in }
    }
  }
}
