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
    /// Its place among the tables of its environment.
    let number: Int
    fileprivate(set) var handle: MDB_dbi = 0
    /// The tables of the environment `log`.
    static let ofLog = ["blocks", "state", "snapshots", "gaps"]
  }

  /// The trees of an environment's tables, by their numbers.
  typealias Trees = InlineArray<4, TreeRecord>

  let failure: LogFailure
  let mode: Mode
  let mapByteCountMax: Int
  let tables: [Table]
  /// LMDB's handle; nil once it has given up the file and could not open it again. Changed only by the writer's thread,
  /// alone in the gate; other threads read it within the gate.
  fileprivate var opened: OpaquePointer?
  fileprivate let mainTable: MDB_dbi
  let pageByteCount: Int
  /// Held shared by each transaction, and alone by whoever moves the map: LMDB allows that only while this
  /// process has no transaction open (lmdb.h, `mdb_env_set_mapsize`).
  fileprivate let gate = Gate()
  private let idle = Mutex<[IdleTransaction]>([])
  /// What is wrong with the pages of tables, by their names; see ``confirmPages(of:_:)``.
  let pageDamage = Mutex<[String: HyphaError?]>([:])
  /// The number of the newest commit that succeeded. Only the writer's thread uses it, as what follows.
  private(set) var newestCommit: UInt64 = 0
  /// Whether the older meta page on the disk may be that of a commit that failed.
  var isMetaUncertain = false

  /// A read transaction that was reset and waits for its next use.
  ///
  /// `@unchecked Sendable`: with `MDB_NOTLS` it may be renewed on any thread, one at a time; whoever takes
  /// it out of the list has it alone.
  private struct IdleTransaction: @unchecked Sendable { let handle: OpaquePointer }

  private static let idleCountMax = 16
  private static let readerCountMax: UInt32 = 510
  /// What the table of readers takes (mdb.c: `MDB_txninfo`, `MDB_reader`).
  private static let lockByteCount = 192 + (Int(readerCountMax) - 1) * 64

  var blocks: Table { tables[0] }
  var state: Table { tables[1] }
  var snapshots: Table { tables[2] }
  var gaps: Table { tables[3] }

  /// Opens the environment in the directory `log`, whose file was checked before.
  ///
  /// LMDB allows it once in a process: go through ``EnvironmentRegistry``.
  init(log: String, mode: Mode, tables names: [String] = Table.ofLog) throws {
    let failure = LogFailure(log: log)
    let handle = try Self.open(log, mode, names, failure)
    do {
      (mainTable, tables) = try Self.openTables(names, handle, mode: mode, failure: failure)
      var sizes = MDB_stat()
      try failure.check(mdb_env_stat(handle, &sizes), "mdb_env_stat")
      pageByteCount = Int(sizes.ms_psize)
    } catch {
      mdb_env_close(handle)
      throw error
    }
    self.failure = failure
    self.mode = mode
    opened = handle
    newestCommit = Self.newestCommit(handle)
    switch mode {
    case .reading: mapByteCountMax = 0
    case .writing(_, let byteCountMax), .creating(_, let byteCountMax): mapByteCountMax = byteCountMax
    }
  }

  var isWritable: Bool { mode != .reading }

  fileprivate static func open(
    _ log: String, _ mode: Mode, _ names: [String], _ failure: LogFailure
  ) throws -> OpaquePointer {
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
      try takeRoomForLocks(log, failure)
      try failure.check(mdb_env_open(handle, log, UInt32(flags), 0o600), "mdb_env_open")
      // LMDB marks its other two files so, but not this one: children must not inherit it.
      var descriptor: mdb_filehandle_t = -1
      try failure.check(mdb_env_get_fd(handle, &descriptor), "mdb_env_get_fd")
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      if mode != .reading { try takeOver(handle, failure) }
      return handle
    } catch {
      // lmdb.h: after a failed open, the handle must be closed.
      mdb_env_close(handle)
      throw error
    }
  }

  /// Makes the newest commit on the disk what everyone goes on from, whoever died while it was made.
  ///
  /// While another process has the file open, its table of readers outlives a writer that was killed, and names the
  /// commit before the last: LMDB writes a meta page first, and that number only when the page is synced. Whoever
  /// begins to write takes over the dead one's lock, which sets the number right (mdb.c: `mdb_mutex_failed`); whoever
  /// reads before that sees an older log than the one that will be written to. And a page whose writer died in its sync
  /// is not on the disk yet.
  private static func takeOver(_ handle: OpaquePointer, _ failure: LogFailure) throws {
    var begun: OpaquePointer?
    try failure.check(mdb_txn_begin(handle, nil, 0, &begun), "mdb_txn_begin")
    mdb_txn_abort(begun)
    try failure.check(mdb_env_sync(handle, 1), "mdb_env_sync")
  }

  /// LMDB writes its table of readers through a map: without room on the disk for that, the process would end by SIGBUS.
  ///
  /// What else may be wrong with the file LMDB says itself. Nobody in this process has it open, whose locks would end
  /// with this descriptor.
  private static func takeRoomForLocks(_ log: String, _ failure: LogFailure) throws {
    let file = Glibc.open(DataDirectory.lockFile(in: log), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { return }
    defer { _ = Glibc.close(file) }
    let code = hypha_lmdb_take_room(file, lockByteCount)
    if code == ENOSPC || code == EDQUOT { throw failure.error(code, "fallocate") }
  }

  fileprivate static func openTables(
    _ names: [String], _ handle: OpaquePointer, mode: Mode, failure: LogFailure
  ) throws -> (main: MDB_dbi, tables: [Table]) {
    let creates = if case .creating = mode { true } else { false }
    var begun: OpaquePointer?
    try failure.check(
      mdb_txn_begin(handle, nil, creates ? 0 : UInt32(MDB_RDONLY), &begun), "mdb_txn_begin")
    var main: MDB_dbi = 0
    var tables: [Table] = []
    do {
      try failure.check(mdb_dbi_open(begun, nil, 0, &main), "mdb_dbi_open")
      for name in names {
        var table = Table(name: name, number: tables.count)
        let code = mdb_dbi_open(begun, name, creates ? UInt32(MDB_CREATE) : 0, &table.handle)
        if code == MDB_NOTFOUND { throw failure.missing(name, hasOldTables: hasOldTables(begun)) }
        try failure.check(code, "mdb_dbi_open")
        tables.append(table)
      }
    } catch {
      mdb_txn_abort(begun)
      throw error
    }
    // The handles outlive the transaction only if it is committed, reading or not.
    try failure.check(mdb_txn_commit(begun), "mdb_txn_commit")
    return (main, tables)
  }

  /// Whether a file without this version's tables has those of version 1.
  private static func hasOldTables(_ transaction: OpaquePointer?) -> Bool {
    ["entries", "meta"].allSatisfy { name in
      var table: MDB_dbi = 0
      // LMDB has room for as many handles as this version has tables.
      return mdb_dbi_open(transaction, name, 0, &table) == MDB_SUCCESS
    }
  }

  /// Gives up the handle. Nobody may use the environment after this.
  func close() {
    dropIdle()
    if let opened { mdb_env_close(opened) }
  }

  fileprivate func dropIdle() {
    let dropped = idle.withLock { idle in
      defer { idle = [] }
      return idle
    }
    for transaction in dropped { mdb_txn_abort(transaction.handle) }
  }

  /// LMDB's handle. For the writer's thread, and for others within the gate.
  private var handle: OpaquePointer {
    get throws {
      guard let opened else { throw failure.error(MDB_PANIC, "mdb_env_open") }
      return opened
    }
  }

  /// Calls `body` with LMDB's handle, which stays open meanwhile.
  func withHandle<Value>(_ body: (OpaquePointer) throws -> Value) throws -> Value {
    gate.enter()
    defer { gate.leave() }
    return try body(handle)
  }
}

