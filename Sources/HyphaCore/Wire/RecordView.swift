/// A record's bytes read in place, without an allocation.
///
/// A view exists only of bytes whose length, checksum, bounds and numbers were checked, so reading a field
/// cannot fail. Names and subject are handed out as bytes and are not held against their grammar until
/// ``header()`` makes them names. A view must not outlive the bytes, and the bytes must not change under it.
public struct RecordView {
  /// The whole record.
  public let bytes: UnsafeRawBufferPointer
  /// The urgency class.
  public let channel: Channel
  private let ends: TextEnds

  /// A view of one whole record. Linear in its length, for the checksum; nothing is allocated.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord``, which says what is wrong; ``HyphaError/Code/tooLarge`` when
  ///   it exceeds `limits`.
  public init(checking bytes: UnsafeRawBufferPointer, limits: WireLimits = .standard) throws(HyphaError) {
    guard try Self.byteCount(atFrontOf: bytes, limits: limits) == bytes.count else {
      throw HyphaError(.invalidRecord, "a record has bytes beyond its end")
    }
    guard bytes.littleEndian(at: 8) == checksumCRC32C(UnsafeRawBufferPointer(rebasing: bytes[12...])) else {
      throw HyphaError(.invalidRecord, "a record's checksum does not match: it was altered or damaged")
    }
    guard bytes[12] == WireFormat.recordVersion else {
      throw HyphaError(
        .invalidRecord, "a record has version \(bytes[12]), this program knows \(WireFormat.recordVersion)",
        remedy: "upgrade this node")
    }
    guard let channel = Channel(rawValue: bytes[13]) else {
      throw HyphaError(.invalidRecord, "a record names no known channel")
    }
    guard bytes[115] == 0 else {
      throw HyphaError(.invalidRecord, "a record's reserved byte is not 0", remedy: "upgrade this node")
    }
    guard Int(bytes[114]) <= Authority.grantByteCountMax else {
      throw HyphaError(.invalidRecord, "a record's grant is too long")
    }
    self.bytes = bytes
    self.channel = channel
    ends = TextEnds(in: bytes)
    guard ends.grant <= bytes.count else {
      throw HyphaError(.invalidRecord, "a record is cut short: it ends at byte \(bytes.count)")
    }
    try WireFormat.checkNumbers(
      point: LanePoint(epoch: epoch, sequence: sequence), previous: previous, schemaVersion: schemaVersion)
    guard payload.count <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "event \(id) has a payload of \(payload.count) bytes",
        remedy: "raise limits.payload above \(limits.payloadByteCountMax)")
    }
  }

  /// What was found out about a record when it was checked: enough to view a copy of its bytes without checking it again.
  public struct Shape: Sendable {
    fileprivate let channel: Channel
    fileprivate let ends: TextEnds
    /// The length of the record.
    public let byteCount: Int
  }

  /// The record's shape.
  public var shape: Shape { Shape(channel: channel, ends: ends, byteCount: bytes.count) }

  /// A view of a copy of a record that was checked.
  ///
  /// - Precondition: `bytes` are those of the view whose ``shape`` is given; that is the caller's to see to.
  public init(_ bytes: UnsafeRawBufferPointer, shaped shape: Shape) {
    precondition(bytes.count == shape.byteCount, "a record's copy has another length than the record")
    self.bytes = bytes
    channel = shape.channel
    ends = shape.ends
  }

  /// The length that the record at the front of `bytes` claims, once magic and bounds are checked.
  static func byteCount(
    atFrontOf bytes: UnsafeRawBufferPointer, limits: WireLimits
  ) throws(HyphaError) -> Int {
    guard bytes.count >= WireFormat.recordHeaderByteCount else {
      throw HyphaError(.invalidRecord, "a record is cut short: \(bytes.count) bytes")
    }
    guard bytes.littleEndian(at: 0) == WireFormat.recordMagic else {
      throw HyphaError(.invalidRecord, "a record does not begin with HYR1")
    }
    let byteCount = Int(bytes.littleEndian(at: 4) as UInt32)
    guard byteCount >= WireFormat.recordHeaderByteCount else {
      throw HyphaError(.invalidRecord, "a record claims \(byteCount) bytes")
    }
    guard byteCount <= WireFormat.recordOverheadByteCountMax + limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "a record claims \(byteCount) bytes",
        remedy: "raise limits.payload above \(limits.payloadByteCountMax)")
    }
    guard byteCount <= bytes.count else {
      throw HyphaError(.invalidRecord, "a record is cut short: \(bytes.count) of \(byteCount) bytes")
    }
    return byteCount
  }
}

// MARK: Fields

extension RecordView {
  /// The event's id.
  public var id: EventID { bytes.eventID(at: 16) }
  /// The event that was being handled when this one was stated, or ``EventID/none``.
  public var causation: EventID { bytes.eventID(at: 72) }
  /// The event that began the conversation.
  public var correlation: EventID { bytes.eventID(at: 88) }
  /// When the event was stated, on the origin's hybrid clock.
  public var time: Timestamp { Timestamp(rawValue: bytes.littleEndian(at: 32)) }
  /// How the payload is to be read.
  public var contentType: ContentType { ContentType(rawValue: bytes[14]) }
  /// The number of the agent's activation.
  public var epoch: UInt64 { bytes.littleEndian(at: 40) }
  /// The place in the stream, from 1.
  public var sequence: UInt64 { bytes.littleEndian(at: 48) }
  /// The place of the event before it in its lane; ``LanePoint/start`` for the first.
  public var previous: LanePoint {
    LanePoint(epoch: bytes.littleEndian(at: 56), sequence: bytes.littleEndian(at: 64))
  }
  /// The version of the policy under which it was authorised.
  public var policyVersion: UInt32 { bytes.littleEndian(at: 104) }
  /// The version of the payload's shape, from 1.
  public var schemaVersion: UInt16 { bytes.littleEndian(at: 108) }

