import HyphaCore
import Testing

/// The checksum of everything that leaves memory.
@Suite struct CRC32CTests {
  /// By the processor's instruction, where it has one, by the tables, and in two parts: they must agree.
  private func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
    Array(bytes).withUnsafeBytes { bytes in
      let checksum = checksumCRC32C(bytes)
      let parts = (bytes.prefix(bytes.count / 3), bytes.dropFirst(bytes.count / 3))
      let first = checksumCRC32C(UnsafeRawBufferPointer(rebasing: parts.0))
      #expect(checksumCRC32C(UnsafeRawBufferPointer(rebasing: parts.1), after: first) == checksum)
      #expect(CRC32C.checksumByTables(bytes) == checksum)
      return checksum
    }
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

  @Test func `instruction and tables equal the bitwise definition at every length and alignment`() {
    var random = seededRandom()
    let bytes = random.bytes(320)
    bytes.withUnsafeBytes { all in
      for start in 0..<16 {
        var reference = BitwiseCRC32C()
        for count in 0...300 {
          let slice = UnsafeRawBufferPointer(rebasing: all[start..<start + count])
          #expect(checksumCRC32C(slice) == reference.checksum, "start \(start), count \(count)")
          #expect(CRC32C.checksumByTables(slice) == reference.checksum, "start \(start), count \(count)")
          reference.take(all[start + count])
        }
      }
    }
  }

  @Test func `instruction and tables agree on long inputs`() {
    var random = seededRandom()
    let bytes = random.bytes(70_000)
    for _ in 0..<20 {
      _ = checksum(bytes.prefix(random.int(301...bytes.count)).dropFirst(random.int(0...15)))
    }
  }
}

/// The definition, one bit a step, from the polynomial.
private struct BitwiseCRC32C {
  private var crc: UInt32 = .max
  var checksum: UInt32 { ~crc }

  mutating func take(_ byte: UInt8) {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
  }
}
