/// Encodes records that differ in numbers and payload alone: everything else is encoded once.
public struct RecordTemplate: Sendable {
  /// What the records share.
  public let names: RecordNames
  /// A whole record without a payload.
  private let front: [UInt8]
  let epoch: UInt64
  private let schemaVersion: UInt16
  private let limits: WireLimits

  /// The numbers that each record has of its own.
  public struct Numbers: Sendable {
    /// The event's id.
    public var id: EventID
    /// When the event was stated.
    public var time: Timestamp
    /// The place in the stream, from 1.
    public var sequence: UInt64
    /// The place of the event before it in its lane.
    public var previous: LanePoint
    /// The event that was being handled.
    public var causation: EventID
    /// The event that began the conversation.
    public var correlation: EventID

    /// Numbers by their parts.
    public init(
      id: EventID, time: Timestamp, sequence: UInt64, previous: LanePoint, causation: EventID,
      correlation: EventID
    ) {
      self.id = id
      self.time = time
      self.sequence = sequence
      self.previous = previous
      self.causation = causation
      self.correlation = correlation
    }
  }

  /// A template of records whose headers are `header` but for their numbers.
  ///
  /// - Throws: what encoding a record without a payload throws.
  public init(_ header: RecordHeader, limits: WireLimits = .standard) throws {
    let payload = UnsafeRawBufferPointer(start: nil, count: 0)
    front = try WireFormat.encodeRecord(header, payload: payload, limits: limits).bytes
    names = front.withUnsafeBytes { RecordNames(header, as: $0) }
    (epoch, schemaVersion) = (header.epoch, header.schemaVersion)
    self.limits = limits
  }

  /// How many bytes a record with a payload of so many has.
  public func byteCount(payloadByteCount: Int) -> Int { front.count + payloadByteCount }

  /// Appends a record to `bytes`.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` when the payload exceeds the limits; ``HyphaError/Code/invalidRecord``
  ///   when a number is impossible. Nothing is appended then.
  public func append(
    _ numbers: Numbers, payload: UnsafeRawBufferPointer, to bytes: inout [UInt8]
  ) throws(HyphaError) {
    try check(numbers, payload: payload)
    let begin = bytes.count
    front.withUnsafeBytes { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: payload)
    bytes.withUnsafeMutableBytes { all in
      UnsafeMutableRawBufferPointer(rebasing: all[begin...]).finishRecord(numbers)
    }
  }

  /// Throws what ``append(_:payload:to:)`` throws.
  func check(_ numbers: Numbers, payload: UnsafeRawBufferPointer) throws(HyphaError) {
    guard payload.count <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "the payload of \(names.type) by \(names.lane.agent) has \(payload.count) bytes",
        remedy: "keep it to \(limits.payloadByteCountMax), or raise limits.payload")
    }
    try WireFormat.checkNumbers(
      point: LanePoint(epoch: epoch, sequence: numbers.sequence), previous: numbers.previous,
      schemaVersion: schemaVersion)
  }

  /// Calls `body` with a whole record without a payload.
  func withFront<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    front.withUnsafeBytes(body)
  }

  /// Whether it is a copy of another one: false where that is not seen at once.
  func isCopy(of other: RecordTemplate) -> Bool {
    front.withUnsafeBytes { own in other.front.withUnsafeBytes { own.baseAddress == $0.baseAddress } }
  }
}

extension RecordTemplate.Numbers {
  /// Those of a record.
  public init(_ record: Record) {
    self.init(
      id: record.id, time: record.time, sequence: record.sequence, previous: record.previous,
      causation: record.causation, correlation: record.correlation)
  }
}
