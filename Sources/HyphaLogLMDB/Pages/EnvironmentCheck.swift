import HyphaCore
import HyphaLog
import Synchronization

/// What is checked of an environment's pages before LMDB writes to it, and before rows are believed: a number that was
/// damaged may lead to a page that was whole once, with rows as they were then.
extension Environment {
  /// Of a table that has more pages than this (32 MiB) opening looks at the branches only, so that it stays fast: leaves
  /// are then looked at when they are read.
  private static let leafPageCountMax: UInt64 = 8_192

  /// Checks that each page of the tables is one, is met once and is not free, and the lists of free pages: all that LMDB
  /// may meet when it appends, puts and removes. Of the table `blocks`, which grows with the log, only the path to its
  /// end.
  ///
  /// - Parameter whole: whether all pages of all tables are looked at.
  /// - Throws: ``HyphaError/Code/logInvalid`` naming the page.
  /// - Complexity: one step for each row of the small tables and for each free page, a bit of memory for each page.
  func checkPages(whole: Bool = false) throws {
    // Where others write, the meta page may be written over before it was read; seldom once, and never each time.
    for _ in 0..<100 {
      let transaction = try beginReading()
      guard let roots = try roots(transaction) else { continue }
      do {
        return try check(tables, whole: whole, roots, transaction)
      } catch {
        guard try self.roots(transaction) != roots else { throw error }
      }
    }
  }

  /// Throws where pages of a table are not what LMDB wrote. Once for each table: a writer has looked at all of them
  /// already, and a reader does when it first reads rows of the table.
  func confirmPages(of table: Table, _ transaction: borrowing ReadTransaction) throws {
    if isWritable { return }
    if let known = pageDamage.withLock({ $0[table.name] }) {
      if let error = known { throw error }
      return
    }
    var found: HyphaError?
    guard let roots = try roots(transaction) else { return }
    do { try check([table], whole: false, roots, transaction) } catch { found = LogFailure.from(error) }
    // What was written over meanwhile was not checked.
    guard try self.roots(transaction) == roots else { return }
    pageDamage.withLock { $0[table.name] = .some(found) }
    if let found { throw found }
  }

  private func check(
    _ tables: [Table], whole: Bool, _ roots: PageMap.Roots, _ transaction: borrowing ReadTransaction
  ) throws {
    let pages = transaction.pages
    var check = TreeCheck(pages)
    var lists = FreeLists(pageCount: pages.pageCount)
    try named("free") { () throws(PageMap.Broken) in
      try check.check(roots.free) { lists.add($0, $1) }
      if lists.isBroken { throw PageMap.Broken(number: roots.free.root) }
    }
    try named("main") { () throws(PageMap.Broken) in try check.meet(roots.main.root) }
    for table in tables {
      let tree = transaction.tree(of: table)
      try named(table.name) { () throws(PageMap.Broken) in
        if table.name == "blocks", !whole {
          let path = try BlockLayout.withKey(Position(rawValue: .max)) { key throws(PageMap.Broken) in
            try pages.checkPath(to: key, in: tree)
          }
          for number in path { try check.meet(number) }
        } else {
          let pageCount = tree.leafPageCount + min(tree.apartPageCount, tree.entryCount)
          try check.check(tree, readsLeaves: whole || pageCount <= Self.leafPageCountMax)
        }
      }
    }
    if let number = check.met.common(with: lists.pages) { throw failure.usedAndFree(number) }
  }

  private func named(_ table: String, _ body: () throws(PageMap.Broken) -> Void) throws {
    do { try body() } catch { throw failure.error(error, in: table) }
  }

  /// Where the trees of free pages and of tables begin; nil where a newer commit has written over that.
  private func roots(_ transaction: borrowing ReadTransaction) throws -> PageMap.Roots? {
    do throws(PageMap.Broken) {
      return try transaction.pages.roots(ofCommit: transaction.commitNumber)
    } catch {
      throw failure.error(error, in: "free")
    }
  }
}

extension PageMap {
  /// What a meta page says.
  struct Roots: Equatable {
    let free, main: TreeRecord
  }

  private static let commitOffset = 144

  /// The trees that a commit's meta page leads to; nil where that was written over.
  func roots(ofCommit commit: UInt64) throws(Broken) -> Roots? {
    let meta = try bytes(commit & 1)
    let number = UInt64(littleEndian: meta.loadUnaligned(fromByteOffset: Self.commitOffset, as: UInt64.self))
    guard number == commit else { return nil }
    func tree(_ offset: Int, _ flags: UInt16) -> TreeRecord? {
      let record = TreeRecord(UnsafeRawBufferPointer(rebasing: meta[offset..<offset + TreeRecord.byteCount]))
      return record.flatMap { $0.isPossible(lastPage: pageCount - 1, flags: flags) ? $0 : nil }
    }
    guard let free = tree(40, TreeRecord.freeFlags), let main = tree(88, 0), !main.isEmpty else {
      throw Broken(number: commit & 1)
    }
    return Roots(free: free, main: main)
  }
}
