/// A text that follows a grammar: whoever has such a value need not check it again.
///
/// It is written and read as the text alone, in JSON and elsewhere.
public protocol CheckedText: Hashable, Sendable, Codable, CustomStringConvertible, ExpressibleByStringLiteral
{
  /// The text itself.
  var text: String { get }

  /// A value from text of any origin.
  ///
  /// With a literal, `Self("...")` is the literal's initialiser, which traps where this one throws.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` with the rule that was broken.
  init(_ text: String) throws
}

extension CheckedText {
  /// A value from a literal in the source; an invalid literal is a programming error and traps.
  public init(stringLiteral text: String) {
    do { try self.init(text) } catch { preconditionFailure("\(error)") }
  }

  /// Decodes and checks the text.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// Encodes the text alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  /// The text itself.
  public var description: String { text }
}

// MARK: Bytes

extension StringProtocol {
  /// Calls `body` with the text's UTF-8, which every native string has in one piece.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    let result = try utf8.withContiguousStorageIfAvailable { try body(UnsafeRawBufferPointer($0)) }
    return try result ?? Array(utf8).withUnsafeBytes(body)
  }

  /// Compares the bytes alone; `==` takes both spellings of `é` for the same.
  func hasBytes(of other: Self) -> Bool {
    withBytes { bytes in other.withBytes { bytes.hasBytes(of: $0) } }
  }

  /// Hashes the bytes alone; a string's own hash is that of its normal form.
  func hashBytes(into hasher: inout Hasher) { withBytes { hasher.combine(bytes: $0) } }
}

extension UnsafeRawBufferPointer {
  /// Whether both hold the same bytes. Without an early way out, so that it is done many bytes at a time.
  func hasBytes(of other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    var difference: UInt8 = 0
    for offset in 0..<count { difference |= self[offset] ^ other[offset] }
    return difference == 0
  }
}
