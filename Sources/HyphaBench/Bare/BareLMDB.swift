import CLMDB
import Glibc
import HyphaCore

/// LMDB called directly: one table, 8-byte keys, `MDB_APPEND`, the default synced commits.
///
/// `@unchecked Sendable`: it is used by one slice at a time, and each slice is over before the next begins.
final class BareLMDB: @unchecked Sendable {
  private let environment: OpaquePointer
  private let table: MDB_dbi
  private let value: [UInt8]
  private(set) var eventCount: UInt64 = 0

  /// An empty table in the directory `path`, which exists, for values of `valueByteCount` bytes.
  init(_ path: String, valueByteCount: Int) throws {
    var created: OpaquePointer?
    try Self.check(mdb_env_create(&created), "mdb_env_create")
    guard let environment = created else { throw Self.failure(ENOMEM, "mdb_env_create") }
    self.environment = environment
    value = [UInt8](repeating: 7, count: valueByteCount)
    do {
      try Self.check(mdb_env_set_mapsize(environment, 64 << 30), "mdb_env_set_mapsize")
      try Self.check(mdb_env_open(environment, path, UInt32(MDB_NOTLS), 0o600), "mdb_env_open")
      var table: MDB_dbi = 0
      try Self.write(in: environment) { transaction in
        try Self.check(mdb_dbi_open(transaction, nil, 0, &table), "mdb_dbi_open")
      }
      self.table = table
    } catch {
      mdb_env_close(environment)
      throw error
    }
  }

  /// The environment that stands in the directory `path`, opened as it is.
  init(opening path: String) throws {
    var created: OpaquePointer?
    try Self.check(mdb_env_create(&created), "mdb_env_create")
    guard let environment = created else { throw Self.failure(ENOMEM, "mdb_env_create") }
    self.environment = environment
    value = []
    table = 1
    // The object is whole from here on: its end closes the environment, also when this throws.
    try Self.check(mdb_env_open(environment, path, UInt32(MDB_NOTLS), 0o600), "mdb_env_open")
    try read { _ in }
  }

  deinit { mdb_env_close(environment) }

  /// Commits groups of `groupSize` values until `deadline`, at least one.
  func append(groupSize: Int, until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var now = begin
    repeat {
      try appendGroup(groupSize)
      let end = Monotonic.nanoseconds()
      slice.latencies.append(Double(end - now))
      slice.eventCount += groupSize
      slice.groupCount += 1
      now = end
    } while now < deadline
    slice.nanoseconds = now - begin
    slice.latencies.sort()
    return slice
  }

  /// Commits one group.
  func appendGroup(_ groupSize: Int) throws {
    try Self.write(in: environment) { transaction in
      try value.withUnsafeBytes { bytes in
        for offset in 1...UInt64(groupSize) {
          var position = (eventCount + offset).bigEndian
          try withUnsafeMutableBytes(of: &position) { key in
            var key = MDB_val(mv_size: 8, mv_data: key.baseAddress)
            var value = MDB_val(
              mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            try Self.check(mdb_put(transaction, table, &key, &value, UInt32(MDB_APPEND)), "mdb_put")
          }
        }
      }
    }
    eventCount += UInt64(groupSize)
  }

  private static func write(in environment: OpaquePointer, _ body: (OpaquePointer) throws -> Void) throws {
    var begun: OpaquePointer?
    try check(mdb_txn_begin(environment, nil, 0, &begun), "mdb_txn_begin")
    guard let transaction = begun else { throw failure(ENOMEM, "mdb_txn_begin") }
    do {
      try body(transaction)
    } catch {
      mdb_txn_abort(transaction)
      throw error
    }
    try check(mdb_txn_commit(transaction), "mdb_txn_commit")
  }

  static func check(_ code: Int32, _ call: String) throws {
    if code != MDB_SUCCESS { throw failure(code, call) }
  }

  static func failure(_ code: Int32, _ call: String) -> HyphaError {
    HyphaError(
      .failed, "bare LMDB, which the log is compared with, failed",
      remedy: "give --data a directory on a local disk with some GiB free",
      cause: "\(call): \(String(cString: mdb_strerror(code)))")
  }
}

// MARK: Reading

extension BareLMDB {
  /// Steps through the values from `key` on until `deadline`, and from the first again behind the last.
  ///
  /// - Parameter key: Where to go on; moved to where the next slice goes on.
  func scan(from key: inout UInt64, until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var sum: UInt64 = 0
    repeat {
      try read { transaction in
        var opened: OpaquePointer?
        try Self.check(mdb_cursor_open(transaction, table, &opened), "mdb_cursor_open")
        defer { mdb_cursor_close(opened) }
        var position = key.bigEndian
        try withUnsafeMutableBytes(of: &position) { bytes in
          var place = MDB_val(mv_size: 8, mv_data: bytes.baseAddress)
          var value = MDB_val()
          var code = mdb_cursor_get(opened, &place, &value, MDB_SET_RANGE)
          var left = 4_096
          while code == MDB_SUCCESS, left > 0 {
            sum &+= value.mv_data.loadUnaligned(as: UInt64.self)
            slice.eventCount += 1
            key += 1
            left -= 1
            code = mdb_cursor_get(opened, &place, &value, MDB_NEXT)
          }
          if code == MDB_NOTFOUND { key = 1 } else { try Self.check(code, "mdb_cursor_get") }
        }
      }
    } while Monotonic.nanoseconds() < deadline
    slice.nanoseconds = Monotonic.nanoseconds() - begin
    withExtendedLifetime(sum) {}
    return slice
  }

  /// Reads values at random until `deadline`, each in a view of its own.
  func lookUp(_ random: inout SeededGenerator, until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var sum: UInt64 = 0
    var now = begin
    try read { transaction in
      repeat {
        var position = UInt64.random(in: 1...eventCount, using: &random).bigEndian
        try withUnsafeMutableBytes(of: &position) { bytes in
          var key = MDB_val(mv_size: 8, mv_data: bytes.baseAddress)
          var value = MDB_val()
          try Self.check(mdb_get(transaction, table, &key, &value), "mdb_get")
          sum &+= value.mv_data.loadUnaligned(as: UInt64.self)
        }
        mdb_txn_reset(transaction)
        try Self.check(mdb_txn_renew(transaction), "mdb_txn_renew")
        let end = Monotonic.nanoseconds()
        slice.latencies.append(Double(end - now))
        slice.eventCount += 1
        now = end
      } while now < deadline
    }
    slice.nanoseconds = now - begin
    slice.latencies.sort()
    withExtendedLifetime(sum) {}
    return slice
  }

  private func read(_ body: (OpaquePointer) throws -> Void) throws {
    var begun: OpaquePointer?
    try Self.check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &begun), "mdb_txn_begin")
    guard let transaction = begun else { throw Self.failure(ENOMEM, "mdb_txn_begin") }
    defer { mdb_txn_abort(transaction) }
    try body(transaction)
  }
}
