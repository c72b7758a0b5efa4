/// The bytes of records, of version 1, and frames, of versions 1 and 2.
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
///
/// A frame of version 2, on the realtime channel alone, has packed records instead (``PackedRecord``), and its checksum is of
/// all of it but the end of the topic and itself.
public enum WireFormat {
  static let recordMagic: UInt32 = 0x3152_5948
  static let recordVersion: UInt8 = 1
  /// The versions of frames: with whole records, and with packed ones.
  static let frameVersion: UInt8 = 1
  static let packedFrameVersion: UInt8 = 2
  /// The length of a record's fixed part in bytes.
  public static let recordHeaderByteCount = 116
  /// The longest record without its payload, in bytes.
  public static let recordOverheadByteCountMax = recordHeaderByteCount + 63 + 63 + 127 + 255 + 63 + 127
  fileprivate static let frameHeaderByteCount = 11
  private static let withoutEnd: UInt32 = 0xFFFF_FFFF
}

// MARK: Records

extension WireFormat {
  static func encodeRecord(
    _ header: RecordHeader, payload: UnsafeRawBufferPointer, limits: WireLimits
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
    let (agent, addressee, principal) = (
      header.agent.text, header.addressee?.text ?? "", header.authority.principal.text
    )
    let (type, subject, grant) = (header.type.text, header.subject.text, header.authority.grant)
    let payloadOffset =
      recordHeaderByteCount + agent.utf8.count + addressee.utf8.count + type.utf8.count + subject.utf8.count
      + principal.utf8.count + grant.utf8.count
    let byteCount = payloadOffset + payload.count
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      let record = UnsafeMutableRawBufferPointer(
        rebasing: UnsafeMutableRawBufferPointer(buffer)[..<byteCount])
      record.put(recordMagic, at: 0)
      record.put(UInt32(byteCount), at: 4)
      record[12] = recordVersion
      record[13] = header.channel.rawValue
      record[14] = header.contentType.rawValue
      record.put(header.id, at: 16)
      record.put(header.time.rawValue, at: 32)
      record.put(header.epoch, at: 40)
      record.put(header.sequence, at: 48)
      record.put(header.previous.epoch, at: 56)
      record.put(header.previous.sequence, at: 64)
      record.put(header.causation, at: 72)
      record.put(header.correlation, at: 88)
      record.put(header.authority.policyVersion, at: 104)
      record.put(header.schemaVersion, at: 108)
      record[115] = 0
      var end = recordHeaderByteCount
      record.put(agent, at: &end, lengthAt: 15)
      record.put(addressee, at: &end, lengthAt: 110)
      record.put(type, at: &end, lengthAt: 111)
      record.put(subject, at: &end, lengthAt: 112)
      record.put(principal, at: &end, lengthAt: 113)
      record.put(grant, at: &end, lengthAt: 114)
      UnsafeMutableRawBufferPointer(rebasing: record[end...]).copyMemory(from: payload)
      record.put(checksumCRC32C(UnsafeRawBufferPointer(rebasing: record[12...])), at: 8)
      initializedCount = byteCount
    }
    return (bytes, payloadOffset)
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
  static func encodeFrame(_ frame: Frame, isPacked: Bool) -> [UInt8] {
    precondition((1...256).contains(frame.records.count), "a frame carries 1 to 256 records")
    let isPacked = isPacked && PackedRecord.isRun(frame.records)
    let front = FrameFront(
      via: frame.via, lane: frame.records[0].lane, topologyVersion: frame.topologyVersion, hops: frame.hops,
      isPacked: isPacked)
    var body = FrameBody(behind: front)
    if isPacked, let whole = frame.records[...].packedBody {
      // It does not depend on the link.
      body.append(whole, count: frame.records.count)
    } else {
      if !isPacked { body.reserveCapacity(frame.records.reduce(front.byteCount) { $0 + $1.byteCount }) }
      for record in frame.records { body.append(record) }
    }
    return front.finish(body, remaining: frame.remaining)
  }

