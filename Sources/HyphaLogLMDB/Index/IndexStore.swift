import Glibc
import HyphaCore
import HyphaLog

/// An index that is open: its environment, once its meta was found to be that of the log.
final class IndexStore: Sendable {
  let hash: TermHash
  private let directory: String
  private let lease: EnvironmentLease

  static let tables = ["runs", "meta"]
  /// Beyond what a transaction writes: the pages of the tables' own trees.
  private static let slackByteCount = 1 << 18

  var environment: Environment { lease.environment }
  var runs: Environment.Table { environment.tables[0] }
  private var metaTable: Environment.Table { environment.tables[1] }

  /// Opens the index in `directory` and checks that it is that of `log`.
  ///
  /// - Parameter home: where the directory will be moved, when it is not there yet.
  /// - Throws: ``HyphaError/Code/logInvalid`` when it is damaged, of another format, of another log, or of another
  ///   history of this one.
  init(directory: String, home: String? = nil, mode: Environment.Mode, log: any IndexedLog) throws {
    self.directory = home ?? directory
    lease = try EnvironmentRegistry.lease(log: directory, mode: mode, tables: Self.tables)
    let tables = lease.environment.tables
    let transaction = try lease.environment.beginReading()
    let meta = try Self.meta(transaction, tables[1])
    hash = TermHash(key: meta.hashKey)
    guard meta.log == log.identity.id else { throw IndexFailure.damaged("it is that of the log \(meta.log)") }
    guard try meta.through <= log.head(), try log.has(meta.anchor) else {
      throw IndexFailure.damaged("it is that of another history of the log")
    }
    if lease.environment.isWritable { try lease.environment.checkPages() }
  }

  /// What the index says of itself, as `transaction` sees it.
  func meta(_ transaction: borrowing ReadTransaction) throws -> IndexMeta {
    try Self.meta(transaction, metaTable)
  }

  private static func meta(
    _ transaction: borrowing ReadTransaction, _ table: Environment.Table
  ) throws -> IndexMeta {
    let meta = try transaction.value(IndexMeta.key, in: table) { try IndexMeta(&$0) }
    guard let meta else { throw IndexFailure.damaged("it has no meta") }
    // It may be newer than its mark, as LogView says.
    guard meta.commitNumber >= transaction.commitNumber else {
      throw IndexFailure.damaged(
        "its meta is that of commit \(meta.commitNumber), not of \(transaction.commitNumber)")
    }
    return meta
  }

  /// The runs, from the oldest on.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when they do not follow each other.
  func runs(_ transaction: borrowing ReadTransaction) throws -> [IndexRuns.Run] {
    var found: [IndexRuns.Run] = []
    let cursor = try transaction.cursor(in: runs)
    var place = try cursor.first()
    while let next = place {
      let view = try RunView(next.value, last: BlockLayout.position(ofKey: next.key, table: "runs"))
      guard found.last.map({ $0.last.next == view.first }) ?? true else {
        throw RunLayout.damaged(view.first, "does not follow the one before it")
      }
      found.append(IndexRuns.Run(first: view.first, last: view.last, byteCount: view.byteCount))
      place = try cursor.next()
    }
    return found
  }

  /// Calls `body` with views of the runs that end at these positions.
  func withRuns(_ ends: [Position], _ body: ([RunView]) throws -> Void) throws {
    let transaction = try environment.beginReading()
    let views = try ends.map { end in
      try BlockLayout.withKey(end) { key in
        try transaction.value(of: key, in: runs) { try RunView($0, last: end) }
      }
    }
    let found = views.compactMap { $0 }
    guard found.count == ends.count else { throw IndexFailure.damaged("a run is missing") }
    defer { for view in found { transaction.pages.letGo(view.body) } }
    try body(found)
  }

