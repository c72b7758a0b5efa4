import Glibc
import HyphaCore
import HyphaLog

/// The bytes of the small tables, version 2.
///
/// | table | key | value |
/// |---|---|---|
/// | `state` | `F` | format version (4) |
/// | `state` | `I` | log id (16, as a UUID), node name |
/// | `state` | `H` | position of the newest entry (8), number of the commit (8), position up to which the heads below were written (8), the chain's newest link (32), time of the newest entry (8) |
/// | `state` | `L`, length of agent (1), agent, channel (1), 0 addressee or 1 type (1), its text | a lane's head: epoch (8), sequence (8), position (8), count (8) |
/// | `state` | `S`, length of agent (1), agent, channel (1), epoch (8, big-endian) | a stream's head: sequence (8), position (8), count (8) |
/// | `state` | `C`, channel (1), agent | a consumer's place: position (8), handled count (8) |
/// | `state` | `K`, idempotency key | first position (8), count (4), time (8), SHA-256 of the body (32) |
/// | `snapshots` | agent | the agent's bytes |
/// | `gaps` | last position (8, big-endian) | first position (8), kind (1): 0 pruned, 1 quarantined; whether there is an anchor (1), anchor (32), reason |
///
/// Each value ends with its check, 4 bytes: the CRC-32C of the key followed by the CRC-32C of the value before it.
/// LMDB has no checksums of its own, and a head or a cursor that was silently altered would lose or double
/// events. Every commit writes `H` with LMDB's number of that commit, so a damaged meta page that leads to the
/// tables as they were some commits ago is found. Integers are little-endian but for those that sort.
///
/// The heads of lanes and streams follow from the entries, so they are not written by each commit: with
/// thousands of streams that would rewrite the table for every group. They are written together now and then;
/// what came since is read from the newest entries (see ``HeadTable``).
enum TableLayout {
  static let formatVersion: UInt32 = 2
  static let formatKey = Array("F".utf8)
  static let identityKey = Array("I".utf8)
  static let headKey = Array("H".utf8)

  /// What a key of the table `state` is of.
  enum Kind: UInt8 {
    case lane = 0x4C
    case stream = 0x53
    case cursor = 0x43
    case idempotencyKey = 0x4B
  }

  /// The order of keys in a table.
  static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBytes { left in
      right.withUnsafeBytes { right in
        // No key is empty, so both have an address.
        let order = memcmp(left.baseAddress!, right.baseAddress!, min(left.count, right.count))
        return order == 0 ? left.count < right.count : order < 0
      }
    }
  }

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
    _ key: UnsafeRawBufferPointer, kind: Kind, _ decode: (inout ByteReader) throws -> Key
  ) throws -> Key {
    let table = "state"
    var reader = ByteReader(key, code: .logInvalid, noun: "a key of the table \(table)")
    do {
      guard try reader.read(UInt8.self) == kind.rawValue else {
        throw HyphaError(.logInvalid, "a key is of another kind")
      }
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
    writer.write(Kind.lane.rawValue)
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
    try readKey(key, kind: .lane) { reader in
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
    key(ofStreamsOf: stream.agent, on: stream.channel) + bytes(of: stream.epoch.byteSwapped)
  }

  /// What the keys of all streams of an agent on a channel begin with.
  static func key(ofStreamsOf agent: AgentID, on channel: Channel) -> [UInt8] {
    var writer = ByteWriter(capacity: 80)
    writer.write(Kind.stream.rawValue)
    writer.writeShort(agent.text)
    writer.write(channel.rawValue)
    return writer.bytes
  }

  static func stream(ofKey key: UnsafeRawBufferPointer) throws -> StreamID {
    try readKey(key, kind: .stream) { reader in
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
    [Kind.cursor.rawValue, cursor.channel.rawValue] + Array(cursor.agent.text.utf8)
  }

  static func cursorKey(ofKey key: UnsafeRawBufferPointer) throws -> CursorKey {
    try readKey(key, kind: .cursor) { reader in
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

  static func value(of head: CommitHead) -> [UInt8] {
    var writer = ByteWriter(capacity: 72)
    writer.write(head.position.rawValue)
    writer.write(head.commitNumber)
    writer.write(head.headsThrough.rawValue)
    head.link.withUnsafeBytes { writer.write($0) }
    writer.write(head.time.rawValue)
    return writer.bytes
  }

  static func head(_ reader: inout ByteReader) throws -> CommitHead {
    let head = CommitHead(
      position: Position(rawValue: try reader.read()), commitNumber: try reader.read(),
      headsThrough: Position(rawValue: try reader.read()), link: try digest(&reader),
      time: Timestamp(rawValue: try reader.read()))
    try reader.finish()
    guard head.headsThrough <= head.position, head.time.rawValue <= BlockLayout.timeMax else {
      throw damaged("state", "has a head that is impossible")
    }
    return head
  }

  private static func digest(_ reader: inout ByteReader) throws -> Digest {
    guard let digest = Digest(loading: try reader.read(count: Digest.byteCount)) else {
      throw damaged("state", "has a digest that is cut short")
    }
    return digest
  }

  static func key(of key: IdempotencyKey) -> [UInt8] { [Kind.idempotencyKey.rawValue] + Array(key.text.utf8) }

  static func value(of kept: KeptReceipt) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.write(kept.receipt.first.rawValue)
    writer.write(UInt32(kept.receipt.count))
    writer.write(kept.receipt.time.rawValue)
    writer.write(kept.body)
    return writer.bytes
  }

  static func keptReceipt(_ reader: inout ByteReader) throws -> KeptReceipt {
    let first = Position(rawValue: try reader.read())
    let count = Int(try reader.read(UInt32.self))
    let time = Timestamp(rawValue: try reader.read())
    return KeptReceipt(
      receipt: CommitReceipt(first: first, count: count, time: time),
      body: Array(try reader.read(count: reader.remaining)))
  }

  static func value(of gap: LogGap) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.write(gap.range.lowerBound.rawValue)
    switch gap.kind {
    case .pruned: writer.write(UInt8(0))
    case .quarantined: writer.write(UInt8(1))
    }
    writer.write(UInt8(gap.anchor == nil ? 0 : 1))
    (gap.anchor ?? .zero).withUnsafeBytes { writer.write($0) }
    if case .quarantined(let reason) = gap.kind { writer.write(reason) }
    return writer.bytes
  }

  static func gap(endingAt last: Position, _ reader: inout ByteReader) throws -> LogGap {
    let first = Position(rawValue: try reader.read())
    let kind: UInt8 = try reader.read()
    let hasAnchor: UInt8 = try reader.read()
    let anchor = try digest(&reader)
    let reason = try reader.readText(count: reader.remaining)
    guard first > .start, first <= last, kind <= 1 else {
      throw damaged("gaps", "has a gap that is impossible")
    }
    return LogGap(
      range: first...last, kind: kind == 0 ? .pruned : .quarantined(reason: reason),
      anchor: hasAnchor == 0 ? nil : anchor)
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

/// What the newest commit left behind.
struct CommitHead: Sendable, Equatable {
  /// The position of the newest entry.
  var position = Position.start
  /// LMDB's number of the commit.
  var commitNumber: UInt64 = 0
  /// Up to here, the heads of lanes and streams are in the table.
  var headsThrough = Position.start
  /// The newest link of the chain.
  var link = Digest.zero
  /// When the newest entry was taken.
  var time = Timestamp.zero
}
