import HyphaCore
import HyphaLog

/// How a log comes to be open: made where there is none, checked before it is used.
enum LogOpening {
  /// Opens the log of a directory whose writer's lock the caller holds, or makes it.
  static func openForWriting(
    _ place: DataDirectory, node: NodeID, settings: LMDBLogSettings, time: some TimeSource
  ) throws -> (LogStore, CommitHead) {
    if try !place.hasLog() {
      let now = Timestamp(microseconds: time.microseconds())
      let id = EventID(time: now, random: .random(in: .min ... .max))
      try create(LogIdentity(id: id, node: node), in: place, settings: settings)
    } else {
      // What a compaction has left that was cut off.
      try place.removeNewLog()
    }
    let mode = Environment.Mode.writing(
      mapByteCount: settings.mapByteCountRounded, mapByteCountMax: settings.mapByteCountMaxRounded)
    let store = try LogStore(
      EnvironmentRegistry.lease(log: place.log, mode: mode), payloads: PayloadStore(in: place.path))
    guard store.identity.node == node else {
      throw HyphaError(
        .logInvalid, "the log in \(place.path) is that of node \(store.identity.node), not of \(node)",
        remedy: "give the data directory of \(node), or another --data directory")
    }
    // LMDB follows what it finds on a page when it writes.
    try store.environment.checkPages()
    try store.environment.clearDeadReaders()
    // A small disk is the log's in the first place.
    store.environment.keepReserve(share: 16)
    return (store, try store.checkTail())
  }

  /// Opens the log of a directory that another process may be writing.
  static func openForReading(_ place: DataDirectory) throws -> LogStore {
    guard try place.hasLog() else {
      throw HyphaError(
        .fileUnavailable, "there is no log in \(place.path)", remedy: "give the data directory of a node")
    }
    return try LogStore(
      EnvironmentRegistry.lease(log: place.log, mode: .reading), payloads: PayloadStore(in: place.path))
  }

  /// Makes an empty log beside its place and moves it there when it is on disk.
  private static func create(
    _ identity: LogIdentity, in place: DataDirectory, settings: LMDBLogSettings
  ) throws {
    try place.removeNewLog()
    try place.createNewLog()
    // Nobody else knows of this directory, so it needs no registry.
    let environment = try Environment(
      log: place.newLog,
      mode: .creating(
        mapByteCount: settings.mapByteCountRounded, mapByteCountMax: settings.mapByteCountMaxRounded))
    defer { environment.close() }
    try environment.write { transaction in
      let version = TableLayout.bytes(of: TableLayout.formatVersion)
      try transaction.putSealed(version, at: TableLayout.formatKey, in: environment.state)
      let owner = TableLayout.value(of: identity)
      try transaction.putSealed(owner, at: TableLayout.identityKey, in: environment.state)
      let head = CommitHead(commitNumber: transaction.commitNumber, link: HashChain(of: identity).head)
      try transaction.putHead(head, in: environment.state)
    }
    try place.adoptNewLog()
  }
}
