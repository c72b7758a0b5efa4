public import HyphaCore

/// What an operator does with logs in data directories: look at them from end to end, sign and check their heads, and
/// take out of a damaged one what is whole.
///
/// All but ``salvage(_:to:tables:owner:loose:progress:)`` read the log as its backend does, so a file that is damaged in the
/// wrong place may end the process by a signal. Who does not know that a log is whole calls them in a child process.
public protocol LogInspection: Sendable {
  /// Reads a log from end to end, while its node runs or not, and checks everything that it promises.
  ///
  /// No read transaction is held for longer than some milliseconds. What the log has at the call is read, and what
  /// comes meanwhile as far as that can be caught up with.
  ///
  /// - Parameters:
  ///   - positions: where to look up the chain's link; the answers are in ``LogVerification/links``.
  ///   - progress: is called every few milliseconds.
  /// - Throws: ``HyphaError`` when the log cannot be opened; what `progress` throws. What is wrong within it is in the
  ///   result.
  func verify(
    _ directory: String, linksAt positions: [Position], progress: (LogProgress) throws -> Void
  ) throws -> LogVerification

  /// Looks up the chain's links alone.
  func chain(_ directory: String, at positions: [Position]) throws -> ChainLookup

  /// Calls `body` with every row of a log's small tables, as stored, in their order.
  func tables(_ directory: String, _ body: (SalvagedRow) throws -> Void) throws

  /// Makes a new log of what is whole in the files of a damaged one, which is only read, and never mapped.
  ///
  /// Entries keep their positions and blocks their bytes, so chain and signed heads go on to hold. What could not be
  /// kept is a quarantined gap in the new log. The new log is complete and durable when this returns; when it throws,
  /// there is none.
  ///
  /// - Parameters:
  ///   - directory: the damaged log's data directory; no process may write it.
  ///   - output: the new log's data directory, which must not hold a log; it is made, and removed again where nothing
  ///     comes of it.
  ///   - tables: the rows that could be read of the small tables; where they are not all, the file's own pages are
  ///     searched for them.
  ///   - owner: whose log it is, for where nothing in the directory says so.
  ///   - loose: is called with each record that is whole while nothing whole says where in the log it stood.
  ///   - progress: is called with the bytes of the file that were searched, and its size.
  func salvage(
    _ directory: String, to output: String, tables: SalvagedTables, owner: StatedOwner,
    loose: (LooseRecord) throws -> Void, progress: (UInt64, UInt64) throws -> Void
  ) throws -> SalvageReport

  /// Signs a log's newest head with its node's key, which is made where there is none, the directory is this user's and
  /// no process writes the log.
  ///
  /// - Throws: ``HyphaError/Code/logLocked`` when there is no key yet and another process writes the log,
  ///   ``HyphaError/Code/fileUnavailable`` when there is none yet and the directory is another user's.
  func signedHead(_ directory: String) throws -> SignedHead

  /// The public key of the node whose data directory it is, or nil where it has none.
  func publicKey(_ directory: String) throws -> NodePublicKey?

  /// Checks a head's signature.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when it does not match.
  func verifySignature(of head: SignedHead) throws
}

/// How far the reading of a log has come.
public struct LogProgress: Hashable, Sendable, Codable {
  /// Everything up to here was looked at.
  public let position: Position
  /// Where it ends.
  public let head: Position
  /// The bytes that were read.
  public let byteCount: UInt64
  /// The entries that were read and found whole.
  public let entryCount: UInt64

  /// A progress by its parts.
  public init(position: Position, head: Position, byteCount: UInt64, entryCount: UInt64) {
    self.position = position
    self.head = head
    self.byteCount = byteCount
    self.entryCount = entryCount
  }
}

/// What a log says of its chain.
public struct ChainLookup: Hashable, Sendable, Codable {
  /// The log's id.
  public let id: EventID
  /// The log's node.
  public let node: NodeID
  /// The position of its newest entry.
  public let head: Position
  /// The links at the positions that were asked for.
  public let links: [Position: ChainLink]

