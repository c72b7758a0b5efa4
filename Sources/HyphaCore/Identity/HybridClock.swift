/// A reading of a hybrid logical clock: microseconds since 1970 in the upper 52 bits, a counter below.
///
/// Two readings of one deployment compare in an order that respects causes: an effect's reading is above
/// its cause's, whatever the wall clocks say (Kulkarni et al., "Logical Physical Clocks", 2014). The
/// upper bits last until the year 2112.
public struct Timestamp: Hashable, Comparable, Sendable, RawRepresentable, Codable {
  /// The 64 bits as they stand in a record.
  public let rawValue: UInt64

  /// The number of bits of the counter.
  public static let counterBitCount: UInt64 = 12
  /// Before every reading.
  public static let zero = Timestamp(rawValue: 0)

  /// A reading from its 64 bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The reading of a microsecond since 1970, by default its first. Values beyond the 52 bits of the one and
  /// the 12 of the other become the highest that fit.
  public init(microseconds: UInt64, counter: UInt64 = 0) {
    rawValue =
      min(microseconds, .max >> Self.counterBitCount) << Self.counterBitCount
      | min(counter, 1 << Self.counterBitCount - 1)
  }

  /// Microseconds since 1970.
  public var microseconds: UInt64 { rawValue >> Self.counterBitCount }
  /// The counter that tells readings of one microsecond apart.
  public var counter: UInt64 { rawValue & (1 << Self.counterBitCount - 1) }

  public static func < (left: Timestamp, right: Timestamp) -> Bool { left.rawValue < right.rawValue }

  /// The reading of a moment so much later, which is not negative.
  public func advanced(by duration: Duration) -> Timestamp {
    Timestamp(microseconds: microseconds.addingReportingOverflow(duration.wholeMicroseconds).partialValue)
  }

  /// The time from `earlier` to this reading; negative when this one is the earlier.
  public func since(_ earlier: Timestamp) -> Duration {
    .microseconds(Int64(microseconds) - Int64(earlier.microseconds))
  }
}

/// Where physical time comes from. Tests and simulations give their own.
public protocol TimeSource: Sendable {
  /// Microseconds since 1970.
  func microseconds() -> UInt64
}

/// A hybrid logical clock: every reading lies above all readings and all received times before it.
///
/// Where the physical clock lies behind them, as after it was set back, readings go on at a quarter of its pace: what is due by them
/// comes, if later, and the physical clock catches up with them all the same.
///
/// It is a plain value; whoever shares it guards it. At the end of time, in 2112, it stands still.
public struct HybridClock: Sendable {
  /// How far ahead of the local clock a received time may lie.
  public let aheadMax: Duration
  private var last: Timestamp
  /// Up to which physical time `last` has followed; nil before the first.
  private var followed: UInt64?

  /// How much longer than the physical clock's a second of readings is that lie ahead of it.
  static let slowness: UInt64 = 4

  /// A clock that has read nothing yet; `aheadMax` bounds what ``observe(_:physical:)`` accepts.
  public init(aheadMax: Duration = .seconds(5), last: Timestamp = .zero) {
    self.aheadMax = aheadMax
    self.last = last
  }

  /// The next reading, given the physical time in microseconds since 1970.
  public mutating func now(physical: UInt64) -> Timestamp {
    follow(physical)
    // The counter overflows into the microseconds, which keeps the order.
    let next = Timestamp(rawValue: last.rawValue == .max ? .max : last.rawValue + 1)
    last = max(Timestamp(microseconds: physical), next)
    return last
  }

  /// The time that it is by this clock, which is no reading: that of the last one, or a later one.
  public mutating func time(physical: UInt64) -> Timestamp {
    follow(physical)
    return max(last, Timestamp(microseconds: physical))
  }

  /// Lets readings that lie ahead go on with the physical clock.
  private mutating func follow(_ physical: UInt64) {
    guard let before = followed, before <= physical, physical < last.microseconds else {
      followed = physical
      return
    }
    let steps = (physical - before) / Self.slowness
    guard steps > 0 else { return }
    last = max(last, Timestamp(microseconds: last.microseconds + steps))
    followed = before + steps * Self.slowness
  }

  /// Takes note of a time received from elsewhere, so that later readings lie above it.
  ///
  /// - Throws: ``HyphaError/Code/clockAhead`` when it lies more than ``aheadMax`` ahead of `physical`.
  public mutating func observe(_ received: Timestamp, physical: UInt64) throws {
    let ahead = received.since(Timestamp(microseconds: physical))
    guard ahead <= aheadMax else {
      throw HyphaError(
        .clockAhead, "a received time lies \(ahead) ahead of this node's clock",
        remedy: "synchronise the hosts' clocks (NTP), or raise clock.ahead-max above \(aheadMax)")
    }
    // From here on, and not from when it was last looked at.
    follow(physical)
    last = max(last, received)
  }
}
