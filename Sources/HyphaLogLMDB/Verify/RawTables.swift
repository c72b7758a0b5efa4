import HyphaCore
import HyphaLog

/// The small tables of a damaged log as its newest commits left them, read from the file's bytes without LMDB.
///
/// LMDB writes pages to new places, and none is used again that the newest commit or the one before it needs. So of both
/// all is there that was not damaged, and nothing of older ones can be trusted. The way to the tables leads from the meta
/// pages, or from the pages that list the tables, found by a search: which commit such a page is of the log's head says,
/// which is a row of the table `state`.
///
/// What is taken of which commit:
///
/// - Gaps and idempotency keys, which are never changed: what the newest commit has, and what it may have lost and the one
///   before it has.
/// - The places and the snapshot of an agent belong together, since they were committed together; a snapshot with another
///   commit's places would lose inputs, or handle some twice. So all of them are taken of one commit: of the newest where
///   all of them are there, else of the one before. Then the agent handles again what one commit had. Where neither has
///   them for certain, they are left out, and the agent begins as if it were new.
/// - The heads of lanes and streams where all are there. They follow from the entries.
struct RawTables {
  /// One commit's tables.
  private struct Commit {
    let number: UInt64
    let state, snapshots, gaps: RawTable

    /// Whether all that was committed with an agent's state is known.
    func knows(_ agent: AgentID) -> Bool {
      snapshots.knows(Self.snapshotKey(agent)) && Self.placeKeys(agent).allSatisfy { state.knows($0) }
    }

    /// Whether an agent has all that it has in another commit: none of it is ever removed.
    func covers(_ agent: AgentID, of other: Commit) -> Bool {
      Self.placeKeys(agent).allSatisfy { state.rows[$0] != nil || other.state.rows[$0] == nil }
        && (snapshots.rows[Self.snapshotKey(agent)] != nil
          || other.snapshots.rows[Self.snapshotKey(agent)] == nil)
    }

    static func placeKeys(_ agent: AgentID) -> [[UInt8]] {
      Channel.allCases.map { TableLayout.key(of: CursorKey(agent: agent, channel: $0)) }
    }

    static func snapshotKey(_ agent: AgentID) -> [UInt8] { Array(agent.text.utf8) }

    /// The agents that have a place or a snapshot here.
    var agents: Set<AgentID> {
      let consumers = state.rows.keys.lazy.filter { $0.first == TableLayout.Kind.cursor.rawValue }.compactMap
      { key in
        key.withUnsafeBytes { try? TableLayout.cursorKey(ofKey: $0) }?.agent
      }
      return Set(consumers).union(
        snapshots.rows.keys.compactMap { try? AgentID(String(decoding: $0, as: UTF8.self)) })
    }
  }

  /// The rows to keep, as LMDB would have given them.
  private(set) var tables = SalvagedTables()
  /// Whether the heads of all lanes and streams are among them.
  let areHeadsWhole: Bool
  /// What else there is to say, a line each.
  private(set) var notes: [String] = []

  /// Nil where no commit's tables were found.
  init?(_ scan: BlockScan, in file: RawFile) {
    let (commits, isNewestKnown) = Self.commits(scan, in: file)
    guard let newest = commits.first else { return nil }
    areHeadsWhole = isNewestKnown && newest.state.isComplete
    let older = commits.dropFirst().first
    takeAgents(newest, older)
    let isWhole =
      isNewestKnown && newest.state.isComplete && newest.snapshots.isComplete && newest.gaps.isComplete
    for (name, table, before) in [
      ("gaps", newest.gaps, older?.gaps), ("state", newest.state, older?.state),
    ] {
      let found = table.rows.merging((before?.rows ?? [:]).filter { !table.knows($0.key) }) { own, _ in own }
      for (key, value) in found.sorted(by: { TableLayout.precedes($0.key, $1.key) }) {
        guard name == "gaps" || Self.isTaken(key, areHeadsWhole: areHeadsWhole) else { continue }
        add(key, value, to: name)
      }
    }
    if !isWhole { tables.problem = "pages or rows of them are damaged" }
  }

  /// Whether a row of the table `state` is taken by its own right.
  private static func isTaken(_ key: [UInt8], areHeadsWhole: Bool) -> Bool {
    switch key.first.flatMap(TableLayout.Kind.init) {
    case .cursor?: false
    case .lane?, .stream?: areHeadsWhole
    case .idempotencyKey?: true
    case nil: key != TableLayout.headKey || areHeadsWhole
    }
  }

