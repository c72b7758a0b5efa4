public import HyphaCore

/// How much of a log is to be kept. Each limit that is given takes what lies beyond it, oldest first; what all of them
/// leave stays.
public struct RetentionPolicy: Hashable, Sendable, CustomStringConvertible {
  /// Entries that the log took longer ago may go.
  public var ageMax: Duration?
  /// Once blocks take more than this, the oldest go.
  public var byteCountMax: UInt64?
  /// All but so many of the newest entries may go.
  public var entryCountMax: UInt64?
  /// Whatever all consumers have handled may go. Where the log has no consumers, nothing is known to be handled.
  public var takesHandled: Bool

  /// A policy by its parts; without any, everything is kept.
  public init(
    ageMax: Duration? = nil, byteCountMax: UInt64? = nil, entryCountMax: UInt64? = nil,
    takesHandled: Bool = false
  ) {
    self.ageMax = ageMax
    self.byteCountMax = byteCountMax
    self.entryCountMax = entryCountMax
    self.takesHandled = takesHandled
  }

  /// What is kept, in words.
  public var description: String {
    var parts: [String] = []
    if let ageMax { parts.append("newer than \(ageMax.components.seconds) s") }
    if let byteCountMax { parts.append("at most \(byteCountMax) bytes") }
    if let entryCountMax { parts.append("newest \(entryCountMax)") }
    if takesHandled { parts.append("not handled by all") }
    return parts.isEmpty ? "everything" : parts.joined(separator: ", ")
  }
}

/// Something that still needs the entries behind a position.
public struct PruneGuard: Hashable, Sendable {
  /// Who needs them, in words: `the consumer ana on persistent`.
  public let name: String
  /// Entries up to here it does not need any more.
  public let through: Position
  /// Whether it is a consumer's place, up to which everything for it is handled.
  public let isConsumer: Bool

  /// A guard by its parts.
  public init(_ name: String, through: Position, isConsumer: Bool = false) {
    self.name = name
    self.through = through
    self.isConsumer = isConsumer
  }

  /// The guard that a consumer's place is. Its agent's snapshot was committed with it, so it needs nothing before.
  public init(_ key: CursorKey, at cursor: Cursor) {
    self.init("the consumer \(key.agent) on \(key.channel)", through: cursor.position, isConsumer: true)
  }

  /// A guard of one position and all behind it.
  public init(keeping position: Position) {
    self.init(
      "position \(position), which is to be kept",
      through: Position(rawValue: position.rawValue - min(position.rawValue, 1)))
  }
}

/// What a prune removes: whole blocks from the log's front, as many as its policy takes and no guard needs. Pure.
///
/// It is given block after block, oldest first, until ``add(_:)`` refuses one. So the end is always the end of a block,
/// where the chain of hashes has a link from which the rest goes on.
public struct PrunePlan: Hashable, Sendable {
  /// A block that may go.
  public struct Block: Hashable, Sendable {
    /// Its entries.
    public let range: ClosedRange<Position>
    /// When its newest entry was taken.
    public let newest: Timestamp
    /// The bytes that it takes on the disk.
    public let byteCount: UInt64
    /// The chain's link at its end.
    public let link: Digest

    /// A block by its parts.
    public init(range: ClosedRange<Position>, newest: Timestamp, byteCount: UInt64, link: Digest) {
      self.range = range
      self.newest = newest
      self.byteCount = byteCount
      self.link = link
    }
  }

  /// What is to be kept.
  public let policy: RetentionPolicy
  /// The log's newest position when the plan was made.
  public let head: Position
  /// The positions that go; nil where none do.
  public private(set) var range: ClosedRange<Position>?
  /// The chain's link at the end of those.
  public private(set) var anchor: Digest?
  /// How many entries go.
  public private(set) var entryCount: UInt64 = 0
  /// The bytes on the disk that become free.
  public private(set) var byteCount: UInt64 = 0
  /// How many blocks go.
  public private(set) var blockCount = 0
  /// Who needs what the policy would have taken besides; nil where the policy was the bound.
  public private(set) var heldBackBy: PruneGuard?
  /// The guard that needs the most.
  public let lowestGuard: PruneGuard?
  /// Positions whose blocks stay where they are, while what is around them goes.
  package let spared: SparedPositions
  /// How many blocks stay for these.
  public private(set) var sparedBlockCount = 0
  /// The bytes of all blocks.
  public let byteCountBefore: UInt64
  /// The moment from which ages count.
  public let now: Timestamp
  private let hasConsumers: Bool

  /// A plan that removes nothing yet.
  ///
  /// - Parameters:
  ///   - byteCount: the bytes that all blocks of the log take.
  ///   - sparing: positions that stay, with the blocks that have them.
  ///   - now: the moment from which ages count.
  public init(
    _ policy: RetentionPolicy, head: Position, byteCount: UInt64, guards: [PruneGuard],
    sparing spared: Set<Position> = [], now: Timestamp
  ) {
    self.spared = SparedPositions(spared)
    self.policy = policy
    self.head = head
    byteCountBefore = byteCount
    lowestGuard = guards.min { $0.through < $1.through }
    hasConsumers = guards.contains { $0.isConsumer }
    self.now = now
  }

  /// Takes the next block into the plan, or returns false: it stays, and all behind it.
  public mutating func add(_ block: Block) -> Bool {
    guard isBeyondLimits(block) else { return false }
    if let lowestGuard, block.range.upperBound > lowestGuard.through {
      heldBackBy = lowestGuard
      return false
    }
    if spared.hasAny(in: block.range) {
      sparedBlockCount += 1
      return true
    }
    range = (range?.lowerBound ?? block.range.lowerBound)...block.range.upperBound
    anchor = block.link
    entryCount += block.range.upperBound.rawValue - block.range.lowerBound.rawValue + 1
    byteCount += block.byteCount
    blockCount += 1
    return true
  }

  private func isBeyondLimits(_ block: Block) -> Bool {
    if policy.takesHandled && hasConsumers { return true }
    if let most = policy.ageMax, now.since(block.newest) > most { return true }
    if let most = policy.byteCountMax, byteCountBefore > byteCount, byteCountBefore - byteCount > most {
      return true
    }
    if let most = policy.entryCountMax,
      head.rawValue - min(head.rawValue, most) >= block.range.upperBound.rawValue
    {
      return true
    }
    return false
  }
}
