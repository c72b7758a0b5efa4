import HyphaCore
import HyphaLog

/// The bytes of the small tables, version 1.
///
/// | table | key | value |
/// |---|---|---|
/// | `lanes` | length of agent (1), agent, channel (1), 0 addressee or 1 type (1), its text | epoch (8), sequence (8), position (8), count (8), check |
/// | `streams` | length of agent (1), agent, channel (1), epoch (8, big-endian) | sequence (8), position (8), count (8), check |
/// | `cursors` | channel (1), agent | position (8), handled count (8), check |
/// | `snapshots` | agent | the agent's bytes, check |
/// | `meta` | `format` | format version (4), check |
/// | `meta` | `identity` | log id (16, as a UUID), node name, check |
/// | `meta` | `head` | position of the newest entry (8), number of the commit (8), check |
///
/// Every commit writes `head` with LMDB's number of that commit, so a damaged meta page that leads to the
/// tables as they were some commits ago is found. Integers are little-endian but for the stream key's epoch, which sorts. `check` is 4 bytes: the CRC-32C of the key
/// followed by the CRC-32C of the value before it. LMDB has no checksums of its own, and a head or a
/// cursor that was silently altered would lose or double events.
enum TableLayout {
  static let formatVersion: UInt32 = 1
  static let formatKey = Array("format".utf8)
  static let identityKey = Array("identity".utf8)
  static let headKey = Array("head".utf8)

  /// A value with its check behind it.
  static func seal(_ value: [UInt8], key: [UInt8]) -> [UInt8] {
    var sealed = ByteWriter(capacity: value.count + 4)
    sealed.write(value)
    sealed.write(value.withUnsafeBytes { value in key.withUnsafeBytes { check(value, key: $0) } })
    return sealed.bytes
  }

  /// A reader of the value in front of its check.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the check does not match.
  static func unseal(
    _ sealed: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, table: String
  ) throws -> ByteReader {
    guard sealed.count >= 4 else {
      throw damaged(table, "has a value of \(sealed.count) bytes")
    }
    let value = UnsafeRawBufferPointer(rebasing: sealed.dropLast(4))
    let stated = UInt32(littleEndian: sealed.loadUnaligned(fromByteOffset: value.count, as: UInt32.self))
    guard stated == check(value, key: key) else {
      throw damaged(table, "has a value whose checksum does not match")
    }
    return ByteReader(value, code: .logInvalid, noun: "a value of the table \(table)")
  }

  private static func check(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> UInt32 {
    withUnsafeTemporaryAllocation(byteCount: key.count + 4, alignment: 4) { joined in
      joined.copyBytes(from: key)
      withUnsafeBytes(of: checksumCRC32C(value).littleEndian) {
        UnsafeMutableRawBufferPointer(rebasing: joined[key.count...]).copyBytes(from: $0)
      }
      return checksumCRC32C(UnsafeRawBufferPointer(joined))
    }
  }

  static func damaged(_ table: String, _ what: String, cause: String? = nil) -> HyphaError {
    HyphaError(.logInvalid, "the table \(table) \(what)", remedy: LogFailure.restore, cause: cause)
  }

  /// Decodes a key; a name that breaks its grammar is damage as well.
  static func readKey<Key>(
    _ key: UnsafeRawBufferPointer, table: String, _ decode: (inout ByteReader) throws -> Key
  ) throws -> Key {
    var reader = ByteReader(key, code: .logInvalid, noun: "a key of the table \(table)")
    do {
      let decoded = try decode(&reader)
      try reader.finish()
      return decoded
    } catch {
      throw damaged(table, "has a key that is damaged", cause: "\(error)")
    }
  }

  static func readChannel(_ reader: inout ByteReader) throws -> Channel {
    guard let channel = Channel(rawValue: try reader.read()) else {
      throw HyphaError(.logInvalid, "a key names no known channel")
    }
    return channel
  }
}

// MARK: Lanes and streams

extension TableLayout {
  static func key(of lane: Lane) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.writeShort(lane.agent.text)
    writer.write(lane.channel.rawValue)
    switch lane.target {
    case .addressee(let agent):
      writer.write(UInt8(0))
      writer.write(agent.text)
    case .type(let name):
      writer.write(UInt8(1))
      writer.write(name.text)
    }
    return writer.bytes
  }

