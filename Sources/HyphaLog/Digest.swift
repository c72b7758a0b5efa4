import HyphaCore

/// 32 bytes that stand for content: its SHA-256 hash. Stored inline, compared in a few instructions.
///
/// The value alone needs no C; the log on LMDB makes digests, with OpenSSL.
public struct Digest: Hashable, Sendable {
  /// How many bytes a digest has.
  public static let byteCount = 32
  /// All bytes 0, which is the hash of nothing known. It stands where there is no digest.
  public static let zero = Digest(words: (0, 0, 0, 0))

  /// The bytes as they stand in memory, eight a word.
  private let first, second, third, fourth: UInt64

  private init(words: (UInt64, UInt64, UInt64, UInt64)) { (first, second, third, fourth) = words }

  /// The digest that the first 32 of `bytes` are, or nil where there are fewer.
  public init?(loading bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return nil }
    self.init(bytes, at: 0)
  }

  /// The digest that 32 of `bytes` are, which must be there. They need not be aligned.
  public init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    self.init(
      words: (
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)
      ))
  }

  /// A digest whose 32 bytes `fill` writes; they are 0 before.
  public init(_ fill: (UnsafeMutableRawPointer) -> Void) {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutablePointer(to: &words) { fill(UnsafeMutableRawPointer($0)) }
    self.init(words: words)
  }

  /// Calls `body` with the 32 bytes, which must not outlive the call.
  public func withUnsafeBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
    try Swift.withUnsafeBytes(of: (first, second, third, fourth), body)
  }
}

extension Digest: CustomStringConvertible {
  /// 64 hexadecimal digits in lower case.
  public var description: String { withUnsafeBytes { Hexadecimal.text(of: $0) } }

  /// The digest that `text` spells: exactly 64 hexadecimal digits in lower case, so each digest has one text.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when it is anything else.
  public init(_ text: String) throws {
    guard let bytes = Hexadecimal.bytes(of: text, count: Self.byteCount),
      let digest = bytes.withUnsafeBytes({ Digest(loading: $0) })
    else {
      throw HyphaError(
        .invalidInput, "a text of \(text.utf8.count) bytes is not a digest",
        remedy: "give 64 hexadecimal digits in lower case")
    }
    self = digest
  }
}

extension Digest: Codable {
  /// The digest of 64 hexadecimal digits.
  public init(from decoder: any Decoder) throws {
    self = try Digest(decoder.singleValueContainer().decode(String.self))
  }

  /// Writes 64 hexadecimal digits.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Bytes as hexadecimal digits in lower case, the one spelling that the log's texts use.
enum Hexadecimal {
  static func text(of bytes: some Collection<UInt8>) -> String {
    String(unsafeUninitializedCapacity: 2 * bytes.count) { text in
      var offset = 0
      for byte in bytes {
        text[offset] = digit(byte >> 4)
        text[offset + 1] = digit(byte & 15)
        offset += 2
      }
      return offset
    }
  }

  /// The `count` bytes that `text` spells, or nil where it is anything else.
  static func bytes(of text: String, count: Int) -> [UInt8]? {
    guard text.utf8.count == 2 * count else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    for (offset, digit) in text.utf8.enumerated() {
      guard let value = value(of: digit) else { return nil }
      bytes[offset / 2] = bytes[offset / 2] << 4 | value
    }
    return bytes
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
