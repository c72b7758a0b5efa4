/// A fact in the past tense that one agent states and others act on.
///
/// The smallest event is a struct with its data:
///
/// ```swift
/// struct InvoiceSubmitted: Event {
///   var invoice: String
///   var amount: Int
/// }
/// ```
///
/// It travels as JSON on the persistent channel under the type name `InvoiceSubmitted`. Everything else
/// has a default that can be replaced: the channel, the subject, the schema version with its upcasters,
/// and the encoding.
public protocol Event: Codable, Sendable {
  /// The stable name, the same in every version of a program. Default: the Swift type's own name. State
  /// it where the Swift type may be renamed.
  static var eventType: EventTypeName { get }
  /// The version of the payload's shape, from 1. Default: 1.
  static var schemaVersion: UInt16 { get }
  /// Turns payloads of older versions into this one's, one version at a time. Default: none.
  static var upcasters: [Upcaster] { get }
  /// The urgency class. Default: ``Channel/persistent``.
  static var channel: Channel { get }
  /// How long a realtime event is worth delivering. Default: one second. Other channels ignore it.
  static var timeToLive: Duration { get }
  /// How ``encode(into:)`` writes the payload. Default: JSON.
  static var contentType: ContentType { get }

  /// What this event is about. Default: the type name.
  var subject: Subject { get }

  /// Appends the payload's bytes. Default: JSON through `Encodable`.
  func encode(into payload: inout [UInt8]) throws
  /// The event whose payload these bytes are. Default: JSON through `Decodable`.
  static func decode(from payload: UnsafeRawBufferPointer) throws -> Self
}

extension Event {
  public static var eventType: EventTypeName { EventTypeName(of: Self.self) }
  public static var schemaVersion: UInt16 { 1 }
  public static var upcasters: [Upcaster] { [] }
  public static var channel: Channel { .persistent }
  public static var timeToLive: Duration { .seconds(1) }
  public static var contentType: ContentType { .json }
  public var subject: Subject { Subject(slug: Self.eventType.text) }

  public func encode(into payload: inout [UInt8]) throws {
    payload.append(contentsOf: try JSON.encode(self))
  }

  public static func decode(from payload: UnsafeRawBufferPointer) throws -> Self {
    try JSON.decode(Self.self, from: payload)
  }
}

extension EventTypeName {
  /// The nearest valid name for a Swift type's name: a generic's brackets become dashes.
  public init(slug text: String) {
    let bytes = text.utf8.prefix(Self.byteCountMax).map { Self.allows($0) ? $0 : UInt8(ascii: "-") }
    self.init(unchecked: String(decoding: bytes, as: UTF8.self))
  }
}

/// How a payload's bytes are to be read. Numbers not listed here are kept and passed on as they are.
public struct ContentType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Bytes that only the event's own `decode(from:)` understands.
  public static let bytes = ContentType(rawValue: 0)
  /// JSON (RFC 8259) in UTF-8.
  public static let json = ContentType(rawValue: 1)

  /// The media type, as CloudEvents' `datacontenttype` gives it.
  public var description: String {
    switch self {
    case .bytes: "application/octet-stream"
    case .json: "application/json"
    default: "application/x-hypha-\(rawValue)"
    }
  }
}

/// One step from a payload's version to the next.
///
/// ```swift
/// static let upcasters = [Upcaster(from: 1) { $0["currency"] = .string("EUR") }]
/// ```
public struct Upcaster: Sendable {
  /// The version that this step reads; it gives the next one.
  public let version: UInt16
  /// The step itself.
  public let transform: @Sendable (inout JSONValue) throws -> Void

  /// A step that turns a JSON payload of `version` into one of `version + 1`.
  public init(from version: UInt16, _ transform: @escaping @Sendable (inout JSONValue) throws -> Void) {
    self.version = version
    self.transform = transform
  }

  func callAsFunction(_ payload: inout JSONValue) throws { try transform(&payload) }
}

extension Event {
  /// The event in a record's payload, brought up to this type's version where it is older.
  ///
  /// - Throws: ``HyphaError/Code/invalidPayload`` when the bytes do not decode;
  ///   ``HyphaError/Code/schemaUnknown`` when the version is newer than this type's, or a step is missing.
  public static func decode(_ record: Record) throws -> Self {
    do {
      if record.schemaVersion == schemaVersion {
        return try record.withPayload { try decode(from: $0) }
      }
      let upcast = try upcastPayload(of: record)
      return try upcast.withUnsafeBytes { try decode(from: $0) }
    } catch let error as HyphaError {
      throw error
    } catch {
      throw HyphaError(
        .invalidPayload,
        "event \(record.id) of \(record.agent) does not decode as \(eventType) version \(schemaVersion)",
        remedy: "compare the publisher's type with the handler's", cause: "\(error)")
    }
  }

  private static func upcastPayload(of record: Record) throws -> [UInt8] {
    let header = record.header
    guard header.schemaVersion < schemaVersion else {
      throw HyphaError(
        .schemaUnknown,
        "event \(header.id) is \(eventType) version \(header.schemaVersion), this program knows \(schemaVersion)",
        remedy: "upgrade this node before its publishers")
    }
    guard header.contentType == .json, contentType == .json else {
      throw HyphaError(
        .schemaUnknown,
        "event \(header.id) is \(eventType) version \(header.schemaVersion) as \(header.contentType)",
        remedy: "upcasters read JSON; decode older versions in the type's own decode(from:)")
    }
    var payload = try record.withPayload { try JSON.decode(JSONValue.self, from: $0) }
    for version in header.schemaVersion..<schemaVersion {
      guard let step = upcasters.first(where: { $0.version == version }) else {
        throw HyphaError(
          .schemaUnknown, "\(eventType) has no upcaster from version \(version)",
          remedy: "add Upcaster(from: \(version)) to its upcasters")
      }
      try step(&payload)
    }
    return Array(try JSON.encode(payload))
  }
}
