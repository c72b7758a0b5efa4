import HyphaCore

/// Typed events as an author would write them: a vector of readings, plain memory, with its own bytes or as JSON.
enum Readings {
  /// What all are about.
  static let subject: Subject = "bench.reading"

  /// The name of the event type for a channel, a codec and a size.
  static func type(_ channel: Channel, codec: Scene.Codec, payloadByteCount: Int) -> EventTypeName {
    EventTypeName(unchecked: "bench.\(channel)-\(codec.rawValue)-\(payloadByteCount)")
  }
}

/// Numbers in a row, of which the first is the time of stating and the second the number of the event.
protocol Words: BitwiseCopyable, Codable, Sendable {
  static var byteCount: Int { get }
  init(stamp: UInt64, number: UInt64)
  var stamp: UInt64 { get }
}

/// 128 bytes.
struct SmallWords: Words {
  static var byteCount: Int { 128 }
  private var words: SIMD16<UInt64>

  init(stamp: UInt64, number: UInt64) {
    words = SIMD16(repeating: 7)
    words[0] = stamp
    words[1] = number
  }

  var stamp: UInt64 { words[0] }
}

/// 1 KiB.
struct LargeWords: Words {
  static var byteCount: Int { 1024 }
  private var words: SIMD64<UInt64>
  private var more: SIMD64<UInt64>

  init(stamp: UInt64, number: UInt64) {
    words = SIMD64(repeating: 7)
    more = words
    words[0] = stamp
    words[1] = number
  }

  var stamp: UInt64 { words[0] }
}

/// What tells one event type of the bench from another.
protocol ReadingTraits: Sendable {
  associatedtype Values: Words
  static var channel: Channel { get }
  static var codec: Scene.Codec { get }
  static var name: EventTypeName { get }
}

/// An event with readings.
struct VectorReading<Traits: ReadingTraits>: Event {
  static var eventType: EventTypeName { Traits.name }
  static var channel: Channel { Traits.channel }
  static var contentType: ContentType { Traits.codec == .bytes ? .bytes : .json }
  static var timeToLive: Duration { .seconds(10) }

  var values: Traits.Values

  init(stamp: UInt64, number: UInt64) { values = Traits.Values(stamp: stamp, number: number) }

  var subject: Subject { Readings.subject }

  func encode(into payload: inout [UInt8]) throws {
    guard Traits.codec == .bytes else { return payload.append(contentsOf: try JSON.encode(self)) }
    withUnsafeBytes(of: values) { payload.append(contentsOf: $0) }
  }

  static func decode(from payload: UnsafeRawBufferPointer) throws -> VectorReading {
    guard Traits.codec == .bytes else { return try JSON.decode(VectorReading.self, from: payload) }
    guard payload.count == MemoryLayout<Traits.Values>.size else {
      throw HyphaError(.invalidPayload, "a reading of \(payload.count) bytes has another size")
    }
    return VectorReading(values: payload.loadUnaligned(as: Traits.Values.self))
  }

  private init(values: Traits.Values) { self.values = values }
}

enum PersistentSmall: ReadingTraits {
  typealias Values = SmallWords
  static let channel = Channel.persistent
  static let codec = Scene.Codec.bytes
  static let name = Readings.type(.persistent, codec: .bytes, payloadByteCount: 128)
}

enum PersistentSmallJSON: ReadingTraits {
  typealias Values = SmallWords
  static let channel = Channel.persistent
  static let codec = Scene.Codec.json
  static let name = Readings.type(.persistent, codec: .json, payloadByteCount: 128)
}

enum PersistentLarge: ReadingTraits {
  typealias Values = LargeWords
  static let channel = Channel.persistent
  static let codec = Scene.Codec.bytes
  static let name = Readings.type(.persistent, codec: .bytes, payloadByteCount: 1024)
}

enum PersistentLargeJSON: ReadingTraits {
  typealias Values = LargeWords
  static let channel = Channel.persistent
  static let codec = Scene.Codec.json
  static let name = Readings.type(.persistent, codec: .json, payloadByteCount: 1024)
}

enum AlertSmall: ReadingTraits {
  typealias Values = SmallWords
  static let channel = Channel.alert
  static let codec = Scene.Codec.bytes
  static let name = Readings.type(.alert, codec: .bytes, payloadByteCount: 128)
}

enum RealtimeSmall: ReadingTraits {
  typealias Values = SmallWords
  static let channel = Channel.realtime
  static let codec = Scene.Codec.bytes
  static let name = Readings.type(.realtime, codec: .bytes, payloadByteCount: 128)
}

enum RealtimeSmallJSON: ReadingTraits {
  typealias Values = SmallWords
  static let channel = Channel.realtime
  static let codec = Scene.Codec.json
  static let name = Readings.type(.realtime, codec: .json, payloadByteCount: 128)
}

enum RealtimeLarge: ReadingTraits {
  typealias Values = LargeWords
  static let channel = Channel.realtime
  static let codec = Scene.Codec.bytes
  static let name = Readings.type(.realtime, codec: .bytes, payloadByteCount: 1024)
}

enum RealtimeLargeJSON: ReadingTraits {
  typealias Values = LargeWords
  static let channel = Channel.realtime
  static let codec = Scene.Codec.json
  static let name = Readings.type(.realtime, codec: .json, payloadByteCount: 1024)
}
