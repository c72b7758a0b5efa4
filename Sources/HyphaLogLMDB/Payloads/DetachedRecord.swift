public import HyphaCore
public import HyphaLog

/// A payload that is stored beside the log: its SHA-256 hash and its size.
public struct PayloadReference: Hashable, Sendable {
  /// The hash of the payload's bytes, which is its name.
  public let digest: Digest
  /// The payload's size.
  public let byteCount: UInt32

  /// A reference by its parts.
  public init(digest: Digest, byteCount: UInt32) {
    self.digest = digest
    self.byteCount = byteCount
  }
}

/// A record whose payload is stored beside the log, as the log's entry has it: read in place, without an allocation.
/// Not to outlive its bytes.
///
/// Integers are little-endian. It begins as a record does, with a magic, its length and its checksum, so that salvage
/// finds it in the same way:
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | magic `HYD1` |
/// | 4 | 4 | length of all this in bytes |
/// | 8 | 4 | CRC-32C of the bytes from 12 to the end |
/// | 12 | 4 | length of the payload in bytes |
/// | 16 | 32 | SHA-256 of the payload |
/// | 48 | | the record's front: all of it up to its payload, unchanged, with the length and the CRC-32C of the whole |
///
/// The front and the payload together are the record again, byte for byte, and ``join(into:fetch:)`` proves it by the
/// record's own checksum.
public struct DetachedRecord {
  /// The length of what lies before the record's front.
  public static let headerByteCount = 48
  private static let magic: UInt32 = 0x3144_5948

  /// The record up to its payload.
  public let front: UnsafeRawBufferPointer
  /// The payload that belongs to it.
  public let payload: PayloadReference

  /// The length of the whole record.
  public var recordByteCount: Int { front.count + Int(payload.byteCount) }
}

// MARK: Apart

extension DetachedRecord {
  /// The length in bytes of a detached record whose payload began at `payloadOffset`.
  public static func byteCount(payloadOffset: Int) -> Int { headerByteCount + payloadOffset }

  /// Writes `record` without its payload, which is stored as `payload`, into `detached`, whose length is
  /// ``byteCount(payloadOffset:)``. The record is a checked one and `payload` is of its bytes from `payloadOffset` on;
  /// anything else is a programming error.
  public static func split(
    _ record: UnsafeRawBufferPointer, payloadOffset: Int, payload: PayloadReference,
    into detached: UnsafeMutableRawBufferPointer
  ) {
    precondition(frontByteCount(of: record) == payloadOffset, "the payload begins where the record says")
    precondition(payloadOffset + Int(payload.byteCount) == record.count, "the payload is the record's")
    precondition(
      detached.count == byteCount(payloadOffset: payloadOffset), "the detached record fits exactly")
    detached.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt32.self)
    detached.storeBytes(of: UInt32(detached.count).littleEndian, toByteOffset: 4, as: UInt32.self)
    detached.storeBytes(of: payload.byteCount.littleEndian, toByteOffset: 12, as: UInt32.self)
    payload.digest.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: detached[16..<48]).copyMemory(from: $0)
    }
    UnsafeMutableRawBufferPointer(rebasing: detached[headerByteCount...])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: record[..<payloadOffset]))
    let check = checksumCRC32C(UnsafeRawBufferPointer(rebasing: detached[12...]))
    detached.storeBytes(of: check.littleEndian, toByteOffset: 8, as: UInt32.self)
  }

  /// `record` without its payload, as an array.
  public static func split(
    _ record: UnsafeRawBufferPointer, payloadOffset: Int, payload: PayloadReference
  ) -> [UInt8] {
    let count = byteCount(payloadOffset: payloadOffset)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let detached = UnsafeMutableRawBufferPointer(buffer)
      split(record, payloadOffset: payloadOffset, payload: payload, into: .init(rebasing: detached[..<count]))
      filled = count
    }
  }

  /// The length of a record up to its payload, by its own fixed part, or nil where `bytes` do not begin with one.
  private static func frontByteCount(of bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= WireFormat.recordHeaderByteCount, bytes.prefix(4).elementsEqual("HYR1".utf8) else {
      return nil
    }
    // The lengths of agent; addressee, type, subject, principal and grant.
    return bytes[110...114].reduce(WireFormat.recordHeaderByteCount + Int(bytes[15])) { $0 + Int($1) }
  }
}

// MARK: Together

extension DetachedRecord {
  /// Whether `bytes` begin as a detached record does; a record begins otherwise.
  public static func isDetached(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= headerByteCount && integer(bytes, at: 0) == magic
  }

  /// Reads a detached record in place, of bytes that nobody has checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when magic, length, checksum or the lengths within do not match.
  public init(checking bytes: UnsafeRawBufferPointer) throws(HyphaError) {
    guard Self.isDetached(bytes) else {
      throw Self.damaged("does not begin with HYD1, or is cut short: \(bytes.count) bytes")
    }
    let stated = Self.integer(bytes, at: 4)
    guard Int(stated) == bytes.count else { throw Self.damaged("claims \(stated) of \(bytes.count) bytes") }
    guard Self.integer(bytes, at: 8) == checksumCRC32C(UnsafeRawBufferPointer(rebasing: bytes[12...])) else {
      throw Self.damaged("has a checksum that does not match: it was altered or damaged")
    }
    front = UnsafeRawBufferPointer(rebasing: bytes[Self.headerByteCount...])
    payload = PayloadReference(
      digest: Digest(bytes, at: 16), byteCount: Self.integer(bytes, at: 12))
    guard Self.frontByteCount(of: front) == front.count, Int(Self.integer(front, at: 4)) == recordByteCount
    else {
      throw Self.damaged("has lengths that contradict each other")
    }
  }

  /// Puts the record together in `record`, which has ``recordByteCount`` bytes. `fetch` fills in the payload's bytes.
  ///
  /// - Throws: ``HyphaError/Code/invalidRecord`` when the result is not the record that was split; what `fetch` throws.
  public func join(
    into record: UnsafeMutableRawBufferPointer, fetch: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    precondition(record.count == recordByteCount, "the record fits exactly")
    UnsafeMutableRawBufferPointer(rebasing: record[..<front.count]).copyMemory(from: front)
    try fetch(UnsafeMutableRawBufferPointer(rebasing: record[front.count...]))
    let check = checksumCRC32C(UnsafeRawBufferPointer(rebasing: record[12...]))
    guard Self.integer(UnsafeRawBufferPointer(record), at: 8) == check else {
      throw Self.damaged("and its payload \(payload.digest) do not make the record that was split")
    }
  }

  /// The record's bytes, put together in an array.
  public func join(fetch: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: recordByteCount) { buffer, filled in
      try join(into: .init(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<recordByteCount]), fetch: fetch)
      filled = recordByteCount
    }
  }

  private static func integer(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  private static func damaged(_ what: String) -> HyphaError {
    HyphaError(.invalidRecord, "a detached record \(what)", remedy: LogFailure.restore)
  }
}
