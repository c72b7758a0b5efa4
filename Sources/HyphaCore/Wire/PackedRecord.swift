/// The bytes of an event in a frame of version 2: what it has of its own, beside a *front* that many share.
///
/// A front is a record without a payload. Names, epoch, content type, versions and authority of every event that refers to
/// it are the front's, and so are its cause and conversation where the event does not say otherwise.
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | length of the payload |
/// | 4 | 4 | how far its sequence lies above that of the previous event of the lane, of the same epoch; 0: the front's previous |
/// | 8 | 8 | time |
/// | 16 | 8 | sequence |
/// | 24 | 16 | event id |
/// | 40 | 1 | number of its front among those of the frame, from 0; the next new one's front follows |
/// | 41 | 1 | 0: cause and conversation are the front's; 1: they follow; 2: none, and its own |
/// | 42 | 2 | reserved, 0 |
/// | 44 | | the front, where it is new |
/// | | 32 | causation and correlation, where they follow |
/// | | | payload |
enum PackedRecord {
  static let byteCount = 44
  static let causesByteCount = 32
  /// Among how many of the newest fronts one is looked for that an event can refer to; whoever reads does not depend on it.
  static let searchedFrontCount = 8

  /// Whose cause and conversation an event has.
  enum Causes: UInt8 {
    case front, given, own
  }

  static func payloadByteCount(_ packed: UnsafeRawBufferPointer) -> Int {
    Int(packed.littleEndian(at: 0) as UInt32)
  }

  /// Whether two records' fixed parts and texts, without payloads, are the same but for length, checksum and numbers.
  static func areAlike(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    func part(_ range: Range<Int>) -> Bool {
      UnsafeRawBufferPointer(rebasing: one[range]).hasBytes(
        of: UnsafeRawBufferPointer(rebasing: other[range]))
    }
    return one.count == other.count && part(12..<16) && part(40..<48) && part(104..<one.count)
  }
}

// MARK: Writing

/// The bytes of a frame, whose records are added one after the other: whole ones, or packed ones.
public struct FrameBody: Sendable {
  /// Whether the records are packed, as in frames of version 2.
  public let isPacked: Bool
  /// The front, and the records so far.
  public private(set) var bytes: [UInt8]
  /// How many records there are.
  public private(set) var count = 0
  /// How long the first front is, which lies behind the first record, and where the others lie: mostly there is one.
  private var firstFrontByteCount = 0
  private var moreFronts: [Range<Int>] = []
  private var newestFront = 0
  /// Whose front the newest one is, where that is known.
  private var newestTemplate: RecordTemplate?
  private let frontByteCount: Int
  /// The newest record's place and time.
  private var end: (point: LanePoint, time: Timestamp)?

  /// A frame without records.
  public init(behind front: FrameFront) {
    isPacked = front.isPacked
    bytes = front.bytes
    frontByteCount = front.byteCount
  }

  /// The same records behind another front of the same kind.
  public func behind(_ front: FrameFront) -> FrameBody {
    precondition(front.isPacked == isPacked, "records are packed or not")
    var other = FrameBody(behind: front)
    other.bytes.reserveCapacity(front.byteCount + bytes.count - frontByteCount)
    other.bytes += bytes[frontByteCount...]
    other.count = count
    return other
  }

  /// Whether the next record of the lane may be added: where they are packed it is to follow the newest one, at no earlier time.
  public func takes(_ numbers: RecordTemplate.Numbers) -> Bool {
    guard isPacked, let end else { return true }
    return numbers.previous == end.point && numbers.time >= end.time
  }

  mutating func takeBytes() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  /// About how many bytes an event adds: no fewer, where it is like one before it.
  public func byteCount(of template: RecordTemplate, payloadByteCount: Int) -> Int {
    let whole = template.byteCount(payloadByteCount: payloadByteCount)
    guard isPacked else { return whole }
    return PackedRecord.byteCount + (count == 0 ? whole : payloadByteCount)
  }

  /// Has room set aside for so many bytes.
  public mutating func reserveCapacity(_ byteCount: Int) { bytes.reserveCapacity(byteCount) }

