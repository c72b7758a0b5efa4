/// The bytes of records and frames, version 1.
///
/// Integers are little-endian. Texts are UTF-8. Whoever decodes checks everything: bytes come from
/// networks and from disks.
///
/// **Record**
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | magic `HYR1` |
/// | 4 | 4 | length of the whole record in bytes |
/// | 8 | 4 | CRC-32C of the bytes from 12 to the end |
/// | 12 | 1 | version, 1 |
/// | 13 | 1 | channel: 0 persistent, 1 alert, 2 realtime |
/// | 14 | 1 | content type: 0 bytes, 1 JSON |
/// | 15 | 1 | length of agent, 1–63 |
/// | 16 | 16 | event id, as a UUID's bytes (the one big-endian field) |
/// | 32 | 8 | time: microseconds since 1970 × 4096 + counter |
/// | 40 | 8 | epoch, from 1 |
/// | 48 | 8 | sequence in the stream, from 1 |
/// | 56 | 8 | epoch of the previous event of the lane; 0 where there is none |
/// | 64 | 8 | sequence of the previous event of the lane; 0 where there is none |
/// | 72 | 16 | causation id; zero where there is none |
/// | 88 | 16 | correlation id |
/// | 104 | 4 | policy version of the authority |
/// | 108 | 2 | schema version, from 1 |
/// | 110 | 1 | length of addressee, 0 (published to subscribers) to 63 |
/// | 111 | 1 | length of type, 1–127 |
/// | 112 | 1 | length of subject, 1–255 |
/// | 113 | 1 | length of principal, 1–63 |
/// | 114 | 1 | length of grant, 0–127 |
/// | 115 | 1 | reserved, 0 |
/// | 116 | | agent, addressee, type, subject, principal, grant: no separators |
/// | | | payload, to the end |
///
/// **Frame**
///
/// | bytes | what |
/// |---:|---|
/// | | topic: `via/agent/@addressee` or `via/agent/#type` |
/// | 1 | 0, the end of the topic |
/// | 4 | CRC-32C of the topic and of the eleven bytes that follow this field |
/// | 1 | version, 1 |
/// | 1 | hops: edges of the tree crossed so far, this link included |
/// | 4 | topology version |
/// | 4 | remaining time to live in microseconds; 0xFFFFFFFF means without end |
/// | 1 | number of records − 1 |
/// | | that many records, one after the other, all of the topic's lane |
public enum WireFormat {
  static let recordMagic: UInt32 = 0x3152_5948
  static let recordVersion: UInt8 = 1
  static let frameVersion: UInt8 = 1
  /// The length of a record's fixed part in bytes.
  public static let recordHeaderByteCount = 116
  /// The longest record without its payload, in bytes.
  public static let recordOverheadByteCountMax = recordHeaderByteCount + 63 + 63 + 127 + 255 + 63 + 127
  private static let frameHeaderByteCount = 11
  private static let withoutEnd: UInt32 = 0xFFFF_FFFF
}

// MARK: Records

extension WireFormat {
  static func encodeRecord(
    _ header: RecordHeader, payload: some Collection<UInt8>, limits: WireLimits
  ) throws -> (bytes: [UInt8], payloadOffset: Int) {
    guard payload.count <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "the payload of \(header.type) by \(header.agent) has \(payload.count) bytes",
        remedy: "keep it to \(limits.payloadByteCountMax), or raise limits.payload")
    }
    guard header.authority.grant.utf8.count <= Authority.grantByteCountMax else {
      throw HyphaError(
        .tooLarge, "the grant of \(header.type) by \(header.agent) is too long",
        remedy: "keep it to \(Authority.grantByteCountMax) bytes")
    }
    try checkNumbers(point: header.point, previous: header.previous, schemaVersion: header.schemaVersion)
    let texts = [
      header.agent.text, header.addressee?.text ?? "", header.type.text, header.subject.text,
      header.authority.principal.text, header.authority.grant,
    ]
    let payloadOffset = texts.reduce(recordHeaderByteCount) { $0 + $1.utf8.count }
    var writer = ByteWriter(capacity: payloadOffset + payload.count)
    writer.write(recordMagic)
    writer.write(UInt32(payloadOffset + payload.count))
    writer.write(UInt32(0))
    writer.write(recordVersion)
    writer.write(header.channel.rawValue)
    writer.write(header.contentType.rawValue)
    writer.write(UInt8(texts[0].utf8.count))
    writer.write(header.id)
    writer.write(header.time.rawValue)
    writer.write(header.epoch)
    writer.write(header.sequence)
    writer.write(header.previous.epoch)
    writer.write(header.previous.sequence)
    writer.write(header.causation)
    writer.write(header.correlation)
    writer.write(header.authority.policyVersion)
    writer.write(header.schemaVersion)
    for text in texts.dropFirst() { writer.write(UInt8(text.utf8.count)) }
    writer.write(UInt8(0))
    for text in texts { writer.write(text) }
    writer.write(payload)
    writer.patch(writer.bytes.withUnsafeBytes { CRC32C.checksum(.init(rebasing: $0[12...])) }, at: 8)
    return (writer.bytes, payloadOffset)
  }

  /// Numbers count from 1, and an event follows the one before it in its lane.
  static func checkNumbers(
    point: LanePoint, previous: LanePoint, schemaVersion: UInt16
  ) throws(HyphaError) {
    guard point.epoch > 0, point.sequence > 0, schemaVersion > 0, previous < point,
      previous == .start || (previous.epoch > 0 && previous.sequence > 0)
    else {
      throw HyphaError(.invalidRecord, "a record's epoch, sequence, version or back-pointer is impossible")
    }
  }
}

// MARK: Frames

