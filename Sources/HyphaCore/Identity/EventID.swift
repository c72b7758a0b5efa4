/// The id of an event: 128 bits whose order is the order of creation on one node, to the microsecond.
///
/// The layout is that of a UUID version 7 (RFC 9562, section 5.7, with the sub-millisecond fraction of
/// method 3 in `rand_a`), so that every tool that knows UUIDs can read it.
public struct EventID: Hashable, Comparable, Sendable {
  /// The first eight bytes, big-endian: 48 bits of milliseconds, the version, 12 bits of fraction.
  public let high: UInt64
  /// The last eight bytes, big-endian: the variant and 62 random bits.
  public let low: UInt64

  /// No event. It stands for "no cause" on the wire.
  public static let none = EventID(high: 0, low: 0)

  /// An id from its two halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An id of the moment `time`, told apart from others of that moment by `random`.
  public init(time: Timestamp, random: UInt64) {
    let microseconds = time.microseconds
    let fraction = (microseconds % 1000) * 4096 / 1000
    high = (microseconds / 1000) << 16 | 0x7000 | fraction
    low = 0x8000_0000_0000_0000 | random >> 2
  }

  public static func < (left: EventID, right: EventID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension EventID: CustomStringConvertible {
  /// The 36 characters of a UUID in lower case.
  public var description: String {
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { bytes in
      String(unsafeUninitializedCapacity: 36) { text in
        var end = 0
        for (index, byte) in bytes.enumerated() {
          if index == 4 || index == 6 || index == 8 || index == 10 {
            text[end] = UInt8(ascii: "-")
            end += 1
          }
          text[end] = Self.digit(byte >> 4)
          text[end + 1] = Self.digit(byte & 15)
          end += 2
        }
        return end
      }
    }
  }

  /// The id that `text` spells as a UUID, in either case.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` when it is not 32 hexadecimal digits in groups of 8-4-4-4-12.
  public init(_ text: String) throws {
    var (high, low): (UInt64, UInt64) = (0, 0)
    var digits = 0
    for (index, byte) in text.utf8.enumerated() {
      if index == 8 || index == 13 || index == 18 || index == 23 {
        guard byte == UInt8(ascii: "-") else { throw Self.malformed(text) }
        continue
      }
      guard digits < 32, let value = Self.value(byte) else { throw Self.malformed(text) }
      (high, low) = (high << 4 | low >> 60, low << 4 | UInt64(value))
      digits += 1
    }
    guard digits == 32 else { throw Self.malformed(text) }
    self.init(high: high, low: low)
  }

  private static func malformed(_ text: String) -> HyphaError {
    HyphaError(
      .invalidName, "'\(text.shown(80))' is not an event id",
      remedy: "give a UUID such as 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d")
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

extension EventID: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
