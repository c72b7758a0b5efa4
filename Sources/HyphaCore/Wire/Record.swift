/// Everything about an event except its payload.
public struct RecordHeader: Hashable, Sendable {
  /// The event's id.
  public var id: EventID
  /// When the event was stated, on the origin's hybrid clock.
  public var time: Timestamp
  /// The urgency class.
  public var channel: Channel
  /// The agent that stated it.
  public var agent: AgentID
  /// The number of that agent's activation.
  public var epoch: UInt64
  /// The place in the stream (agent, epoch, channel), from 1.
  public var sequence: UInt64
  /// The place of the event before it in its lane; ``LanePoint/start`` for the first.
  public var previous: LanePoint
  /// The one agent that it is for, or nil where it is published to the type's subscribers.
  public var addressee: AgentID?
  /// The event type's stable name.
  public var type: EventTypeName
  /// The version of the payload's shape.
  public var schemaVersion: UInt16
  /// What it is about.
  public var subject: Subject
  /// How the payload is to be read.
  public var contentType: ContentType
  /// The event that was being handled when this one was stated, or ``EventID/none``.
  public var causation: EventID
  /// The event that began the conversation; its own id where it began one itself.
  public var correlation: EventID
  /// On whose authority.
  public var authority: Authority

  /// A header of all its parts.
  public init(
    id: EventID, time: Timestamp, channel: Channel, agent: AgentID, epoch: UInt64, sequence: UInt64,
    previous: LanePoint, addressee: AgentID?, type: EventTypeName, schemaVersion: UInt16 = 1,
    subject: Subject, contentType: ContentType = .json, causation: EventID = .none, correlation: EventID,
    authority: Authority
  ) {
    self.id = id
    self.time = time
    self.channel = channel
    self.agent = agent
    self.epoch = epoch
    self.sequence = sequence
    self.previous = previous
    self.addressee = addressee
    self.type = type
    self.schemaVersion = schemaVersion
    self.subject = subject
    self.contentType = contentType
    self.causation = causation
    self.correlation = correlation
    self.authority = authority
  }

  /// The stream that the event stands in.
  public var stream: StreamID { StreamID(agent: agent, epoch: epoch, channel: channel) }

  /// The lane that the event travels in.
  public var lane: Lane {
    Lane(agent: agent, channel: channel, target: addressee.map(LaneTarget.addressee) ?? .type(type))
  }

  /// The event's place in its lane.
  public var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
}

/// An event as bytes, identical from the origin's log to every copy, with its header decoded.
///
/// A record exists only in checked form: it is either encoded here or decoded from bytes whose length,
/// checksum, names and texts were verified. It is one reference, so that handing it on costs the same whatever
/// its header has.
public struct Record: Hashable, Sendable {
  /// What copies of one record share.
  @usableFromInline
  final class Content: Sendable {
    @usableFromInline let header: RecordHeader
    @usableFromInline let bytes: [UInt8]
    @usableFromInline let payloadOffset: Int

    init(header: RecordHeader, bytes: [UInt8], payloadOffset: Int) {
      self.header = header
      self.bytes = bytes
      self.payloadOffset = payloadOffset
    }
  }

  @usableFromInline let content: Content

  /// The decoded header.
  @inlinable public var header: RecordHeader { _read { yield content.header } }
  /// The whole record as ``WireFormat`` lays it out.
  @inlinable public var bytes: [UInt8] { _read { yield content.bytes } }
  /// Where the payload begins in ``bytes``.
  @inlinable public var payloadOffset: Int { content.payloadOffset }
  /// How many bytes the payload has.
  @inlinable public var payloadByteCount: Int { content.bytes.count - content.payloadOffset }

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
    let (bytes, payloadOffset) = try WireFormat.encodeRecord(header, payload: payload, limits: limits)
    content = Content(header: header, bytes: bytes, payloadOffset: payloadOffset)
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
    let (header, payloadOffset) = try bytes.withUnsafeBytes { bytes in
      let view = try RecordView(checking: bytes, limits: limits)
      return (try view.header(), view.payloadOffset)
    }
    content = Content(header: header, bytes: bytes, payloadOffset: payloadOffset)
  }

  /// A copy of what `view` sees, its names checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  public init(_ view: RecordView) throws(HyphaError) {
    content = Content(
      header: try view.header(), bytes: Array(view.bytes), payloadOffset: view.payloadOffset)
  }

  /// The payload's bytes.
  public var payload: ArraySlice<UInt8> { bytes[payloadOffset...] }

  /// Calls `body` with the payload's bytes, which must not outlive the call.
  public func withPayload<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[payloadOffset...])) }
  }

  public static func == (left: Record, right: Record) -> Bool {
    left.content === right.content || left.bytes == right.bytes
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(header.id) }
}

/// The sizes that bytes from outside may claim before anything is allocated for them.
public struct WireLimits: Hashable, Sendable {
  /// The largest payload of one event, in bytes.
  public var payloadByteCountMax: Int
  /// The most records in one frame.
  public var frameRecordCountMax: Int
  /// The largest frame or control message, in bytes.
  public var frameByteCountMax: Int

  /// One MiB a payload, 256 records and 4 MiB a frame.
  public static let standard = WireLimits(
    payloadByteCountMax: 1 << 20, frameRecordCountMax: 256, frameByteCountMax: 4 << 20)

  /// Limits by their parts.
  public init(payloadByteCountMax: Int, frameRecordCountMax: Int, frameByteCountMax: Int) {
    self.payloadByteCountMax = payloadByteCountMax
    self.frameRecordCountMax = frameRecordCountMax
    self.frameByteCountMax = frameByteCountMax
  }
}
