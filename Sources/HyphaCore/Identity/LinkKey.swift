/// The public key by which nodes know each other: it checks what a node signs (Ed25519), and the key of its TCP links
/// follows from it. 40 characters of Z85, as ZeroMQ writes keys. Anybody may know it.
public struct LinkKey: CheckedText {
  /// The length of a key's bytes.
  public static let byteCount = 32
  /// The length of a key's text.
  public static let textByteCount = 40

  public let text: String

  /// A key from text of any origin.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` where the text is no key.
  public init(_ text: String) throws {
    guard text.utf8.count == Self.textByteCount, Z85.decode(text) != nil else {
      throw HyphaError(
        .invalidName, "the public key '\(text.shown(60))' is not 40 characters of Z85",
        remedy: "copy the whole line that 'hypha keys show' prints")
    }
    self.text = text
  }

  /// The key with these 32 bytes, or nil for another number of them.
  public init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount, let text = Z85.encode(bytes) else { return nil }
    self.text = text
  }

  /// The key's 32 bytes.
  public var bytes: [UInt8] { Z85.decode(text) ?? [] }
}

/// The private half of a ``LinkKey``: the seed that both of a node's pairs follow from. It is never shown: not in descriptions, errors, mirrors or dumps.
public struct LinkSecret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  private let text: String

  /// A key from the text of its file.
  ///
  /// - Throws: ``HyphaError/Code/invalidName``, without the text, where it is no key.
  public init(_ text: String) throws {
    guard text.utf8.count == LinkKey.textByteCount, Z85.decode(text) != nil else {
      throw HyphaError(
        .invalidName, "a private key is not 40 characters of Z85",
        remedy: "make a new pair with 'hypha keys generate'")
    }
    self.text = text
  }

  /// The key with these 32 bytes, or nil for another number of them.
  public init?(bytes: [UInt8]) {
    guard bytes.count == LinkKey.byteCount, let text = Z85.encode(bytes) else { return nil }
    self.text = text
  }

  /// The key's 32 bytes, for the library that computes with them and wipes them.
  public var bytes: [UInt8] { Z85.decode(text) ?? [] }

  /// Calls `body` with the key's text, for the file that keeps it.
  public func withText<Result>(_ body: (String) throws -> Result) rethrows -> Result { try body(text) }

  /// That this is a private key, and no more.
  public var description: String { "(private key)" }
  /// That this is a private key, and no more.
  public var debugDescription: String { description }
  /// Nothing.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// What a node proves itself with, and what others know it by.
public struct LinkKeyPair: Sendable, Hashable {
  /// What others know it by.
  public var key: LinkKey
  /// What it proves itself with.
  public var secret: LinkSecret

  /// A pair of its parts, which belong together.
  public init(key: LinkKey, secret: LinkSecret) {
    self.key = key
    self.secret = secret
  }
}

/// ZeroMQ's text form of bytes (rfc.zeromq.org/spec/32): five characters for four bytes, most significant first.
public enum Z85 {
  private static let alphabet = Array(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)

  /// The text of `bytes`, or nil where their number is not a multiple of four.
  public static func encode(_ bytes: [UInt8]) -> String? {
    guard bytes.count.isMultiple(of: 4) else { return nil }
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count / 4 * 5)
    for start in stride(from: 0, to: bytes.count, by: 4) {
      var value = bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      var digits: [UInt8] = []
      for _ in 0..<5 {
        digits.append(alphabet[Int(value % 85)])
        value /= 85
      }
      text += digits.reversed()
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of `text`, or nil where it is none.
  public static func decode(_ text: String) -> [UInt8]? {
    let characters = Array(text.utf8)
    guard characters.count.isMultiple(of: 5) else { return nil }
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: characters.count, by: 5) {
      var value: UInt64 = 0
      for character in characters[start..<start + 5] {
        guard let digit = alphabet.firstIndex(of: character) else { return nil }
        value = value * 85 + UInt64(digit)
      }
      guard let value = UInt32(exactly: value) else { return nil }
      bytes += stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }
    return bytes
  }
}
