/// One page of a tree of LMDB's, of which nothing is believed: every number on it is held against the page's bounds
/// before it is followed. Not to outlive the bytes.
///
/// The layout is that of LMDB 0.9 on 64 bits, little-endian (mdb.c: `MDB_page`, `MDB_node`):
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 8 | number of the page |
/// | 10 | 2 | flags: 1 branch, 2 leaf, 4 pages of one value, 8 meta |
/// | 12 | 4 | lower and upper bound of the free space; of a value's first page, how many pages it has |
/// | 16 | 2 each | where the nodes begin, in the order of their keys |
///
/// A node has 4 bytes (a value's length, or the low half of a child's number), 2 bytes of flags (or the rest of that
/// number), 2 of its key's length, then the key, then the value.
struct TreePage {
  let number: UInt64
  let isLeaf: Bool
  /// How many nodes there are; at least one.
  let count: Int
  private let upper: Int
  private let bytes: UnsafeRawBufferPointer

  static let headerByteCount = 16
  private static let nodeHeaderByteCount = 8

  /// The page in `bytes`, which is that of `number`, or nil where it is none of that kind.
  init?(_ bytes: UnsafeRawBufferPointer, number: UInt64, isLeaf: Bool) {
    self.bytes = bytes
    self.number = number
    self.isLeaf = isLeaf
    let (lower, upper) = (Self.word(bytes, 12), Self.word(bytes, 14))
    guard UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) == number,
      Self.word(bytes, 10) == (isLeaf ? 2 : 1),
      lower > Self.headerByteCount, lower % 2 == 0, lower <= upper, upper <= bytes.count
    else { return nil }
    count = (lower - Self.headerByteCount) / 2
    self.upper = upper
  }

  /// What a node says of its value, or of the page below it.
  enum Content {
    case child(UInt64)
    /// The value, in the page.
    case value(UnsafeRawBufferPointer)
    /// The record of a table, in the page.
    case table(UnsafeRawBufferPointer)
    /// The value lies on pages of its own, from this one on.
    case apart(first: UInt64, byteCount: Int)
  }

  struct Node {
    let key: UnsafeRawBufferPointer
    let content: Content
  }

  /// A node, whose number is below ``count``; nil where it reaches beyond the page or is of no known kind.
  func node(_ index: Int) -> Node? {
    let begin = Self.word(bytes, Self.headerByteCount + 2 * index)
    let keyBegin = begin + Self.nodeHeaderByteCount
    guard begin >= upper, keyBegin <= bytes.count else { return nil }
    let claimed = Self.word(bytes, begin) | Self.word(bytes, begin + 2) << 16
    let (flags, keyEnd) = (Self.word(bytes, begin + 4), keyBegin + Self.word(bytes, begin + 6))
    guard keyEnd <= bytes.count else { return nil }
    let key = UnsafeRawBufferPointer(rebasing: bytes[keyBegin..<keyEnd])
    guard isLeaf else { return Node(key: key, content: .child(UInt64(claimed | flags << 32))) }
    // LMDB follows the flag 4, sorted duplicates, without a look at whether the table has any.
    guard flags <= 2, !key.isEmpty else { return nil }
    if flags == 1 {
      guard keyEnd + 8 <= bytes.count else { return nil }
      let first = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: keyEnd, as: UInt64.self))
      return Node(key: key, content: .apart(first: first, byteCount: claimed))
    }
    guard claimed <= bytes.count - keyEnd else { return nil }
    let value = UnsafeRawBufferPointer(rebasing: bytes[keyEnd..<keyEnd + claimed])
    return Node(key: key, content: flags == 0 ? .value(value) : .table(value))
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int {
    Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  }
}

/// A tree, as LMDB describes it in 48 bytes (mdb.c: `MDB_db`).
struct TreeRecord: Equatable {
  static let byteCount = 48
  /// Of the tree of free pages: the size of pages.
  let pad: UInt32
  let flags: UInt16
  let depth: Int
  let branchPageCount, leafPageCount, apartPageCount: UInt64
  let entryCount: UInt64
  /// The page that it begins with; all bits are set where it is empty.
  let root: UInt64

  var isEmpty: Bool { root == .max }

  /// No tree can be deeper (mdb.c: `CURSOR_STACK`).
  static let depthMax = 32

  /// A tree without entries.
  static let empty = TreeRecord()

  private init() {
    (pad, flags, depth, entryCount, root) = (0, 0, 0, 0, .max)
    (branchPageCount, leafPageCount, apartPageCount) = (0, 0, 0)
  }

  /// The record in these bytes, nil where they are too few or too many; ``isPossible(lastPage:)`` says whether it may be
  /// followed.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.byteCount else { return nil }
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    pad = UInt32(truncatingIfNeeded: word(0))
    flags = UInt16(truncatingIfNeeded: word(0) >> 32)
    depth = Int(word(0) >> 48)
    (branchPageCount, leafPageCount, apartPageCount) = (word(8), word(16), word(24))
    (entryCount, root) = (word(32), word(40))
  }

  /// The flags of the tree of free pages, whose keys are integers.
  static let freeFlags: UInt16 = 8

  /// Whether a file whose last page is `lastPage` can have such a tree with these flags.
  func isPossible(lastPage: UInt64, flags wanted: UInt16 = 0) -> Bool {
    let isShaped =
      isEmpty
      ? depth == 0 && entryCount == 0
      : depth >= 1 && depth <= Self.depthMax && entryCount > 0 && root >= 2 && root <= lastPage
    return isShaped && flags == wanted && max(branchPageCount, leafPageCount, apartPageCount) <= lastPage
  }
}