  /// Adds an event that ``takes(_:)``. There are at most 256 in a frame, which the caller sees to.
  ///
  /// - Throws: what ``RecordTemplate/append(_:payload:to:)`` throws; nothing is added then.
  public mutating func append(
    _ template: RecordTemplate, _ numbers: RecordTemplate.Numbers, payload: UnsafeRawBufferPointer
  ) throws(HyphaError) {
    if isPacked {
      try template.check(numbers, payload: payload)
      let isNewest = newestTemplate.map { template.isCopy(of: $0) } ?? false
      template.withFront { append(numbers, front: $0, isNewest: isNewest, payload: payload) }
      if !isNewest { newestTemplate = template }
      end = (LanePoint(epoch: template.epoch, sequence: numbers.sequence), numbers.time)
    } else {
      try template.append(numbers, payload: payload, to: &bytes)
    }
    count += 1
  }

  /// Takes all records of another packed frame, to be sent as they are.
  mutating func append(_ packed: ArraySlice<UInt8>, count: Int) {
    bytes.reserveCapacity(bytes.count + packed.count)
    bytes += packed
    self.count += count
  }

  /// Adds a record.
  mutating func append(_ record: Record) {
    if isPacked {
      record.withFront { front in
        record.withPayload { append(RecordTemplate.Numbers(record), front: front, payload: $0) }
      }
      newestTemplate = nil
    } else {
      record.withBytes { bytes.append(contentsOf: $0) }
    }
    count += 1
  }

  /// - Parameters:
  ///   - front: the fixed part and the texts of the record; its length, checksum and numbers do not count.
  ///   - isNewest: whether it is known to be like the newest one.
  private mutating func append(
    _ numbers: RecordTemplate.Numbers, front: UnsafeRawBufferPointer, isNewest: Bool = false,
    payload: UnsafeRawBufferPointer
  ) {
    let epoch: UInt64 = front.littleEndian(at: 40)
    let distance = numbers.sequence &- numbers.previous.sequence
    let isNear = numbers.previous.epoch == epoch && (1...UInt64(UInt32.max)).contains(distance)
    let known = !isNear ? nil : isNewest ? newestFront : place(ofFrontLike: front)
    let causes = causes(of: numbers, besides: known)
    withUnsafeTemporaryAllocation(byteCount: PackedRecord.byteCount, alignment: 8) { part in
      part.put(UInt32(payload.count), at: 0)
      part.put(isNear ? UInt32(distance) : 0, at: 4)
      part.put(numbers.time.rawValue, at: 8)
      part.put(numbers.sequence, at: 16)
      part.put(numbers.id, at: 24)
      part[40] = UInt8(known ?? frontCount)
      part[41] = causes.rawValue
      part.put(UInt16(0), at: 42)
      bytes.append(contentsOf: part)
    }
    newestFront = known ?? frontCount
    if known == nil { appendFront(front, numbers) }
    if causes == .given {
      withUnsafeTemporaryAllocation(byteCount: PackedRecord.causesByteCount, alignment: 8) { part in
        part.put(numbers.causation, at: 0)
        part.put(numbers.correlation, at: 16)
        bytes.append(contentsOf: part)
      }
    }
    bytes.append(contentsOf: payload)
  }

  /// Whose cause and conversation an event says are its own. A front that comes with it has them.
  private func causes(of numbers: RecordTemplate.Numbers, besides known: Int?) -> PackedRecord.Causes {
    if numbers.causation == .none && numbers.correlation == numbers.id { return .own }
    guard let known else { return .front }
    return withFront(known) { front in
      numbers.causation == front.eventID(at: 72) && numbers.correlation == front.eventID(at: 88)
        ? .front : .given
    }
  }

  private var frontCount: Int { firstFrontByteCount == 0 ? 0 : 1 + moreFronts.count }

  /// The number of a front that is as this one but for its numbers.
  private func place(ofFrontLike front: UnsafeRawBufferPointer) -> Int? {
    func fits(_ place: Int) -> Bool { withFront(place) { PackedRecord.areAlike($0, front) } }
    if newestFront < frontCount, fits(newestFront) { return newestFront }
    return (0..<frontCount).suffix(PackedRecord.searchedFrontCount).first(where: fits)
  }

