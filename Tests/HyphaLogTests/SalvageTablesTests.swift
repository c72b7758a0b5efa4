import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Whose log it is, and what is kept of the small tables, where pages of theirs are damaged.
@Suite struct SalvageTablesTests {
  private let inspection = LMDBLogInspection()
  private static let agentCount = 240

  /// A closed log whose tables take several pages, with an index. In each commit one agent handles something: its snapshot
  /// says how often it has.
  private func makeLog() async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var author = Author("ana")
    for number in 0..<Self.agentCount + 40 {
      var batch = try author.batch(1)
      let agent = AgentID(unchecked: "agent-\(number % Self.agentCount)")
      let count = UInt64(number / Self.agentCount + 1)
      for channel in [Channel.persistent, .alert] {
        batch.cursors[CursorKey(agent: agent, channel: channel)] = Cursor(
          position: Position(rawValue: UInt64(number)), handledCount: count)
      }
      // Some lie on pages of their own.
      batch.snapshots[agent] =
        Array("\(count) ".utf8) + [UInt8](repeating: 1, count: number % 9 == 4 ? 5_000 : 90)
      if number % 2 == 0 { batch.idempotencyKey = try IdempotencyKey("key-\(number)") }
      _ = try await log.append(batch)
    }
    while let status = log.indexStatus(), status.lagCount > 0 { await Task.yield() }
    log.close()
    return home
  }

  private func salvage(
    _ home: LogHome, to output: String, owner: StatedOwner = StatedOwner()
  ) throws -> SalvageReport {
    try inspection.salvage(
      home.directory, to: output, tables: SalvagedTables(problem: "a test"), owner: owner, loose: { _ in }
    ) { _, _ in }
  }

  @Test
  func `places, snapshots and keys are found on the pages, or left out, but never those of two commits`()
    async throws
  {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = try await makeLog()
    let owner = try LMDBLogReader(directory: home.directory).identity
    let whole = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let known = try LMDBLogReader.handledCounts(home.directory)
    #expect(known.count == Self.agentCount && known.values.allSatisfy { $0.count == 3 })
    let pageCount = whole.count / 4_096
    var wholeCount = 0
    for page in (2..<pageCount).shuffled(using: &random).prefix(16) {
      let output = Backend.lmdb.makeHome()
      var data = whole
      let isCut = page > pageCount * 3 / 4
      if isCut {
        data = data.prefix(page * 4_096)
      } else {
        data.resetBytes(in: page * 4_096..<(page + 1) * 4_096)
      }
      try data.write(to: URL(fileURLWithPath: home.dataFile))
      let report = try salvage(
        home, to: output.directory, owner: StatedOwner(node: owner.node, id: owner.id))
      let comment: Comment = "HYPHA_SEED=\(seed): page \(page) of \(pageCount), \(report)"
      let found = try LMDBLogReader.handledCounts(output.directory)
      for (agent, counts) in found {
        // All are of one commit, which is the newest or the one before.
        let newest = try #require(known[agent]?.first)
        #expect(counts.count == 3 && Set(counts).count == 1, comment)
        #expect(counts[0] <= newest && counts[0] + 1 >= newest, comment)
      }
      #expect(report.cursorCount == UInt64(2 * found.count), comment)
      #expect(report.snapshotCount == UInt64(found.count), comment)
      // A leaf costs its own rows and not the rest; a branch may be the only way to more.
      let isBranch = whole[page * 4_096 + 10] == 1
      if !isCut && !isBranch { #expect(found.count > Self.agentCount / 2 && report.keyCount > 0, comment) }
      // Of some agents nothing is left that could be counted.
      #expect(
        found.count == Self.agentCount || report.notes.contains { $0.contains("could be read") }, comment)
      if found == known { wholeCount += 1 }
      #expect(try inspection.verify(output.directory, linksAt: []) { _ in }.findings == [], comment)
      let log = try output.openLMDB()
      var author = Author("new")
      #expect(try await log.append(author.batch(1)).first == report.head.next, comment)
      log.close()
    }
    #expect(wholeCount >= 2, "HYPHA_SEED=\(seed)")
  }

  @Test func `whose log it is the index, the chain or the operator says where the log does not`() async throws
  {
    let home = try await makeLog()
    let known = try LMDBLogReader(directory: home.directory).identity
    let count = try LMDBLogReader(directory: home.directory).head().rawValue
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let row = TableLayout.seal(TableLayout.value(of: known), key: TableLayout.identityKey)
    while let place = data.range(of: Data(row)) { data.resetBytes(in: place) }
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    func output() -> String { Backend.lmdb.makeHome().directory }
    func expectKept(_ report: SalvageReport, _ words: String, at: SourceLocation = #_sourceLocation) {
      #expect(report.node == known.node && report.entryCount == count, sourceLocation: at)
      #expect(report.notes.first?.contains(words) == true, "\(report.notes)", sourceLocation: at)
    }
    // The index beside it and its node's name are proven by the chain, whoever gives the name.
    let (first, second) = (output(), output())
    defer { for place in [first, second] { try? FileManager.default.removeItem(atPath: place) } }
    let stated = try salvage(home, to: first, owner: StatedOwner(node: known.node))
    expectKept(stated, "its first block proves it")
    #expect(stated.id == known.id)
    #expect(try inspection.verify(first, linksAt: []) { _ in }.findings == [])
    // A deployment's directory is named for its node.
    let place = NSTemporaryDirectory() + "hypha-log-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: place) }
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: home.directory, toPath: "\(place)/\(known.node)")
    let tables = SalvagedTables(problem: "a test")
    let named = try inspection.salvage(
      "\(place)/\(known.node)", to: second, tables: tables, owner: StatedOwner(), loose: { _ in }
    ) { _, _ in }
    expectKept(named, "its first block proves it")
    // Without the index somebody has to say it, and is not believed against the chain.
    try FileManager.default.removeItem(atPath: home.directory + "/index")
    let (third, fourth) = (output(), output())
    defer { for place in [third, fourth] { try? FileManager.default.removeItem(atPath: place) } }
    expectError(.logInvalid, "whose log it is", "--log-id") { _ = try salvage(home, to: third) }
    expectError(.invalidInput, "its first block does not follow") {
      let owner = StatedOwner(node: "other", id: known.id)
      _ = try salvage(home, to: third, owner: owner)
    }
    #expect(!FileManager.default.fileExists(atPath: third))
    let both = try salvage(home, to: third, owner: StatedOwner(node: known.node, id: known.id))
    expectKept(both, "its first block proves it")
    let anew = try salvage(home, to: fourth, owner: StatedOwner(node: known.node))
    expectKept(anew, "this is a new log")
    #expect(anew.id != known.id)
    let findings = try inspection.verify(fourth, linksAt: []) { _ in }.findings
    #expect(findings.count == 1 && findings[0].contains("link"), "\(findings)")
  }

  @Test func `an owner that is not the log's is refused`() async throws {
    let home = try await VerifyTests.makeLog()
    let output = Backend.lmdb.makeHome()
    expectError(.invalidInput, "of node hq", "leave out --node") {
      _ = try salvage(home, to: output.directory, owner: StatedOwner(node: "other"))
    }
    #expect(!FileManager.default.fileExists(atPath: output.directory))
  }

  @Test func `salvage of a log that is open names the process that writes it`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    expectError(.logLocked, "process (\(getpid()))") { _ = try salvage(home, to: home.directory + ".new") }
    log.close()
  }
}
