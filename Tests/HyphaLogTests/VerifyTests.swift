import Foundation
import HyphaCore
import Synchronization
import Testing

@testable import HyphaLog
@testable import HyphaLogLMDB

/// Reading a log on LMDB from end to end, block by block.
@Suite struct VerifyTests {
  /// A closed log of 120 events in 24 commits, with a cursor and a snapshot.
  static func makeLog(commitCount: Int = 24) async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var authors = [Author("ana"), Author("bob")]
    for number in 0..<commitCount {
      var batch = LogBatch()
      for index in 0..<5 {
        let size = (number * 5 + index) % 17 == 3 ? 5_000 : 20 + index
        let record = try authors[index % 2].next(
          payload: Array("\(number) \(index) ".utf8) + Array(repeating: 9, count: size))
        batch.appends.append(.init(record))
      }
      batch.cursors[CursorKey(agent: "ana", channel: .persistent)] = Cursor(
        position: Position(rawValue: UInt64(number)), handledCount: UInt64(number))
      batch.snapshots["ana"] = Array("snapshot \(number)".utf8)
      _ = try await log.append(batch)
    }
    log.close()
    return home
  }

  private func verify(_ home: LogHome, linksAt positions: [Position] = []) throws -> LogVerification {
    try LMDBLogInspection().verify(home.directory, linksAt: positions) { _ in }
  }

  /// Changes the log's tables as its writer could, in one commit.
  static func change(
    _ home: LogHome, _ body: (borrowing WriteTransaction, Environment, inout CommitHead) throws -> Void
  )
    throws
  {
    let log = DataDirectory(path: home.directory).log
    let mode = Environment.Mode.writing(mapByteCount: 1 << 30, mapByteCountMax: 1 << 30)
    let lease = try EnvironmentRegistry.lease(log: log, mode: mode)
    let before = try LogView(lease.environment, payloads: PayloadStore(in: home.directory)).head
    try lease.environment.write { transaction in
      var head = before
      try body(transaction, lease.environment, &head)
      head.commitNumber = transaction.commitNumber
      try transaction.putHead(head, in: lease.environment.state)
    }
  }

  /// Rewrites the block that has a position.
  private func rewriteBlock(_ home: LogHome, at position: UInt64, _ body: (inout [UInt8], BlockView) -> Void)
    throws
  {
    try Self.change(home) { transaction, environment, _ in
      let view = try LogView(environment, payloads: PayloadStore(in: home.directory))
      let block = try #require(try view.block(at: Position(rawValue: position)))
      var bytes = Array(block.rawBytes)
      body(&bytes, block)
      try transaction.put(bytes, at: BlockLayout.withKey(block.last) { Array($0) }, in: environment.blocks)
    }
  }

  /// Puts other bytes in place of an entry's payload, with checksums that match.
  private func forge(_ bytes: inout [UInt8], _ block: BlockView, at position: UInt64, isThorough: Bool) {
    let index = Int(position - block.first.rawValue)
    let header = BlockLayout.headerByteCount + index * BlockLayout.entryHeaderByteCount
    bytes.withUnsafeMutableBytes { bytes in
      let offset = Int(bytes.loadUnaligned(fromByteOffset: header + 28, as: UInt32.self))
      let count = Int(bytes.loadUnaligned(fromByteOffset: header + 32, as: UInt32.self))
      bytes[offset + count - 1] ^= 1
      let record = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
      let check = checksumCRC32C(UnsafeRawBufferPointer(rebasing: record[12...]))
      bytes.storeBytes(of: check, toByteOffset: offset + 8, as: UInt32.self)
      if isThorough {
        Digest.of(record).withUnsafeBytes { leaf in
          UnsafeMutableRawBufferPointer(rebasing: bytes[header + 40..<header + 72]).copyMemory(from: leaf)
        }
      }
      let entry = UnsafeRawBufferPointer(rebasing: bytes[header..<header + 72])
      let bound = BlockLayout.checksum(
        ofEntryHeader: entry, at: Position(rawValue: position), recordCheck: check)
      bytes.storeBytes(of: bound, toByteOffset: header + 36, as: UInt32.self)
    }
  }

  @Test func `a sound log is read whole, and its chain can be looked up`() async throws {
    let home = try await Self.makeLog()
    var reports: [LogProgress] = []
    let all = (0...121).map { Position(rawValue: $0) }
    let verification = try LMDBLogInspection().verify(home.directory, linksAt: all) { reports.append($0) }
    #expect(verification.findings == [] && verification.isSound)
    #expect(
      verification.entryCount == 120 && verification.statedCount == 120 && verification.head.rawValue == 120)
    #expect(verification.node == LogHome.node && verification.blockCount >= 24)
    #expect(
      reports.last?.position.rawValue == 120 && (reports.last?.byteCount ?? 0) > verification.recordByteCount)
    let links = verification.links.values.filter { if case .link = $0 { true } else { false } }
    #expect(UInt64(links.count) == verification.blockCount, "a block's end has a link, and nothing else")
    #expect(verification.links[Position(rawValue: 121)] == ChainLink.none)
    let log = try home.openLMDB()
    #expect(
      try log.verify()
        == {
          var same = verification
          same.blockCount = 0
          same.links = [:]
          return same
        }(), "both ways to verify agree")
    log.close()
  }

  @Test func `an altered record is told apart from a damaged one`() async throws {
    let home = try await Self.makeLog()
    try rewriteBlock(home, at: 33) { bytes, block in forge(&bytes, block, at: 33, isThorough: false) }
    try rewriteBlock(home, at: 71) { bytes, _ in bytes[bytes.count - 1] ^= 1 }
    let verification = try verify(home)
    #expect(verification.alteredCount == 1 && verification.damagedCount == 1)
    #expect(verification.firstBroken?.rawValue == 33)
    #expect(
      verification.findings.first?.hasPrefix("altered: position 33: ") == true, "\(verification.findings)")
    #expect(verification.findings.count == 2, "\(verification.findings)")
    #expect(verification.entryCount == 119, "what is whole is read all the same")
  }

  @Test func `a record that was altered with its hash breaks the chain`() async throws {
    let home = try await Self.makeLog()
    try rewriteBlock(home, at: 33) { bytes, block in forge(&bytes, block, at: 33, isThorough: true) }
    let verification = try verify(home)
    #expect(verification.alteredCount == 1 && verification.damagedCount == 0)
    #expect(verification.findings.first?.contains("link") == true, "\(verification.findings)")
    #expect((31...33).contains(verification.firstBroken?.rawValue ?? 0))
  }

  @Test func `a link that leads to the newest entry of another lane is no link of its own`() throws {
    var (ana, bob) = (Author("ana"), Author("bob"))
    var check = EntryCheck(gaps: [])
    for (number, record) in [try ana.next(payload: [1]), try bob.next(payload: [2])].enumerated() {
      let entry = LogEntry(
        position: Position(rawValue: UInt64(number) + 1), appendedAt: Timestamp(rawValue: UInt64(number) + 1),
        source: .stated, previousInStream: .start, previousInLane: Position(rawValue: UInt64(number)),
        record: record)
      try entry.withView { check.check($0) }
    }
    #expect(check.verification.findings == ["position 2: its links do not lead to the entries before it"])
  }

  @Test func `a place beyond the log's end is found`() async throws {
    let home = try await Self.makeLog()
    try Self.change(home) { transaction, environment, _ in
      let cursor = Cursor(position: Position(rawValue: 121), handledCount: 1)
      try transaction.putSealed(
        TableLayout.value(of: cursor), at: TableLayout.key(of: CursorKey(agent: "bob", channel: .alert)),
        in: environment.state)
    }
    #expect(
      try verify(home).findings == ["the table state speaks of position 121, and the log ends at 120"])
  }

  @Test(arguments: [ReadOrder.forward, .backward])
  func `a query gives what stands before a damaged entry, and then says so`(_ order: ReadOrder) async throws {
    let home = try await Self.makeLog()
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let place = try #require(data.range(of: Data("11 4 ".utf8), options: .backwards)).lowerBound
    data[place] ^= 1
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    let log = try LMDBLogReader(directory: home.directory)
    var query = LogQuery()
    query.order = order
    let page = try log.page(of: query)
    let found = page.entries.map(\.position.rawValue)
    #expect(found == (order == .forward ? Array(1...59) : (61...120).reversed()))
    for _ in 1...2 {
      expectError(.logInvalid, "position 60") { _ = try log.page(of: query, after: page.next) }
    }
  }

  @Test func `of a newest entry that is damaged nothing else is said`() async throws {
    let home = try await Self.makeLog()
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let place = try #require(data.range(of: Data("23 4 ".utf8), options: .backwards)).lowerBound
    data[place] ^= 1
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    let verification = try verify(home)
    #expect(verification.findings.count == 1, "\(verification.findings)")
    #expect(verification.firstBroken?.rawValue == 120)
  }

  @Test func `who takes entries away and says that they were pruned is found out`() async throws {
    let home = try await Self.makeLog()
    try Self.change(home) { transaction, environment, _ in
      let view = try LogView(environment, payloads: PayloadStore(in: home.directory))
      var (position, anchor) = (Position(rawValue: 1), Digest.zero)
      while position.rawValue <= 20, let block = try view.block(at: position) {
        (position, anchor) = (block.last.next, block.link)
        try BlockLayout.withKey(block.last) { try transaction.remove($0, from: environment.blocks) }
      }
      let gap = LogGap(
        range: Position(rawValue: 1)...Position(rawValue: position.rawValue - 1), kind: .pruned,
        anchor: anchor)
      let key = BlockLayout.withKey(gap.range.upperBound) { Array($0) }
      try transaction.putSealed(TableLayout.value(of: gap), at: key, in: environment.gaps)
    }
    let verification = try verify(home)
    #expect(verification.alteredCount == 1 && verification.firstBroken?.rawValue == 1)
    #expect(
      verification.findings.first?.contains("no event log.Pruned says so") == true, "\(verification.findings)"
    )
  }

  @Test func `what was pruned is accounted for, and nothing else that is missing`() async throws {
    let home = try await Self.makeLog()
    let log = try home.openLMDB()
    let plan = try log.planPrune(
      RetentionPolicy(entryCountMax: 100), now: Timestamp(microseconds: home.time.microseconds()))
    _ = try await log.prune(plan, principal: "ops", time: home.time)
    log.close()
    let (range, anchor) = (try #require(plan.range), plan.anchor)
    #expect(range.upperBound.rawValue >= 15)
    var verification = try verify(home, linksAt: [Position(rawValue: 7), range.upperBound])
    #expect(verification.findings == [] && verification.prunedCount == range.upperBound.rawValue)
    #expect(verification.entryCount == 121 - range.upperBound.rawValue)
    #expect(verification.links[Position(rawValue: 7)] == .pruned(end: range.upperBound))
    #expect(verification.links[range.upperBound] == anchor.map { .link($0) })

    try Self.change(home) { transaction, environment, _ in
      let key = BlockLayout.withKey(range.upperBound) { Array($0) }
      let other = LogGap(range: range, kind: .pruned, anchor: .zero)
      try transaction.putSealed(TableLayout.value(of: other), at: key, in: environment.gaps)
    }
    verification = try verify(home)
    #expect(verification.alteredCount == 2, "the anchor is neither the block's nor the event's")

    try Self.change(home) { transaction, environment, _ in
      try BlockLayout.withKey(range.upperBound) { try transaction.remove($0, from: environment.gaps) }
    }
    verification = try verify(home)
    #expect(verification.findings.first == "position 1: the \(range.words) are missing")
  }

  @Test func `a log is verified while it is written`() async throws {
    let home = try await Self.makeLog()
    let log = try home.openLMDB()
    let isOver = Atomic(false)
    async let appended: Void = {
      defer { isOver.store(true, ordering: .releasing) }
      var author = Author("cy")
      for _ in 0..<200 { _ = try await log.append(author.batch(3)) }
    }()
    var heads: [UInt64] = []
    var isLast = false
    repeat {
      isLast = isOver.load(ordering: .acquiring)
      let verification = try verify(home)
      #expect(verification.findings == [])
      heads.append(verification.entryCount)
      // The appends need a thread, too.
      await Task.yield()
    } while !isLast
    try await appended
    #expect(heads == heads.sorted() && heads.last == 720)
    log.close()
  }

  @Test func `damage in every small table is found`() async throws {
    let home = try await Self.makeLog()
    let rows: [(String, [UInt8])] = [
      ("state", TableLayout.key(of: CursorKey(agent: "ana", channel: .persistent))),
      ("snapshots", TableLayout.key(ofSnapshotOf: "ana")),
      ("gaps", BlockLayout.withKey(Position(rawValue: 5)) { Array($0) }),
    ]
    for (count, (name, key)) in rows.enumerated() {
      try Self.change(home) { transaction, environment, _ in
        try transaction.put([1, 2, 3, 4, 5], at: key, in: #require(environment.table(named: name)))
      }
      let findings = try verify(home).findings
      #expect(findings.contains { $0.contains("the table \(name) ") }, "\(findings)")
      #expect(findings.count == count + 1 || name == "gaps")
    }
  }

  @Test func `a payload beside the log is verified with its record`() async throws {
    let home = try await Self.makeLog()
    let payload = [UInt8](repeating: 5, count: 40_000)
    let reference = try Self.appendDetached(payload, to: home)
    var verification = try verify(home)
    #expect(verification.findings == [] && verification.payloadCount == 1 && verification.entryCount == 121)
    #expect(verification.loosePayloads == LoosePayloads())
    // One that was stored for a commit that never came is counted, and is no finding.
    _ = try [UInt8](repeating: 8, count: 30_000).withUnsafeBytes {
      try PayloadStore(in: home.directory).put($0)
    }
    verification = try verify(home)
    #expect(verification.findings == [] && verification.payloadCount == 1)
    #expect(verification.loosePayloads.count == 1 && verification.loosePayloads.byteCount == 30_000)
    let file = PayloadStore(in: home.directory).file(reference.digest)
    let handle = try #require(FileHandle(forUpdatingAtPath: file))
    try handle.seek(toOffset: 100)
    try handle.write(contentsOf: [6])
    try handle.close()
    verification = try verify(home)
    #expect(verification.firstBroken?.rawValue == 121 && verification.damagedCount == 1)
    #expect(verification.findings.first?.contains("\(reference.digest)") == true, "\(verification.findings)")
  }

  /// Appends an entry whose payload lies beside the log.
  static func appendDetached(_ payload: [UInt8], to home: LogHome) throws -> PayloadReference {
    var author = Author("dee")
    let record = try author.next(payload: payload)
    let stored = try payload.withUnsafeBytes { try PayloadStore(in: home.directory).put($0) }
    let bytes = record.bytes.withUnsafeBytes {
      DetachedRecord.split($0, payloadOffset: $0.count - payload.count, payload: stored.reference)
    }
    try change(home) { transaction, environment, head in
      let time = Timestamp(rawValue: head.time.rawValue + 1)
      let entry = PlacedEntry(
        placement: AppendPlanner.Placement(
          position: head.position.next, appendedAt: time, previousInStream: .start, previousInLane: .start),
        source: .stated,
        stored: StoredRecord(detached: bytes, leaf: Digest.of(record.bytes)))
      var chain = HashChain(head: head.link)
      let byteCount = BlockLayout.headerByteCount + entry.byteCount
      try BlockLayout.withKey(entry.placement.position) { key in
        try transaction.append(byteCount: byteCount, at: key, in: environment.blocks) {
          BlockLayout.write([entry], chain: &chain, into: $0)
        }
      }
      let point = record.header.point
      let laneHead = LaneHead(point: point, position: entry.placement.position, count: 1)
      let streamHead = StreamHead(sequence: point.sequence, position: entry.placement.position, count: 1)
      try transaction.putSealed(
        TableLayout.value(of: laneHead), at: TableLayout.key(of: record.header.lane), in: environment.state)
      try transaction.putSealed(
        TableLayout.value(of: streamHead), at: TableLayout.key(of: record.header.stream),
        in: environment.state)
      head.position = entry.placement.position
      head.headsThrough = head.position
      head.link = chain.head
      head.time = time
    }
    return stored.reference
  }
}
