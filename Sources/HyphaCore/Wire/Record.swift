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
/// checksum, names and texts were verified.
public struct Record: Hashable, Sendable {
  /// The decoded header.
  public let header: RecordHeader
  /// The whole record as ``WireFormat`` lays it out.
  public let bytes: [UInt8]
  private let payloadOffset: Int

  /// Encodes an event.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` when the payload exceeds ``WireLimits/payloadByteCountMax``;
  ///   ``HyphaError/Code/invalidRecord`` when a number of the header is impossible.
  public init(_ header: RecordHeader, payload: some Collection<UInt8>, limits: WireLimits = .standard) throws
  {
    (bytes, payloadOffset) = try WireFormat.encodeRecord(header, payload: payload, limits: limits)
    self.header = header
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
    (header, payloadOffset) = try bytes.withUnsafeBytes { bytes in
      let view = try RecordView(checking: bytes, limits: limits)
      return (try view.header(), view.payloadOffset)
    }
    self.bytes = bytes
  }

  /// A copy of what `view` sees, its names checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when a name breaks its grammar or a text is not UTF-8.
  public init(_ view: RecordView) throws(HyphaError) {
    header = try view.header()
    bytes = Array(view.bytes)
    payloadOffset = view.payloadOffset
  }

  /// The payload's bytes.
  public var payload: ArraySlice<UInt8> { bytes[payloadOffset...] }

  /// Calls `body` with the payload's bytes, which must not outlive the call.
  public func withPayload<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[payloadOffset...])) }
  }

  public static func == (left: Record, right: Record) -> Bool { left.bytes == right.bytes }
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