  /// - Parameter storage: what `bytes` are; the records stay in it.
  static func decodeFrame(
    _ bytes: UnsafeRawBufferPointer, in storage: [UInt8], limits: WireLimits, versionMax: UInt8,
    names: inout RecordNamesCache
  ) throws -> Frame {
    guard bytes.count <= limits.frameByteCountMax else {
      throw HyphaError(.tooLarge, "a frame has \(bytes.count) bytes", remedy: "raise limits.frame")
    }
    guard let topicByteCount = bytes.prefix(272).firstIndex(of: 0) else {
      throw HyphaError(.invalidFrame, "a frame has no end of topic")
    }
    var reader = ByteReader(bytes, noun: "a frame")
    let topic = try reader.read(count: topicByteCount)
    _ = try reader.read(UInt8.self)
    let stated: UInt32 = try reader.read()
    guard reader.remaining >= frameHeaderByteCount else {
      throw HyphaError(.invalidFrame, "a frame is cut short: it ends in its header")
    }
    // The one field that is read before it is checked: it says what the checksum is of.
    let version = bytes[reader.offset]
    guard stated == checksum(bytes, topicByteCount: topicByteCount, isPacked: version == packedFrameVersion)
    else {
      throw HyphaError(.invalidFrame, "a frame's checksum does not match: it was altered or damaged")
    }
    guard try reader.read() == version, (frameVersion...max(frameVersion, versionMax)).contains(version)
    else {
      throw HyphaError(
        .invalidFrame,
        "a frame has version \(version), this node knows up to \(versionMax)", remedy: "upgrade this node")
    }
    let hops: UInt8 = try reader.read()
    let topologyVersion: UInt32 = try reader.read()
    let remaining: UInt32 = try reader.read()
    let count = Int(try reader.read(UInt8.self)) + 1
    guard count <= limits.frameRecordCountMax else {
      throw HyphaError(.tooLarge, "a frame claims \(count) records")
    }
    let (records, first) =
      version == packedFrameVersion
      ? try PackedRecord.records(&reader, count: count, of: bytes, in: storage, limits: limits, names: &names)
      : try wholeRecords(&reader, count: count, of: bytes, in: storage, limits: limits, names: &names)
    try reader.finish()
    let via = try via(of: topic, to: first)
    return Frame(
      via: via, topologyVersion: topologyVersion, hops: hops,
      remaining: remaining == withoutEnd ? nil : .microseconds(Int64(remaining)), records: records)
  }

  /// The records of a frame of version 1.
  private static func wholeRecords(
    _ reader: inout ByteReader, count: Int, of bytes: UnsafeRawBufferPointer, in storage: [UInt8],
    limits: WireLimits, names: inout RecordNamesCache
  ) throws -> (records: [Record], first: RecordView) {
    let first = try nextRecord(&reader, of: bytes, limits: limits)
    var places = RecordPlaces(capacity: count)
    var newest = try names.names(of: first)
    places.add(offset: reader.offset - first.bytes.count, byteCount: first.bytes.count, names: newest)
    for _ in 1..<count {
      let next = try nextRecord(&reader, of: bytes, limits: limits)
      let (offset, byteCount) = (reader.offset - next.bytes.count, next.bytes.count)
      if newest.fit(next.bytes) {
        places.addAlike(offset: offset, byteCount: byteCount)
      } else {
        guard next.sharesLane(with: first) else { throw notTheLane() }
        newest = try names.names(of: next)
        places.add(offset: offset, byteCount: byteCount, names: newest)
      }
    }
    return (places.records(in: storage), first)
  }

  private static func nextRecord(
    _ reader: inout ByteReader, of bytes: UnsafeRawBufferPointer, limits: WireLimits
  ) throws -> RecordView {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
    let byteCount = try RecordView.byteCount(atFrontOf: rest, limits: limits)
    return try RecordView(checking: try reader.read(count: byteCount), limits: limits)
  }

  /// The first part of a topic, which else must name the lane of `record`. Bytes are compared, not characters:
  /// a topic is what subscribers filter on, byte by byte.
  private static func via(of topic: UnsafeRawBufferPointer, to record: RecordView) throws -> AgentID {
    let (agent, isPublished) = (record.agent, record.addressee.isEmpty)
    let target = isPublished ? record.type : record.addressee
    let agentOffset = topic.count - target.count - 2 - agent.count
    let targetOffset = topic.count - target.count
    guard agentOffset >= 1, topic[agentOffset - 1] == UInt8(ascii: "/"),
      UnsafeRawBufferPointer(rebasing: topic[agentOffset..<targetOffset - 2]).hasBytes(of: agent),
      topic[targetOffset - 2] == UInt8(ascii: "/"),
      topic[targetOffset - 1] == (isPublished ? UInt8(ascii: "#") : UInt8(ascii: "@")),
      UnsafeRawBufferPointer(rebasing: topic[targetOffset...]).hasBytes(of: target)
    else { throw notTheLane() }
    do {
      return try AgentID(String(decoding: topic[..<(agentOffset - 1)], as: UTF8.self))
    } catch {
      throw HyphaError(.invalidFrame, "a frame's topic names no agent to pass it on", cause: "\(error)")
    }
  }

