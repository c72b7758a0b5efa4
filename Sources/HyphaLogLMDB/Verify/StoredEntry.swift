import HyphaCore
import HyphaLog

/// One entry of a block of which nothing but the length was checked: what verify and salvage look at where a reader
/// would have thrown. Not to outlive the bytes.
struct StoredEntry {
  let position: Position
  /// The entry's header, whole or not.
  let header: UnsafeRawBufferPointer
  /// The record's bytes as the header places them; nil where that is impossible.
  let stored: UnsafeRawBufferPointer?

  /// The entry number `index` of a block, whose table of headers lies within it.
  init(_ index: Int, of block: UnsafeRawBufferPointer, at position: Position) {
    self.position = position
    let begin = BlockLayout.headerByteCount + index * BlockLayout.entryHeaderByteCount
    header = UnsafeRawBufferPointer(rebasing: block[begin..<begin + BlockLayout.entryHeaderByteCount])
    let offset = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 28, as: UInt32.self)))
    let count = Int(UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 32, as: UInt32.self)))
    let isPossible = offset >= begin && count >= 12 && offset <= block.count - count
    stored = isPossible ? UnsafeRawBufferPointer(rebasing: block[offset..<offset + count]) : nil
  }

  /// Whether the payload lies beside the log.
  var isDetached: Bool { header[26] == 1 }

  /// What is beside the log, where the record says so and is whole.
  var payload: PayloadReference? {
    guard isDetached, let stored else { return nil }
    return try? DetachedRecord(checking: stored).payload
  }

  /// The hash of the record, as the header has it.
  var leaf: Digest { Digest(header, at: 40) }

  /// Whether header and position belong together, and to a record with this checksum.
  var isBound: Bool {
    guard let stored else { return false }
    let recordCheck = stored.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    return UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 36, as: UInt32.self))
      == BlockLayout.checksum(ofEntryHeader: header, at: position, recordCheck: recordCheck)
  }

  /// Calls `body` with the whole record, which is put together where its payload lies beside the log.
  ///
  /// - Throws: what is wrong with the record or its payload.
  func withRecord<Value>(
    _ payloads: PayloadStore, _ body: (UnsafeRawBufferPointer) throws -> Value
  ) throws -> Value {
    guard let stored else { throw HyphaError(.logInvalid, "its header is impossible") }
    guard isDetached else { return try body(stored) }
    return try payloads.record(of: DetachedRecord(checking: stored)).withUnsafeBytes(body)
  }

  /// The entry with its record, which was put together.
  func view(of record: UnsafeRawBufferPointer) throws -> EntryView {
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: header.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    return EntryView(
      position: position, appendedAt: Timestamp(rawValue: min(word(0), BlockLayout.timeMax)),
      source: header[24] == 0 ? .stated : .received(hops: header[25]),
      previousInStream: Position(rawValue: word(8)), previousInLane: Position(rawValue: word(16)),
      record: try RecordView(checking: record, limits: BlockLayout.limits))
  }
}

extension BlockView {
  /// The entry at a position of this block, unchecked.
  func stored(at position: Position) -> StoredEntry {
    StoredEntry(Int(position.rawValue - first.rawValue), of: rawBytes, at: position)
  }
}

/// What hashing one block shows, which needs no other block than the link before it. Pure, so that blocks can be
/// hashed on all cores.
struct BlockProof {
  /// The positions whose record is not the one that the header has the hash of.
  private(set) var otherRecords: [Position] = []
  /// Whether the link follows from the one before and the entries' headers.
  private(set) var isLinked = true

  /// Hashes a block. Records whose payloads lie beside the log are left to who reads those.
  init(_ block: BlockView, after link: Digest?) {
    var builder = DigestBuilder()
    for number in block.first.rawValue...block.last.rawValue {
      let entry = block.stored(at: Position(rawValue: number))
      guard let stored = entry.stored, !entry.isDetached else { continue }
      builder.add(stored)
      if builder.finishAndBeginAnew() != entry.leaf { otherRecords.append(entry.position) }
    }
    guard let link else { return }
    isLinked = Self.isLinked(block.rawBytes, after: link)
  }

  /// Whether the link that stands in a block follows from `link`.
  static func isLinked(_ block: UnsafeRawBufferPointer, after link: Digest) -> Bool {
    var chain = HashChain(head: link)
    chain.addBlock(block)
    return chain.head == Digest(block, at: 32)
  }
}
