import Glibc
import HyphaCore
public import HyphaLog

/// The operator's work on logs in data directories, on LMDB.
public struct LMDBLogInspection: LogInspection {
  /// It keeps nothing.
  public init() {}

  public func verify(
    _ directory: String, linksAt positions: [Position], progress: (LogProgress) throws -> Void
  ) throws -> LogVerification {
    try LogExaminer.verify(directory, linksAt: positions, progress: progress)
  }

  public func chain(_ directory: String, at positions: [Position]) throws -> ChainLookup {
    let store = try LogOpening.openForReading(DataDirectory(path: directory))
    let view = try store.view()
    var links: [Position: ChainLink] = [:]
    for position in positions { links[position] = try view.chainLink(at: position) }
    return ChainLookup(
      id: store.identity.id, node: store.identity.node, head: view.head.position, links: links)
  }

  public func tables(_ directory: String, _ body: (SalvagedRow) throws -> Void) throws {
    let log = DataDirectory(path: directory).log
    let lease = try EnvironmentRegistry.lease(log: log, mode: .reading)
    let environment = lease.environment
    // What matters most comes first: reading may end with any row.
    let names = ["gaps", "state", "snapshots"]
    var counts: [UInt64] = []
    for name in names {
      var count: UInt64 = 0
      try TableCheck.forEachRow(of: name, environment) { key, value in
        count += 1
        try body(SalvagedRow(table: name, key: key, value: value))
      }
      counts.append(count)
    }
    // A page may say that it has less than it had.
    for (name, count) in zip(names, counts) {
      guard let table = environment.table(named: name) else { continue }
      let transaction = try environment.beginReading()
      try transaction.confirmPages(of: table)
      guard count == transaction.tree(of: table).entryCount else {
        throw TableLayout.damaged(name, "has not as many rows as it says")
      }
    }
  }

  public func salvage(
    _ directory: String, to output: String, tables: SalvagedTables, owner: StatedOwner,
    loose: (LooseRecord) throws -> Void, progress: (UInt64, UInt64) throws -> Void
  ) throws -> SalvageReport {
    try Salvager.salvage(
      directory, to: output, tables: tables, owner: owner, loose: loose, progress: progress)
  }

  public func signedHead(_ directory: String) throws -> SignedHead {
    let place = DataDirectory(path: directory)
    let store = try LogOpening.openForReading(place)
    let key = try NodeKey.load(from: directory) ?? Self.makeKey(place)
    return try SignedHead(signingHeadOf: store, with: key)
  }

  /// Makes the node's key, for the user who owns the directory: the node could not read another's, and whoever looks at
  /// somebody else's log leaves nothing there.
  private static func makeKey(_ place: DataDirectory) throws -> NodeKey {
    var status = stat()
    guard stat(place.path, &status) == 0 else { throw DataDirectory.unavailable(place.path, "stat", errno) }
    guard status.st_uid == geteuid() else {
      throw HyphaError(
        .fileUnavailable, "the node of \(place.path) has no key yet, and the directory is another user's",
        remedy: "let the user that owns it run this once; from then on everybody who may read the key can")
    }
    let lock: WriterLock
    do {
      lock = try WriterLock(place)
    } catch let error as HyphaError where error.code == .logLocked {
      throw HyphaError(
        .logLocked, "the node of \(place.path) has no key yet, and its log is open for writing",
        remedy: "run this once while the node is stopped; from then on it works while it runs too",
        cause: error.problem)
    }
    return try withExtendedLifetime(lock) { try NodeKey.loadOrCreate(in: place.path) }
  }

  public func publicKey(_ directory: String) throws -> NodePublicKey? {
    try NodeKey.load(from: directory)?.publicKey
  }

  public func verifySignature(of head: SignedHead) throws { try head.verifySignature() }
}