  static func lane(ofKey key: UnsafeRawBufferPointer) throws -> Lane {
    try readKey(key, table: "lanes") { reader in
      let agent = try AgentID(reader.readShort())
      let channel = try readChannel(&reader)
      let kind: UInt8 = try reader.read()
      let text = try reader.readText(count: reader.remaining)
      let target: LaneTarget
      switch kind {
      case 0: target = .addressee(try AgentID(text))
      case 1: target = .type(try EventTypeName(text))
      default: throw HyphaError(.logInvalid, "a key names no known kind of lane")
      }
      return Lane(agent: agent, channel: channel, target: target)
    }
  }

  static func value(of head: LaneHead) -> [UInt8] {
    var writer = ByteWriter(capacity: 40)
    writer.write(head.point.epoch)
    writer.write(head.point.sequence)
    writer.write(head.position.rawValue)
    writer.write(head.count)
    return writer.bytes
  }

  static func laneHead(_ reader: inout ByteReader) throws -> LaneHead {
    let point = LanePoint(epoch: try reader.read(), sequence: try reader.read())
    let head = LaneHead(
      point: point, position: Position(rawValue: try reader.read()), count: try reader.read())
    try reader.finish()
    return head
  }

  static func key(of stream: StreamID) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.writeShort(stream.agent.text)
    writer.write(stream.channel.rawValue)
    writer.write(stream.epoch.byteSwapped)
    return writer.bytes
  }

  static func stream(ofKey key: UnsafeRawBufferPointer) throws -> StreamID {
    try readKey(key, table: "streams") { reader in
      let agent = try AgentID(reader.readShort())
      let channel = try readChannel(&reader)
      return StreamID(agent: agent, epoch: try reader.read(UInt64.self).byteSwapped, channel: channel)
    }
  }

  static func value(of head: StreamHead) -> [UInt8] {
    var writer = ByteWriter(capacity: 32)
    writer.write(head.sequence)
    writer.write(head.position.rawValue)
    writer.write(head.count)
    return writer.bytes
  }

  static func streamHead(_ reader: inout ByteReader) throws -> StreamHead {
    let head = StreamHead(
      sequence: try reader.read(), position: Position(rawValue: try reader.read()),
      count: try reader.read())
    try reader.finish()
    return head
  }
}

// MARK: Cursors, snapshots, meta

extension TableLayout {
  static func key(of cursor: CursorKey) -> [UInt8] {
    [cursor.channel.rawValue] + Array(cursor.agent.text.utf8)
  }

  static func cursorKey(ofKey key: UnsafeRawBufferPointer) throws -> CursorKey {
    try readKey(key, table: "cursors") { reader in
      let channel = try readChannel(&reader)
      return CursorKey(agent: try AgentID(reader.readText(count: reader.remaining)), channel: channel)
    }
  }

  static func value(of cursor: Cursor) -> [UInt8] {
    var writer = ByteWriter(capacity: 24)
    writer.write(cursor.position.rawValue)
    writer.write(cursor.handledCount)
    return writer.bytes
  }

  static func cursor(_ reader: inout ByteReader) throws -> Cursor {
    let cursor = Cursor(position: Position(rawValue: try reader.read()), handledCount: try reader.read())
    try reader.finish()
    return cursor
  }

  static func value(ofHead position: Position, commitNumber: UInt64) -> [UInt8] {
    bytes(of: position.rawValue) + bytes(of: commitNumber)
  }

  static func head(_ reader: inout ByteReader) throws -> (Position, commitNumber: UInt64) {
    let position = Position(rawValue: try reader.read())
    let commitNumber: UInt64 = try reader.read()
    try reader.finish()
    return (position, commitNumber)
  }

  static func key(ofSnapshotOf agent: AgentID) -> [UInt8] { Array(agent.text.utf8) }

  static func value(of identity: LogIdentity) -> [UInt8] {
    var writer = ByteWriter(capacity: 80)
    writer.write(identity.id)
    writer.write(identity.node.text)
    return writer.bytes
  }

  static func identity(_ reader: inout ByteReader) throws -> LogIdentity {
    let id = try reader.readEventID()
    let text = try reader.readText(count: reader.remaining)
    do {
      return LogIdentity(id: id, node: try NodeID(text))
    } catch {
      throw damaged("meta", "has a node name that is none", cause: "\(error)")
    }
  }

  /// An integer's little-endian bytes.
  static func bytes(of value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
