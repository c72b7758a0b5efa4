import HyphaCore
import HyphaLog

/// A block that was found in the bytes of a file, whole or in part. Its header is whole, or was made anew.
struct FoundBlock: Equatable {
  let offset: Int
  let byteCount: Int
  let first: UInt64
  let last: UInt64
  /// The header's checksum, which tells apart blocks of the same positions.
  let check: UInt32
  /// When the log took its first entry.
  let time: UInt64
  /// Whether every entry is whole.
  let isWhole: Bool
  /// Whether it stands where LMDB would have put it: behind its key in a leaf page, or on pages of its own. What a
  /// payload quotes does not.
  let isInPlace: Bool
  /// The header where it was made anew (see ``BlockRebuild``); nil where the one in the file is whole.
  var header: [UInt8]?
}

/// What a search through the bytes of a damaged file finds, without a look at LMDB's trees.
struct BlockScan {
  private(set) var blocks: [FoundBlock] = []
  /// Records that are whole, outside of whole blocks: offset and length.
  private(set) var records: [(offset: Int, byteCount: Int)] = []
  /// Where leaf pages say that blocks lie, whether there are any or not.
  private(set) var places: Set<BlockPlace> = []
  /// Rows of the table `state` of which a log has one, by how often they were found.
  private(set) var identities: [[UInt8]: Int] = [:]
  private(set) var heads: Set<[UInt8]> = []
  /// The numbers of the pages that list the log's tables, old copies among them.
  private(set) var listings: Set<UInt64> = []

  private static let blockMagic = BlockLayout.magic
  /// `HYR1`.
  private static let recordMagic: UInt32 = 0x3152_5948
  private static let windowByteCount = 4 << 20
  /// The bytes of a page, as Linux and so LMDB have it on this machine.
  static let pageByteCount = 4_096
  /// A damaged file may hold pieces of any number; more would not help anybody.
  private static let recordCountMax = 1_000_000

  /// Searches the whole file. Time in proportion to its size; 64 bytes of memory for each block.
  init(_ file: RawFile, progress: (UInt64, UInt64) throws -> Void) throws {
    var offset = 0
    while offset < file.byteCount {
      // What begins at the end of a window is found at the begin of the next.
      let window = file.bytes(at: offset, count: Self.windowByteCount + 3)
      let end = min(window.count, Self.windowByteCount - offset % Self.pageByteCount)
      window.withUnsafeBytes { window in
        findRows(in: window, at: offset)
        var place = 0
        while place < end, place + 4 <= window.count {
          let magic = UInt32(littleEndian: window.loadUnaligned(fromByteOffset: place, as: UInt32.self))
          switch magic {
          case Self.blockMagic: place += takeBlock(file, at: offset + place)
          case Self.recordMagic: place += takeRecord(file, at: offset + place)
          default: place += 1
          }
        }
        offset += max(place, end)
      }
      try progress(UInt64(min(offset, file.byteCount)), UInt64(file.byteCount))
    }
  }

  /// Takes a block, if there is one, and returns how far to go on.
  private mutating func takeBlock(_ file: RawFile, at offset: Int) -> Int {
    guard let bytes = Self.block(in: file, at: offset) else { return 1 }
    return bytes.withUnsafeBytes { bytes in
      // What is a block has a header.
      let view = Self.header(bytes)!
      let isWhole = (0..<view.count).allSatisfy { index in
        Self.isWhole(StoredEntry(index, of: bytes, at: Position(rawValue: view.first + UInt64(index))))
      }
      let isInPlace = Self.isInPlace(file, offset, last: view.last, byteCount: bytes.count)
      blocks.append(
        FoundBlock(
          offset: offset, byteCount: bytes.count, first: view.first, last: view.last,
          check: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
          time: UInt64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: BlockLayout.headerByteCount, as: UInt64.self)),
          isWhole: isWhole, isInPlace: isInPlace))
      // What a whole block's payloads quote is no block of this log.
      return isWhole ? bytes.count : BlockLayout.headerByteCount
    }
  }

  /// Takes a record, if there is one, and returns how far to go on.
  private mutating func takeRecord(_ file: RawFile, at offset: Int) -> Int {
    let front = file.bytes(at: offset, count: 8)
    guard front.count == 8, records.count < Self.recordCountMax else { return 1 }
    let stated = front.withUnsafeBytes {
      Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    }
    guard stated >= WireFormat.recordHeaderByteCount, stated <= file.byteCount - offset else { return 1 }
    let isWhole = file.bytes(at: offset, count: stated).withUnsafeBytes { bytes in
      (try? RecordView(checking: bytes, limits: BlockLayout.limits)) != nil
    }
    guard isWhole else { return 1 }
    records.append((offset, stated))
    return stated
  }
}

