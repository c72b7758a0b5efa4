/// Encodes records that differ in numbers and payload alone: everything else is encoded once.
public struct RecordTemplate: Sendable {
  /// What the records share.
  public let names: RecordNames
  /// A whole record without a payload.
  private let front: [UInt8]
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
    guard payload.count <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "the payload of \(names.type) by \(names.lane.agent) has \(payload.count) bytes",
        remedy: "keep it to \(limits.payloadByteCountMax), or raise limits.payload")
    }
    let begin = bytes.count
    front.withUnsafeBytes { bytes.append(contentsOf: $0) }
    let error: HyphaError? = bytes.withUnsafeMutableBytes { all -> HyphaError? in
      let record = UnsafeMutableRawBufferPointer(rebasing: all[begin...])
      record.put(UInt32(front.count + payload.count), at: 4)
      record.put(numbers.id, at: 16)
      record.put(numbers.time.rawValue, at: 32)
      record.put(numbers.sequence, at: 48)
      record.put(numbers.previous.epoch, at: 56)
      record.put(numbers.previous.sequence, at: 64)
      record.put(numbers.causation, at: 72)
      record.put(numbers.correlation, at: 88)
      let view = UnsafeRawBufferPointer(record)
      let point = LanePoint(epoch: view.littleEndian(at: 40), sequence: numbers.sequence)
      do throws(HyphaError) {
        try WireFormat.checkNumbers(
          point: point, previous: numbers.previous, schemaVersion: view.littleEndian(at: 108))
        return nil
      } catch { return error }
    }
    if let error {
      bytes.removeLast(bytes.count - begin)
      throw error
    }
    bytes.append(contentsOf: payload)
    bytes.withUnsafeMutableBytes { all in
      let record = UnsafeMutableRawBufferPointer(rebasing: all[begin...])
      record.put(checksumCRC32C(UnsafeRawBufferPointer(rebasing: record[12...])), at: 8)
    }
  }
}
