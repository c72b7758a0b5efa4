/// An event as bytes, identical from the origin's log to every copy, with its names decoded.
///
/// On the realtime channel the bytes may be those of a packed frame (``PackedRecord``); ``bytes`` are then made of them, and are
/// those that the origin would have sent alone.
///
/// A record exists only in checked form: it is either encoded here or decoded from bytes whose length,
/// checksum, names and texts were verified. Records that came together share the bytes that they came in, and
/// neighbours of one lane and subject share their names, so that one more of them costs no allocation.
public struct Record: Hashable, Sendable {
  /// What the record lies in, with whatever came with it.
  fileprivate let batch: RecordBatch
  fileprivate let offset: UInt32
  private let length: UInt32
  private let kind: UInt32

  /// A record whose bytes lie at `offset` in a batch and were checked, with their own names.
  init(in batch: RecordBatch, at offset: Int, byteCount: Int, kind: Int) {
    self.batch = batch
    self.offset = UInt32(offset)
    length = UInt32(byteCount)
    self.kind = UInt32(kind)
  }

  /// Where a packed record lies in its batch.
  struct PackedPlace {
    var offset: Int
    var byteCount: Int
    var front: Int
  }

  /// A packed record, which was checked.
  init(in batch: RecordBatch, packed place: PackedPlace) {
    self.init(in: batch, at: place.offset, byteCount: place.byteCount, kind: place.front)
  }

  /// A record alone.
  private init(_ bytes: [UInt8], names: RecordNames) {
    self.init(
      in: RecordBatch(bytes: bytes, kinds: [.init(names: names)]), at: 0, byteCount: bytes.count, kind: 0)
  }

  /// Names and texts, decoded.
  public var names: RecordNames { batch.kinds[Int(kind)].names }

  /// Whether both have the same names, as far as that is known without looking at them.
  public func sharesNames(with other: Record) -> Bool {
    batch === other.batch && kind == other.kind || names === other.names
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
  public var byteCount: Int { isPacked ? payloadOffset + payloadByteCount : Int(length) }
  /// About how many bytes of memory it keeps.
  public var heldByteCount: Int { Int(length) }
  /// Where the payload begins in ``bytes``.
  public var payloadOffset: Int { names.payloadOffset }
  /// How many bytes the payload has.
  public var payloadByteCount: Int {
    isPacked ? withOwnBytes { PackedRecord.payloadByteCount($0) } : Int(length) - names.payloadOffset
  }

  /// Calls `body` with the whole record as ``WireFormat`` lays it out; the bytes must not outlive the call.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    isPacked ? try unpacked().withUnsafeBytes(body) : try withOwnBytes(body)
  }

  /// The whole record as ``WireFormat`` lays it out; a copy, where it did not come alone.
  public var bytes: [UInt8] {
    if isPacked { return unpacked() }
    return isAlone ? batch.bytes : Array(batch.bytes[Int(offset)..<Int(offset) + Int(length)])
  }

  /// The payload's bytes; their indices are those of ``bytes``.
  public var payload: ArraySlice<UInt8> { bytes[payloadOffset...] }

  /// Calls `body` with the payload's bytes, which must not outlive the call.
  public func withPayload<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withOwnBytes { own in
      let offset = isPacked ? own.count - PackedRecord.payloadByteCount(own) : names.payloadOffset
      return try body(UnsafeRawBufferPointer(rebasing: own[offset...]))
    }
  }

  /// The record alone, without what came with it: for whoever keeps it longer than the others.
  public var alone: Record { isAlone ? self : Record(bytes, names: names) }

  /// Calls `body` with what of a record comes before its payload; of a packed one, with its front.
  func withFront<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    let begin = isPacked ? Int(batch.kinds[Int(kind)].front) : Int(offset)
    return try batch.bytes.withUnsafeBytes {
      try body(UnsafeRawBufferPointer(rebasing: $0[begin..<begin + names.payloadOffset]))
    }
  }

  /// The bytes that it lies in itself, whole or packed.
  private func withOwnBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try batch.bytes.withUnsafeBytes {
      try body(UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + Int(length)]))
    }
  }

  private var isPacked: Bool { batch.runCount > 0 }
  private var isAlone: Bool { !isPacked && Int(length) == batch.bytes.count }

  /// The bytes of a packed record as its origin would have sent it alone.
  private func unpacked() -> [UInt8] {
    let numbers = RecordTemplate.Numbers(self)
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      let record = UnsafeMutableRawBufferPointer(
        rebasing: UnsafeMutableRawBufferPointer(buffer)[..<byteCount])
      withFront { record.copyMemory(from: $0) }
      withPayload { UnsafeMutableRawBufferPointer(rebasing: record[payloadOffset...]).copyMemory(from: $0) }
      record.finishRecord(numbers)
      initializedCount = byteCount
    }
  }
}