  /// The agent that stated it.
  public var agent: UnsafeRawBufferPointer { slice(WireFormat.recordHeaderByteCount, ends.agent) }
  /// The one agent that it is for; empty where it is published to the type's subscribers.
  public var addressee: UnsafeRawBufferPointer { slice(ends.agent, ends.addressee) }
  /// The event type's stable name.
  public var type: UnsafeRawBufferPointer { slice(ends.addressee, ends.type) }
  /// What it is about.
  public var subject: UnsafeRawBufferPointer { slice(ends.type, ends.subject) }
  /// Who acted.
  public var principal: UnsafeRawBufferPointer { slice(ends.subject, ends.principal) }
  /// The grant that allowed it; empty where none was needed.
  public var grant: UnsafeRawBufferPointer { slice(ends.principal, ends.grant) }
  /// The payload.
  public var payload: UnsafeRawBufferPointer { slice(ends.grant, bytes.count) }
  /// Where the payload begins.
  var payloadOffset: Int { ends.grant }

  /// Whether both are of one lane: the same agent, channel and target.
  public func sharesLane(with other: RecordView) -> Bool {
    channel == other.channel && agent.hasBytes(of: other.agent) && addressee.hasBytes(of: other.addressee)
      && (!addressee.isEmpty || type.hasBytes(of: other.type))
  }

  /// Where the payload of a record begins that is long enough for its texts.
  static func payloadOffset(in bytes: UnsafeRawBufferPointer) -> Int { TextEnds(in: bytes).grant }

  private func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }

  /// Where each text ends, as offsets into the record. They are taken from the bytes once.
  fileprivate struct TextEnds {
    private let ends: (UInt16, UInt16, UInt16, UInt16, UInt16, UInt16)

    init(in bytes: UnsafeRawBufferPointer) {
      let agent = UInt16(WireFormat.recordHeaderByteCount) + UInt16(bytes[15])
      let addressee = agent + UInt16(bytes[110])
      let type = addressee + UInt16(bytes[111])
      let subject = type + UInt16(bytes[112])
      let principal = subject + UInt16(bytes[113])
      ends = (agent, addressee, type, subject, principal, principal + UInt16(bytes[114]))
    }

    var agent: Int { Int(ends.0) }
    var addressee: Int { Int(ends.1) }
    var type: Int { Int(ends.2) }
    var subject: Int { Int(ends.3) }
    var principal: Int { Int(ends.4) }
    var grant: Int { Int(ends.5) }
  }
}

// MARK: Names

extension RecordView {
  /// The header with its names and texts checked, as values that outlive the bytes.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  public func header() throws(HyphaError) -> RecordHeader {
    let agent: AgentID = try name(self.agent)
    return RecordHeader(
      id: id, time: time, channel: channel, agent: agent, epoch: epoch, sequence: sequence,
      previous: previous, addressee: addressee.isEmpty ? nil : try name(addressee), type: try name(type),
      schemaVersion: schemaVersion, subject: try checkedSubject(), contentType: contentType,
      causation: causation, correlation: correlation,
      authority: Authority(
        // Nearly every agent acts in its own name.
        principal: principal.hasBytes(of: self.agent) ? agent : try name(principal),
        grant: try text(grant), policyVersion: policyVersion))
  }

  /// Names and texts, checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  func names() throws(HyphaError) -> RecordNames { RecordNames(try header(), as: bytes) }

  private func name<Checked: Name>(_ bytes: UnsafeRawBufferPointer) throws(HyphaError) -> Checked {
    if Checked.admits(bytes) { return Checked(unchecked: String(decoding: bytes, as: UTF8.self)) }
    return try sayingWhy(bytes) { try Checked($0) }
  }

  private func checkedSubject() throws(HyphaError) -> Subject {
    if Subject.admits(subject) { return Subject(unchecked: String(decoding: subject, as: UTF8.self)) }
    return try sayingWhy(subject) { try Subject($0) }
  }

  /// What only the whole grammar can tell: whether a text is right, and else what is wrong with it.
  private func sayingWhy<Checked>(
    _ bytes: UnsafeRawBufferPointer, _ check: (String) throws -> Checked
  ) throws(HyphaError) -> Checked {
    let text = try text(bytes)
    do {
      return try check(text)
    } catch {
      throw HyphaError(.invalidRecord, "a record has a bad name", cause: "\(error)")
    }
  }

  private func text(_ bytes: UnsafeRawBufferPointer) throws(HyphaError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      // A text that is not empty lies in the record, so that has an address, too.
      let offset = bytes.baseAddress.map { $0 - self.bytes.baseAddress! } ?? 0
      throw HyphaError(.invalidRecord, "a record has text that is not UTF-8 at byte \(offset)")
    }
    return text
  }
}

extension UnsafeRawBufferPointer {
  /// The integer at `offset`, least significant byte first.
  func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Value {
    Value(littleEndian: loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The sixteen bytes at `offset`, in the order of a UUID.
  func eventID(at offset: Int) -> EventID {
    EventID(
      high: UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
      low: UInt64(bigEndian: loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
  }
}
