import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// The log on LMDB when its file is not what was written.
@Suite struct DamageTests {
  /// A closed log with 30 events a round, some larger than a page, a cursor and a snapshot.
  private func makeLog(roundCount: Int = 10) async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    for agent in ["ana", "bob", "cy"] {
      var author = Author(try AgentID(agent))
      for round in 0..<roundCount {
        var batch = try author.batch(9)
        let payload = Array("payload of \(agent) \(round)".utf8) + [UInt8](repeating: 9, count: 3_000)
        batch.appends.append(.init(try author.next(payload: payload)))
        batch.cursors[key] = Cursor(position: Position(rawValue: 0x0123_4567_89AB), handledCount: 3)
        batch.snapshots["ana"] = Array("a snapshot of some length".utf8)
        _ = try await log.append(batch)
      }
    }
    log.close()
    return home
  }

  private let key = CursorKey(agent: "ana", channel: .persistent)

  /// Replaces every occurrence of some bytes; LMDB leaves old pages about.
  private func replace(_ old: [UInt8], with new: [UInt8], in home: LogHome) throws {
    let url = URL(fileURLWithPath: home.dataFile)
    var data = try Data(contentsOf: url)
    var count = 0
    while let range = data.range(of: Data(old)) {
      data.replaceSubrange(range, with: new)
      count += 1
    }
    #expect(count > 0)
    try data.write(to: url)
  }

  private func flip(_ byte: Int, of bytes: [UInt8], in home: LogHome) throws {
    var flipped = bytes
    flipped[byte] ^= 0x10
    try replace(bytes, with: flipped, in: home)
  }

  @Test func `damage names the log that has it, also within a visit of another`() async throws {
    let (home, other) = (try await makeLog(roundCount: 2), try await makeLog(roundCount: 1))
    try flip(0, of: Array("payload of bob 1".utf8), in: home)
    let all = Position.start.next...Position(rawValue: .max)
    func expectNamed(_ read: () throws -> Void) {
      do {
        try read()
        Issue.record("the damage was not found")
      } catch let error as HyphaError {
        #expect(error.code == .logInvalid)
        #expect(error.problem.hasPrefix("the log in \(home.directory): the entry at position "), "\(error)")
        #expect(error.remedy?.contains("'hypha log verify \(home.directory)'") ?? false, "\(error)")
        #expect(!error.description.contains(other.directory), "\(error)")
      } catch { Issue.record("\(error)") }
    }
    let (reader, sound) = (
      try LMDBLogReader(directory: home.directory), try LMDBLogReader(directory: other.directory)
    )
    expectNamed { try reader.visit(all, .forward) { _ in true } }
    expectNamed {
      try sound.visit(all, .forward) { _ in
        try reader.visit(all, .forward) { _ in true }
        return true
      }
    }
  }

  @Test func `a block whose key is damaged is at no place`() throws {
    let bytes = [UInt8](repeating: 0, count: 256)
    for (key, text) in [
      (7, "the block that ends at position 7 has a header"),
      (UInt64.max, "a block has a header whose checksum does not match, and its key is damaged"),
    ] {
      expectError(.logInvalid, text) {
        _ = try bytes.withUnsafeBytes { try BlockView($0, last: Position(rawValue: key)).first }
      }
    }
  }

  @Test func `a cut file is an error at every length`() async throws {
    let home = try await makeLog()
    // One large event at the end of the file, then small commits that reuse pages before it: all roots
    // lie before the cut then, and only the file's length tells.
    let log = try home.openLMDB()
    var dee = Author("dee")
    let large = try dee.next(payload: [UInt8](repeating: 7, count: 200_000))
    _ = try await log.append(LogBatch(appends: [.init(large)]))
    for _ in 0..<5 { _ = try await log.append(dee.batch(1)) }
    log.close()
    let size = try Data(contentsOf: URL(fileURLWithPath: home.dataFile)).count
    var lengths = Array(stride(from: 0, to: size, by: size / 60 | 1))
    lengths += [1, 15, 16, 151, 152, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, size - 4_096, size - 1]
    let lines = try probe(home, lengths.map { "cut \($0)" })
    for (length, line) in zip(lengths, lines) {
      for outcome in line.split(separator: "\t") {
        #expect(outcome.hasPrefix("logInvalid: "), "cut to \(length): \(outcome)")
        #expect(outcome.contains("restore from a copy"), "cut to \(length): \(outcome)")
      }
    }
  }

  @Test func `no flipped byte of a meta page is a fault, and none loses events unseen`() async throws {
    let home = try await makeLog(roundCount: 2)
    let commands = [0, 4_096].flatMap { page in
      (0..<152).flatMap { byte in [1, 0x80, 0xFF].map { "flip \(page + byte) \($0)" } }
    }
    let lines = try probe(home, commands)
    var refusedCount = 0
    for (command, line) in zip(commands, lines) {
      for outcome in line.split(separator: "\t") {
        let isError = ["logInvalid: ", "logFailed: "].contains { outcome.hasPrefix($0) }
        refusedCount += isError ? 1 : 0
        #expect(isError || outcome == "ok 60 0", "\(command): \(outcome)")
      }
    }
    // What may pass: reserved bytes, counts of pages, the size of the map.
    #expect(refusedCount > commands.count)
  }

  @Test func `no flipped byte of the page that lists the tables is a fault`() async throws {
    let home = try await makeLog(roundCount: 2)
    let data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    func word(_ offset: Int) -> Int {
      data[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    // mdb.c: the number of the transaction stands at 144 of a meta page, the main table's root at 128.
    let newest = word(144) > word(4_096 + 144) ? 0 : 4_096
    let page = word(newest + 128) * 4_096
    let upper = word(page + 8) >> 48
    let bytes = Array(0..<28) + Array(upper..<4_096)
    let commands = bytes.flatMap { byte in [1, 0xFF].map { "flip \(page + byte) \($0)" } }
    var refusedCount = 0
    for (command, line) in zip(commands, try probe(home, commands)) {
      refusedCount += line.contains("logInvalid: ") ? 1 : 0
      #expect(line.split(separator: "\t").count == 2, "\(command): \(line)")
    }
    #expect(refusedCount > commands.count / 2)
  }

  @Test func `a flipped bit in any record is found`() async throws {
    let home = try await makeLog()
    let log = try home.openLMDB()
    let records = try log.read(after: .start, limit: 300, byteLimit: 1 << 30).map(\.record)
    log.close()
    let data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    for record in records.filter({ _ in Int.random(in: 0..<6, using: &random) == 0 }) {
      let place = Int.random(in: record.bytes.indices, using: &random)
      let mask = 1 << Int.random(in: 0..<8, using: &random)
      // LMDB leaves copies of pages about, so one of the places that have the record is the one in use.
      var commands: [String] = []
      var from = data.startIndex
      while let range = data.range(of: Data(record.bytes), in: from..<data.endIndex) {
        commands.append("flip \(range.lowerBound + place) \(mask)")
        from = range.upperBound
      }
      let lines = try probe(home, commands)
      #expect(
        lines.contains { line in line.split(separator: "\t").allSatisfy { !$0.hasPrefix("ok 300 0") } },
        "HYPHA_SEED=\(seed) \(commands): \(lines)")
    }
  }

  /// Lets a child damage copies of the log's file and open them; none may end it by a signal.
  private func probe(_ home: LogHome, _ commands: [String]) throws -> [String] {
    let place = Backend.lmdb.makeHome()
    let child = try Child("probe", home.dataFile, place.directory)
    var lines: [String] = []
    for command in commands {
      child.write(command)
      guard let line = child.readLine() else {
        #expect(child.endsWithoutSignal(), "\(command) ended the child by a signal")
        break
      }
      lines.append(line)
    }
    child.endInput()
    #expect(child.endsWithoutSignal())
    #expect(lines.count == commands.count)
    withExtendedLifetime(place) {}
    return lines
  }

  @Test(arguments: [(true, 10), (false, 8), (false, 68)])
  func `a record, its header and its links are bound together by checksums`(_ isHeader: Bool, _ what: Int)
    async throws
  {
    let home = try await makeLog()
    var log = try home.openLMDB()
    let entry = try #require(try log.entry(at: Position(rawValue: 20)))
    log.close()
    // Byte 10 of the header is a link, 8 of the record its checksum, 68 in its middle.
    try flip(what, of: isHeader ? Self.headerBytes(of: entry) : entry.record.bytes, in: home)
    log = try home.openLMDB()
    expectError(.logInvalid, "position 20", "hypha log verify") { _ = try log.entry(at: entry.position) }
    #expect(try log.entry(at: entry.position.next)?.position.rawValue == 21)
    let verification = try log.verify()
    #expect(verification.entryCount < 300)
    #expect(verification.findings.first?.contains("position 20") == true)
    log.close()
  }

  /// What an entry's header begins with: its time and its links.
  private static func headerBytes(of entry: LogEntry) -> [UInt8] {
    [entry.appendedAt.rawValue, entry.previousInStream.rawValue, entry.previousInLane.rawValue]
      .flatMap { TableLayout.bytes(of: $0) }
  }

  @Test func `an entry that stands at another's position is found`() async throws {
    let home = try await makeLog()
    var log = try home.openLMDB()
    let entries = try log.read(after: .start, limit: 300, byteLimit: 1 << 30)
    log.close()
    let values = [entries[1], entries[2]].map(\.record.bytes)
    #expect(values[0].count == values[1].count)
    try replace(values[1], with: values[0], in: home)
    log = try home.openLMDB()
    expectError(.logInvalid, "position 3") { _ = try log.entry(at: Position(rawValue: 3)) }
    log.close()
  }

  @Test func `altered cursors, snapshots and heads are errors`() async throws {
    let home = try await makeLog()
    try flip(2, of: Array("a snapshot of some length".utf8), in: home)
    let cursor = TableLayout.value(
      of: Cursor(position: Position(rawValue: 0x0123_4567_89AB), handledCount: 3))
    try flip(0, of: cursor, in: home)
    let log = try home.openLMDB()
    expectError(.logInvalid, "the table snapshots", "checksum") { _ = try log.snapshot(of: "ana") }
    expectError(.logInvalid, "the table state", "checksum") { _ = try log.cursor(key) }
    expectError(.logInvalid, "the table state", "checksum") { _ = try log.cursors() }
    let head = try #require(try log.laneHead(Author("bob").lane()))
    log.close()
    try flip(24, of: TableLayout.value(of: head), in: home)
    let altered = try home.openLMDB()
    expectError(.logInvalid, "the table state", "checksum") { _ = try altered.laneHead(Author("bob").lane()) }
    altered.close()
  }

  @Test func `heads that were written wrong are found when the log is opened and verified`() async throws {
    let home = try await makeLog()
    let place = DataDirectory(path: home.directory)
    func alter(head: UInt64, lane: Lane? = nil, to laneHead: LaneHead? = nil) throws {
      let lease = try EnvironmentRegistry.lease(
        log: place.log, mode: .writing(mapByteCount: 1 << 30, mapByteCountMax: 1 << 30))
      let environment = lease.environment
      var wrong = try LogView(environment, payloads: PayloadStore(in: home.directory)).head
      wrong.position = Position(rawValue: head)
      try environment.write { transaction in
        if let lane, let laneHead {
          let value = TableLayout.value(of: laneHead)
          try transaction.putSealed(value, at: TableLayout.key(of: lane), in: environment.state)
        }
        wrong.commitNumber = transaction.commitNumber
        wrong.headsThrough = wrong.position
        try transaction.putHead(wrong, in: environment.state)
      }
    }
    let lane = Author("ana").lane()
    let wrong = LaneHead(
      point: LanePoint(epoch: 1, sequence: 99), position: Position(rawValue: 99), count: 99)
    try alter(head: 300, lane: lane, to: wrong)
    let log = try home.openLMDB()
    #expect(try log.verify().findings == ["the table of lane heads does not equal the entries"])
    log.close()
    try alter(head: 299)
    expectError(.logInvalid, "ends at position 300, but the head is 299") { _ = try home.openLMDB() }
    try alter(head: 301)
    expectError(.logInvalid, "the head is 301") { _ = try home.openLMDB() }
    let reader = try LMDBLogReader(directory: home.directory)
    expectError(.logInvalid, "position 301") { _ = try reader.entry(at: Position(rawValue: 301)) }
    expectError(.logInvalid, "position 301") {
      _ = try reader.read(after: Position(rawValue: 295), limit: 20, byteLimit: 1 << 20)
    }
    #expect(try reader.verify().findings.first?.contains("position 301") == true)
  }
}
