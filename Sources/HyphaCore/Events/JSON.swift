public import FoundationEssentials

/// The one way in which Hypha writes and reads JSON: sorted keys, so that equal values give equal bytes
/// on every machine; dates as seconds since 1970.
public enum JSON {
  private static let encoder: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .secondsSince1970
    return encoder
  }()

  private static let decoder: JSONDecoder = {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .secondsSince1970
    return decoder
  }()

  /// The bytes of `value` as JSON on one line.
  public static func encode(_ value: some Encodable) throws -> Data { try encoder.encode(value) }

  /// `value` as JSON text on one line.
  public static func text(_ value: some Encodable) throws -> String {
    String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// The value that `bytes` spell.
  public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws
    -> Value
  {
    try decoder.decode(type, from: Data(bytes))
  }
}

/// Bytes that JSON has as base64.
public struct Base64Bytes: Codable, Sendable, Hashable {
  /// The bytes themselves.
  public var bytes: [UInt8]

  /// Bytes to be written.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public init(from decoder: any Decoder) throws {
    bytes = Array(try decoder.singleValueContainer().decode(Data.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Data(bytes))
  }
}
