import Glibc
import HyphaCore
import HyphaLog

/// Writes a log anew without its free pages, and puts the copy in its place.
///
/// The copy is made in `log.new/`. There it is checked, and there it stays invisible until `log/` and `log.new/` change
/// their names at one stroke. So at any moment `log/` is a whole log: the old one, or the new one. What a process leaves
/// in `log.new/` that ends in between is removed when the log is next opened for writing.
///
/// Blocks are copied as they are, byte for byte: heads that were signed before can be checked against the compact log.
enum LogCompaction {
  static func run(
    _ place: DataDirectory, progress: @escaping CopyProgress, verify: CopyVerification
  ) throws -> CompactReport {
    guard try place.hasLog() else {
      throw HyphaError(
        .fileUnavailable, "there is no log in \(place.path)", remedy: "give the data directory of a node")
    }
    let lock = try WriterLock(place)
    defer { withExtendedLifetime(lock) {} }
    try place.removeNewLog()
    // Nobody writes it meanwhile. Of what is damaged, salvage may find whole copies on pages that are free.
    try verify(place.path)
    let store = try LogOpening.openForReading(place)
    try refuseReaders(of: store, in: place)
    // LMDB copies what it finds, as long as it finds pages.
    try store.environment.checkPages(whole: true)
    let before = try store.environment.fileByteCount()
    try place.createNewLog()
    do {
      let path = DataDirectory.dataFile(in: place.newLog)
      try FileTree.withNewFile(path) { file in
        try store.environment.copy(to: file, at: path, isCompact: true, progress: progress)
      }
      let head = try store.checkTail()
      try renumber(place.newLog, head, mapByteCount: store.environment.facts().mapByteCount)
      let after = try check(place.newLog, against: store, head)
      try DurableFile.syncDirectory(place.newLog)
      try DataDirectory.exchange(place.newLog, place.log)
      try DurableFile.syncDirectory(place.path)
      try place.removeNewLog()
      return CompactReport(byteCountBefore: before, byteCountAfter: after)
    } catch {
      try? place.removeNewLog()
      throw error
    }
  }

  /// A process that has the old file open would read it for ever, and never see what is appended to the new one.
  private static func refuseReaders(of store: LogStore, in place: DataDirectory) throws {
    try store.environment.clearDeadReaders()
    let own = getpid()
    guard let reader = try store.environment.readers().first(where: { $0.process != own })
    else { return }
    throw HyphaError(
      .logLocked, "the log in \(place.path) is being read by process \(reader.process)",
      remedy: "stop that process, then compact again")
  }

  /// LMDB counts the commits of a compact copy from 1, so its head must be put anew to name its commit.
  private static func renumber(_ log: String, _ head: CommitHead, mapByteCount: Int) throws {
    // Nobody else knows of this directory, so it needs no registry.
    let environment = try Environment(
      log: log, mode: .writing(mapByteCount: mapByteCount, mapByteCountMax: mapByteCount + 1 << 20))
    defer { environment.close() }
    try environment.write { transaction in
      var head = head
      head.commitNumber = transaction.commitNumber
      try transaction.putHead(head, in: environment.state)
    }
  }

  /// Compares the copy with the log; returns the size of its file.
  private static func check(_ log: String, against store: LogStore, _ head: CommitHead) throws -> UInt64 {
    defer { unlink(DataDirectory.lockFile(in: log)) }
    let copy = try LogStore(
      EnvironmentRegistry.lease(log: log, mode: .reading), payloads: store.payloads)
    var expected = head
    expected.commitNumber = try copy.view().head.commitNumber
    let (environment, old) = (copy.environment, store.environment)
    let (new, view) = (try copy.view(), try store.view())
    let areEqual = try zip(
      [environment.blocks, environment.state, environment.snapshots, environment.gaps],
      [old.blocks, old.state, old.snapshots, old.gaps]
    ).allSatisfy { table, other in
      try haveSameRows(new.transaction.cursor(in: table), view.transaction.cursor(in: other))
    }
    guard areEqual, copy.identity == store.identity, try copy.checkTail() == expected else {
      throw HyphaError(
        .logInvalid, "the compact copy in \(log) does not equal the log",
        remedy: "run 'hypha log verify'; the log itself was not changed")
    }
    return try environment.fileByteCount()
  }

  /// Whether two tables have the same rows, but for the head's, which names its commit.
  private static func haveSameRows(_ table: borrowing ReadCursor, _ other: borrowing ReadCursor) throws
    -> Bool
  {
    var (one, two) = (try table.first(), try other.first())
    while let row = one, let twin = two {
      guard row.key.elementsEqual(twin.key),
        row.value.elementsEqual(twin.value) || row.key.elementsEqual(TableLayout.headKey)
      else { return false }
      (one, two) = (try table.next(), try other.next())
    }
    return one == nil && two == nil
  }
}
