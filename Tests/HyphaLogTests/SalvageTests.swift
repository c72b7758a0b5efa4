import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// What is taken out of a damaged log.
@Suite struct SalvageTests {
  private let inspection = LMDBLogInspection()

  /// The rows of a sound log's small tables.
  private func tables(_ home: LogHome) throws -> SalvagedTables {
    let tables = SalvagedTables.read(home)
    #expect(tables.problem == nil)
    return tables
  }

  private func entries(_ home: LogHome) throws -> [LogEntry] {
    try LMDBLogReader(directory: home.directory).read(after: .start, limit: 10_000, byteLimit: 1 << 30)
  }

  /// The blocks of a log, by their last position, as they are stored.
  private func blocks(_ home: LogHome) throws -> [Position: [UInt8]] {
    let lease = try EnvironmentRegistry.lease(log: DataDirectory(path: home.directory).log, mode: .reading)
    var blocks: [Position: [UInt8]] = [:]
    try TableCheck.forEachRow(of: "blocks", lease.environment) { key, value in
      blocks[try BlockLayout.position(ofKey: key)] = Array(value)
    }
    return blocks
  }

  private func salvage(
    _ home: LogHome, to output: LogHome, _ tables: SalvagedTables, owner: StatedOwner = StatedOwner(),
    loose: (LooseRecord) throws -> Void = { _ in }
  ) throws -> SalvageReport {
    try inspection.salvage(home.directory, to: output.directory, tables: tables, owner: owner, loose: loose) {
      _, _ in
    }
  }

