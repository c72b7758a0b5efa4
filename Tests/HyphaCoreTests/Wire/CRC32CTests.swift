import HyphaCore
import Testing

/// The checksum of everything that leaves memory.
@Suite struct CRC32CTests {
  private func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
    Array(bytes).withUnsafeBytes { checksumCRC32C($0) }
  }

  @Test func `the vectors of RFC 3720, appendix B 4 hold`() {
    #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(checksum(0...31) == 0x46DD_794E)
    #expect(checksum((0...31).reversed()) == 0x113F_DB5C)
    // An iSCSI SCSI Read (10) command.
    let command: [UInt8] = [
      0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0,
      0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    ]
    #expect(checksum(command) == 0xD996_3A56)
  }

  @Test func `the check value and the empty input hold`() {
    #expect(checksum("123456789".utf8) == 0xE306_9283)
    #expect(checksum([]) == 0)
    #expect(checksumCRC32C(UnsafeRawBufferPointer(start: nil, count: 0)) == 0)
  }

  @Test func `it equals the bitwise definition at every length and alignment`() {
    var random = seededRandom()
    let bytes = random.bytes(600)
    bytes.withUnsafeBytes { all in
      for start in 0..<16 {
        for count in 0..<80 { check(all, start, count) }
        for _ in 0..<20 { check(all, start, random.int(80...580)) }
      }
    }
  }

  private func check(_ all: UnsafeRawBufferPointer, _ start: Int, _ count: Int) {
    let slice = UnsafeRawBufferPointer(rebasing: all[start..<start + count])
    #expect(checksumCRC32C(slice) == Self.reference(slice), "start \(start), count \(count)")
  }

  /// One bit a step, from the polynomial.
  private static func reference(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc: UInt32 = .max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }
    return ~crc
  }
}
