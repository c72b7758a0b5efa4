import HyphaCore
import HyphaLog

/// The bytes of one block in the table `blocks`, version 2.
///
/// A block holds entries that were committed together, up to about 64 KiB of them or one larger entry. Its key
/// is the position of its last entry, 8 bytes big-endian, so that LMDB's order by bytes is the order of the
/// log, a search for a position lands on the block that has it, and appending never moves anything. One value
/// for many entries is what makes a large group cheap: LMDB is asked once, and the rest is copying.
///
/// Integers are little-endian.
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | magic `HYB2` |
/// | 4 | 4 | CRC-32C of the key and of the bytes 8–63 |
/// | 8 | 8 | position of the first entry |
/// | 16 | 4 | number of entries |
/// | 20 | 4 | length of the block in bytes |
/// | 24 | 8 | reserved, 0 |
/// | 32 | 32 | link of the chain: SHA-256 of the link before, the bytes 8–23, and all entry headers |
/// | 64 | 72 each | entry headers |
/// | | | the records, one after the other |
///
/// **Entry header**
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 8 | when the log took the entry, as a hybrid clock's reading |
/// | 8 | 8 | position of the entry before it of the same stream; 0 where there is none |
/// | 16 | 8 | position of the entry before it of the same lane; 0 where there is none |
/// | 24 | 1 | source: 0 stated here, 1 received |
/// | 25 | 1 | hops that a received entry has come; 0 for a stated one |
/// | 26 | 1 | form: 0 the whole record, 1 the record without its payload (see ``DetachedRecord``) |
/// | 27 | 1 | reserved, 0 |
/// | 28 | 4 | where the record begins in the block |
/// | 32 | 4 | how many bytes of it are here |
/// | 36 | 4 | CRC-32C of the position (8, big-endian), the bytes 0–35 and 40–71, and the record's own CRC-32C |
/// | 40 | 32 | SHA-256 of the whole record |
///
/// The check binds header and record to their position: an entry that stands where it does not belong is
/// found, as is one whose header was altered. What follows in the record is covered by the record's CRC, and
/// against intent by its hash, which the chain covers.
enum BlockLayout {
  static let magic: UInt32 = 0x3242_5948
  static let headerByteCount = 64
  static let entryHeaderByteCount = 72
  /// The bytes of the header that the chain covers.
  static let chainedHeaderRange = 8..<24

  /// A block of more would be no cheaper, and a reader of one entry would find it no faster.
  static let byteCountMax = 64 << 10
  /// What LMDB keeps inside a page of its tree; a larger value takes whole pages. (mdb.c: a node has at most
  /// half a page less its header; 4,096-byte pages.)
  static let inlineByteCountMax = 2_000
  /// Below this many bytes, whole pages would be filled too badly.
  static let pagedByteCountMin = 16 << 10

  /// A later reading would let the next ones overflow; it stands for the year 2112.
  static let timeMax = UInt64.max - 1 << 32
  /// The record lies whole in memory already, so the only bound is the width of its length.
  static let limits = WireLimits(
    payloadByteCountMax: Int(UInt32.max), frameRecordCountMax: 1, frameByteCountMax: 0)

  /// How many of the next entries go into one block, given each one's bytes with its header.
  static func entryCount(ofNextBlock byteCounts: ArraySlice<Int>, restByteCount: Int) -> Int {
    let bound = restByteCount >= pagedByteCountMin ? byteCountMax : inlineByteCountMax
    var sum = headerByteCount
    var count = 0
    for byteCount in byteCounts {
      sum += byteCount
      if sum > bound && count > 0 { break }
      count += 1
    }
    return count
  }

  /// Calls `body` with the key of a block whose last entry stands at a position.
  static func withKey<Value, Failure: Error>(
    _ position: Position, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try withUnsafeBytes(of: position.rawValue.bigEndian, body)
  }

  /// The position that a key stands for.
  static func position(ofKey key: UnsafeRawBufferPointer, table: String = "blocks") throws -> Position {
    guard key.count == 8 else {
      throw HyphaError(
        .logInvalid, "the table \(table) has a key of \(key.count) bytes", remedy: LogFailure.restore)
    }
    return Position(rawValue: UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
  }
}

// MARK: Writing

/// One entry on its way into a block.
struct PlacedEntry {
  let placement: AppendPlanner.Placement
  let source: EntrySource
  let stored: StoredRecord

  var byteCount: Int { BlockLayout.entryHeaderByteCount + stored.byteCount }
}

/// What of a record goes into the log: the whole, or all but the payload, which lies beside the log then.
struct StoredRecord: Sendable {
  private enum Content {
    case whole(Record)
    case front([UInt8])
  }

  private let content: Content
  /// The hash of the whole record.
  let leaf: Digest

  /// The whole of a record.
  init(_ record: Record, leaf: Digest) {
    content = .whole(record)
    self.leaf = leaf
  }

  /// A record whose payload lies beside the log.
  init(detached bytes: [UInt8], leaf: Digest) {
    content = .front(bytes)
    self.leaf = leaf
  }

  var isDetached: Bool { if case .front = content { true } else { false } }

  var byteCount: Int {
    switch content {
    case .whole(let record): record.byteCount
    case .front(let bytes): bytes.count
    }
  }