  /// A lookup by its parts.
  public init(id: EventID, node: NodeID, head: Position, links: [Position: ChainLink]) {
    self.id = id
    self.node = node
    self.head = head
    self.links = links
  }

  /// Compares the log with a head that somebody kept, whose position was asked for, and whose signature was checked.
  public func compare(with kept: SignedHead, key: NodePublicKey) -> WitnessCheck.Finding {
    WitnessCheck.compare(kept, log: LogIdentity(id: id, node: node), key: key, head: head) { position in
      links[position] ?? .none
    }
  }
}

/// A row of one of the small tables, key and value as hexadecimal digits.
public struct SalvagedRow: Hashable, Sendable, Codable {
  /// The table's name.
  public let table: String
  private let key, value: String

  /// A row by its parts.
  public init(table: String, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    self.table = table
    self.key = Hexadecimal.text(of: key)
    self.value = Hexadecimal.text(of: value)
  }

  /// The key's bytes.
  public var keyBytes: [UInt8] { Hexadecimal.bytes(of: key, count: key.utf8.count / 2) ?? [] }
  /// The value's bytes.
  public var valueBytes: [UInt8] { Hexadecimal.bytes(of: value, count: value.utf8.count / 2) ?? [] }
}

/// What could be read of a damaged log's small tables.
public struct SalvagedTables: Sendable {
  /// The rows, in the order in which they were read.
  public var rows: [SalvagedRow]
  /// Why there are no more; nil where these are all.
  public var problem: String?

  /// Tables by their parts.
  public init(rows: [SalvagedRow] = [], problem: String? = nil) {
    self.rows = rows
    self.problem = problem
  }
}

/// What an operator says of whose log it is.
public struct StatedOwner: Sendable, Hashable {
  /// The log's node.
  public var node: NodeID?
  /// The log's id.
  public var id: EventID?

  /// An owner by its parts; nothing is said without any.
  public init(node: NodeID? = nil, id: EventID? = nil) {
    self.node = node
    self.id = id
  }
}

/// A record that is whole while its place in the log is not known.
public struct LooseRecord: Sendable {
  /// Where in the file it was found.
  public let offset: UInt64
  /// The record.
  public let record: Record

  /// A record by its parts.
  public init(offset: UInt64, record: Record) {
    self.offset = offset
    self.record = record
  }
}

/// What became of a damaged log.
public struct SalvageReport: Hashable, Sendable, Codable {
  /// Positions that could not be kept.
  public struct Quarantined: Hashable, Sendable, Codable {
    /// The first of them.
    public let first: Position
    /// The last of them.
    public let last: Position
    /// Why.
    public let reason: String

    /// A range by its parts.
    public init(first: Position, last: Position, reason: String) {
      self.first = first
      self.last = last
      self.reason = reason
    }
  }

  /// The log's id.
  public var id: EventID
  /// The log's node.
  public var node: NodeID
  /// The newest position, which the new log goes on after.
  public var head = Position.start
  /// How many blocks were kept.
  public var blockCount: UInt64 = 0
  /// How many entries were kept.
  public var entryCount: UInt64 = 0
  /// How many payloads beside the log were kept.
  public var payloadCount: UInt64 = 0
  /// How many entries were pruned before.
  public var prunedCount: UInt64 = 0
  /// How many entries were lost.
  public var quarantinedCount: UInt64 = 0
  /// What was lost, in ascending order.
  public var quarantined: [Quarantined] = []
  /// How many consumers' places were kept.
  public var cursorCount: UInt64 = 0
  /// How many snapshots were kept.
  public var snapshotCount: UInt64 = 0
  /// How many idempotency keys were kept.
  public var keyCount: UInt64 = 0
  /// How many records were found without a place.
  public var looseCount: UInt64 = 0
  /// What else the operator should know, a line each.
  public var notes: [String] = []

  /// A report of a log of which nothing was kept yet.
  public init(id: EventID, node: NodeID) {
    self.id = id
    self.node = node
  }
}