  @Test func `of a sound log everything is kept, block by block`() async throws {
    let (home, output) = (try await VerifyTests.makeLog(), Backend.lmdb.makeHome())
    let before = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let (known, knownBlocks) = (try entries(home), try blocks(home))
    let head = try inspection.signedHead(home.directory).head
    let report = try salvage(home, to: output, tables(home))
    #expect(
      report.entryCount == 120 && report.quarantined == [] && report.notes == [] && report.looseCount == 0)
    #expect(report.cursorCount == 1 && report.snapshotCount == 1 && report.node == LogHome.node)
    #expect(try entries(output) == known)
    #expect(try blocks(output) == knownBlocks)
    #expect(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)) == before, "the original is only read")
    let reader = try LMDBLogReader(directory: output.directory)
    #expect(try reader.snapshot(of: "ana") == Array("snapshot 23".utf8))
    #expect(try reader.cursors().values.map(\.handledCount) == [23])
    let again = try inspection.signedHead(output.directory).head
    #expect(again == head, "signed heads go on to hold")
    expectError(.fileUnavailable, output.directory, "holds a log already") {
      _ = try salvage(home, to: output, SalvagedTables())
    }
  }

  @Test func `whatever is damaged, every intact entry is kept, nothing is invented, and a node goes on`()
    async throws
  {
    let home = try await VerifyTests.makeLog()
    let (all, knownBlocks, rows) = (try entries(home), try blocks(home), try tables(home))
    let sound = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let owner = StatedOwner(
      node: LogHome.node, id: try LMDBLogReader(directory: home.directory).identity.id)
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    for round in 0..<60 {
      let (damaged, output) = (Backend.lmdb.makeHome(), Backend.lmdb.makeHome())
      try FileManager.default.createDirectory(
        atPath: damaged.directory + "/log", withIntermediateDirectories: true)
      var data = sound
      let pages = 2..<(data.count / 4_096)
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
          let page = Int.random(in: pages, using: &random) * 4_096
          data.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
        case 1 where round % 5 == 0:
          data = data.prefix(Int.random(in: data.count / 2..<data.count, using: &random)) + Data(count: 0)
        default:
          let place = Int.random(in: 8_192..<data.count, using: &random)
          data[place] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
        }
        if data.count < sound.count { data += Data(count: sound.count - data.count) }
      }
      try data.write(to: URL(fileURLWithPath: damaged.dataFile))
      // Nothing is known of the tables, all is from a copy, or what the damaged log itself still gives.
      let known = [SalvagedTables(problem: "a test"), rows, .read(damaged)][round % 3]
      var report: SalvageReport
      do {
        report = try salvage(damaged, to: output, known)
      } catch let error as HyphaError {
        // Then somebody has to say it.
        #expect(error.problem.contains("whose log it is"), "HYPHA_SEED=\(seed) \(round): \(error)")
        #expect(!FileManager.default.fileExists(atPath: output.directory), "nothing stays of it")
        report = try salvage(damaged, to: output, known, owner: owner)
        #expect(report.notes.first?.contains("does not say itself any more") == true)
      }
      let comment: Comment = "HYPHA_SEED=\(seed) round \(round): \(report)"
      let kept = try entries(output)
      #expect(kept.allSatisfy { $0 == all[Int($0.position.rawValue) - 1] }, comment)
      #expect(UInt64(kept.count) == report.entryCount, comment)
      #expect(report.entryCount + report.quarantinedCount == report.head.rawValue, comment)
      let positions = Set(kept.map(\.position))
      for (last, block) in knownBlocks where data.range(of: Data(block)) != nil {
        #expect(positions.contains(last), "\(last) is intact; \(comment)")
      }
      #expect(try inspection.verify(output.directory, linksAt: []) { _ in }.findings == [], comment)
      let log = try output.openLMDB()
      var author = Author("new")
      #expect(try await log.append(author.batch(2)).first == report.head.next, comment)
      log.close()
      let verification = try inspection.verify(output.directory, linksAt: []) { _ in }
      #expect(verification.isSound && verification.quarantinedCount == report.quarantinedCount, comment)
    }
  }

  @Test func `one damaged record of a block costs that record alone, and the chain holds`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var author = Author("ana")
    _ = try await log.append(author.batch(200))
    _ = try await log.append(author.batch(5))
    log.close()
    let (known, rows) = (try entries(home), try tables(home))
    let head = try inspection.signedHead(home.directory).head
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    var from = data.startIndex
    while let range = data.range(of: Data(known[90].record.bytes), in: from..<data.endIndex) {
      data[range.lowerBound + 60] ^= 4
      from = range.upperBound
    }
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    let before = try inspection.verify(home.directory, linksAt: []) { _ in }
    #expect(before.firstBroken?.rawValue == 91 && before.damagedCount == 1 && before.alteredCount == 0)
    let output = Backend.lmdb.makeHome()
    let report = try salvage(home, to: output, rows)
    #expect(report.quarantined.map(\.first.rawValue) == [91] && report.entryCount == 204)
    let verification = try inspection.verify(output.directory, linksAt: [head.position]) { _ in }
    #expect(
      verification.findings == [] && verification.unprovenCount == 0 && verification.quarantinedCount == 1)
    #expect(verification.links[head.position] == .link(head.chain))
    let reader = try LMDBLogReader(directory: output.directory)
    expectError(.logInvalid, "position 91 was quarantined") {
      _ = try reader.entry(at: Position(rawValue: 91))
    }
    #expect(try entries(output).count == 204)
    // What was lost once stays lost with its reason.
    let third = Backend.lmdb.makeHome()
    #expect(try salvage(output, to: third, tables(output)).quarantined == report.quarantined)
  }

  /// Damages the headers of these blocks wherever they stand in the file.
  private func garbleHeaders(
    _ blocks: [[UInt8]], in home: LogHome, bytes: Range<Int>, _ random: inout SeededGenerator
  ) throws {
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    for block in blocks {
      var from = data.startIndex
      while let range = data.range(of: Data(block[..<128]), in: from..<data.endIndex) {
        for byte in bytes { data[range.lowerBound + byte] = UInt8.random(in: .min ... .max, using: &random) }
        from = range.upperBound
      }
    }
    try data.write(to: URL(fileURLWithPath: home.dataFile))
  }

  @Test func `a block whose header is damaged is kept, and its header made anew byte for byte`() async throws
  {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    for round in 0..<12 {
      let (home, output) = (try await VerifyTests.makeLog(), Backend.lmdb.makeHome())
      let (known, knownBlocks, rows) = (try entries(home), try blocks(home), try tables(home))
      let head = try inspection.signedHead(home.directory).head
      let ends = knownBlocks.keys.sorted()
      // One block or several that follow each other, the first and the newest among them.
      let begin = round == 0 ? 0 : Int.random(in: ends.indices, using: &random)
      let count = Int.random(in: 1...3, using: &random)
      let end = round == 1 ? ends.count : min(begin + count, ends.count)
      let damaged = ends[min(begin, end - 1)..<end].compactMap { knownBlocks[$0] }
      try garbleHeaders(damaged, in: home, bytes: round % 2 == 0 ? 0..<64 : 4..<24, &random)
      #expect(try inspection.verify(home.directory, linksAt: []) { _ in }.isSound == false)
      let report = try salvage(home, to: output, round % 3 == 0 ? SalvagedTables(problem: "a test") : rows)
      let comment: Comment = "HYPHA_SEED=\(seed) round \(round): \(report)"
      #expect(report.quarantined == [] && report.looseCount == 0, comment)
      #expect(report.notes.contains { $0.contains("headers of \(damaged.count) blocks") }, comment)
      #expect(try entries(output) == known, comment)
      #expect(try blocks(output) == knownBlocks, comment)
      let verification = try inspection.verify(output.directory, linksAt: [head.position]) { _ in }
      #expect(verification.findings == [] && verification.unprovenCount == 0, comment)
      #expect(verification.links[head.position] == .link(head.chain), comment)
    }
  }

  @Test func `entries are kept where the link of their block is lost, and that is a finding`() async throws {
    let (home, output) = (try await VerifyTests.makeLog(), Backend.lmdb.makeHome())
    let (known, knownBlocks, rows) = (try entries(home), try blocks(home), try tables(home))
    let ends = knownBlocks.keys.sorted()
    var random = SeededGenerator(seed: 1)
    // Of the block before, nothing is left: only it said which link comes next.
    let (before, block) = (try #require(knownBlocks[ends[9]]), try #require(knownBlocks[ends[10]]))
    try garbleHeaders([before], in: home, bytes: 0..<min(before.count, 900), &random)
    try garbleHeaders([block], in: home, bytes: 0..<64, &random)
    let report = try salvage(home, to: output, rows)
    #expect(report.quarantined.map(\.last) == [ends[9]], "\(report)")
    #expect(try entries(output) == known.filter { $0.position <= ends[8] || $0.position > ends[9] })
    let verification = try inspection.verify(output.directory, linksAt: []) { _ in }
    #expect(verification.damagedCount == 0 && verification.findings.count <= 1, "\(verification.findings)")
    #expect(verification.findings.allSatisfy { $0.contains("the chain's link") })
  }

  @Test func `what was about to be committed is not taken for committed`() async throws {
    let home = try await VerifyTests.makeLog()
    let committed = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let known = try entries(home)
    let log = try home.openLMDB()
    var author = Author("cy")
    _ = try await log.append(author.batch(50))
    // The process ends here, between the writing of the pages and that of the meta page.
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    log.close()
    data.replaceSubrange(0..<8_192, with: committed[0..<8_192])
    let (damaged, output) = (Backend.lmdb.makeHome(), Backend.lmdb.makeHome())
    try FileManager.default.createDirectory(
      atPath: damaged.directory + "/log", withIntermediateDirectories: true)
    try data.write(to: URL(fileURLWithPath: damaged.dataFile))
    let report = try salvage(damaged, to: output, SalvagedTables(problem: "a test"))
    #expect(report.head.rawValue == 120)
    #expect(try entries(output) == known)
  }

  @Test func `a record whose block is lost is handed out, and is not in the log`() async throws {
    let home = try await VerifyTests.makeLog()
    let (known, rows) = (try entries(home), try tables(home))
    let lost = try #require(try blocks(home)[known[119].position])
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    var from = data.startIndex
    // Nothing says any more what the records are entries of.
    let front = 64 + 72 * lost.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 16, as: UInt32.self)) }
    while let range = data.range(of: Data(lost), in: from..<data.endIndex) {
      data.resetBytes(in: range.lowerBound..<range.lowerBound + front)
      from = range.upperBound
    }
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    let output = Backend.lmdb.makeHome()
    var loose: [Record] = []
    let report = try salvage(home, to: output, rows) { loose.append($0.record) }
    #expect(report.head.rawValue == 120 && report.quarantinedCount == UInt64(loose.count) && loose.count > 0)
    #expect(loose.contains(known[119].record))
    #expect(try inspection.verify(output.directory, linksAt: [Position(rawValue: 120)]) { _ in }.isSound)
  }

  @Test func `payloads beside the log are taken along, and those that are lost cost their entries`()
    async throws
  {
    let home = try await VerifyTests.makeLog()
    let reference = try VerifyTests.appendDetached([UInt8](repeating: 5, count: 40_000), to: home)
    let output = Backend.lmdb.makeHome()
    #expect(try salvage(home, to: output, tables(home)).payloadCount == 1)
    let verification = try inspection.verify(output.directory, linksAt: []) { _ in }
    #expect(verification.findings == [] && verification.payloadCount == 1)
    try FileManager.default.removeItem(atPath: PayloadStore(in: home.directory).file(reference.digest))
    let other = Backend.lmdb.makeHome()
    let report = try salvage(home, to: other, tables(home))
    #expect(report.quarantined.map(\.first.rawValue) == [121])
    #expect(report.quarantined.first?.reason.contains("is missing") == true)
    #expect(try inspection.verify(other.directory, linksAt: []) { _ in }.quarantinedCount == 1)
  }
}