  private mutating func takeAgents(_ newest: Commit, _ older: Commit?) {
    var olderCount = 0
    var lost: [AgentID] = []
    for agent in newest.agents.union(older?.agents ?? []).sorted() {
      let whole = [newest, older].compactMap { $0 }.first { commit in
        commit.knows(agent) && (older.map { commit.covers(agent, of: $0) } ?? true)
      }
      guard let commit = whole else {
        lost.append(agent)
        continue
      }
      if commit.number != newest.number { olderCount += 1 }
      for key in Commit.placeKeys(agent) {
        if let value = commit.state.rows[key] { add(key, value, to: "state") }
      }
      let key = Commit.snapshotKey(agent)
      if let value = commit.snapshots.rows[key] { add(key, value, to: "snapshots") }
    }
    if olderCount > 0 {
      notes.append(
        "the places and snapshots of \(olderCount) agents are those of the commit before the newest: they handle "
          + "again what that one had")
    }
    if !lost.isEmpty {
      notes.append(
        "of at least \(lost.count) agents not all places and snapshots of one commit were found, so they begin as if they "
          + "were new: \(lost.prefix(10).map(\.text).joined(separator: ", "))\(lost.count > 10 ? ", …" : "")")
    }
  }

  private mutating func add(_ key: [UInt8], _ value: [UInt8], to table: String) {
    key.withUnsafeBytes { key in
      value.withUnsafeBytes { tables.rows.append(SalvagedRow(table: table, key: key, value: $0)) }
    }
  }

  // MARK: Commits

  /// The newest commit and the one before it, as far as their tables were found, and whether the first is the newest for
  /// certain.
  private static func commits(
    _ scan: BlockScan, in file: RawFile
  ) -> (commits: [Commit], isNewestKnown: Bool) {
    let (newest, isCertain) = BlockScan.newestCommit(of: file)
    let heads = scan.heads.compactMap { head(in: $0)?.commitNumber }
    // A commit that was about to be made may have left its pages.
    let bound = newest.map { isCertain ? $0 : $0 + 1 } ?? .max
    let top = isCertain ? newest : (heads + [newest ?? 0]).filter { $0 <= bound }.max()
    guard let top else { return ([], false) }
    var found: [UInt64: Commit] = [:]
    for page in roots(in: file) + scan.listings.sorted() {
      let trees = trees(listedOn: page, in: file)
      guard let tree = trees["state"], let number = commitNumber(in: tree, file), number <= top,
        number + 1 >= top, found[number] == nil
      else { continue }
      found[number] = Commit(
        number: number, state: RawTable(tree, name: "state", in: file),
        snapshots: RawTable(trees["snapshots"], name: "snapshots", in: file),
        gaps: RawTable(trees["gaps"], name: "gaps", in: file))
    }
    return (found.values.sorted { $0.number > $1.number }, isCertain && found[top] != nil)
  }

  /// The pages that the meta pages call the lists of tables.
  private static func roots(in file: RawFile) -> [UInt64] {
    [0, 1].compactMap { number in
      let meta = file.bytes(at: number * BlockScan.pageByteCount, count: 152)
      guard meta.count == 152 else { return nil }
      let main = meta.withUnsafeBytes { TreeRecord(UnsafeRawBufferPointer(rebasing: $0[88..<136])) }
      return main.flatMap { $0.depth == 1 ? $0.root : nil }
    }
  }

  /// The trees of the tables that a page lists; none where it lists none.
  private static func trees(listedOn number: UInt64, in file: RawFile) -> [String: TreeRecord] {
    var trees: [String: TreeRecord] = [:]
    withPage(number, isLeaf: true, in: file) { page in
      for index in 0..<page.count {
        guard let node = page.node(index), case .table(let record) = node.content else { continue }
        trees[String(decoding: node.key, as: UTF8.self)] = TreeRecord(record)
      }
    }
    return trees
  }

  /// Which commit a tree of the table `state` is of, as the log's head in it says; nil where that is lost.
  private static func commitNumber(in tree: TreeRecord, _ file: RawFile) -> UInt64? {
    guard !tree.isEmpty, (1...TreeRecord.depthMax).contains(tree.depth) else { return nil }
    var (next, found): (UInt64?, UInt64?) = (tree.root, nil)
    for depth in (1...tree.depth).reversed() {
      guard let number = next else { return nil }
      next = nil
      withPage(number, isLeaf: depth == 1, in: file) { page in
        TableLayout.headKey.withUnsafeBytes { key in
          guard page.isLeaf else {
            next = try? page.child(page.childIndex(for: key))
            return
          }
          guard let index = try? page.lowerBound(key), index < page.count, let node = page.node(index),
            node.key.elementsEqual(key), case .value(let sealed) = node.content
          else { return }
          found = head(in: Array(sealed))?.commitNumber
        }
      }
    }
    return found
  }

  private static func withPage(
    _ number: UInt64, isLeaf: Bool, in file: RawFile, _ body: (TreePage) -> Void
  ) {
    let size = BlockScan.pageByteCount
    guard number >= 2, number < UInt64(file.byteCount / size) else { return }
    file.bytes(at: Int(number) * size, count: size).withUnsafeBytes { bytes in
      if let page = TreePage(bytes, number: number, isLeaf: isLeaf) { body(page) }
    }
  }

  private static func head(in sealed: [UInt8]) -> CommitHead? {
    TableLayout.headKey.withUnsafeBytes { key in
      sealed.withUnsafeBytes { sealed in
        guard var reader = try? TableLayout.unseal(sealed, key: key, table: "state") else { return nil }
        return try? TableLayout.head(&reader)
      }
    }
  }
}
