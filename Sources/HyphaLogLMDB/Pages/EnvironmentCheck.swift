import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// What is checked of an environment before LMDB writes to it, and where something is not found that may be damaged.
extension Environment {
  /// Checks every page of these tables, and the path to the newest entries of the others, with the lists of free pages:
  /// all that LMDB may meet when it appends, puts and removes.
  ///
  /// For whoever holds the writer's lock: the newest commit must stay so.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` naming the page.
  /// - Complexity: one step for each entry of these tables and for each free page; a walk from root to leaf for the
  ///   others.
  func checkPages(of names: [String]) throws {
    let transaction = try beginReading()
    var check = TreeCheck(transaction.pages)
    for table in tables {
      let tree = transaction.tree(of: table)
      do throws(PageMap.Broken) {
        if names.contains(table.name) {
          try check.check(tree)
        } else {
          try BlockLayout.withKey(Position(rawValue: .max)) { key throws(PageMap.Broken) in
            try check.checkAround(key, in: tree)
          }
        }
      } catch {
        throw failure.error(error, in: table.name)
      }
    }
    try checkFreePages(transaction, used: check.numbers)
  }

  private func checkFreePages(_ transaction: borrowing ReadTransaction, used: [UInt64]) throws {
    let pages = transaction.pages
    var lists = FreeListCheck(pageCount: pages.pageCount)
    var check = TreeCheck(pages)
    do throws(PageMap.Broken) {
      guard let tree = try pages.freeTree(ofCommit: transaction.commitNumber) else { return }
      try check.check(tree) { lists.add($0, $1) }
      if lists.isBroken || !lists.isDisjoint(with: used + check.numbers) {
        throw PageMap.Broken(number: tree.root)
      }
    } catch {
      throw failure.error(error, in: "free")
    }
  }

  /// Throws where a table has rows that are damaged, so that nobody can say what is not there.
  ///
  /// The table is read through when this is first asked.
  func confirmAbsence(in table: Table, _ transaction: borrowing ReadTransaction) throws {
    let known = damage.withLock { $0[table.name] }
    if let error = try known ?? findDamage(in: table, transaction) { throw error }
  }

  /// Reads a table of sealed rows through, and keeps what is wrong for ``confirmAbsence(in:_:)``.
  private func findDamage(in table: Table, _ transaction: borrowing ReadTransaction) throws -> HyphaError? {
    var found: HyphaError?
    var check = TreeCheck(transaction.pages)
    do throws(PageMap.Broken) {
      try check.check(transaction.tree(of: table)) { key, value in
        if found != nil { return }
        do { _ = try TableLayout.unseal(value, key: key, table: table.name) } catch {
          found = LogFailure.from(error)
        }
      }
    } catch {
      found = failure.error(error, in: table.name)
    }
    damage.withLock { $0[table.name] = .some(found) }
    return found
  }
}

extension PageMap {
  private static let commitOffset = 144

  /// The tree of free pages, as the meta page of a commit has it; nil where that was written over.
  func freeTree(ofCommit commit: UInt64) throws(Broken) -> TreeRecord? {
    let meta = try bytes(commit & 1)
    let number = UInt64(littleEndian: meta.loadUnaligned(fromByteOffset: Self.commitOffset, as: UInt64.self))
    guard number == commit else { return nil }
    let record = UnsafeRawBufferPointer(rebasing: meta[40..<40 + TreeRecord.byteCount])
    guard let tree = TreeRecord(record),
      tree.isPossible(lastPage: pageCount - 1, flags: TreeRecord.freeFlags)
    else { throw Broken(number: commit & 1) }
    return tree
  }
}