// MARK: Blocks

extension BlockScan {
  /// The block at an offset whose header is whole; what the file's end cut off is zeros. Nil where there is none.
  static func block(in file: RawFile, at offset: Int) -> [UInt8]? {
    let header = file.bytes(at: offset, count: BlockLayout.headerByteCount)
    guard header.count == BlockLayout.headerByteCount else { return nil }
    guard let byteCount = header.withUnsafeBytes({ Self.header($0)?.byteCount }) else { return nil }
    // A block of many entries is small; one of a single entry is of no use when it is cut.
    let rest = file.byteCount - offset
    guard byteCount <= max(rest, BlockLayout.byteCountMax) else { return nil }
    var bytes = file.bytes(at: offset, count: byteCount)
    bytes += [UInt8](repeating: 0, count: byteCount - bytes.count)
    return bytes
  }

  /// What a block's header says, if it is whole.
  static func header(
    _ bytes: UnsafeRawBufferPointer
  ) -> (first: UInt64, last: UInt64, count: Int, byteCount: Int)? {
    func half(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    let first = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    let (count, byteCount) = (Int(half(16)), Int(half(20)))
    guard half(0) == BlockLayout.magic, first > 0, first < .max - UInt64(count), count > 0,
      byteCount >= BlockLayout.headerByteCount + count * BlockLayout.entryHeaderByteCount
    else { return nil }
    let last = first + UInt64(count) - 1
    guard half(4) == BlockLayout.checksum(ofHeader: bytes, key: Position(rawValue: last)) else { return nil }
    return (first, last, count, byteCount)
  }

  /// Whether an entry's header and what is stored of its record are what the log took.
  static func isWhole(_ entry: StoredEntry) -> Bool {
    guard entry.isBound, let stored = entry.stored else { return false }
    if entry.isDetached { return (try? DetachedRecord(checking: stored)) != nil }
    guard (try? RecordView(checking: stored, limits: BlockLayout.limits)) != nil else { return false }
    return Digest.of(stored) == entry.leaf
  }

  /// Whether a value stands in a leaf page behind its key, or at the begin of pages of its own. (mdb.c: `MDB_page`,
  /// `MDB_node`.)
  private static func isInPlace(_ file: RawFile, _ offset: Int, last: UInt64, byteCount: Int) -> Bool {
    let page = offset / pageByteCount
    let head = file.bytes(at: page * pageByteCount, count: 16)
    guard offset >= 16, head.count == 16 else { return false }
    let (number, flags) = head.withUnsafeBytes {
      ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 10, as: UInt16.self))
    }
    // One flipped bit spoils one of the two.
    let isPage = { (kind: UInt16) in number == UInt64(page) || flags == kind }
    if offset % pageByteCount == 16 { return isPage(4) }
    guard isPage(2) else { return false }
    return file.bytes(at: offset - 16, count: 16).withUnsafeBytes { node in
      node.loadUnaligned(as: UInt32.self) == UInt32(byteCount)
        && node.loadUnaligned(fromByteOffset: 4, as: UInt32.self) == 8 << 16
        && UInt64(bigEndian: node.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) == last
    }
  }
}

// MARK: Rows

