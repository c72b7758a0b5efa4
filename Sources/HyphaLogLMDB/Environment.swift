import CLMDB
import Glibc
import HyphaCore
import Synchronization

/// An open LMDB environment and the handles of its tables.
///
/// Flags: `MDB_NOTLS`, so that a read transaction belongs to its object and not to a thread. Never
/// `MDB_NOSYNC`, `MDB_NOMETASYNC`, `MDB_WRITEMAP` or `MDB_MAPASYNC`: what a commit returns for is on disk,
/// and no stray pointer can write to it. Read-ahead stays on: the long reads of a log (replay, catch-up,
/// verify) go along the file.
///
/// A file that is shorter than the last page that a meta page names was cut. LMDB itself leaves one so where a
/// transaction gives up pages that it has taken itself, which none does that only puts; whoever deletes makes
/// the file longer first (see ``extendFile(pageCount:)``).
///
/// `@unchecked Sendable`: LMDB allows its environment on any thread (lmdb.h, "Caveats"); the handle is
/// closed by the registry when nobody has it any more, and the list of idle transactions has a lock.
final class Environment: @unchecked Sendable {
  /// What an environment is opened for.
  enum Mode: Equatable {
    case reading
    case writing(mapByteCount: Int, mapByteCountMax: Int)
    case creating(mapByteCount: Int, mapByteCountMax: Int)
  }

  /// A table's name with LMDB's handle, valid as long as the environment is open.
  struct Table: Sendable {
    let name: String
    fileprivate(set) var handle: MDB_dbi = 0
    /// The tables of the environment `log`.
    static let ofLog = ["blocks", "state", "snapshots", "gaps"]
  }

  let failure: LogFailure
  let isWritable: Bool
  let handle: OpaquePointer
  let mapByteCountMax: Int
  private(set) var tables: [Table] = []
  /// Held shared by each transaction, and alone by whoever moves the map: LMDB allows that only while this
  /// process has no transaction open (lmdb.h, `mdb_env_set_mapsize`).
  private let gate = Gate()
  private let idle = Mutex<[IdleTransaction]>([])

  /// A read transaction that was reset and waits for its next use.
  ///
  /// `@unchecked Sendable`: with `MDB_NOTLS` it may be renewed on any thread, one at a time; whoever takes
  /// it out of the list has it alone.
  private struct IdleTransaction: @unchecked Sendable { let handle: OpaquePointer }

  private static let idleCountMax = 16
  private static let readerCountMax: UInt32 = 510

  var blocks: Table { tables[0] }
  var state: Table { tables[1] }
  var snapshots: Table { tables[2] }
  var gaps: Table { tables[3] }

  /// Opens the environment in the directory `log`, whose file was checked before.
  ///
  /// LMDB allows it once in a process: go through ``EnvironmentRegistry``.
  init(log: String, mode: Mode, tables names: [String] = Table.ofLog) throws {
    let failure = LogFailure(log: log)
    var created: OpaquePointer?
    try failure.check(mdb_env_create(&created), "mdb_env_create")
    guard let handle = created else { throw failure.error(ENOMEM, "mdb_env_create") }
    do {
      try failure.check(mdb_env_set_maxdbs(handle, MDB_dbi(names.count)), "mdb_env_set_maxdbs")
      try failure.check(mdb_env_set_maxreaders(handle, Self.readerCountMax), "mdb_env_set_maxreaders")
      var flags = MDB_NOTLS
      switch mode {
      case .reading: flags |= MDB_RDONLY
      case .writing(let byteCount, _), .creating(let byteCount, _):
        try failure.check(mdb_env_set_mapsize(handle, byteCount), "mdb_env_set_mapsize")
      }
      try failure.check(mdb_env_open(handle, log, UInt32(flags), 0o600), "mdb_env_open")
      // LMDB marks its other two files so, but not this one: children must not inherit it.
      var descriptor: mdb_filehandle_t = -1
      try failure.check(mdb_env_get_fd(handle, &descriptor), "mdb_env_get_fd")
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      tables = try Self.openTables(names, handle, mode: mode, failure: failure)
    } catch {
      // lmdb.h: after a failed open, the handle must be closed.
      mdb_env_close(handle)
      throw error
    }
    self.failure = failure
    self.handle = handle
    isWritable = mode != .reading
    switch mode {
    case .reading: mapByteCountMax = 0
    case .writing(_, let byteCountMax), .creating(_, let byteCountMax): mapByteCountMax = byteCountMax
    }
  }

