/// An event as bytes, identical from the origin's log to every copy, with its names decoded.
///
/// A record exists only in checked form: it is either encoded here or decoded from bytes whose length,
/// checksum, names and texts were verified. Records that came together share the bytes that they came in, and
/// neighbours of one lane and subject share their names, so that one more of them costs no allocation.
public struct Record: Hashable, Sendable {
  /// What the record lies in, with whatever came with it.
  private let batch: RecordBatch
  private let offset: UInt32
  private let length: UInt32
  private let nameIndex: UInt32

  /// A record whose bytes lie at `offset` in a batch and were checked, with their own names.
  init(in batch: RecordBatch, at offset: Int, byteCount: Int, nameIndex: Int) {
    self.batch = batch
    self.offset = UInt32(offset)
    length = UInt32(byteCount)
    self.nameIndex = UInt32(nameIndex)
  }

  /// A record alone.
  private init(_ bytes: [UInt8], names: RecordNames) {
    self.init(
      in: RecordBatch(bytes: bytes, names: [names]), at: 0, byteCount: bytes.count, nameIndex: 0)
  }

  /// Names and texts, decoded.
  public var names: RecordNames { batch.names[Int(nameIndex)] }

  /// Whether both have the same names, as far as that is known without looking at them.
  public func sharesNames(with other: Record) -> Bool {
    batch === other.batch ? nameIndex == other.nameIndex : names === other.names
  }

  /// Encodes an event.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` when the payload exceeds ``WireLimits/payloadByteCountMax``;
  ///   ``HyphaError/Code/invalidRecord`` when a number of the header is impossible.
  @inlinable
  public init(_ header: RecordHeader, payload: some Collection<UInt8>, limits: WireLimits = .standard) throws
  {
    let encoded = try payload.withContiguousStorageIfAvailable {
      try Record(header, payload: UnsafeRawBufferPointer($0), limits: limits)
    }
    self = try encoded ?? Array(payload).withUnsafeBytes { try Record(header, payload: $0, limits: limits) }
  }

  /// Encodes an event.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` when the payload exceeds ``WireLimits/payloadByteCountMax``;
  ///   ``HyphaError/Code/invalidRecord`` when a number of the header is impossible.
  public init(_ header: RecordHeader, payload: UnsafeRawBufferPointer, limits: WireLimits = .standard) throws
  {
    let (bytes, _) = try WireFormat.encodeRecord(header, payload: payload, limits: limits)
    let names = bytes.withUnsafeBytes { RecordNames(header, as: $0) }
    self.init(bytes, names: names)
  }

  /// Decodes and verifies one whole record.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord``, which says what is wrong and where;
  ///   ``HyphaError/Code/tooLarge`` when it exceeds `limits`.
  public init(decoding bytes: UnsafeRawBufferPointer, limits: WireLimits = .standard) throws {
    try self.init(RecordView(checking: bytes, limits: limits))
  }

  /// Decodes and verifies one whole record.
  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws {
    self.init(
      bytes, names: try bytes.withUnsafeBytes { try RecordView(checking: $0, limits: limits).names() })
  }

  /// A copy of what `view` sees, its names checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  public init(_ view: RecordView) throws(HyphaError) {
    self.init(Array(view.bytes), names: try view.names())
  }

  public static func == (left: Record, right: Record) -> Bool {
    left.withBytes { left in right.withBytes { left.hasBytes(of: $0) } }
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

// MARK: Bytes

extension Record {
  /// How many bytes the whole record has.
  public var byteCount: Int { Int(length) }
  /// Where the payload begins in ``bytes``.
  public var payloadOffset: Int { names.payloadOffset }
  /// How many bytes the payload has.
  public var payloadByteCount: Int { byteCount - names.payloadOffset }

  /// Calls `body` with the whole record as ``WireFormat`` lays it out; the bytes must not outlive the call.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try batch.bytes.withUnsafeBytes {
      try body(UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + Int(length)]))
    }
  }

  /// The whole record as ``WireFormat`` lays it out; a copy, where it did not come alone.
  public var bytes: [UInt8] {
    isAlone ? batch.bytes : Array(batch.bytes[Int(offset)..<Int(offset) + Int(length)])
  }

  /// The payload's bytes; their indices are those of ``bytes``.
  public var payload: ArraySlice<UInt8> { bytes[payloadOffset...] }

  /// Calls `body` with the payload's bytes, which must not outlive the call.
  public func withPayload<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[payloadOffset...])) }
  }

  /// The record alone, without what came with it: for whoever keeps it longer than the others.
  public var alone: Record { isAlone ? self : Record(bytes, names: names) }

  private var isAlone: Bool { Int(length) == batch.bytes.count }
}

// MARK: Header

extension Record {
  /// The header as a value of its own. What is needed of it alone costs less by its own name.
  public var header: RecordHeader {
    withBytes { bytes in
      RecordHeader(
        id: bytes.eventID(at: 16), time: Timestamp(rawValue: bytes.littleEndian(at: 32)),
        channel: names.lane.channel, agent: names.lane.agent, epoch: bytes.littleEndian(at: 40),
        sequence: bytes.littleEndian(at: 48),
        previous: LanePoint(epoch: bytes.littleEndian(at: 56), sequence: bytes.littleEndian(at: 64)),
        addressee: names.addressee, type: names.type, schemaVersion: bytes.littleEndian(at: 108),
        subject: names.subject, contentType: ContentType(rawValue: bytes[14]),
        causation: bytes.eventID(at: 72), correlation: bytes.eventID(at: 88), authority: names.authority)
    }
  }

  /// The event's id.
  public var id: EventID { withBytes { $0.eventID(at: 16) } }
  /// When the event was stated, on the origin's hybrid clock.
  public var time: Timestamp { Timestamp(rawValue: integer(at: 32)) }
  /// The number of the agent's activation.
  public var epoch: UInt64 { integer(at: 40) }
  /// The place in the stream, from 1.
  public var sequence: UInt64 { integer(at: 48) }
  /// The event's place in its lane.
  public var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  /// The place of the event before it in its lane; ``LanePoint/start`` for the first.
  public var previous: LanePoint { LanePoint(epoch: integer(at: 56), sequence: integer(at: 64)) }
  /// The version of the payload's shape, from 1.
  public var schemaVersion: UInt16 { integer(at: 108) }
  /// How the payload is to be read.
  public var contentType: ContentType { ContentType(rawValue: integer(at: 14)) }
  /// The event that was being handled when this one was stated, or ``EventID/none``.
  public var causation: EventID { withBytes { $0.eventID(at: 72) } }
  /// The event that began the conversation.
  public var correlation: EventID { withBytes { $0.eventID(at: 88) } }
  /// The urgency class.
  public var channel: Channel { names.lane.channel }
  /// The agent that stated it.
  public var agent: AgentID { names.lane.agent }
  /// The one agent that it is for, or nil where it is published to the type's subscribers.
  public var addressee: AgentID? { names.addressee }
  /// The event type's stable name.
  public var type: EventTypeName { names.type }
  /// What it is about.
  public var subject: Subject { names.subject }
  /// The lane that the event travels in.
  public var lane: Lane { names.lane }
  /// The stream that the event stands in.
  public var stream: StreamID { StreamID(agent: agent, epoch: epoch, channel: channel) }

  private func integer<Value: FixedWidthInteger & BitwiseCopyable>(at place: Int) -> Value {
    withBytes { $0.littleEndian(at: place) }
  }
}
