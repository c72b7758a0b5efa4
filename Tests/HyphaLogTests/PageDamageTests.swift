import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Pages below the roots that are not what LMDB wrote: what leads elsewhere must not end the process that follows it.
@Suite struct PageDamageTests {
  /// A log of many lanes, cursors, snapshots and keys, with what a prune leaves, and its index: all trees are deep, and
  /// pages are free.
  private func makeLog() async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB(IndexLifeTests.settings)
    var authors = try (0..<120).map { Author(try AgentID("agent-\($0)")) } + [Author("ana")]
    for round in 0..<6 {
      for index in authors.indices {
        let size = (round * 7 + index) % 40 == 3 ? 9_000 : 20 + index
        var batch = LogBatch(appends: [
          .init(try authors[index].next(payload: [UInt8](repeating: 9, count: size)))
        ])
        let agent = authors[index].agent
        batch.cursors[CursorKey(agent: agent, channel: .persistent)] = Cursor(
          position: Position(rawValue: 900), handledCount: UInt64(round))
        batch.snapshots[agent] = [UInt8](repeating: UInt8(round), count: index % 30 == 0 ? 9_000 : 60)
        batch.idempotencyKey = try IdempotencyKey("the key \(round) of \(agent)")
        _ = try await log.append(batch)
      }
    }
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 400), now: .zero)
    _ = try await log.prune(plan, principal: "ops", time: home.time)
    while let status = log.indexStatus(), status.lagCount > 0 || status.failure != nil { await Task.yield() }
    log.close()
    return home
  }

  @Test(arguments: ["log", "index"])
  func `whatever is on the pages below the roots, answers are right or errors`(_ file: String) async throws {
    let home = try await makeLog()
    let seed = SeededGenerator.seed
    let place = Backend.lmdb.makeHome()
    var child = try Child("garble", home.directory, place.directory)
    var (soundCount, errorCount) = (0, 0)
    for number in 0..<Soak.count(20, of: 3_000) {
      let command = "\(file) \(seed &+ UInt64(number))"
      child.write(command)
      guard let line = child.readLine() else {
        #expect(
          child.endsWithoutSignal(), "HYPHA_SEED=\(seed) garble '\(command)' ended the process by a signal")
        child = try Child("garble", home.directory, place.directory)
        continue
      }
      #expect(line.hasPrefix("right "), "HYPHA_SEED=\(seed) garble '\(command)': \(line)")
      if line.hasSuffix(" errors 0") { soundCount += 1 } else { errorCount += 1 }
    }
    child.endInput()
    #expect(child.endsWithoutSignal())
    // An index that is damaged is made anew, and nobody notices.
    #expect(file == "index" ? errorCount == 0 : errorCount > 3, "\(soundCount), \(errorCount)")
    withExtendedLifetime((home, place)) {}
  }

  @Test func `a row whose key was damaged is not taken for missing`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    let agents = try (0..<200).map { try AgentID("agent-\($0)") }
    var batch = try ana.batch(1)
    let snapshot = Array("three open".utf8)
    for agent in agents { batch.snapshots[agent] = snapshot }
    _ = try await log.append(batch)
    log.close()
    var data = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    // It stays in its place among the others, and its pages are in order. The key may stand more than once:
    // in a page above, and in what a split left behind.
    let key = Data(TableLayout.key(ofSnapshotOf: "agent-100"))
    try #require(data.range(of: key) != nil)
    while let place = data.range(of: key) { data[place.upperBound - 1] = UInt8(ascii: ".") }
    try data.write(to: URL(fileURLWithPath: home.dataFile))
    let reader = try LMDBLogReader(directory: home.directory)
    expectError(.logInvalid, "the table snapshots has a value whose checksum does not match") {
      _ = try reader.snapshot(of: "agent-100")
    }
    #expect(try reader.snapshot(of: "agent-3") == snapshot)
    #expect(try reader.snapshot(of: "agent-999") == nil)
  }

  @Test func `a page that was written to another's place is found`() async throws {
    let (home, page) = try await logWithCopiedBlocks(keepsNumber: false)
    let problem = "page \(page) of the table blocks is broken"
    let reader = try LMDBLogReader(directory: home.directory)
    expectError(.logInvalid, problem, "hypha log verify") {
      _ = try reader.read(after: .start, limit: .max, byteLimit: .max)
    }
    let verification = try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }
    #expect(verification.findings.contains { $0.contains(problem) }, "\(verification.findings)")
    #expect(verification.firstBroken != nil && verification.findings.count == 1)
  }

  /// A log on one of whose pages of blocks stands what is on another one, under its own number or the other's; and that page.
  private func logWithCopiedBlocks(keepsNumber: Bool) async throws -> (LogHome, page: UInt64) {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<300 { _ = try await log.append(ana.batch(1)) }
    log.close()
    var file = PageFile(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)))
    let leaves = try file.leaves(of: "blocks")
    let (first, second) = (leaves[1].page, leaves[2].page)
    file.copy(first, to: second, keepsNumber: keepsNumber)
    try Data(file.bytes).write(to: URL(fileURLWithPath: home.dataFile))
    return (home, second)
  }

  @Test func `blocks that stand twice are an error for who walks along them`() async throws {
    let (home, _) = try await logWithCopiedBlocks(keepsNumber: true)
    let damaged = try home.openLMDB()
    defer { damaged.close() }
    expectError(.logInvalid, "does not follow position", "hypha log verify") {
      _ = try damaged.planPrune(RetentionPolicy(entryCountMax: 10), now: .zero)
    }
    expectError(.logInvalid, "the log has no entry at position", "hypha log verify") {
      _ = try damaged.read(after: .start, limit: .max, byteLimit: .max)
    }
  }

  @Test func `a page of before a prune that has come back shows nothing that was pruned`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    for _ in 0..<300 { _ = try await log.append(ana.batch(1)) }
    let before = PageFile(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)))
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 150), now: .zero)
    let report = try await log.prune(plan, principal: "ops", time: home.time)
    log.close()
    // The page of the oldest blocks is as it was when the pruned ones were on it.
    var file = PageFile(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)))
    let present = try #require(try file.leaves(of: "blocks").first)
    #expect(present.keys.first == report.through.next)
    let stale = try #require(try before.leaves(of: "blocks").first { $0.keys.contains(report.through.next) })
    try #require(stale.keys.contains(report.through) && stale.keys.last == present.keys.last)
    file.copy(stale.page, of: before, to: present.page)
    try Data(file.bytes).write(to: URL(fileURLWithPath: home.dataFile))
    let reader = try LMDBLogReader(directory: home.directory)
    let found = try reader.read(after: .start, limit: .max, byteLimit: .max).map(\.position)
    #expect(found.first == report.through.next && found.last == Position(rawValue: 301))
    expectError(.logInvalid, "position \(report.through) was pruned, and is there", "hypha log verify") {
      try reader.visit(Position(rawValue: 1)...Position(rawValue: 301), .backward) { _ in true }
    }
    #expect(try reader.entry(at: report.through) == nil)
    let verification = try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }
    #expect(!verification.isSound)
  }

  @Test(arguments: [60, 9_000])
  func `a number that leads to a page of an older commit is found`(_ byteCount: Int) async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    let agents = try (0..<200).map { try AgentID("agent-\($0)") }
    var batch = try ana.batch(1)
    for agent in agents { batch.snapshots[agent] = [UInt8](repeating: 1, count: byteCount) }
    _ = try await log.append(batch)
    batch = try ana.batch(1)
    let newest = [UInt8](repeating: 2, count: byteCount)
    batch.snapshots[agents[100]] = newest
    _ = try await log.append(batch)
    // The pages that had the older value are free now, and still whole.
    let damaged = Backend.lmdb.makeHome()
    try FileManager.default.createDirectory(
      atPath: damaged.directory + "/log", withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: home.dataFile, toPath: damaged.dataFile)
    log.close()
    let sound = try LMDBLogReader(directory: damaged.directory)
    #expect(try sound.snapshot(of: agents[100]) == newest)
    try sound.confirmPresence()

    let stale = Backend.lmdb.makeHome()
    try FileManager.default.createDirectory(
      atPath: stale.directory + "/log", withIntermediateDirectories: true)
    var file = PageFile(try Data(contentsOf: URL(fileURLWithPath: damaged.dataFile)))
    let page = try file.leadBack("snapshots", TableLayout.key(ofSnapshotOf: agents[100]))
    try Data(file.bytes).write(to: URL(fileURLWithPath: stale.dataFile))
    let problem = "page \(page) is in use and free at once"
    let reader = try LMDBLogReader(directory: stale.directory)
    expectError(.logInvalid, problem, "hypha log verify") { _ = try reader.snapshot(of: agents[100]) }
    // What is not in that table is read as before.
    #expect(try reader.read(after: .start, limit: 10, byteLimit: .max).count == 2)
    let verification = try LMDBLogInspection().verify(stale.directory, linksAt: []) { _ in }
    #expect(verification.findings.contains { $0.contains(problem) }, "\(verification.findings)")
    // Before LMDB writes to it, too.
    let again = Backend.lmdb.makeHome()
    try FileManager.default.copyItem(atPath: stale.directory, toPath: again.directory)
    expectError(.logInvalid, problem, "restore from a copy") { _ = try again.openLMDB() }
  }
}

