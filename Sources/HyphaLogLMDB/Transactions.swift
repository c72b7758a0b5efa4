import CLMDB
import Glibc
import HyphaCore

/// A view of the tables at one moment.
///
/// The bytes that it shows lie in the map and are good only within the closure that is given them. It may be used
/// on any thread, by one at a time; where it goes out of scope, its handle returns to the environment.
struct ReadTransaction: ~Copyable {
  private let handle: OpaquePointer
  private let environment: Environment
  private var failure: LogFailure { environment.failure }

  init(handle: OpaquePointer, environment: Environment) {
    self.handle = handle
    self.environment = environment
  }

  deinit { environment.endReading(handle) }

  /// The number of the commit that is seen.
  var commitNumber: UInt64 { UInt64(truncatingIfNeeded: mdb_txn_id(handle)) }

  /// What `body` makes of the value of a key, or nil where there is none.
  func value<Value>(
    of key: UnsafeRawBufferPointer, in table: Environment.Table,
    _ body: (UnsafeRawBufferPointer) throws -> Value
  ) throws -> Value? {
    var wanted = MDB_val(key)
    var found = MDB_val()
    let code = mdb_get(handle, table.handle, &wanted, &found)
    if code == MDB_NOTFOUND { return nil }
    try failure.check(code, "mdb_get")
    return try body(found.bytes)
  }

  /// A cursor over a table, which must not outlive this view.
  func cursor(in table: Environment.Table) throws -> ReadCursor {
    var opened: OpaquePointer?
    try failure.check(mdb_cursor_open(handle, table.handle, &opened), "mdb_cursor_open")
    guard let opened else { throw failure.error(ENOMEM, "mdb_cursor_open") }
    return ReadCursor(handle: opened, failure: failure)
  }

  /// How many keys LMDB counts in a table.
  func keyCount(in table: Environment.Table) throws -> UInt64 {
    // A damaged table may claim any number.
    UInt64(truncatingIfNeeded: try facts(of: table).ms_entries)
  }

  /// What LMDB says of a table's size.
  func facts(of table: Environment.Table) throws -> MDB_stat {
    var facts = MDB_stat()
    try failure.check(mdb_stat(handle, table.handle, &facts), "mdb_stat")
    return facts
  }
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
