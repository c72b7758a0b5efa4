import CLMDB
import HyphaCore

/// A place in one table within a read transaction, which it must not outlive.
///
/// The bytes that it shows lie in the map and are good until the transaction ends.
struct ReadCursor: ~Copyable {
  private let handle: OpaquePointer
  private let failure: LogFailure

  init(handle: OpaquePointer, failure: LogFailure) {
    self.handle = handle
    self.failure = failure
  }

  deinit { mdb_cursor_close(handle) }

  /// A key with its value.
  struct Place {
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer
  }

  /// The first place, or nil where the table is empty.
  func first() throws -> Place? { try move(MDB_FIRST) }
  /// The last place, or nil where the table is empty.
  func last() throws -> Place? { try move(MDB_LAST) }
  /// The place after this one.
  func next() throws -> Place? { try move(MDB_NEXT) }
  /// The place before this one.
  func previous() throws -> Place? { try move(MDB_PREV) }
  /// The first place at `key` or behind it.
  func seek(_ key: UnsafeRawBufferPointer) throws -> Place? { try move(MDB_SET_RANGE, MDB_val(key)) }

  private func move(_ step: MDB_cursor_op, _ wanted: MDB_val = MDB_val()) throws -> Place? {
    var key = wanted
    var value = MDB_val()
    let code = mdb_cursor_get(handle, &key, &value, step)
    if code == MDB_NOTFOUND { return nil }
    try failure.check(code, "mdb_cursor_get")
    return Place(key: key.bytes, value: value.bytes)
  }
}

extension MDB_val {
  /// LMDB takes keys and values through a mutable pointer, but does not write to them.
  init(_ bytes: UnsafeRawBufferPointer) {
    self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
  }

  /// The bytes, in the map.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}
