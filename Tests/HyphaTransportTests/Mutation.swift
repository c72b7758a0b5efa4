import HyphaCore

/// What a network, a disk or an attacker may do to bytes.
enum Mutation {
  /// Bytes after one to three changes: altered, cut, doubled or put in.
  static func mutate(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0...(random.next() % 3) {
      guard !bytes.isEmpty else { return bytes }
      let index = Int(random.next() % UInt64(bytes.count))
      let length = min(Int(random.next() % 16) + 1, bytes.count - index)
      switch random.next() % 7 {
      case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[index] ^= 1 << UInt8(random.next() % 8)
      case 2: bytes.removeLast(bytes.count - index)
      case 3: bytes.removeSubrange(index..<index + length)
      case 4: bytes.insert(contentsOf: bytes[index..<index + length], at: index)
      case 5: bytes.insert(contentsOf: (0..<length).map { _ in UInt8(random.next() & 0xFF) }, at: index)
      // Where lengths and counts are, the extremes.
      default: bytes[index] = random.chance(0.5) ? 0xFF : 0
      }
    }
    return bytes
  }

  /// With the checksum that the altered bytes should have, so that what lies behind it is tried too.
  static func mend(controlMessage bytes: [UInt8]) -> [UInt8] { mend(bytes, at: 4, over: 8) }

  static func mend(record bytes: [UInt8]) -> [UInt8] { mend(bytes, at: 8, over: 12) }

  /// Mends the frame's header and every record that is still where its length says.
  static func mend(frame bytes: [UInt8]) -> [UInt8] {
    guard let end = bytes.firstIndex(of: 0), bytes.count >= end + 16 else { return bytes }
    var bytes = bytes
    let covered = Array(bytes[..<end] + bytes[(end + 5)..<(end + 16)])
    put(covered.withUnsafeBytes { checksumCRC32C($0) }, into: &bytes, at: end + 1)
    var offset = end + 16
    while offset + 116 <= bytes.count {
      let claimed = (0..<4).reduce(0) { $0 | Int(bytes[offset + 4 + $1]) << (8 * $1) }
      guard claimed >= 116, offset + claimed <= bytes.count else { break }
      bytes.replaceSubrange(
        offset..<offset + claimed, with: mend(record: Array(bytes[offset..<offset + claimed])))
      offset += claimed
    }
    return bytes
  }

  private static func mend(_ bytes: [UInt8], at place: Int, over start: Int) -> [UInt8] {
    guard bytes.count >= start else { return bytes }
    var bytes = bytes
    let checksum = bytes.withUnsafeBytes { checksumCRC32C(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    put(checksum, into: &bytes, at: place)
    return bytes
  }

  private static func put(_ value: UInt32, into bytes: inout [UInt8], at place: Int) {
    for index in 0..<4 { bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }
}
