/// What became of the decisions of one stratum, ever, and how long its approver takes for one lately.
///
/// Constant memory, and constant work for a decision.
public struct DecisionFigure: Sendable, Hashable, Codable {
  /// What its approver has decided while it waited.
  public var approved: Int64 = 0
  public var rejected: Int64 = 0
  /// What was granted without the approver.
  public var granted: Int64 = 0
  /// What the approver has said of that afterwards.
  public var auditApproved: Int64 = 0
  public var auditRejected: Int64 = 0
  /// How long decisions waited for the approver.
  public var waits = DecisionWaits()

  /// Nothing yet.
  public init() {}

  /// Whether its numbers can be: a node may say what it likes.
  var isSane: Bool {
    [approved, rejected, granted, auditApproved, auditRejected].allSatisfy { (0...1 << 32).contains($0) }
  }

  /// Adds what became of others.
  public mutating func add(_ other: DecisionFigure) {
    approved &+= other.approved
    rejected &+= other.rejected
    granted &+= other.granted
    auditApproved &+= other.auditApproved
    auditRejected &+= other.auditRejected
    waits.add(other.waits)
  }
}

/// How long decisions of one sort wait: by powers of two, in microseconds. They count half once there are
/// ``countMax`` of them, so that what is usual is what is usual lately.
public struct DecisionWaits: Sendable, Hashable, Codable {
  /// By the number of bits of the microseconds; as long as the longest that counts.
  public private(set) var counts: [UInt32] = []
  /// The longest ever.
  public private(set) var longestMicroseconds: UInt64 = 0

  /// As many as count in full.
  public static let countMax: UInt32 = 256
  private static let bucketCount = UInt64.bitWidth + 1

  /// None yet.
  public init() {}

  /// How many count.
  public var count: UInt32 { counts.prefix(Self.bucketCount).reduce(0) { $0 &+ min($1, Self.countMax) } }

  /// Takes note of one.
  public mutating func add(_ microseconds: UInt64) {
    longestMicroseconds = max(longestMicroseconds, microseconds)
    let bucket = UInt64.bitWidth - microseconds.leadingZeroBitCount
    if bucket >= counts.count { counts += [UInt32](repeating: 0, count: bucket + 1 - counts.count) }
    counts[bucket] += 1
    if count >= Self.countMax { for place in counts.indices { counts[place] /= 2 } }
  }

  /// Adds those of another sort.
  public mutating func add(_ other: DecisionWaits) {
    longestMicroseconds = max(longestMicroseconds, other.longestMicroseconds)
    let others = other.counts.prefix(Self.bucketCount)
    if others.count > counts.count {
      counts += [UInt32](repeating: 0, count: others.count - counts.count)
    }
    for (bucket, count) in others.enumerated() { counts[bucket] &+= min(count, Self.countMax) }
  }

  /// A time within which a `percent` of them was taken, to a factor of two; 0 where there was none.
  public func microseconds(percent: UInt64) -> UInt64 {
    let all = counts.reduce(UInt64(0)) { $0 + UInt64($1) }
    var seen: UInt64 = 0
    for (bucket, count) in counts.enumerated() where count > 0 {
      seen += UInt64(count)
      if seen * 100 >= all * percent { return min(longestMicroseconds, bucket >= 64 ? .max : 1 << bucket) }
    }
    return 0
  }

  /// The time within which half of them was taken.
  public var usualMicroseconds: UInt64 { microseconds(percent: 50) }
}
