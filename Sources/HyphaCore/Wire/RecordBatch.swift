/// Records that came or were made together: the bytes that all of them lie in, and the names that they have.
///
/// A record is a place in one of these. So a run of records costs one piece of memory, and who hands records on from
/// thread to thread counts references to this object alone, which nobody else uses at the same time.
final class RecordBatch: Sendable {
  /// What some of the records share.
  struct Kind: Sendable {
    let names: RecordNames
    /// Where the front lies that packed records refer to.
    var front: UInt32 = 0
  }

  let bytes: [UInt8]
  let kinds: [Kind]
  /// How many packed records there are; 0 where the records are whole.
  let runCount: Int

  init(bytes: [UInt8], kinds: [Kind], runCount: Int = 0) {
    self.bytes = bytes
    self.kinds = kinds
    self.runCount = runCount
  }
}

/// Where the records of a batch lie that is not made yet.
struct RecordPlaces {
  private var kinds: [RecordBatch.Kind] = []
  private var places: [(offset: Int, byteCount: Int, kind: Int)] = []

  init(capacity: Int) { places.reserveCapacity(capacity) }

  /// Adds a record with the names of the one before it.
  mutating func addAlike(offset: Int, byteCount: Int) {
    places.append((offset, byteCount, places[places.count - 1].kind))
  }

  /// Adds a record.
  mutating func add(offset: Int, byteCount: Int, names new: RecordNames) {
    let index = kinds.firstIndex { $0.names === new } ?? kinds.count
    if index == kinds.count { kinds.append(.init(names: new)) }
    places.append((offset, byteCount, index))
  }

  /// The records, once `bytes` is all that they lie in.
  func records(in bytes: [UInt8]) -> [Record] {
    let batch = RecordBatch(bytes: bytes, kinds: kinds)
    return places.map { place in
      Record(in: batch, at: place.offset, byteCount: place.byteCount, kind: place.kind)
    }
  }
}

/// Encodes records one after the other into one piece of memory.
public struct RecordBatchBuilder {
  private var bytes: [UInt8] = []
  private var places: RecordPlaces

  /// A builder with room for so many records and bytes.
  public init(recordCount: Int, byteCount: Int) {
    places = RecordPlaces(capacity: recordCount)
    bytes.reserveCapacity(byteCount)
  }

  /// Adds a record.
  ///
  /// - Throws: what ``RecordTemplate/append(_:payload:to:)`` throws; nothing is added then.
  public mutating func append(
    _ template: RecordTemplate, _ numbers: RecordTemplate.Numbers, payload: UnsafeRawBufferPointer
  ) throws(HyphaError) {
    let offset = bytes.count
    try template.append(numbers, payload: payload, to: &bytes)
    places.add(offset: offset, byteCount: bytes.count - offset, names: template.names)
  }

  /// The records, in the order in which they were added.
  public func records() -> [Record] { places.records(in: bytes) }
}