  private static func openTables(
    _ names: [String], _ handle: OpaquePointer, mode: Mode, failure: LogFailure
  ) throws -> [Table] {
    let creates = if case .creating = mode { true } else { false }
    var begun: OpaquePointer?
    try failure.check(
      mdb_txn_begin(handle, nil, creates ? 0 : UInt32(MDB_RDONLY), &begun), "mdb_txn_begin")
    var tables: [Table] = []
    do {
      for name in names {
        var table = Table(name: name)
        let code = mdb_dbi_open(begun, name, creates ? UInt32(MDB_CREATE) : 0, &table.handle)
        if code == MDB_NOTFOUND {
          throw HyphaError(
            .logInvalid, "\(failure.log) is no log of Hypha's: it has no table \(name)",
            remedy: "give the data directory of a node", cause: "mdb_dbi_open")
        }
        try failure.check(code, "mdb_dbi_open")
        tables.append(table)
      }
    } catch {
      mdb_txn_abort(begun)
      throw error
    }
    // The handles outlive the transaction only if it is committed, reading or not.
    try failure.check(mdb_txn_commit(begun), "mdb_txn_commit")
    return tables
  }

  /// Gives up the handle. Nobody may use the environment after this.
  func close() {
    for transaction in idle.withLock({ $0 }) { mdb_txn_abort(transaction.handle) }
    mdb_env_close(handle)
  }
}

// MARK: Transactions

extension Environment {
  /// A view of what is committed now. Its handle returns here when it goes out of scope.
  func beginReading() throws -> ReadTransaction {
    gate.enter()
    do {
      return ReadTransaction(handle: try begin(), environment: self)
    } catch is MapIsOutgrown {
      gate.leave()
      // Another process has made the map larger: take its size.
      try resizeMap(to: 0)
      gate.enter()
      do { return ReadTransaction(handle: try begin(), environment: self) } catch {
        gate.leave()
        throw error is MapIsOutgrown ? failure.error(MDB_MAP_RESIZED, "mdb_txn_begin") : error
      }
    } catch {
      gate.leave()
      throw error
    }
  }

  /// Takes back the handle of a view that has ended.
  func endReading(_ transaction: OpaquePointer) {
    defer { gate.leave() }
    mdb_txn_reset(transaction)
    let isKept = idle.withLock { idle in
      guard idle.count < Self.idleCountMax else { return false }
      idle.append(IdleTransaction(handle: transaction))
      return true
    }
    if !isKept { mdb_txn_abort(transaction) }
  }

  private func begin() throws -> OpaquePointer {
    if let transaction = idle.withLock({ $0.popLast() }) {
      let code = mdb_txn_renew(transaction.handle)
      if code == MDB_SUCCESS { return transaction.handle }
      mdb_txn_abort(transaction.handle)
      if code == MDB_MAP_RESIZED { throw MapIsOutgrown() }
      throw failure.error(code, "mdb_txn_renew")
    }
    var begun: OpaquePointer?
    let code = mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &begun)
    if code == MDB_MAP_RESIZED { throw MapIsOutgrown() }
    try failure.check(code, "mdb_txn_begin")
    guard let begun else { throw failure.error(ENOMEM, "mdb_txn_begin") }
    return begun
  }

  /// Writes what `body` puts, in one transaction and with one sync; the map grows where it must. `body` may
  /// run several times, and each time nothing of the times before is there.
  ///
  /// - Throws: ``HyphaError/Code/logFull`` when the map has reached its largest size; nothing was written
  ///   whenever it throws.
  func write(_ body: (borrowing WriteTransaction) throws -> Void) throws {
    while true {
      do {
        var transaction = try beginWriting()
        try body(transaction)
        return try transaction.commit()
      } catch is MapIsFull {
        try grow()
      }
    }
  }

  private func grow() throws {
    let present = try facts().mapByteCount
    let next = min(present * 2, mapByteCountMax)
    guard next > present else { throw failure.error(MDB_MAP_FULL, "mdb_put") }
    try resizeMap(to: next)
  }

  func resizeMap(to byteCount: Int) throws {
    try gate.alone { try failure.check(mdb_env_set_mapsize(handle, byteCount), "mdb_env_set_mapsize") }
  }

  /// A transaction that writes. It must be used and ended on the calling thread.
  func beginWriting() throws -> WriteTransaction {
    var begun: OpaquePointer?
    try failure.check(mdb_txn_begin(handle, nil, 0, &begun), "mdb_txn_begin")
    guard let begun else { throw failure.error(ENOMEM, "mdb_txn_begin") }
    return WriteTransaction(handle: begun, failure: failure)
  }

  /// Frees the marks of readers whose processes are gone; they would keep old pages from being reused.
  func clearDeadReaders() throws {
    try failure.check(mdb_reader_check(handle, nil), "mdb_reader_check")
  }

  /// The flags that the environment is open with, how many transactions were ever committed, the size of the
  /// map, and how many bytes of it are in use or were.
  func facts() throws -> (flags: Int32, commitCount: Int, mapByteCount: Int, usedByteCount: Int) {
    var flags: UInt32 = 0
    try failure.check(mdb_env_get_flags(handle, &flags), "mdb_env_get_flags")
    var info = MDB_envinfo()
    try failure.check(mdb_env_info(handle, &info), "mdb_env_info")
    var sizes = MDB_stat()
    try failure.check(mdb_env_stat(handle, &sizes), "mdb_env_stat")
    return (
      Int32(bitPattern: flags), info.me_last_txnid, info.me_mapsize,
      (info.me_last_pgno + 1) * Int(sizes.ms_psize)
    )
  }
}