  static func notTheLane() -> HyphaError {
    HyphaError(.invalidFrame, "a frame's topic does not name the lane of its records")
  }

  /// Of the topic and what follows the checksum: the header, and in a packed frame all that is behind it.
  fileprivate static func checksum(
    _ bytes: UnsafeRawBufferPointer, topicByteCount: Int, isPacked: Bool
  ) -> UInt32 {
    let begin = topicByteCount + 5
    return checksumCRC32C(
      UnsafeRawBufferPointer(
        rebasing: bytes[begin..<(isPacked ? bytes.count : begin + frameHeaderByteCount)]),
      after: checksumCRC32C(UnsafeRawBufferPointer(rebasing: bytes[..<topicByteCount])))
  }

  /// Rounded up, so that a time to live that is not over does not become zero; at most about 71 minutes.
  fileprivate static func encode(remaining: Duration?) -> UInt32 {
    guard let remaining else { return withoutEnd }
    let (seconds, attoseconds) = remaining.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 4_295 else { return withoutEnd - 1 }
    let microseconds = seconds * 1_000_000 + (attoseconds + 999_999_999_999) / 1_000_000_000_000
    return UInt32(min(microseconds, Int64(withoutEnd) - 1))
  }
}

/// What precedes the records in the frames of one lane over one link: encoded once, and again only where a number of it
/// changes.
public struct FrameFront: Sendable {
  /// The topic and the frame header, without a count and a time to live.
  let bytes: [UInt8]
  private let topicByteCount: Int
  /// Whether the frames have packed records.
  public let isPacked: Bool

  /// The front of frames of `lane` that `via` is to take next; with whole records, or with packed ones.
  public init(via: AgentID, lane: Lane, topologyVersion: UInt32, hops: UInt8, isPacked: Bool = false) {
    self.isPacked = isPacked
    var writer = ByteWriter(capacity: 272)
    writer.write(via.text)
    writer.write("/")
    writer.write(lane.agent.text)
    switch lane.target {
    case .addressee(let agent): writer.write("/@\(agent.text)")
    case .type(let type): writer.write("/#\(type.text)")
    }
    topicByteCount = writer.bytes.count
    writer.write(UInt8(0))
    writer.write(UInt32(0))
    writer.write(isPacked ? WireFormat.packedFrameVersion : WireFormat.frameVersion)
    writer.write(hops)
    writer.write(topologyVersion)
    writer.write(UInt32(0))
    writer.write(UInt8(0))
    bytes = writer.bytes
  }

  /// How many bytes the front has.
  public var byteCount: Int { bytes.count }

  /// The frame of a body's records, 1 to 256, which was begun with this front.
  public func finish(_ body: consuming FrameBody, remaining: Duration?) -> [UInt8] {
    let recordCount = body.count
    var frame = body.takeBytes()
    frame.withUnsafeMutableBytes { frame in
      frame.put(WireFormat.encode(remaining: remaining), at: bytes.count - 5)
      frame[bytes.count - 1] = UInt8(recordCount - 1)
      let checksum = WireFormat.checksum(
        UnsafeRawBufferPointer(frame), topicByteCount: topicByteCount, isPacked: isPacked)
      frame.put(checksum, at: topicByteCount + 1)
    }
    return frame
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores an integer, least significant byte first.
  @inline(__always)
  func put(_ value: some FixedWidthInteger & BitwiseCopyable, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
  }

  /// Stores the sixteen bytes of an event id in the order of a UUID.
  func put(_ id: EventID, at offset: Int) {
    put(id.high.byteSwapped, at: offset)
    put(id.low.byteSwapped, at: offset + 8)
  }

  /// Stores a text's UTF-8 at `end`, which then lies behind it, and its length at `lengthOffset`.
  fileprivate func put(_ text: String, at end: inout Int, lengthAt lengthOffset: Int) {
    var text = text
    end += text.withUTF8 { utf8 in
      self[lengthOffset] = UInt8(utf8.count)
      UnsafeMutableRawBufferPointer(rebasing: self[end...]).copyMemory(from: UnsafeRawBufferPointer(utf8))
      return utf8.count
    }
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
