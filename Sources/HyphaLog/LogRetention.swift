public import HyphaCore

/// What is done to the logs in data directories rather than through an open log: making room, and copies.
///
/// Every call blocks for as long as it takes, on the calling thread, and throws a ``HyphaError`` that names the
/// directory and says what to do.
public protocol LogRetention: Sendable {
  /// What a prune would remove, while the node runs or not. Nothing is changed.
  ///
  /// - Parameters:
  ///   - spared: positions that stay, while what is around them goes.
  ///   - places: where consumers stand that are further than their cursors say: between is nothing for them.
  func planPrune(
    of directory: String, _ policy: RetentionPolicy, guards: [PruneGuard], sparing spared: Set<Position>,
    places: [CursorKey: Cursor], now: Timestamp
  ) throws -> PrunePlan

  /// Removes what `plan` says, which was made of the same directory. Durable step by step; each step leaves a sound log.
  ///
  /// - Throws: ``HyphaError/Code/logLocked`` naming the process that writes the log.
  func prune(
    _ directory: String, _ plan: PrunePlan, principal: AgentID, time: any TimeSource,
    progress: @escaping @Sendable (Position) -> Void
  ) async throws -> PruneReport

  /// The same for a log that this process writes; its appends go on meanwhile.
  ///
  /// - Throws: ``HyphaError/Code/logLocked`` while another prune runs; ``HyphaError/Code/usage`` for a log of another
  ///   backend.
  func prune(
    _ log: any EventLog, _ plan: PrunePlan, principal: AgentID, time: any TimeSource,
    progress: @escaping @Sendable (Position) -> Void
  ) async throws -> PruneReport

  /// Writes the log anew without its free pages, and puts the copy in its place at one stroke.
  ///
  /// - Parameter verify: reads the log from end to end before; where anything is wrong with it, what it throws is thrown,
  ///   and the log stays as it is: of what is damaged, free pages may have the only whole copy. Nil: this process reads it.
  /// - Throws: ``HyphaError/Code/logLocked`` naming a process that writes or reads the log;
  ///   ``HyphaError/Code/logFull`` when there is no room for the copy.
  func compact(
    _ directory: String, progress: @escaping CopyProgress, verify: CopyVerification?
  ) throws -> CompactReport

  /// Copies a data directory as it is at one moment, while its node runs or not, and verifies the copy before it gets its
  /// name.
  ///
  /// - Parameters:
  ///   - output: is made by the call; it must not be there yet, or be empty.
  ///   - verify: reads a copy from end to end; where anything is wrong, what it throws is thrown, and no copy is left.
  ///     Nil: this process reads it, which damaged pages may end where a disk fails.
  func backUp(
    _ directory: String, to output: String, withKey: Bool, progress: @escaping CopyProgress,
    verify: CopyVerification?
  ) throws -> CopyReport

  /// Copies a backup to a data directory, and verifies the copy before it gets its name.
  ///
  /// - Parameters:
  ///   - replaces: whether a directory that is not empty is moved aside; nothing is removed.
  ///   - verify: as in ``backUp(_:to:withKey:progress:verify:)``.
  func restore(
    _ backup: String, to directory: String, replaces: Bool, progress: @escaping CopyProgress,
    verify: CopyVerification?
  ) throws -> RestoreReport

  /// The processes that have the log open for reading.
  func readers(of directory: String) throws -> [LogReaderMark]

  /// The payloads beside the log that no entry refers to: what a process left that ended before its commit, or a prune
  /// that was cut off. The next prune removes them.
  ///
  /// - Complexity: a look at each entry's header, where there are any payloads.
  func loosePayloads(of directory: String) throws -> LoosePayloads
}

/// Payloads beside a log that nothing refers to.
public struct LoosePayloads: Hashable, Sendable, Codable {
  /// How many there are.
  public var count = 0
  /// Their bytes.
  public var byteCount: UInt64 = 0

  /// None.
  public init() {}
}

/// Told now and then, on any thread, of how many bytes were written and of how many there will be, about. Where it throws, the
/// copy ends with that, and nothing is left of it.
public typealias CopyProgress = @Sendable (_ written: UInt64, _ total: UInt64) throws -> Void

/// Reads a log, or the copy of one, in a directory from end to end; throws where anything is wrong with it.
public typealias CopyVerification = (_ copy: String) throws -> Void

