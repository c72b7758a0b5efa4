import HyphaCore
import HyphaLog

/// Where a leaf page of LMDB's says that a block lies.
struct BlockPlace: Hashable {
  let offset: Int
  let byteCount: Int
  /// The key: the position of the block's last entry.
  let last: UInt64
}

/// Makes the headers of blocks anew that are damaged, from what else says the same.
///
/// A block's header repeats what the table of its entries' headers and LMDB's key say, but for the chain's link; and that
/// follows from the block before. Each entry's check binds it to its position, so an entry that matches at the position
/// that follows from the key was that log's. Where the block above links to one of the links that are tried, the header is
/// what was written, byte for byte.
struct BlockRebuild {
  /// The blocks, in ascending order of their last positions; one for each link that it may have had.
  private(set) var blocks: [FoundBlock] = []

  private let file: RawFile
  /// The links of blocks and gaps that end before a position, by that position.
  private var links: [UInt64: Set<Digest>] = [:]

  /// Tries the places at which no block was found.
  ///
  /// - Parameters:
  ///   - begin: the link of the log's empty chain.
  ///   - known: the gaps that the damaged log had.
  init(_ scan: BlockScan, in file: RawFile, begin: Digest, known: [LogGap]) {
    self.file = file
    let found = Set(scan.blocks.map(\.offset))
    let places = scan.places.filter { !found.contains($0.offset) }
    guard !places.isEmpty else { return }
    links[0] = [begin]
    for block in scan.blocks { note(block) }
    for gap in known { if let anchor = gap.anchor { links[gap.range.upperBound.rawValue] = [anchor] } }
    for place in places.sorted(by: { ($0.last, $0.offset) < ($1.last, $1.offset) }) { rebuild(place) }
  }

  private mutating func note(_ block: FoundBlock) {
    if let link = block.link(in: file) { links[block.last, default: []].insert(link) }
  }

  private mutating func rebuild(_ place: BlockPlace) {
    var bytes = file.bytes(at: place.offset, count: place.byteCount)
    bytes += [UInt8](repeating: 0, count: place.byteCount - bytes.count)
    guard let (first, isWhole, time) = bytes.withUnsafeBytes({ Self.range(of: $0, last: place.last) }) else {
      return
    }
    var tried = links[first - 1] ?? []
    var headers = tried.map { Self.header(of: bytes, first: first, last: place.last, after: $0) }
    // The link that stands there may be whole.
    if let stored = bytes.withUnsafeBytes({ Digest(loading: UnsafeRawBufferPointer(rebasing: $0[32..<64])) }),
      tried.insert(stored).inserted
    {
      headers.append(Self.header(of: bytes, first: first, last: place.last, link: stored))
    }
    for header in headers {
      let block = FoundBlock(
        offset: place.offset, byteCount: place.byteCount, first: first, last: place.last,
        check: header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self) }, time: time,
        isWhole: isWhole, isInPlace: true, header: header)
      blocks.append(block)
      note(block)
    }
  }

  /// The first position of a block that ends at `last`, whether all its entries are whole, and the time of the first;
  /// nil where no entry belongs to such a block.
  private static func range(
    of block: UnsafeRawBufferPointer, last: UInt64
  ) -> (first: UInt64, isWhole: Bool, time: UInt64)? {
    func half(_ offset: Int) -> Int {
      Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    let (header, entry) = (BlockLayout.headerByteCount, BlockLayout.entryHeaderByteCount)
    // The first record begins where the entries' headers end; the count that stands there may be whole.
    let counts = [(half(header + 28) - header) / entry, half(16)]
    for count in counts where count > 0 && count <= (block.count - header) / entry && UInt64(count) <= last {
      let first = last - UInt64(count) + 1
      let entries = (0..<count).map {
        StoredEntry($0, of: block, at: Position(rawValue: first + UInt64($0)))
      }
      guard entries.contains(where: \.isBound) else { continue }
      let time = UInt64(littleEndian: block.loadUnaligned(fromByteOffset: header, as: UInt64.self))
      return (first, entries.allSatisfy { BlockScan.isWhole($0) }, time)
    }
    return nil
  }

  private static func header(of block: [UInt8], first: UInt64, last: UInt64, after link: Digest) -> [UInt8] {
    var whole = block
    whole.replaceSubrange(
      ..<BlockLayout.headerByteCount, with: header(of: block, first: first, last: last, link: .zero))
    var chain = HashChain(head: link)
    whole.withUnsafeBytes { chain.addBlock($0) }
    return header(of: block, first: first, last: last, link: chain.head)
  }

  private static func header(of block: [UInt8], first: UInt64, last: UInt64, link: Digest) -> [UInt8] {
    var writer = ByteWriter(capacity: BlockLayout.headerByteCount)
    writer.write(BlockLayout.magic)
    writer.write(UInt32(0))
    writer.write(first)
    writer.write(UInt32(last - first + 1))
    writer.write(UInt32(block.count))
    writer.write(UInt64(0))
    link.withUnsafeBytes { writer.write($0) }
    var header = writer.bytes
    let check = header.withUnsafeBytes {
      BlockLayout.checksum(ofHeader: $0, key: Position(rawValue: last))
    }
    header.replaceSubrange(4..<8, with: TableLayout.bytes(of: check))
    return header
  }
}

extension FoundBlock {
  /// The block's bytes; what the file's end cut off is zeros.
  func bytes(in file: RawFile) -> [UInt8]? {
    guard let header else { return BlockScan.block(in: file, at: offset) }
    var bytes = file.bytes(at: offset, count: byteCount)
    bytes += [UInt8](repeating: 0, count: byteCount - bytes.count)
    bytes.replaceSubrange(..<header.count, with: header)
    return bytes
  }

  /// The chain's link at the block's end.
  func link(in file: RawFile) -> Digest? {
    let bytes = header.map { Array($0[32..<64]) } ?? file.bytes(at: offset + 32, count: Digest.byteCount)
    return bytes.withUnsafeBytes { Digest(loading: $0) }
  }
}
