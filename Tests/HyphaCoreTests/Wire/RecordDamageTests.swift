import HyphaCore
import Testing

/// What a record's decoder refuses, with the words in which it does.
@Suite struct RecordDamageTests {
  @Test func `every truncation is refused`() throws {
    let bytes = try smallRecord().bytes
    for count in 0..<bytes.count {
      let expected =
        count < WireFormat.recordHeaderByteCount
        ? "invalidRecord: a record is cut short: \(count) bytes"
        : "invalidRecord: a record is cut short: \(count) of \(bytes.count) bytes"
      expectError(expected) { try Record(decoding: Array(bytes.prefix(count))) }
    }
  }

  @Test func `every altered bit is refused`() throws {
    var random = seededRandom()
    for record in [try smallRecord(addressee: "bob"), try random.record(payloadMax: 50)] {
      var bytes = record.bytes
      for bit in 0..<bytes.count * 8 {
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        let code = errorCode { _ = try Record(decoding: bytes) }
        #expect(code == .invalidRecord || code == .tooLarge, "bit \(bit)")
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
    }
  }

  @Test func `bytes beyond the end are refused`() throws {
    let bytes = try smallRecord().bytes
    expectError("invalidRecord: a record has bytes beyond its end") {
      try Record(decoding: bytes + [0])
    }
  }

  @Test func `the length is checked before anything else is read`() throws {
    let bytes = try smallRecord().bytes
    for claim in [0, 1, 115] as [UInt32] {
      expectError("invalidRecord: a record claims \(claim) bytes") {
        try Record(decoding: bytes.with(claim, at: 4))
      }
    }
    for claim in [2_000_000, 0x7FFF_FFFF, .max] as [UInt32] {
      expectError("tooLarge: a record claims \(claim) bytes; raise limits.payload above 1048576") {
        try Record(decoding: bytes.with(claim, at: 4))
      }
    }
    expectError("invalidRecord: a record is cut short: \(bytes.count) of \(bytes.count + 1) bytes") {
      try Record(decoding: bytes.with(UInt32(bytes.count + 1), at: 4))
    }
    expectError("invalidRecord: a record has bytes beyond its end") {
      try Record(decoding: bytes.with(UInt32(bytes.count - 1), at: 4))
    }
  }

  @Test func `magic and checksum are checked`() throws {
    let bytes = try smallRecord().bytes
    expectError("invalidRecord: a record does not begin with HYR1") {
      try Record(decoding: bytes.with(UInt8(ascii: "2"), at: 3))
    }
    expectError("invalidRecord: a record's checksum does not match: it was altered or damaged") {
      try Record(decoding: bytes.with(UInt8(0), at: bytes.count - 1))
    }
  }

  /// A place in the record, the bytes to put there, the error once the checksum is right again.
  @Test(
    arguments: [
      (12, [2], "invalidRecord: a record has version 2, this program knows 1; upgrade this node"),
      (13, [3], "invalidRecord: a record names no known channel"),
      (115, [1], "invalidRecord: a record's reserved byte is not 0; upgrade this node"),
      (40, [0], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (48, [0], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (108, [0], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (56, [9], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (56, [0], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (64, [0], "invalidRecord: a record's epoch, sequence, version or back-pointer is impossible"),
      (114, [128], "invalidRecord: a record's grant is too long"),
      (116, [0xFF], "invalidRecord: a record has text that is not UTF-8 at byte 116"),
      (113, [200], "invalidRecord: a record is cut short: it ends at byte 128"),
      (
        116, [0x20],
        "invalidRecord: a record has a bad name (invalidName: the agent id ' na' has a character that is not "
          + "allowed; use letters, digits, '.', '_' and '-')"
      ),
      (
        15, [0],
        "invalidRecord: a record has a bad name (invalidName: the agent id '' has 0 bytes; use 1 to 63)"
      ),
      (
        120, [0x1B],
        "invalidRecord: a record has a bad name (invalidName: the subject '\\u{1B}' has white space or a "
          + "control character; separate tokens with dots)"
      ),
      (
        120, [0x3E],
        "invalidRecord: a record has a bad name (invalidName: the subject '>' has the wildcard '>'; name one "
          + "subject; wildcards belong in patterns)"
      ),
    ] as [(Int, [UInt8], String)])
  func `an impossible field under a right checksum is refused`(
    _ offset: Int, _ patch: [UInt8], _ expected: String
  ) throws {
    var bytes = try smallRecord().bytes
    bytes.replaceSubrange(offset..<offset + patch.count, with: patch)
    expectError(expected) { try Record(decoding: resealed(bytes)) }
  }

  @Test func `an unknown content type is kept`() throws {
    let bytes = resealed(try smallRecord().bytes.with(UInt8(77), at: 14))
    #expect(try Record(decoding: bytes).header.contentType == ContentType(rawValue: 77))
  }

  @Test func `whatever decodes after random damage under a right checksum encodes to the same bytes`() throws
  {
    var random = seededRandom()
    var decodedCount = 0
    for _ in 0..<20_000 {
      var bytes = try random.record(payloadMax: 20).bytes
      for _ in 0..<random.int(1...3) {
        bytes[random.int(0...bytes.count - 1)] = UInt8(truncatingIfNeeded: random.bits())
      }
      guard let record = try? Record(decoding: resealed(bytes)) else { continue }
      decodedCount += 1
      #expect(try Record(record.header, payload: record.payload).bytes == record.bytes)
    }
    #expect(decodedCount > 1_000)
  }

  @Test func `random bytes are refused`() {
    var random = seededRandom()
    for _ in 0..<5_000 {
      var bytes = random.bytes(random.int(0...400))
      if bytes.count > 12, random.chance(0.7) {
        bytes = bytes.with(0x3152_5948 as UInt32, at: 0)
        if random.chance(0.7) { bytes = resealed(bytes.with(UInt32(bytes.count), at: 4)) }
      }
      #expect(errorCode { _ = try Record(decoding: bytes) } != nil)
    }
  }
}