// MARK: Transactions

extension Environment {
  /// A view of what is committed now. Its handle returns here when it goes out of scope.
  func beginReading() throws -> ReadTransaction {
    var tryCount = 0
    while true {
      tryCount += 1
      do { return try enterReading() } catch is MapIsOutgrown {
        // Another process has made the map larger: take its size, which nobody can who reads while it reads.
        guard tryCount < 3, try followMap() else { throw failure.error(MDB_MAP_RESIZED, "mdb_txn_begin") }
      } catch is GivenUp {
        // The writer's thread is about to open it again.
        guard tryCount < 1_000 else { throw failure.error(MDB_PANIC, "mdb_txn_begin") }
        usleep(100)
      }
    }
  }

  /// LMDB has given the file up, and it was not opened again yet.
  private struct GivenUp: Error {}

  private func enterReading() throws -> ReadTransaction {
    gate.enter()
    let transaction: OpaquePointer
    do { transaction = try begin() } catch {
      gate.leave()
      throw error
    }
    do {
      let (pages, trees) = try look(transaction)
      return ReadTransaction(handle: transaction, environment: self, pages: pages, trees: trees)
    } catch {
      endReading(transaction)
      throw error
    }
  }

  /// Finds the map's pages, and the trees of the tables.
  ///
  /// LMDB is asked for one table's record. That lies on the page that lists them all, which was checked when the file
  /// was opened, and the page's own number says where the map begins.
  private func look(_ transaction: OpaquePointer) throws -> (PageMap, Trees) {
    var info = MDB_envinfo()
    try failure.check(mdb_env_info(handle, &info), "mdb_env_info")
    let pageCount = min(info.me_last_pgno + 1, info.me_mapsize / pageByteCount)
    var name = tables[0].name
    var record = MDB_val()
    let code = name.withUTF8 { name in
      var key = MDB_val(UnsafeRawBufferPointer(name))
      return mdb_get(transaction, mainTable, &key, &record)
    }
    try failure.check(code, "mdb_get")
    let offset = Int(bitPattern: record.mv_data) % pageByteCount
    let page = UnsafeRawPointer(record.mv_data) - offset
    let number = UInt64(littleEndian: page.load(as: UInt64.self))
    guard number >= 2, number < pageCount else { throw failure.error(.init(number: number), in: "main") }
    let pages = PageMap(
      base: page - Int(number) * pageByteCount, pageByteCount: pageByteCount, pageCount: UInt64(pageCount))
    do throws(PageMap.Broken) {
      return (pages, try trees(on: pages.page(number, isLeaf: true), lastPage: UInt64(pageCount) - 1))
    } catch {
      throw failure.error(error, in: "main")
    }
  }