  /// Replaces the runs under `old` by what `writer` has collected, and the meta, in one synced transaction.
  ///
  /// The new run stands behind all that stay.
  func write(replacing old: [Position], by writer: RunWriter?, last: Position, meta: IndexMeta) throws {
    try extendFile(by: writer?.byteCount ?? 0)
    try environment.write { transaction in
      for key in old { try BlockLayout.withKey(key) { try transaction.remove($0, from: runs) } }
      if let writer {
        try BlockLayout.withKey(last) { key in
          try transaction.append(byteCount: writer.byteCount, at: key, in: runs) { writer.write(into: $0) }
        }
      }
      var meta = meta
      meta.commitNumber = transaction.commitNumber
      try transaction.putSealed(meta.bytes, at: IndexMeta.key, in: metaTable)
    }
  }

  /// Makes the file as long as the next transaction may need. LMDB does not write a page that was taken and freed in
  /// one transaction, so the file might end before the last page that a meta page names, as one that was cut does.
  private func extendFile(by byteCount: Int) throws {
    let path = DataDirectory.dataFile(in: directory)
    let wanted = try environment.facts().usedByteCount + byteCount + Self.slackByteCount
    var status = stat()
    guard stat(path, &status) == 0 else { throw DataDirectory.unavailable(path, "stat", errno) }
    if status.st_size >= wanted { return }
    guard truncate(path, wanted) == 0 else { throw DataDirectory.unavailable(path, "truncate", errno) }
  }
}

// MARK: Making and removing

extension DataDirectory {
  var index: String { path + "/index" }
  private var newIndex: String { path + "/index.new" }

  /// Opens the index for writing; where there is none that is right for the log, makes one that covers nothing.
  func openIndex(for log: any IndexedLog, settings: LogIndexSettings) throws -> IndexStore {
    let mode = Environment.Mode.writing(
      mapByteCount: settings.mapByteCount, mapByteCountMax: settings.mapByteCountMax)
    do {
      let store = try IndexStore(directory: index, mode: mode, log: log)
      guard try store.meta(store.environment.beginReading()).runSpanCount == settings.runSpanCount else {
        throw IndexFailure.damaged("its runs have another length")
      }
      return store
    } catch let error as HyphaError where error.code == .logInvalid {
      return try makeIndex(for: log, settings: settings)
    }
  }

  /// Makes an index that covers nothing, in the place of any that is there.
  ///
  /// It is opened before it stands in its place, so that no reader of this process can be the first.
  func makeIndex(for log: any IndexedLog, settings: LogIndexSettings) throws -> IndexStore {
    do { return try makeNewIndex(for: log, settings: settings) } catch {
      try? removeIndex(newIndex)
      throw error
    }
  }

  private func makeNewIndex(for log: any IndexedLog, settings: LogIndexSettings) throws -> IndexStore {
    try removeIndex(newIndex)
    guard mkdir(newIndex, 0o700) == 0 else { throw Self.unavailable(newIndex, "mkdir", errno) }
    let (begin, max) = (settings.mapByteCount, settings.mapByteCountMax)
    let environment = try Environment(
      log: newIndex, mode: .creating(mapByteCount: begin, mapByteCountMax: max), tables: IndexStore.tables)
    do {
      defer { environment.close() }
      var meta = IndexMeta(
        log: log.identity.id, first: try log.firstPosition(), runSpanCount: settings.runSpanCount)
      try environment.write { transaction in
        meta.commitNumber = transaction.commitNumber
        try transaction.putSealed(meta.bytes, at: IndexMeta.key, in: environment.tables[1])
      }
    }
    let mode = Environment.Mode.writing(mapByteCount: begin, mapByteCountMax: max)
    let store = try IndexStore(directory: newIndex, home: index, mode: mode, log: log)
    try removeIndex(index)
    guard rename(newIndex, index) == 0 else { throw Self.unavailable(index, "rename", errno) }
    return store
  }

  /// Removes the index and what is left of one that was being made.
  func removeIndexes() throws {
    for directory in [newIndex, index] { try removeIndex(directory) }
  }

  private func removeIndex(_ directory: String) throws {
    for file in [Self.lockFile(in: directory), Self.dataFile(in: directory)] where unlink(file) != 0 {
      guard errno == ENOENT || errno == ENOTDIR else { throw Self.unavailable(file, "unlink", errno) }
    }
    guard rmdir(directory) == 0 || errno == ENOENT else { throw Self.unavailable(directory, "rmdir", errno) }
  }
}
