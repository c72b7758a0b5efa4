/// A random number generator whose whole sequence follows from its seed: SplitMix64 (Steele, Lea and
/// Flood, 2014). For simulation, synthetic load and ids, not for secrets.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator whose sequence follows from `seed`.
  public init(seed: UInt64) { state = seed }

  /// A generator of its own for `name`, independent of others with the same seed.
  public init(seed: UInt64, name: String) {
    // FNV-1a, so that the name counts in every process alike.
    let hash = name.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    self.init(seed: seed ^ hash)
  }

  /// The seed of a generator that goes on where this one is.
  public var continuation: UInt64 { state }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }

  /// True in about `share` of the calls, 0 to 1.
  public mutating func chance(_ share: Double) -> Bool {
    share > 0 && Double(next() >> 11) * 0x1p-53 < share
  }

  /// A duration of whole microseconds within `range`.
  public mutating func duration(in range: ClosedRange<Duration>) -> Duration {
    let low = range.lowerBound.wholeMicroseconds
    let high = range.upperBound.wholeMicroseconds
    return .microseconds(Int64(low + (high > low ? next() % (high - low + 1) : 0)))
  }
}

extension Duration {
  /// The duration in whole microseconds, 0 where it is negative, and at most `Int64.max`.
  public var wholeMicroseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < Int64.max / 1_000_000 else { return UInt64(Int64.max) }
    return UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
  }
}

extension SeededGenerator {
  /// A number that follows from a text alone, the same in every process.
  public static func fingerprint(of text: String) -> UInt64 {
    var generator = SeededGenerator(seed: 0, name: text)
    return generator.next()
  }
}