/// A process's mark in a log that it reads.
public struct LogReaderMark: Hashable, Sendable {
  /// The process.
  public let process: Int32
  /// LMDB's number of the thread that made the mark.
  public let thread: UInt64
  /// The commit that it looks at, whose pages are kept for it; nil while it looks at none.
  public let commit: UInt64?
  /// How many commits came since.
  public let lag: UInt64

  /// A mark by its parts.
  public init(process: Int32, thread: UInt64, commit: UInt64?, newest: UInt64) {
    self.process = process
    self.thread = thread
    self.commit = commit
    lag = commit.map { newest > $0 ? newest - $0 : 0 } ?? 0
  }
}

/// What a prune has done.
public struct PruneReport: Hashable, Sendable {
  /// Where the event ``LogPruned`` stands, which says so in the log.
  public let event: Position
  /// The newest position that is gone.
  public let through: Position
  /// How many idempotency keys went with their entries.
  public let keyCount: Int

  /// The size of the payloads beside the log that went with them.
  public let payloadByteCount: UInt64
  /// How often a block was looked at on the writer's thread.
  package var lookCount = 0

  /// A report by its parts.
  public init(event: Position, through: Position, keyCount: Int, payloadByteCount: UInt64) {
    self.event = event
    self.through = through
    self.keyCount = keyCount
    self.payloadByteCount = payloadByteCount
  }
}

/// What a compaction has done.
public struct CompactReport: Hashable, Sendable {
  /// The size of the log's file before.
  public let byteCountBefore: UInt64
  /// Its size now.
  public let byteCountAfter: UInt64

  /// A report by its parts.
  public init(byteCountBefore: UInt64, byteCountAfter: UInt64) {
    self.byteCountBefore = byteCountBefore
    self.byteCountAfter = byteCountAfter
  }
}

/// What a copy of a data directory holds.
public struct CopyReport: Hashable, Sendable {
  /// Whose log it is.
  public let identity: LogIdentity
  /// The position of its newest entry.
  public let head: Position
  /// When that was taken.
  public let time: Timestamp
  /// The chain's link at that position, which stands for the whole log.
  public let link: Digest
  /// The bytes of the copy.
  public let byteCount: UInt64
  /// How many bytes the log's own file has grown meanwhile: pages that are in the copy cannot be reused before it ends.
  public let grownByteCount: UInt64

  /// A report by its parts.
  public init(
    identity: LogIdentity, head: Position, time: Timestamp, link: Digest, byteCount: UInt64,
    grownByteCount: UInt64
  ) {
    self.identity = identity
    self.head = head
    self.time = time
    self.link = link
    self.byteCount = byteCount
    self.grownByteCount = grownByteCount
  }
}

/// What a restore has done.
public struct RestoreReport: Hashable, Sendable {
  /// What was copied.
  public let copy: CopyReport
  /// Where the directory is now that stood in its place; nil where none did.
  public let movedAside: String?
  /// Whether the directory has the node's key: from the backup, or from what was moved aside.
  public let hasKey: Bool

  /// A report by its parts.
  public init(copy: CopyReport, movedAside: String?, hasKey: Bool) {
    self.copy = copy
    self.movedAside = movedAside
    self.hasKey = hasKey
  }
}

/// Entries were removed from a node's log on purpose. Appended before the first of them is removed.
///
/// So what the log says was pruned may lie a little beyond what is gone, where the process ended in between; the gaps
/// of the log say what is gone (see ``LogReader/gaps()``), and the next prune takes the rest.
public struct LogPruned: Event, Hashable {
  public static let eventType: EventTypeName = "log.Pruned"
  /// The agent that states it: the log itself.
  public static let agent: AgentID = "log"
  /// The first position that goes.
  public var first: UInt64
  /// The last position that goes.
  public var last: UInt64
  /// The chain's link at the last position: the rest of the chain begins with it. Hexadecimal.
  public var anchor: String
  /// How many entries go.
  public var count: UInt64
  /// The bytes of their blocks.
  public var bytes: UInt64
  /// What was to be kept, in words.
  public var policy: String
  /// Who wanted it.
  public var principal: AgentID

  /// What says of `plan` that it is carried out; nil where it removes nothing.
  public init?(_ plan: PrunePlan, principal: AgentID) {
    guard let range = plan.range, let anchor = plan.anchor else { return nil }
    first = range.lowerBound.rawValue
    last = range.upperBound.rawValue
    self.anchor = anchor.description
    count = plan.entryCount
    bytes = plan.byteCount
    policy = plan.policy.description
    self.principal = principal
  }
}
