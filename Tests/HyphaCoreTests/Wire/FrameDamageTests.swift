import HyphaCore
import Testing

/// What a frame's decoder refuses, with the words in which it does.
@Suite struct FrameDamageTests {
  /// The offset of the checksum in frames of ``frame()``.
  private static let checksumOffset = "hub/ana/#T".utf8.count + 1

  private func frame() throws -> Frame {
    Frame(via: "hub", topologyVersion: 5, hops: 1, remaining: .seconds(1), records: [try smallRecord()])
  }

  /// The frame of `records` under a topic and a count of the test's choice, with a right checksum.
  private func forged(
    topic: String, version: UInt8 = 1, count: UInt8? = nil, _ records: [Record], after: [UInt8] = []
  ) -> [UInt8] {
    var header = ByteWriter()
    header.write(version)
    header.write(UInt8(1))
    header.write(UInt32(5))
    header.write(UInt32(1_000))
    header.write(count ?? UInt8(records.count - 1))
    var writer = ByteWriter()
    writer.write(topic)
    writer.write(UInt8(0))
    writer.write((Array(topic.utf8) + header.bytes).withUnsafeBytes { checksumCRC32C($0) })
    writer.write(header.bytes)
    for record in records { writer.write(record.bytes) }
    writer.write(after)
    return writer.bytes
  }

  @Test func `every truncation is refused`() throws {
    let bytes = try frame().encoded()
    for count in 0..<bytes.count {
      let code = errorCode { _ = try Frame(decoding: Array(bytes.prefix(count))) }
      #expect(code == .invalidFrame || code == .invalidRecord, "\(count) bytes")
    }
    expectError("invalidFrame: a frame has no end of topic") { try Frame(decoding: []) }
    expectError("invalidFrame: a frame is cut short: it ends at byte 14") {
      try Frame(decoding: Array(bytes.prefix(Self.checksumOffset + 3)))
    }
    expectError("invalidFrame: a frame is cut short: it ends in its header") {
      try Frame(decoding: Array(bytes.prefix(Self.checksumOffset + 14)))
    }
    expectError("invalidRecord: a record is cut short: 0 bytes") {
      try Frame(decoding: Array(bytes.prefix(Self.checksumOffset + 15)))
    }
  }

  @Test func `every altered bit is refused`() throws {
    var random = seededRandom()
    for frame in [try frame(), try random.frame(recordCount: 2)] {
      var bytes = frame.encoded()
      for bit in 0..<bytes.count * 8 {
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        let code = errorCode { _ = try Frame(decoding: bytes) }
        #expect(code == .invalidFrame || code == .invalidRecord || code == .tooLarge, "bit \(bit)")
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
    }
  }

  @Test func `the header's fields are under its checksum`() throws {
    let bytes = try frame().encoded()
    for offset in Self.checksumOffset..<Self.checksumOffset + 15 {
      expectError("invalidFrame: a frame's checksum does not match: it was altered or damaged") {
        try Frame(decoding: bytes.with(bytes[offset] ^ 0x55, at: offset))
      }
    }
  }

  @Test func `another version is refused`() throws {
    let bytes = forged(topic: "hub/ana/#T", version: 3, [try smallRecord()])
    expectError("invalidFrame: a frame has version 3, this node knows up to 2; upgrade this node") {
      try Frame(decoding: bytes)
    }
    var names = RecordNamesCache()
    expectError("invalidFrame: a frame has version 3, this node knows up to 1; upgrade this node") {
      try Frame(decoding: bytes, limits: .standard, versionMax: 1, names: &names)
    }
  }

  @Test(arguments: [
    "hub/ana/@T", "hub/ana/#U", "hub/bob/#T", "hub/ana/#T/", "ana/#T", "/#T", "", "hub/ana/#t",
    // Equal in Unicode's eyes, not in a subscriber's: K and the Kelvin sign.
    "hub/ana/#\u{212A}",
  ])
  func `a topic that is not of the records' lane is refused`(_ topic: String) throws {
    let record = try smallRecord(type: topic.hasSuffix("\u{212A}") ? "K" : "T")
    expectError("invalidFrame: a frame's topic does not name the lane of its records") {
      try Frame(decoding: forged(topic: topic, [record]))
    }
  }

  @Test func `a topic whose first part is no agent is refused`() throws {
    for via in ["", "a b", "a/b", String(repeating: "x", count: 64)] {
      do {
        _ = try Frame(decoding: forged(topic: "\(via)/ana/#T", [smallRecord()]))
        Issue.record("'\(via)' was taken")
      } catch {
        #expect(
          "\(error)".hasPrefix(
            "invalidFrame: a frame's topic names no agent to pass it on (invalidName: the agent id '"),
          "\(error)")
      }
    }
  }

  @Test func `a topic that is not UTF-8 is refused`() throws {
    var bytes = forged(topic: "h/ana/#T", [try smallRecord()])
    bytes[0] = 0xFF
    let checksum = (bytes[..<8] + bytes[13..<24]).withUnsafeBytes { checksumCRC32C($0) }
    expectError(
      "invalidFrame: a frame's topic names no agent to pass it on (invalidName: the agent id '\u{FFFD}' has a "
        + "character that is not allowed; use letters, digits, '.', '_' and '-')"
    ) { try Frame(decoding: bytes.with(checksum, at: 9)) }
  }

  @Test func `records of two lanes are refused`() throws {
    let text = "invalidFrame: a frame's topic does not name the lane of its records"
    let (one, two) = (try smallRecord(), try smallRecord(type: "U"))
    expectError(text) { try Frame(decoding: forged(topic: "hub/ana/#T", [one, two])) }
    var header = one.header
    header.channel = .alert
    let alert = try Record(header, payload: [])
    expectError(text) { try Frame(decoding: forged(topic: "hub/ana/#T", [one, alert])) }
  }

  @Test func `a count that is not the number of records is refused`() throws {
    let record = try smallRecord()
    expectError("invalidRecord: a record is cut short: 0 bytes") {
      try Frame(decoding: forged(topic: "hub/ana/#T", count: 1, [record]))
    }
    expectError("invalidFrame: a frame has \(record.bytes.count) bytes beyond its end") {
      try Frame(decoding: forged(topic: "hub/ana/#T", count: 0, [record, record]))
    }
    expectError("invalidFrame: a frame has 1 bytes beyond its end") {
      try Frame(decoding: forged(topic: "hub/ana/#T", [record], after: [0]))
    }
  }

  @Test func `a topic without an end is not searched for ever`() {
    expectError("invalidFrame: a frame has no end of topic") {
      try Frame(decoding: [UInt8](repeating: UInt8(ascii: "a"), count: 1_000) + [0])
    }
  }

  @Test func `random damage is refused or decodes to what encodes alike`() throws {
    var random = seededRandom()
    for _ in 0..<3_000 {
      var bytes = try random.frame().encoded()
      for _ in 0..<random.int(1...4) {
        bytes[random.int(0...bytes.count - 1)] = UInt8(truncatingIfNeeded: random.bits())
      }
      if random.chance(0.3) { bytes.removeLast(random.int(0...bytes.count)) }
      guard let frame = try? Frame(decoding: bytes) else { continue }
      #expect(frame.encoded() == bytes)
    }
  }
}