  private func withFront<Result>(_ place: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let begin = frontByteCount + PackedRecord.byteCount
    let range = place == 0 ? begin..<begin + firstFrontByteCount : moreFronts[place - 1]
    return bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// Appends a front with the numbers of the event that it comes with.
  private mutating func appendFront(_ front: UnsafeRawBufferPointer, _ numbers: RecordTemplate.Numbers) {
    let offset = bytes.count
    bytes.append(contentsOf: front)
    bytes.withUnsafeMutableBytes { all in
      UnsafeMutableRawBufferPointer(rebasing: all[offset...]).finishRecord(numbers)
    }
    if firstFrontByteCount == 0 {
      firstFrontByteCount = front.count
    } else {
      moreFronts.append(offset..<bytes.count)
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Gives a record that has all else its length, its numbers and its checksum.
  func finishRecord(_ numbers: RecordTemplate.Numbers) {
    put(UInt32(count), at: 4)
    put(numbers.id, at: 16)
    put(numbers.time.rawValue, at: 32)
    put(numbers.sequence, at: 48)
    put(numbers.previous.epoch, at: 56)
    put(numbers.previous.sequence, at: 64)
    put(numbers.causation, at: 72)
    put(numbers.correlation, at: 88)
    put(checksumCRC32C(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(self)[12...])), at: 8)
  }
}

// MARK: Reading

extension PackedRecord {
  /// Whether records are realtime ones that follow each other in their lane, with nothing between them, at times that do not fall.
  static func isRun(_ records: [Record]) -> Bool {
    records.isWholeRun
      || records[0].channel == .realtime
        && zip(records, records.dropFirst()).allSatisfy { $1.previous == $0.point && $1.time >= $0.time }
  }

  /// The records of a frame's body, from where `reader` is to the end.
  static func records(
    _ reader: inout ByteReader, count: Int, of bytes: UnsafeRawBufferPointer, in storage: [UInt8],
    limits: WireLimits, names cache: inout RecordNamesCache
  ) throws -> (records: [Record], first: RecordView) {
    var first: RecordView?
    var kinds: [RecordBatch.Kind] = []
    var places: [Record.PackedPlace] = []
    places.reserveCapacity(count)
    var last: (point: LanePoint, time: UInt64)?
    for _ in 0..<count {
      let begin = reader.offset
      let part = try reader.read(count: byteCount)
      let payloadByteCount = payloadByteCount(part)
      let distance: UInt32 = part.littleEndian(at: 4)
      let sequence: UInt64 = part.littleEndian(at: 16)
      guard let causes = Causes(rawValue: part[41]), part.littleEndian(at: 42) as UInt16 == 0 else {
        throw HyphaError(
          .invalidRecord, "an event of a frame has causes or reserved bytes that are not known",
          remedy: "upgrade this node")
      }
      let front = Int(part[40])
      guard front <= kinds.count else {
        throw HyphaError(.invalidRecord, "an event of a frame refers to front \(front) of \(kinds.count)")
      }
      if front == kinds.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
        let length = try RecordView.byteCount(atFrontOf: rest, limits: limits)
        let offset = reader.offset
        let view = try RecordView(checking: try reader.read(count: length), limits: limits)
        guard view.payload.isEmpty, view.channel == .realtime else {
          throw HyphaError(
            .invalidRecord, "a front of a frame has a payload, or is not of the realtime channel")
        }
        if let first { guard view.sharesLane(with: first) else { throw WireFormat.notTheLane() } }
        first = first ?? view
        kinds.append(.init(names: try cache.names(of: view), front: UInt32(offset)))
      }
      if causes == .given { _ = try reader.read(count: causesByteCount) }
      guard payloadByteCount <= limits.payloadByteCountMax else {
        throw HyphaError(
          .tooLarge, "an event of a frame has a payload of \(payloadByteCount) bytes",
          remedy: "raise limits.payload above \(limits.payloadByteCountMax)")
      }
      _ = try reader.read(count: payloadByteCount)
      let shared = UnsafeRawBufferPointer(rebasing: bytes[Int(kinds[front].front)...])
      let point = LanePoint(epoch: shared.littleEndian(at: 40), sequence: sequence)
      // Where it names no distance, the front says which one was before it.
      let previous =
        distance == 0
        ? LanePoint(epoch: shared.littleEndian(at: 56), sequence: shared.littleEndian(at: 64))
        : LanePoint(epoch: point.epoch, sequence: sequence &- UInt64(distance))
      let time: UInt64 = part.littleEndian(at: 8)
      guard sequence > UInt64(distance), previous < point else {
        throw HyphaError(.invalidRecord, "an event of a frame has an impossible sequence or back-pointer")
      }
      if let last {
        guard previous == last.point, time >= last.time else {
          throw HyphaError(.invalidRecord, "an event of a frame does not follow the one before it")
        }
      }
      last = (point, time)
      places.append(
        .init(offset: begin, byteCount: reader.offset - begin, front: front))
    }
    guard let first else { throw HyphaError(.invalidFrame, "a frame has no records") }
    let batch = RecordBatch(bytes: storage, kinds: kinds, runCount: count)
    return (places.map { Record(in: batch, packed: $0) }, first)
  }
}