// MARK: Neighbours

// Not generic: of another module that would go by way of each collection's witnesses.
extension ArraySlice<Record> {
  /// Whether they are all the records of a packed frame: they follow each other in their lane with nothing between them, at times that
  /// do not fall.
  public var isWholeRun: Bool {
    guard let first, let last else { return false }
    return first.batch === last.batch && first.batch.runCount == count
  }

  /// The bytes of a packed frame's records, where these are all of it.
  var packedBody: ArraySlice<UInt8>? {
    guard isWholeRun, let first else { return nil }
    return first.batch.bytes[Int(first.offset)...]
  }

  /// Where those end that have the same names as the record at `begin`, as far as that is known without looking at them.
  public func endOfStretch(at begin: Int) -> Int {
    let first = self[begin]
    // Most often all came together, with one set of names.
    if self[endIndex - 1].isAloneInNames(with: first) { return endIndex }
    return self[begin...].firstIndex { !$0.sharesNames(with: first) } ?? endIndex
  }
}

extension [Record] {
  /// The same of an array.
  public var isWholeRun: Bool { self[...].isWholeRun }
  /// The same of an array.
  public func endOfStretch(at begin: Int) -> Int { self[...].endOfStretch(at: begin) }
}

extension Record {
  /// Whether both are of one packed frame whose records all have the same names. Between whole ones of a frame others may stand that
  /// came earlier and had to wait.
  fileprivate func isAloneInNames(with other: Record) -> Bool {
    batch === other.batch && batch.runCount > 0 && batch.kinds.count == 1
  }
}

// MARK: Header

extension Record {
  /// The header as a value of its own. What is needed of it alone costs less by its own name.
  public var header: RecordHeader {
    RecordHeader(
      id: id, time: time, channel: channel, agent: agent, epoch: epoch, sequence: sequence,
      previous: previous, addressee: addressee, type: type, schemaVersion: schemaVersion, subject: subject,
      contentType: contentType, causation: causation, correlation: correlation, authority: names.authority)
  }

  /// The event's id.
  public var id: EventID { withOwnBytes { $0.eventID(at: isPacked ? 24 : 16) } }
  /// When the event was stated, on the origin's hybrid clock.
  public var time: Timestamp {
    Timestamp(rawValue: withOwnBytes { $0.littleEndian(at: isPacked ? 8 : 32) })
  }
  /// The number of the agent's activation.
  public var epoch: UInt64 { shared(at: 40) }
  /// The place in the stream, from 1.
  public var sequence: UInt64 { withOwnBytes { $0.littleEndian(at: isPacked ? 16 : 48) } }
  /// The event's place in its lane.
  public var point: LanePoint { LanePoint(epoch: epoch, sequence: sequence) }
  /// The place of the event before it in its lane; ``LanePoint/start`` for the first.
  public var previous: LanePoint {
    if isPacked {
      let distance: UInt32 = withOwnBytes { $0.littleEndian(at: 4) }
      if distance > 0 { return LanePoint(epoch: epoch, sequence: sequence - UInt64(distance)) }
    }
    return LanePoint(epoch: shared(at: 56), sequence: shared(at: 64))
  }
  /// The version of the payload's shape, from 1.
  public var schemaVersion: UInt16 { shared(at: 108) }
  /// How the payload is to be read.
  public var contentType: ContentType { ContentType(rawValue: shared(at: 14)) }
  /// The event that was being handled when this one was stated, or ``EventID/none``.
  public var causation: EventID { cause(at: 72, given: 0, ofItself: .none) }
  /// The event that began the conversation.
  public var correlation: EventID { cause(at: 88, given: 16, ofItself: id) }
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

  private func cause(at place: Int, given offset: Int, ofItself own: @autoclosure () -> EventID) -> EventID {
    guard isPacked else { return withOwnBytes { $0.eventID(at: place) } }
    return withOwnBytes { bytes -> EventID? in
      switch PackedRecord.Causes(rawValue: bytes[41]) {
      case .given:
        bytes.eventID(
          at: bytes.count - PackedRecord.payloadByteCount(bytes) - PackedRecord.causesByteCount + offset)
      case .own: own()
      default: nil
      }
    } ?? withFront { $0.eventID(at: place) }
  }

  /// What whole records have before their payload, and packed ones in their front.
  private func shared<Value: FixedWidthInteger & BitwiseCopyable>(at place: Int) -> Value {
    withFront { $0.littleEndian(at: place) }
  }
}