/// The pages of a file of LMDB's, and how a number on one is made to lead back.
struct PageFile {
  private(set) var bytes: [UInt8]
  private static let byteCount = 4_096

  init(_ data: Data) { bytes = Array(data) }

  /// Lets what leads to a key's value, a branch or a leaf where values lie apart, lead to the page that had it in an
  /// older commit, with bytes that are 1; returns that page.
  mutating func leadBack(_ table: String, _ key: [UInt8]) throws -> UInt64 {
    let (place, page) = try withPages { try Self.change(table, key, $0) }
    withUnsafeBytes(of: UInt32(page).littleEndian) { bytes.replaceSubrange(place..<place + 4, with: $0) }
    return page
  }

  /// The leaves of a table whose root is a branch, each with the positions that its keys are.
  func leaves(of table: String) throws -> [(page: UInt64, keys: [Position])] {
    try withPages { pages in
      let root = try pages.page(Self.tree(of: table, pages).root, isLeaf: false)
      return try (0..<root.count).map { index in
        let leaf = try pages.page(root.child(index), isLeaf: true)
        return (leaf.number, try leaf.nodes.map { try BlockLayout.position(ofKey: $0.key) })
      }
    }
  }

  /// The page that a table's tree begins with.
  func root(of table: String) throws -> UInt64 { try withPages { try Self.tree(of: table, $0).root } }

