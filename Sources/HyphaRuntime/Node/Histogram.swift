/// Counts of non-negative numbers in buckets whose width is about 3% of the number (as in Tene's
/// HdrHistogram): percentiles over any range in a few kilobytes, and histograms can be added up.
public struct Histogram: Sendable, Hashable, Codable {
  private var counts: [Int: UInt64] = [:]
  /// How many numbers were added.
  public private(set) var count: UInt64 = 0
  /// The largest number added.
  public private(set) var max: UInt64 = 0
  /// The sum of the numbers added.
  public private(set) var sum: UInt64 = 0

  /// No numbers yet.
  public init() {}

  /// Adds one number.
  public mutating func add(_ value: UInt64) {
    counts[Self.bucket(of: value), default: 0] += 1
    count += 1
    max = Swift.max(max, value)
    sum &+= value
  }

  /// Adds all numbers of another histogram.
  public mutating func add(_ other: Histogram) {
    counts.merge(other.counts, uniquingKeysWith: +)
    count += other.count
    max = Swift.max(max, other.max)
    sum &+= other.sum
  }

  /// The number below which a `share` (0 to 1) of all numbers lie, to about 3%; 0 where there are none.
  public func percentile(_ share: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = Swift.max(1, UInt64((Double(count) * share).rounded(.up)))
    var seen: UInt64 = 0
    for bucket in counts.keys.sorted() {
      seen += counts[bucket] ?? 0
      if seen >= rank { return Swift.min(Self.upperBound(of: bucket), max) }
    }
    return max
  }

  /// The mean; 0 where there are no numbers.
  public var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

  /// Numbers below 32 have a bucket each; above, each power of two has 32.
  private static func bucket(of value: UInt64) -> Int {
    guard value >= 32 else { return Int(value) }
    let shift = 58 - value.leadingZeroBitCount
    return 32 * (shift + 1) + Int(value >> UInt64(shift)) - 32
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    guard bucket >= 32 else { return UInt64(bucket) }
    let shift = bucket / 32 - 1
    // The last bucket ends at 2^64 - 1: the shift overflows to 0.
    return (UInt64(bucket % 32) + 33) << UInt64(shift) &- 1
  }
}
