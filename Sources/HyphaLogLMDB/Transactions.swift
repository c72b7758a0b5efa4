import CLMDB
import Glibc
import HyphaCore

/// A view of the tables at one moment.
///
/// The bytes that it shows lie in the map and are good only within the closure that is given them. It may be used
/// on any thread, by one at a time; where it goes out of scope, its handle returns to the environment.
///
/// LMDB keeps the pages of this moment; what is on them is read and checked here (see ``PageMap``).
struct ReadTransaction: ~Copyable {
  private let handle: OpaquePointer
  private let environment: Environment
  /// The pages of the file.
  let pages: PageMap
  private let trees: Environment.Trees
  private var failure: LogFailure { environment.failure }

  init(handle: OpaquePointer, environment: Environment, pages: PageMap, trees: Environment.Trees) {
    self.handle = handle
    self.environment = environment
    self.pages = pages
    self.trees = trees
  }

  deinit { environment.endReading(handle) }

  /// The number of the commit that is seen.
  var commitNumber: UInt64 { UInt64(truncatingIfNeeded: mdb_txn_id(handle)) }

  /// What `body` makes of the value of a key, or nil where there is none.
  func value<Value>(
    of key: UnsafeRawBufferPointer, in table: Environment.Table,
    _ body: (UnsafeRawBufferPointer) throws -> Value
  ) throws -> Value? {
    guard let found = try find(key, in: table) else { return nil }
    return try body(found)
  }

  private func find(_ key: UnsafeRawBufferPointer, in table: Environment.Table) throws
    -> UnsafeRawBufferPointer?
  {
    do throws(PageMap.Broken) {
      return try pages.value(of: key, in: tree(of: table))
    } catch {
      throw failure.error(error, in: table.name)
    }
  }

  /// A cursor over a table, which must not outlive this view.
  func cursor(in table: Environment.Table) throws -> ReadCursor {
    ReadCursor(tree(of: table), of: table, in: pages, failure: failure)
  }

  /// Throws where a row among which `key` would stand is damaged: it may be the one that is looked for, under another
  /// key.
  ///
  /// - Complexity: one step for each row of a page.
  func confirmAbsence(of key: UnsafeRawBufferPointer, in table: Environment.Table) throws {
    func row(_ index: Int, of leaf: TreePage) throws -> ReadCursor.Place {
      do throws(PageMap.Broken) {
        guard let node = leaf.node(index) else { throw PageMap.Broken(number: leaf.number) }
        return ReadCursor.Place(key: node.key, value: try pages.value(of: node, on: leaf))
      } catch {
        throw failure.error(error, in: table.name)
      }
    }
    guard let leaf = try leaf(of: key, in: table) else { return }
    for index in 0..<leaf.count {
      let row = try row(index, of: leaf)
      _ = try TableLayout.unseal(row.value, key: row.key, table: table.name)
    }
  }

  private func leaf(of key: UnsafeRawBufferPointer, in table: Environment.Table) throws -> TreePage? {
    do throws(PageMap.Broken) { return try pages.leaf(of: key, in: tree(of: table)) } catch {
      throw failure.error(error, in: table.name)
    }
  }

  /// Throws where pages of a table are not what LMDB wrote; see ``Environment/confirmPages(of:_:)``.
  func confirmPages(of table: Environment.Table) throws {
    try environment.confirmPages(of: table, self)
  }

  /// What LMDB says of a table: where it begins, and its size.
  func tree(of table: Environment.Table) -> TreeRecord { trees[table.number] }
}

/// Changes that become durable together with ``commit()``, or not at all.
///
/// It stays on the thread that began it; where it goes out of scope uncommitted, it is taken back.
struct WriteTransaction: ~Copyable {
  private var handle: OpaquePointer?
  private let failure: LogFailure

  init(handle: OpaquePointer, failure: LogFailure) {
    self.handle = handle
    self.failure = failure
  }

  deinit {
    if let handle { mdb_txn_abort(handle) }
  }

  /// The number that the commit will have.
  var commitNumber: UInt64 { UInt64(truncatingIfNeeded: mdb_txn_id(handle)) }

  /// Sets the value of a key.
  func put(_ value: [UInt8], at key: [UInt8], in table: Environment.Table) throws {
    let code = key.withUnsafeBytes { key in
      value.withUnsafeBytes { value in
        var key = MDB_val(key)
        var value = MDB_val(value)
        return mdb_put(handle, table.handle, &key, &value, 0)
      }
    }
    try failure.check(code, "mdb_put")
  }

  /// Removes a key; does nothing where it is not there.
  func remove(_ key: UnsafeRawBufferPointer, from table: Environment.Table) throws {
    var key = MDB_val(key)
    let code = mdb_del(handle, table.handle, &key, nil)
    if code != MDB_NOTFOUND { try failure.check(code, "mdb_del") }
  }

  /// Appends a value of `byteCount` bytes behind the table's last key; `write` fills it in place.
  ///
  /// LMDB refuses a key that is not above all others, so an entry can never be overwritten.
  func append(
    byteCount: Int, at key: UnsafeRawBufferPointer, in table: Environment.Table,
    write: (UnsafeMutableRawBufferPointer) -> Void
  ) throws {
    var key = MDB_val(key)
    var value = MDB_val(mv_size: byteCount, mv_data: nil)
    try failure.check(
      mdb_put(handle, table.handle, &key, &value, UInt32(MDB_APPEND | MDB_RESERVE)), "mdb_put")
    write(UnsafeMutableRawBufferPointer(start: value.mv_data, count: value.mv_size))
  }

  /// Writes and syncs. When it throws, nothing has changed.
  mutating func commit() throws {
    let ending = handle
    // LMDB frees the transaction whether it succeeds or not.
    handle = nil
    try failure.check(mdb_txn_commit(ending), "mdb_txn_commit")
  }
}