  /// Leaves nothing on a page.
  mutating func clear(_ page: UInt64) {
    let begin = Int(page) * Self.byteCount
    bytes.replaceSubrange(
      begin..<begin + Self.byteCount, with: [UInt8](repeating: 0, count: Self.byteCount))
  }

  /// Puts what is on a page on another one, with its number or the other's own.
  mutating func copy(_ page: UInt64, to other: UInt64, keepsNumber: Bool) {
    let (from, to) = (Int(page) * Self.byteCount, Int(other) * Self.byteCount)
    let part = keepsNumber ? 8..<Self.byteCount : 0..<Self.byteCount
    bytes.replaceSubrange(
      to + part.lowerBound..<to + part.upperBound,
      with: bytes[from + part.lowerBound..<from + part.upperBound])
  }

  /// Puts what is on a page of another file on one of this, under this one's number.
  mutating func copy(_ page: UInt64, of other: PageFile, to place: UInt64) {
    let (from, to) = (Int(page) * Self.byteCount, Int(place) * Self.byteCount)
    bytes.replaceSubrange(to + 8..<to + Self.byteCount, with: other.bytes[from + 8..<from + Self.byteCount])
  }

  private func withPages<Value>(_ body: (PageMap) throws -> Value) throws -> Value {
    try bytes.withUnsafeBytes { bytes in
      try body(
        PageMap(
          base: try #require(bytes.baseAddress), pageByteCount: Self.byteCount,
          pageCount: UInt64(bytes.count / Self.byteCount)))
    }
  }

  private static func tree(of table: String, _ pages: PageMap) throws -> TreeRecord {
    var newest: (commit: UInt64, roots: PageMap.Roots?) = (0, nil)
    for number: UInt64 in [0, 1] {
      let commit = try pages.bytes(number).loadUnaligned(fromByteOffset: 144, as: UInt64.self)
      if commit >= newest.commit { newest = (commit, try pages.roots(ofCommit: commit)) }
    }
    let roots = try #require(newest.roots)
    let main = try pages.page(roots.main.root, isLeaf: true)
    let node = try #require(main.nodes.first { $0.key.elementsEqual(table.utf8) })
    guard case .table(let record) = node.content else { throw PageMap.Broken(number: main.number) }
    return try #require(TreeRecord(record))
  }

  private static func change(_ table: String, _ key: [UInt8], _ pages: PageMap) throws -> (
    place: Int, page: UInt64
  ) {
    let tree = try tree(of: table, pages)
    let root = try pages.page(tree.root, isLeaf: false)
    let base = try #require(try pages.bytes(0).baseAddress)
    var used: Set<UInt64> = []
    var found: (branch: TreePage.Node, leaf: TreePage, node: TreePage.Node)?
    for index in 0..<root.count {
      let leaf = try pages.page(root.child(index), isLeaf: true)
      used.insert(leaf.number)
      for node in leaf.nodes {
        if case .apart(let first, _) = node.content { used.insert(first) }
        if node.key.elementsEqual(key) { found = (try #require(root.node(index)), leaf, node) }
      }
    }
    let (branch, leaf, row) = try #require(found)
    for number in 2..<pages.pageCount where !used.contains(number) {
      if case .apart(_, let count) = row.content {
        // The number of its first page stands behind the key.
        let place = try base.distance(to: #require(row.key.baseAddress)) + row.key.count
        let isThere = (try? pages.apartPageCount(number, byteCount: count)) != nil
        if isThere, try pages.bytes(number)[TreePage.headerByteCount] == 1 { return (place, number) }
      } else if let old = try? pages.page(number, isLeaf: true), old.count == leaf.count,
        old.nodes.contains(where: { $0.key.elementsEqual(key) })
      {
        // That of a child begins the node.
        return (try base.distance(to: #require(branch.key.baseAddress)) - 8, number)
      }
    }
    throw PageMap.Broken(number: tree.root)
  }
}

extension TreePage {
  fileprivate var nodes: [Node] { (0..<count).compactMap { node($0) } }
}