  private func trees(on main: TreePage, lastPage: UInt64) throws(PageMap.Broken) -> Trees {
    var trees = Trees(repeating: .empty)
    var foundCount = 0
    for index in 0..<main.count {
      guard let node = main.node(index) else { throw PageMap.Broken(number: main.number) }
      guard case .table(let bytes) = node.content,
        let table = tables.first(where: { $0.name.utf8.elementsEqual(node.key) })
      else { continue }
      guard let tree = TreeRecord(bytes), tree.isPossible(lastPage: lastPage) else {
        throw PageMap.Broken(number: main.number)
      }
      trees[table.number] = tree
      foundCount += 1
    }
    guard foundCount == tables.count else { throw PageMap.Broken(number: main.number) }
    return trees
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
      if code == MDB_PANIC { throw GivenUp() }
      throw failure.error(code, "mdb_txn_renew")
    }
    var begun: OpaquePointer?
    guard let opened else { throw GivenUp() }
    let code = mdb_txn_begin(opened, nil, UInt32(MDB_RDONLY), &begun)
    if code == MDB_MAP_RESIZED { throw MapIsOutgrown() }
    if code == MDB_PANIC { throw GivenUp() }
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
    try recover()
    while true {
      do {
        var transaction = try beginWriting()
        try body(transaction)
        try transaction.commit()
        newestCommit = Self.newestCommit(try handle)
        return
      } catch is MapIsFull {
        try grow()
      } catch {
        if hasGivenUp { startOver() }
        throw error
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

  /// Takes the map's size from the file, when nobody reads; whether it did within ``mapPatience``.
  private func followMap() throws -> Bool {
    try gate.alone(within: Self.mapPatience) {
      try failure.check(mdb_env_set_mapsize(handle, 0), "mdb_env_set_mapsize")
    }
  }

  /// How long readers may take to let go of a map that has become too small. A chunk takes milliseconds; whoever reads
  /// from within a visit never lets go.
  private static let mapPatience = Duration.seconds(10)

  /// A transaction that writes. It must be used and ended on the calling thread.
  func beginWriting() throws -> WriteTransaction {
    var begun: OpaquePointer?
    try failure.check(mdb_txn_begin(handle, nil, 0, &begun), "mdb_txn_begin")
    guard let begun else { throw failure.error(ENOMEM, "mdb_txn_begin") }
    return WriteTransaction(handle: begun, failure: failure)
  }

  /// Frees the marks of readers whose processes are gone; they would keep old pages from being reused.
  func clearDeadReaders() throws {
    try withHandle { try failure.check(mdb_reader_check($0, nil), "mdb_reader_check") }
  }

  /// The flags that the environment is open with, how many transactions were ever committed, the size of the
  /// map, and how many bytes of it are in use or were.
  func facts() throws -> (flags: Int32, commitCount: Int, mapByteCount: Int, usedByteCount: Int) {
    try withHandle { handle in
      var flags: UInt32 = 0
      try failure.check(mdb_env_get_flags(handle, &flags), "mdb_env_get_flags")
      var info = MDB_envinfo()
      try failure.check(mdb_env_info(handle, &info), "mdb_env_info")
      return (
        Int32(bitPattern: flags), info.me_last_txnid, info.me_mapsize, (info.me_last_pgno + 1) * pageByteCount
      )
    }
  }
}

// MARK: After a failed write

/// LMDB gives a file up when a meta page cannot be written, and asks for the process to be started anew. All that takes
/// is to open the file again: the pages of the failed commit are free, and nothing of it was acknowledged. But its meta
/// page may have reached the disk, or may yet; so before the next commit that page is written over (see
/// ``settleMeta()``), since the pages that it leads to are used again from then on.
extension Environment {
  fileprivate static func newestCommit(_ handle: OpaquePointer) -> UInt64 {
    var info = MDB_envinfo()
    return mdb_env_info(handle, &info) == MDB_SUCCESS ? UInt64(info.me_last_txnid) : 0
  }

  /// Whether LMDB refuses everything from now on.
  fileprivate var hasGivenUp: Bool {
    guard let opened else { return true }
    var begun: OpaquePointer?
    let code = mdb_txn_begin(opened, nil, UInt32(MDB_RDONLY), &begun)
    if code == MDB_SUCCESS { mdb_txn_abort(begun) }
    return code == MDB_PANIC
  }

  /// Lets go of a file that LMDB has given up, and opens it again where that can be done at once.
  fileprivate func startOver() {
    isMetaUncertain = true
    gate.alone {
      dropIdle()
      // LMDB allows a file once in a process, so the old one goes first.
      if let opened { mdb_env_close(opened) }
      opened = nil
    }
    // What reads of the file give may be the meta page of the failed commit.
    if (try? newestMeta()) == newestCommit { try? reopen() } else { try? recover() }
  }

  /// Does what a failed commit has left to do before the next.
  fileprivate func recover() throws {
    guard isMetaUncertain || opened == nil else { return }
    try settleMeta()
    if opened == nil { try reopen() }
  }

  private func reopen() throws {
    let names = tables.map(\.name)
    let new = try Self.open(failure.log, mode, names, failure)
    do {
      let (main, found) = try Self.openTables(names, new, mode: mode, failure: failure)
      guard main == mainTable, found.map(\.handle) == tables.map(\.handle),
        Self.newestCommit(new) == newestCommit
      else { throw failure.error(MDB_PANIC, "mdb_env_open") }
    } catch {
      mdb_env_close(new)
      throw error
    }
    gate.alone { opened = new }
  }
}
