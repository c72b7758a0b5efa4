import HyphaCore
import HyphaLog

/// The bytes of one entry in the table `entries`, version 1.
///
/// The key is the position, 8 bytes big-endian, so that LMDB's order by bytes is the order of the log. The
/// value is a header of 32 bytes, little-endian, and the record:
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 8 | when the log took the entry, as a hybrid clock's reading |
/// | 8 | 8 | position of the entry before it of the same stream; 0 where there is none |
/// | 16 | 8 | position of the entry before it of the same lane; 0 where there is none |
/// | 24 | 1 | source: 0 stated here, 1 received |
/// | 25 | 1 | hops that a received entry has come; 0 for a stated one |
/// | 26 | 2 | reserved, 0 |
/// | 28 | 4 | CRC-32C of the key, the bytes 0–27, and the record's own CRC-32C (its bytes 8–11) |
/// | 32 | | the record, as `WireFormat` lays it out |
///
/// The check binds header and record to their position: an entry that stands where it does not belong is
/// found, as is one whose header was altered. What follows in the record is covered by the record's CRC.
enum EntryLayout {
  static let headerByteCount = 32
  private static let recordChecksumRange = 8..<12
  /// A later reading would let the next ones overflow; it stands for the year 2112.
  private static let timeMax = UInt64.max - 1 << 32
  /// The record lies whole in memory already, so the only bound is the width of its length.
  private static let limits = WireLimits(
    payloadByteCountMax: Int(UInt32.max), frameRecordCountMax: 1, frameByteCountMax: 0)

  static func byteCount(of entry: LogEntry) -> Int { headerByteCount + entry.record.bytes.count }

  /// Calls `body` with the key of a position.
  static func withKey<Value>(_ position: Position, _ body: (UnsafeRawBufferPointer) throws -> Value) rethrows
    -> Value
  {
    try withUnsafeBytes(of: position.rawValue.bigEndian, body)
  }

  /// The position that a key stands for.
  static func position(ofKey key: UnsafeRawBufferPointer) throws -> Position {
    guard key.count == 8 else {
      throw HyphaError(
        .logInvalid, "the table entries has a key of \(key.count) bytes", remedy: LogFailure.restore)
    }
    return Position(rawValue: UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
  }

  /// Writes an entry's value into `value`, which has ``byteCount(of:)`` bytes.
  static func write(_ entry: LogEntry, into value: UnsafeMutableRawBufferPointer) {
    let bytes = entry.record.bytes
    value.storeBytes(of: entry.appendedAt.rawValue.littleEndian, toByteOffset: 0, as: UInt64.self)
    value.storeBytes(of: entry.previousInStream.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
    value.storeBytes(of: entry.previousInLane.rawValue.littleEndian, toByteOffset: 16, as: UInt64.self)
    switch entry.source {
    case .stated: value.storeBytes(of: 0, toByteOffset: 24, as: UInt32.self)
    case .received(let hops):
      value.storeBytes(of: 1, toByteOffset: 24, as: UInt8.self)
      value.storeBytes(of: hops, toByteOffset: 25, as: UInt8.self)
      value.storeBytes(of: 0, toByteOffset: 26, as: UInt16.self)
    }
    UnsafeMutableRawBufferPointer(rebasing: value[headerByteCount...]).copyBytes(from: bytes)
    let check = checksum(of: UnsafeRawBufferPointer(value), at: entry.position)
    value.storeBytes(of: check.littleEndian, toByteOffset: 28, as: UInt32.self)
  }

  /// The entry at `position`, copied out of `value` and checked.
  static func read(_ value: UnsafeRawBufferPointer, at position: Position) throws -> LogEntry {
    guard value.count >= headerByteCount + recordChecksumRange.upperBound else {
      throw damaged(position, "is cut short: \(value.count) bytes")
    }
    let stated = UInt32(littleEndian: value.loadUnaligned(fromByteOffset: 28, as: UInt32.self))
    guard stated == checksum(of: value, at: position) else {
      throw damaged(position, "has a header whose checksum does not match")
    }
    var reader = ByteReader(
      UnsafeRawBufferPointer(rebasing: value[..<headerByteCount]), code: .logInvalid, noun: "an entry")
    let time: UInt64 = try reader.read()
    let previousInStream = Position(rawValue: try reader.read())
    let previousInLane = Position(rawValue: try reader.read())
    let kind: UInt8 = try reader.read()
    let hops: UInt8 = try reader.read()
    let source: EntrySource
    switch (kind, hops) {
    case (0, 0): source = .stated
    case (1, _): source = .received(hops: hops)
    default: throw damaged(position, "has a source that this version does not know")
    }
    guard time <= timeMax, previousInStream < position, previousInLane < position else {
      throw damaged(position, "has a header that is impossible")
    }
    do {
      let record = try Record(
        decoding: UnsafeRawBufferPointer(rebasing: value[headerByteCount...]), limits: limits)
      return LogEntry(
        position: position, appendedAt: Timestamp(rawValue: time), source: source,
        previousInStream: previousInStream, previousInLane: previousInLane, record: record)
    } catch {
      throw damaged(position, "has a record that is damaged", cause: "\(error)")
    }
  }

  /// The checksum of an entry's header, in a value that has one and a record's begin.
  private static func checksum(of value: UnsafeRawBufferPointer, at position: Position) -> UInt32 {
    withUnsafeTemporaryAllocation(byteCount: 40, alignment: 8) { joined in
      joined.storeBytes(of: position.rawValue.bigEndian, as: UInt64.self)
      UnsafeMutableRawBufferPointer(rebasing: joined[8..<36]).copyBytes(from: value[..<28])
      UnsafeMutableRawBufferPointer(rebasing: joined[36...])
        .copyBytes(from: value[headerByteCount...][relative: recordChecksumRange])
      return checksumCRC32C(UnsafeRawBufferPointer(joined))
    }
  }

  private static func damaged(_ position: Position, _ what: String, cause: String? = nil) -> HyphaError {
    HyphaError(
      .logInvalid, "the entry at position \(position) \(what)", remedy: LogFailure.restore, cause: cause)
  }
}

extension Slice<UnsafeRawBufferPointer> {
  /// A part of the slice, counted from its own begin.
  fileprivate subscript(relative range: Range<Int>) -> Slice<UnsafeRawBufferPointer> {
    self[startIndex + range.lowerBound..<startIndex + range.upperBound]
  }
}