extension BlockScan {
  /// Finds the log's identity and its heads in the leaf pages of a window, which begins at a page.
  private mutating func findRows(in window: UnsafeRawBufferPointer, at offset: Int) {
    let begin = (Self.pageByteCount - offset % Self.pageByteCount) % Self.pageByteCount
    for start in stride(from: begin, to: window.count - Self.pageByteCount + 1, by: Self.pageByteCount) {
      let page = UnsafeRawBufferPointer(rebasing: window[start..<start + Self.pageByteCount])
      func word(_ offset: Int) -> Int {
        Int(UInt16(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
      }
      let number = UInt64(littleEndian: page.loadUnaligned(as: UInt64.self))
      guard number == UInt64((offset + start) / Self.pageByteCount), word(10) == 2 else { continue }
      for slot in stride(from: 16, to: min(word(12), page.count - 1), by: 2) {
        let node = word(slot)
        notePlace(page, node, at: offset + start)
        if Self.isListing(page, node) { listings.insert(number) }
        // Both keys are one byte long.
        guard node >= 16, node + 9 <= page.count, word(node + 4) == 0, word(node + 6) == 1 else { continue }
        let byteCount = word(node) | word(node + 2) << 16
        guard node + 9 + byteCount <= page.count else { continue }
        let key = UnsafeRawBufferPointer(rebasing: page[node + 8..<node + 9])
        let value = UnsafeRawBufferPointer(rebasing: page[node + 9..<node + 9 + byteCount])
        guard (try? TableLayout.unseal(value, key: key, table: "state")) != nil else { continue }
        if key.elementsEqual(TableLayout.identityKey) { identities[Array(value), default: 0] += 1 }
        if key.elementsEqual(TableLayout.headKey) { heads.insert(Array(value)) }
      }
    }
  }

  /// Whether a node of a leaf page is that of the table `state`.
  private static func isListing(_ page: UnsafeRawBufferPointer, _ node: Int) -> Bool {
    let name = "state".utf8
    guard node >= 16, node + 8 + name.count + TreeRecord.byteCount <= page.count else { return false }
    return page.loadUnaligned(fromByteOffset: node + 4, as: UInt16.self) == 2
      && Int(page.loadUnaligned(fromByteOffset: node + 6, as: UInt16.self)) == name.count
      && page[(node + 8)..<(node + 8 + name.count)].elementsEqual(name)
  }

  /// Notes where a node of a leaf page, which stands at `offset`, says that a block lies: in the page, or on pages of its
  /// own.
  private mutating func notePlace(_ page: UnsafeRawBufferPointer, _ node: Int, at offset: Int) {
    func half(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    // Flags (2), then the length of the key (2), which is a position.
    guard node >= 16, node + 24 <= page.count, half(node + 4) == 8 << 16 || half(node + 4) == 8 << 16 | 1
    else { return }
    let byteCount = Int(half(node))
    let last = UInt64(bigEndian: page.loadUnaligned(fromByteOffset: node + 8, as: UInt64.self))
    var begin = offset + node + 16
    if half(node + 4) & 1 == 1 {
      let first = UInt64(littleEndian: page.loadUnaligned(fromByteOffset: node + 16, as: UInt64.self))
      guard first < UInt64(Int.max / Self.pageByteCount) else { return }
      begin = Int(first) * Self.pageByteCount + 16
    }
    // Blocks of several entries are small, and one of a single entry is of no use where it is cut.
    guard byteCount >= BlockLayout.headerByteCount + BlockLayout.entryHeaderByteCount, last < .max else {
      return
    }
    places.insert(BlockPlace(offset: begin, byteCount: byteCount, last: last))
  }

  /// The number of the newest commit that a file's meta pages know of, or nil where none of them is whole, and whether
  /// both are.
  static func newestCommit(of file: RawFile) -> (number: UInt64?, isCertain: Bool) {
    let numbers = metas(of: file).map(\.commit)
    let isCertain =
      numbers.count == 2 && (numbers[0] > numbers[1] ? numbers[0] - numbers[1] : numbers[1] - numbers[0]) <= 1
    return (numbers.max(), isCertain)
  }

  /// How long the file is to be, as its newest meta page says.
  static func statedByteCount(of file: RawFile) -> Int? {
    metas(of: file).max { $0.commit < $1.commit }.flatMap { meta in
      meta.lastPage < UInt64(Int.max / pageByteCount) ? (Int(meta.lastPage) + 1) * pageByteCount : nil
    }
  }

  /// The commits and last pages that the meta pages name which are whole. (mdb.c: `MDB_page`, `MDB_meta`.)
  private static func metas(of file: RawFile) -> [(commit: UInt64, lastPage: UInt64)] {
    [0, 1].compactMap { number in
      let bytes = file.bytes(at: number * pageByteCount, count: 152)
      guard bytes.count == 152 else { return nil }
      return bytes.withUnsafeBytes { meta in
        guard meta.loadUnaligned(as: UInt64.self) == UInt64(number),
          meta.loadUnaligned(fromByteOffset: 10, as: UInt16.self) == 8,
          meta.loadUnaligned(fromByteOffset: 16, as: UInt32.self) == 0xBEEF_C0DE
        else { return nil }
        let commit = meta.loadUnaligned(fromByteOffset: 144, as: UInt64.self)
        guard commit & 1 == UInt64(number) || commit == 0 else { return nil }
        return (commit, meta.loadUnaligned(fromByteOffset: 136, as: UInt64.self))
      }
    }
  }
}
