/// Counts of non-negative numbers in buckets whose width is about 3% of the number (as in Tene's
/// HdrHistogram): percentiles over any range in a few kilobytes, and histograms can be added up.
public struct Histogram: Sendable, Hashable, Codable {
  /// By bucket; as long as the highest that was met.
  private var counts: [UInt64] = []
  /// How many numbers were added.
  public private(set) var count: UInt64 = 0
  /// The largest number added.
  public private(set) var max: UInt64 = 0
  /// The sum of the numbers added.
  public private(set) var sum: UInt64 = 0

  /// No numbers yet.
  public init() {}

  /// Adds one number, or the same several times.
  public mutating func add(_ value: UInt64, times: Int = 1) {
    let bucket = Self.bucket(of: value)
    if bucket >= counts.count {
      counts += [UInt64](repeating: 0, count: bucket + 1 - counts.count)
    }
    counts[bucket] += UInt64(times)
    count += UInt64(times)
    max = Swift.max(max, value)
    sum &+= value &* UInt64(times)
  }

  /// Adds all numbers of another histogram.
  public mutating func add(_ other: Histogram) {
    if other.counts.count > counts.count {
      counts += [UInt64](repeating: 0, count: other.counts.count - counts.count)
    }
    for (bucket, count) in other.counts.enumerated() { counts[bucket] += count }
    count += other.count
    max = Swift.max(max, other.max)
    sum &+= other.sum
  }

  /// Takes away all numbers of a histogram that are in this one; ``max`` stays.
  public mutating func subtract(_ earlier: Histogram) {
    for bucket in counts.indices where bucket < earlier.counts.count {
      counts[bucket] -= Swift.min(counts[bucket], earlier.counts[bucket])
    }
    count = counts.reduce(0, +)
    sum &-= Swift.min(sum, earlier.sum)
  }

  /// The number below which a `share` (0 to 1) of all numbers lie, to about 3%; 0 where there are none.
  public func percentile(_ share: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = Swift.max(1, UInt64((Double(count) * share).rounded(.up)))
    var seen: UInt64 = 0
    for (bucket, count) in counts.enumerated() {
      seen += count
      if seen >= rank { return Swift.min(Self.upperBound(of: bucket), max) }
    }
    return max
  }

  /// The mean; 0 where there are no numbers.
  public var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

  private enum CodingKeys: String, CodingKey { case counts, count, max, sum }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let counts = try container.decode([Int: UInt64].self, forKey: .counts)
    guard counts.keys.allSatisfy({ (0...Self.bucket(of: .max)).contains($0) }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .counts, in: container, debugDescription: "a histogram has a bucket that there is not")
    }
    self.counts = [UInt64](repeating: 0, count: (counts.keys.max() ?? -1) + 1)
    for (bucket, count) in counts { self.counts[bucket] = count }
    count = try container.decode(UInt64.self, forKey: .count)
    max = try container.decode(UInt64.self, forKey: .max)
    sum = try container.decode(UInt64.self, forKey: .sum)
  }

  /// Writes the buckets alone that have something in them.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let filled = counts.enumerated().filter { $0.element > 0 }
    try container.encode(
      Dictionary(uniqueKeysWithValues: filled.map { ($0.offset, $0.element) }), forKey: .counts)
    try container.encode(count, forKey: .count)
    try container.encode(max, forKey: .max)
    try container.encode(sum, forKey: .sum)
  }

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