  /// Calls `body` with what goes into the log, which must not outlive the call.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    switch content {
    case .whole(let record): try record.withBytes(body)
    case .front(let bytes): try bytes.withUnsafeBytes(body)
    }
  }
}

extension BlockLayout {
  /// Writes a block of `entries` into `value`, which has room for exactly that, and moves the chain on.
  static func write(
    _ entries: ArraySlice<PlacedEntry>, chain: inout HashChain, into value: UnsafeMutableRawBufferPointer
  ) {
    guard let first = entries.first, let last = entries.last else { return }
    value.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt32.self)
    value.storeBytes(of: first.placement.position.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
    value.storeBytes(of: UInt32(entries.count).littleEndian, toByteOffset: 16, as: UInt32.self)
    value.storeBytes(of: UInt32(value.count).littleEndian, toByteOffset: 20, as: UInt32.self)
    value.storeBytes(of: 0, toByteOffset: 24, as: UInt64.self)
    var headerOffset = headerByteCount
    var recordOffset = headerByteCount + entries.count * entryHeaderByteCount
    for entry in entries {
      entry.stored.withBytes { record in
        UnsafeMutableRawBufferPointer(rebasing: value[recordOffset..<recordOffset + record.count])
          .copyMemory(from: record)
      }
      write(entry, recordOffset: recordOffset, to: value, at: headerOffset)
      headerOffset += entryHeaderByteCount
      recordOffset += entry.stored.byteCount
    }
    chain.addBlock(UnsafeRawBufferPointer(value))
    chain.head.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: value[32..<64]).copyMemory(from: $0)
    }
    let check = checksum(ofHeader: UnsafeRawBufferPointer(value), key: last.placement.position)
    value.storeBytes(of: check.littleEndian, toByteOffset: 4, as: UInt32.self)
  }

  private static func write(
    _ entry: PlacedEntry, recordOffset: Int, to block: UnsafeMutableRawBufferPointer, at offset: Int
  ) {
    let header = UnsafeMutableRawBufferPointer(rebasing: block[offset..<offset + entryHeaderByteCount])
    let placement = entry.placement
    header.storeBytes(of: placement.appendedAt.rawValue.littleEndian, toByteOffset: 0, as: UInt64.self)
    header.storeBytes(of: placement.previousInStream.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
    header.storeBytes(of: placement.previousInLane.rawValue.littleEndian, toByteOffset: 16, as: UInt64.self)
    switch entry.source {
    case .stated: header.storeBytes(of: 0, toByteOffset: 24, as: UInt16.self)
    case .received(let hops):
      header.storeBytes(of: 1, toByteOffset: 24, as: UInt8.self)
      header.storeBytes(of: hops, toByteOffset: 25, as: UInt8.self)
    }
    header.storeBytes(of: entry.stored.isDetached ? 1 : 0, toByteOffset: 26, as: UInt16.self)
    header.storeBytes(of: UInt32(recordOffset).littleEndian, toByteOffset: 28, as: UInt32.self)
    header.storeBytes(of: UInt32(entry.stored.byteCount).littleEndian, toByteOffset: 32, as: UInt32.self)
    entry.stored.leaf.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: header[40..<72]).copyMemory(from: $0)
    }
    let recordCheck = UnsafeRawBufferPointer(block).loadUnaligned(
      fromByteOffset: recordOffset + 8, as: UInt32.self)
    let check = checksum(
      ofEntryHeader: UnsafeRawBufferPointer(header), at: placement.position, recordCheck: recordCheck)
    header.storeBytes(of: check.littleEndian, toByteOffset: 36, as: UInt32.self)
  }

  /// The check of a block's header, whose own field is left out.
  static func checksum(ofHeader block: UnsafeRawBufferPointer, key: Position) -> UInt32 {
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { joined in
      joined.storeBytes(of: key.rawValue.bigEndian, as: UInt64.self)
      UnsafeMutableRawBufferPointer(rebasing: joined[8...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[8..<64]))
      return checksumCRC32C(UnsafeRawBufferPointer(joined))
    }
  }

  /// The check of an entry's header, whose own field is left out. `recordCheck` is as it lies in the record.
  static func checksum(
    ofEntryHeader header: UnsafeRawBufferPointer, at position: Position, recordCheck: UInt32
  ) -> UInt32 {
    withUnsafeTemporaryAllocation(byteCount: 80, alignment: 8) { joined in
      joined.storeBytes(of: position.rawValue.bigEndian, as: UInt64.self)
      UnsafeMutableRawBufferPointer(rebasing: joined[8..<44])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: header[0..<36]))
      UnsafeMutableRawBufferPointer(rebasing: joined[44..<76])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: header[40..<72]))
      joined.storeBytes(of: recordCheck, toByteOffset: 76, as: UInt32.self)
      return checksumCRC32C(UnsafeRawBufferPointer(joined))
    }
  }
}

extension HashChain {
  /// Adds a block's link, made of what its header says of its place and of all its entry headers.
  mutating func addBlock(_ block: UnsafeRawBufferPointer) {
    let count = Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    let tableEnd = BlockLayout.headerByteCount + count * BlockLayout.entryHeaderByteCount
    var link = beginLink()
    link.add(UnsafeRawBufferPointer(rebasing: block[BlockLayout.chainedHeaderRange]))
    link.add(UnsafeRawBufferPointer(rebasing: block[BlockLayout.headerByteCount..<tableEnd]))
    add(link)
  }
}