extension WireFormat {
  static func encodeFrame(_ frame: Frame) -> [UInt8] {
    precondition((1...256).contains(frame.records.count), "a frame carries 1 to 256 records")
    let lane = frame.records[0].header.lane
    let recordByteCount = frame.records.reduce(0) { $0 + $1.bytes.count }
    var writer = ByteWriter(capacity: 272 + recordByteCount)
    writer.write("\(frame.via)/\(lane.agent)/\(lane.target)")
    let topicByteCount = writer.bytes.count
    writer.write(UInt8(0))
    writer.write(UInt32(0))
    writer.write(frameVersion)
    writer.write(frame.hops)
    writer.write(frame.topologyVersion)
    writer.write(encode(remaining: frame.remaining))
    writer.write(UInt8(frame.records.count - 1))
    writer.patch(headerChecksum(writer.bytes, topicByteCount: topicByteCount), at: topicByteCount + 1)
    for record in frame.records { writer.write(record.bytes) }
    return writer.bytes
  }

  static func decodeFrame(_ bytes: UnsafeRawBufferPointer, limits: WireLimits) throws -> Frame {
    guard bytes.count <= limits.frameByteCountMax else {
      throw HyphaError(.tooLarge, "a frame has \(bytes.count) bytes", remedy: "raise limits.frame")
    }
    guard let topicByteCount = bytes.prefix(272).firstIndex(of: 0) else {
      throw HyphaError(.invalidFrame, "a frame has no end of topic")
    }
    var reader = ByteReader(bytes, noun: "a frame")
    let topic = try reader.readText(count: topicByteCount)
    _ = try reader.read(UInt8.self)
    let stated: UInt32 = try reader.read()
    guard reader.remaining >= frameHeaderByteCount else {
      throw HyphaError(.invalidFrame, "a frame is cut short: it ends in its header")
    }
    guard stated == headerChecksum(bytes, topicByteCount: topicByteCount) else {
      throw HyphaError(.invalidFrame, "a frame's checksum does not match: it was altered or damaged")
    }
    let version: UInt8 = try reader.read()
    guard version == frameVersion else {
      throw HyphaError(
        .invalidFrame, "a frame has version \(version), this program knows \(frameVersion)",
        remedy: "upgrade this node")
    }
    let hops: UInt8 = try reader.read()
    let topologyVersion: UInt32 = try reader.read()
    let remaining: UInt32 = try reader.read()
    let count = Int(try reader.read(UInt8.self)) + 1
    guard count <= limits.frameRecordCountMax else {
      throw HyphaError(.tooLarge, "a frame claims \(count) records")
    }
    var records: [Record] = []
    records.reserveCapacity(count)
    for _ in 0..<count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
      let byteCount = try RecordView.byteCount(atFrontOf: rest, limits: limits)
      records.append(try Record(decoding: try reader.read(count: byteCount), limits: limits))
    }
    try reader.finish()
    let via = try checkTopic(topic, against: records)
    return Frame(
      via: via, topologyVersion: topologyVersion, hops: hops,
      remaining: remaining == withoutEnd ? nil : .microseconds(Int64(remaining)), records: records)
  }

  /// The topic must name the lane that every record stands in; returns its first part.
  private static func checkTopic(_ topic: String, against records: [Record]) throws -> AgentID {
    let lane = records[0].header.lane
    // Bytes are compared, not characters: a topic is what subscribers filter on, byte by byte.
    let suffix = "/\(lane.agent)/\(lane.target)".utf8
    guard topic.utf8.suffix(suffix.count).elementsEqual(suffix),
      records.dropFirst().allSatisfy({ $0.header.lane == lane })
    else {
      throw HyphaError(.invalidFrame, "a frame's topic does not name the lane of its records")
    }
    do {
      return try AgentID(String(Substring(topic.utf8.dropLast(suffix.count))))
    } catch {
      throw HyphaError(.invalidFrame, "a frame's topic names no agent to pass it on", cause: "\(error)")
    }
  }

  private static func headerChecksum(_ bytes: [UInt8], topicByteCount: Int) -> UInt32 {
    bytes.withUnsafeBytes { headerChecksum($0, topicByteCount: topicByteCount) }
  }

  private static func headerChecksum(_ bytes: UnsafeRawBufferPointer, topicByteCount: Int) -> UInt32 {
    let topic = bytes[..<topicByteCount]
    let header = bytes[(topicByteCount + 5)..<(topicByteCount + 5 + frameHeaderByteCount)]
    return withUnsafeTemporaryAllocation(byteCount: topic.count + header.count, alignment: 1) { joined in
      joined.copyBytes(from: topic)
      UnsafeMutableRawBufferPointer(rebasing: joined[topic.count...]).copyBytes(from: header)
      return CRC32C.checksum(UnsafeRawBufferPointer(joined))
    }
  }

  /// Rounded up, so that a time to live that is not over does not become zero; at most about 71 minutes.
  private static func encode(remaining: Duration?) -> UInt32 {
    guard let remaining else { return withoutEnd }
    let (seconds, attoseconds) = remaining.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 4_294 else { return withoutEnd - 1 }
    return UInt32(seconds * 1_000_000 + (attoseconds + 999_999_999_999) / 1_000_000_000_000)
  }
}

extension ByteWriter {
  /// Appends the sixteen bytes of an event id in the order of a UUID.
  public mutating func write(_ id: EventID) {
    withUnsafeBytes(of: id.high.bigEndian) { write($0) }
    withUnsafeBytes(of: id.low.bigEndian) { write($0) }
  }
}

extension ByteReader {
  /// The next sixteen bytes as an event id.
  public mutating func readEventID() throws -> EventID {
    EventID(high: try read(UInt64.self).byteSwapped, low: try read(UInt64.self).byteSwapped)
  }
}
