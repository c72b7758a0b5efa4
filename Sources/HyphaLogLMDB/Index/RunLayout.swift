import HyphaCore
import HyphaLog

/// The bytes of a *run*: the part of the index that covers a contiguous range of positions, version 1.
///
/// It is a value of the table `runs`, under its last position. Integers are little-endian.
///
/// | offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 4 | magic `HXR1` |
/// | 4 | 4 | CRC-32C of the bytes 8–31 |
/// | 8 | 8 | first position that the run covers |
/// | 16 | 4 | number of positions that it covers, 1 to 2²⁸ |
/// | 20 | 4 | number of rows |
/// | 24 | 4 | bytes of lists |
/// | 28 | 4 | reserved, 0 |
/// | 32 | 10 each | rows, by ascending term |
/// | | | lists |
/// | | 4 each | checks, one for each begun block of 1,024 bytes of rows and lists together |
///
/// A **row** is a term (6 bytes, the 46 bits of its hash) and a reference (4 bytes): with bit 31 set, the
/// term's only posting in the other bits; otherwise the place of its list, counted from the first list.
///
/// A **posting** is the position − first position, times 4, plus the ``TermRole``.
///
/// A **list** has ascending postings as differences, each in LEB128; the one before the first counts as −1.
/// With up to 255 bytes of differences it is that number (1 byte) and they. A longer list is:
///
/// | bytes | what |
/// |---:|---|
/// | 1 | 0 |
/// | 4 | bytes of differences |
/// | 4 | last posting |
/// | 4 | number of skips |
/// | | the differences |
/// | 8 each | skips, one after each 256 bytes or so: a posting (4), and how many bytes of differences lead up to it, its own included (4) |
///
/// A list is lengthened without decoding it: only the first difference of what is added changes.
///
/// A **check** is the CRC-32C of its block, exclusive-or a mix of first position and number of the block, so
/// that a block does not pass for another. A reader checks those blocks that its answer rests on: a lookup in a
/// run of 20 MB reads a few KiB.
enum RunLayout {
  static let magic: UInt32 = 0x3152_5848
  static let headerByteCount = 32
  static let rowByteCount = 10
  static let blockByteCount = 1024
  static let skipByteCount = 8
  static let skipIntervalByteCount = 256
  static let longListHeaderByteCount = 13
  static let shortListByteCountMax = 255
  static let spanCountMax = 1 << 28
  /// A LEB128 number of at most 32 bits.
  static let differenceByteCountMax = 5
  static let inlineFlag: UInt32 = 1 << 31

  /// The check of a block of the run that begins at `first`.
  static func check(ofBlock number: Int, _ block: UnsafeRawBufferPointer, first: Position) -> UInt32 {
    let place = (first.rawValue ^ UInt64(number) << 40) &* 0x9E37_79B9_7F4A_7C15
    return checksumCRC32C(block) ^ UInt32(truncatingIfNeeded: place >> 32)
  }

  static func blockCount(ofByteCount byteCount: Int) -> Int {
    (byteCount + blockByteCount - 1) / blockByteCount
  }

  static func damaged(_ first: Position, _ what: String) -> HyphaError {
    IndexFailure.damaged("the run at position \(first) \(what)")
  }
}

/// How an event stands to what a term was made of.
enum TermRole: UInt8 {
  /// It is, or has, just that: the event of an id, the whole subject, the type.
  case itself = 0
  /// The id is that of its cause; the tokens are the begin of its subject.
  case below = 1
  /// The id is that of its conversation.
  case conversation = 2
  /// It is the event of the id and began the conversation.
  case beginning = 3
}

/// A set of roles, one bit for each.
struct TermRoles: OptionSet {
  let rawValue: UInt8
  static let event = TermRoles(rawValue: 1 << TermRole.itself.rawValue | 1 << TermRole.beginning.rawValue)
  static let conversation = TermRoles(
    rawValue: 1 << TermRole.conversation.rawValue | 1 << TermRole.beginning.rawValue)
  static let itself = TermRoles(rawValue: 1 << TermRole.itself.rawValue)
  static let below = TermRoles(rawValue: 1 << TermRole.below.rawValue)

  func contains(_ posting: UInt32) -> Bool { rawValue >> UInt8(posting & 3) & 1 == 1 }
}

/// A term's posting in 64 bits, whose order is that of a run: 46 bits of term, 16 of offset, 2 of role.
struct TermPosting: Equatable, Comparable {
  let rawValue: UInt64

  static let termBitCount: UInt64 = 46
  static let offsetCountMax = 1 << 16

  init(rawValue: UInt64) { self.rawValue = rawValue }

  init(hash: UInt64, offset: UInt16, role: TermRole) {
    rawValue = hash & ~0x3FFFF | UInt64(offset) << 2 | UInt64(role.rawValue)
  }

  /// The term of a hash: its upper 46 bits.
  static func term(ofHash hash: UInt64) -> UInt64 { hash >> 18 }

  var term: UInt64 { rawValue >> 18 }
  var posting: UInt32 { UInt32(truncatingIfNeeded: rawValue & 0x3FFFF) }

  static func < (left: TermPosting, right: TermPosting) -> Bool { left.rawValue < right.rawValue }
}
