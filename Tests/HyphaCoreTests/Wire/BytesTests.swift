import HyphaCore
import Testing

/// The little-endian writer and the reader that trusts nothing.
@Suite struct BytesTests {
  /// Runs `body` on a reader of `bytes`.
  private func reading(
    _ bytes: [UInt8], code: HyphaError.Code = .invalidFrame, _ body: (inout ByteReader) throws -> Void
  ) throws {
    try bytes.withUnsafeBytes {
      var reader = ByteReader($0, code: code, noun: "a thing")
      return try body(&reader)
    }
  }

  @Test func `integers are written with the least significant byte first`() {
    var writer = ByteWriter()
    writer.write(UInt8(0xAB))
    writer.write(UInt16(0x0102))
    writer.write(UInt32(0x0304_0506))
    writer.write(Int64(-2))
    #expect(writer.bytes == [0xAB, 2, 1, 6, 5, 4, 3, 0xFE, 255, 255, 255, 255, 255, 255, 255])
  }

  @Test func `an event id is written in a UUID's order`() throws {
    let id = EventID(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F)
    var writer = ByteWriter()
    writer.write(id)
    #expect(writer.bytes == Array(0...15))
    try reading(writer.bytes) { reader in
      let back = try reader.readEventID()
      #expect(back == id)
    }
  }

  @Test func `texts have a length of one byte before them`() throws {
    var writer = ByteWriter()
    writer.writeShort("")
    writer.writeShort("ä")
    writer.write("b")
    #expect(writer.bytes == [0, 2, 0xC3, 0xA4, UInt8(ascii: "b")])
    try reading(writer.bytes) { reader in
      #expect(try reader.readShort() == "")
      #expect(try reader.readShort() == "ä")
      #expect(reader.offset == 4)
      #expect(reader.remaining == 1)
      #expect(try reader.readText(count: 1) == "b")
      try reader.finish()
    }
  }

  @Test func `a patch replaces four bytes`() {
    var writer = ByteWriter()
    writer.write([1, 2, 3, 4, 5, 6])
    writer.patch(0xA0B0_C0D0, at: 1)
    #expect(writer.bytes == [1, 0xD0, 0xC0, 0xB0, 0xA0, 6])
  }

  @Test func `random integers read back at any alignment`() throws {
    var random = seededRandom()
    for _ in 0..<500 {
      let padding = random.int(0...8)
      let values = (0..<random.int(0...5)).map { _ in random.bits() }
      var writer = ByteWriter()
      writer.write([UInt8](repeating: 7, count: padding))
      for value in values {
        writer.write(value)
        writer.write(UInt16(truncatingIfNeeded: value))
      }
      try reading(writer.bytes) { reader in
        _ = try reader.read(count: padding)
        for value in values {
          #expect(try reader.read(UInt64.self) == value)
          #expect(try reader.read(UInt16.self) == UInt16(truncatingIfNeeded: value))
        }
        try reader.finish()
      }
    }
  }

  @Test func `reading beyond the end is refused and takes nothing`() throws {
    try reading([1, 2, 3]) { reader in
      expectError("invalidFrame: a thing is cut short: it ends at byte 3") { try reader.read(UInt32.self) }
      expectError("invalidFrame: a thing is cut short: it ends at byte 3") { try reader.read(count: 4) }
      expectError("invalidFrame: a thing is cut short: it ends at byte 3") { try reader.read(count: -1) }
      expectError("invalidFrame: a thing is cut short: it ends at byte 3") { try reader.read(count: .max) }
      #expect(reader.offset == 0)
      let number = try reader.read(UInt16.self)
      #expect(number == 0x0201)
    }
    try reading([]) { reader in
      #expect(try reader.read(count: 0).isEmpty)
      #expect(try reader.readText(count: 0) == "")
      try reader.finish()
    }
  }

  @Test func `a text that is not UTF-8 is refused with its place`() throws {
    for bytes in [[0xC3], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80]] as [[UInt8]] {
      try reading([9, 9] + bytes, code: .invalidRecord) { reader in
        expectError("invalidRecord: a thing has text that is not UTF-8 at byte 2") {
          _ = try reader.read(count: 2)
          return try reader.readText(count: bytes.count)
        }
      }
    }
  }

  @Test func `bytes left over are counted`() throws {
    try reading([1, 2, 3]) { reader in
      expectError("invalidFrame: a thing has 2 bytes beyond its end") {
        _ = try reader.read(UInt8.self)
        return try reader.finish()
      }
    }
  }
}
