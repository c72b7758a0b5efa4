import HyphaCore
import Testing

/// Records read in place: the same bytes are taken, and the same fields are seen.
@Suite struct RecordViewTests {
  @Test func `a view shows what the header holds`() throws {
    var random = seededRandom()
    for _ in 0..<1_000 {
      let record = try random.record()
      try record.bytes.withUnsafeBytes { bytes in
        let view = try RecordView(checking: bytes)
        expectSame(view, record)
        #expect(try view.header() == record.header)
        #expect(try Record(view) == record)
      }
    }
  }

  @Test func `a view reads bytes at any alignment`() throws {
    let record = try smallRecord(addressee: "bob")
    for padding in 0..<16 {
      let padded = [UInt8](repeating: 0x55, count: padding) + record.bytes
      try padded.withUnsafeBytes {
        expectSame(try RecordView(checking: UnsafeRawBufferPointer(rebasing: $0[padding...])), record)
      }
    }
  }

  @Test func `a view of no bytes is refused`() {
    expectError("invalidRecord: a record is cut short: 0 bytes") {
      try RecordView(checking: UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }

  @Test func `views share a lane where their headers' lanes are equal`() throws {
    var random = seededRandom()
    var sharedCount = 0
    for _ in 0..<2_000 {
      var header = random.header()
      let record = try Record(header, payload: [])
      if random.chance(0.2) { header.channel = Channel.allCases[random.int(0...2)] }
      if random.chance(0.2) { header.agent = random.agent() }
      if random.chance(0.2) { header.addressee = random.chance(0.5) ? random.agent() : nil }
      if random.chance(0.2) { header.type = EventTypeName(unchecked: random.name(127)) }
      let other = try Record(header, payload: [])
      let isShared = try record.bytes.withUnsafeBytes { bytes in
        try other.bytes.withUnsafeBytes {
          try RecordView(checking: bytes).sharesLane(with: RecordView(checking: $0))
        }
      }
      #expect(isShared == (record.header.lane == header.lane), "\(record.header.lane), \(header.lane)")
      if isShared { sharedCount += 1 }
    }
    #expect((500..<1_900).contains(sharedCount))
  }

  /// Hostile bytes: altered, cut, grown, with the length and the checksum put right or left wrong.
  @Test func `views and records refuse the same bytes in the same words, names aside`() throws {
    var random = seededRandom()
    var counts = (records: 0, badNames: 0, refused: 0)
    for _ in 0..<20_000 {
      let bytes = try hostileBytes(&random)
      bytes.withUnsafeBytes { bytes in
        let record = Result { try Record(decoding: bytes) }
        do {
          let view = try RecordView(checking: bytes)
          switch record {
          case .success(let record):
            counts.records += 1
            expectSame(view, record)
          case .failure(let error):
            counts.badNames += 1
            #expect("\(error)".contains("bad name") || "\(error)".contains("not UTF-8"))
            expectError("\(error)") { try view.header() }
            expectError("\(error)") { try Record(view) }
          }
        } catch {
          counts.refused += 1
          expectError("\(error)") { try record.get() }
        }
      }
    }
    #expect(counts.records > 1_000 && counts.badNames > 1_000 && counts.refused > 1_000, "\(counts)")
  }

  private func hostileBytes(_ random: inout SeededGenerator) throws -> [UInt8] {
    var bytes = try random.record(payloadMax: 20).bytes
    for _ in 0..<random.int(0...2) {
      // Half of the changes go to the header, whose lengths and numbers are the most delicate part.
      let end = random.chance(0.5) ? WireFormat.recordHeaderByteCount : bytes.count
      bytes[random.int(0...end - 1)] = UInt8(truncatingIfNeeded: random.bits())
    }
    if random.chance(0.2) { bytes.removeLast(random.int(0...bytes.count)) }
    if random.chance(0.1) { bytes += random.bytes(random.int(0...300)) }
    guard bytes.count > 12, random.chance(0.95) else { return bytes }
    return resealed(random.chance(0.95) ? bytes.with(UInt32(bytes.count), at: 4) : bytes)
  }

  private func expectSame(_ view: RecordView, _ record: Record) {
    let header = record.header
    #expect(Array(view.bytes) == record.bytes)
    #expect(view.id == header.id && view.time == header.time)
    #expect(view.causation == header.causation && view.correlation == header.correlation)
    #expect(view.channel == header.channel && view.contentType == header.contentType)
    #expect(view.epoch == header.epoch && view.sequence == header.sequence)
    #expect(view.previous == header.previous)
    #expect(view.schemaVersion == header.schemaVersion)
    #expect(view.policyVersion == header.authority.policyVersion)
    #expect(view.agent.elementsEqual(header.agent.text.utf8))
    #expect(view.addressee.elementsEqual((header.addressee?.text ?? "").utf8))
    #expect(view.type.elementsEqual(header.type.text.utf8))
    #expect(view.subject.elementsEqual(header.subject.text.utf8))
    #expect(view.principal.elementsEqual(header.authority.principal.text.utf8))
    #expect(view.grant.elementsEqual(header.authority.grant.utf8))
    #expect(view.payload.elementsEqual(record.payload))
  }
}
