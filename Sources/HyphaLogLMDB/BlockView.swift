import HyphaCore
import HyphaLog

/// A block that is read in place. Not to outlive the bytes.
///
/// A view exists only of a block whose header was checked: the entry headers lie within it.
struct BlockView {
  let first: Position
  let last: Position
  private let bytes: UnsafeRawBufferPointer

  /// A view of the block under the key `last`.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when its header is not what was written.
  init(_ bytes: UnsafeRawBufferPointer, last: Position) throws {
    guard bytes.count >= BlockLayout.headerByteCount,
      UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == BlockLayout.magic,
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        == BlockLayout.checksum(ofHeader: bytes, key: last)
    else { throw Self.damaged(last, "has a header whose checksum does not match") }
    let first = Position(rawValue: Self.word(bytes, 8))
    let count = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    let byteCount = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
    guard count > 0, first > .start, last.rawValue >= first.rawValue,
      last.rawValue - first.rawValue == count - 1,
      bytes.count == Int(byteCount),
      UInt64(bytes.count) >= UInt64(BlockLayout.headerByteCount) + count
        * UInt64(BlockLayout.entryHeaderByteCount)
    else { throw Self.damaged(last, "has a header that is impossible") }
    self.bytes = bytes
    self.first = first
    self.last = last
  }

  /// The chain's link at the end of the block.
  var link: Digest { Digest(bytes, at: 32) }

  /// The whole block.
  var rawBytes: UnsafeRawBufferPointer { bytes }

  /// Calls `body` with the entry at a position of this block, once it was checked.
  ///
  /// - Parameter payloads: where a payload is found that lies beside the log.
  func withEntry<Value>(
    at position: Position, payloads: PayloadStore, _ body: (EntryView) throws -> Value
  ) throws -> Value {
    // The initialiser has found room for all headers, so there are bytes.
    let header = UnsafeRawBufferPointer(
      start: bytes.baseAddress! + BlockLayout.headerByteCount
        + Int(position.rawValue - first.rawValue) * BlockLayout.entryHeaderByteCount,
      count: BlockLayout.entryHeaderByteCount)
    let offset = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 28, as: UInt32.self)))
    let count = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 32, as: UInt32.self)))
    guard count >= WireFormat.recordHeaderByteCount, offset <= bytes.count - count else {
      throw damaged(position, "has a header that is impossible")
    }
    let stored = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    let stated = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 36, as: UInt32.self))
    let recordCheck = stored.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    guard
      stated == BlockLayout.checksum(ofEntryHeader: header, at: position, recordCheck: recordCheck)
    else { throw damaged(position, "has a header whose checksum does not match") }
    let time = Self.word(header, 0)
    let previousInStream = Position(rawValue: Self.word(header, 8))
    let previousInLane = Position(rawValue: Self.word(header, 16))
    let source: EntrySource
    switch (header[24], header[25]) {
    case (0, 0): source = .stated
    case (1, let hops): source = .received(hops: hops)
    default: throw damaged(position, "has a source that this version does not know")
    }
    guard time <= BlockLayout.timeMax, previousInStream < position, previousInLane < position, header[26] <= 1
    else { throw damaged(position, "has a header that is impossible") }
    func view(_ record: UnsafeRawBufferPointer) throws -> EntryView {
      let checked: RecordView
      do throws(HyphaError) {
        checked = try RecordView(checking: record, limits: BlockLayout.limits)
      } catch {
        throw damaged(position, "has a record that is damaged", cause: "\(error)")
      }
      return EntryView(
        position: position, appendedAt: Timestamp(rawValue: time), source: source,
        previousInStream: previousInStream, previousInLane: previousInLane, record: checked)
    }
    if header[26] == 0 { return try body(view(stored)) }
    let whole: [UInt8]
    do {
      whole = try payloads.record(of: DetachedRecord(checking: stored))
    } catch {
      throw damaged(position, "has a payload beside the log that is gone or damaged", cause: "\(error)")
    }
    return try whole.withUnsafeBytes { try body(view($0)) }
  }

  /// The hash of the record at a position, as its header has it.
  func leaf(at position: Position) -> Digest {
    let offset =
      BlockLayout.headerByteCount + Int(position.rawValue - first.rawValue) * BlockLayout.entryHeaderByteCount
    return Digest(bytes, at: offset + 40)
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func damaged(_ last: Position, _ what: String) -> HyphaError {
    // No log has so many entries: such a key is damaged itself.
    let isPlace = last.rawValue <= 1 << 60
    return HyphaError(
      .logInvalid,
      isPlace
        ? "the block that ends at position \(last) \(what)"
        : "a block \(what), and its key is damaged, so that its place is not known",
      remedy: LogFailure.restore)
  }

  private func damaged(_ position: Position, _ what: String, cause: String? = nil) -> HyphaError {
    HyphaError(
      .logInvalid, "the entry at position \(position) \(what)", remedy: LogFailure.restore, cause: cause)
  }
}
