import HyphaCore
import Testing

/// Events as bytes: what goes in comes out, and only what is possible goes in.
@Suite struct RecordTests {
  @Test func `random records read back as they were`() throws {
    var random = seededRandom()
    for _ in 0..<1_000 {
      let header = random.header()
      let payload = random.bytes(random.int(0...300))
      let record = try Record(header, payload: payload)
      let back = try Record(decoding: record.bytes)
      #expect(back == record)
      #expect(back.header == header)
      #expect(Array(back.payload) == payload)
      #expect(back.withPayload { Array($0) } == payload)
      #expect(try record.bytes.withUnsafeBytes { try Record(decoding: $0) } == record)
      #expect(try Record(back.header, payload: back.payload).bytes == record.bytes)
    }
  }

  @Test func `the longest texts make the longest overhead`() throws {
    let agent = AgentID(unchecked: String(repeating: "a", count: 63))
    let id = EventID(high: 1, low: 2)
    let header = RecordHeader(
      id: id, time: .zero, channel: .alert, agent: agent, epoch: 1, sequence: 1, previous: .start,
      addressee: agent, type: EventTypeName(unchecked: String(repeating: "t", count: 127)),
      subject: Subject(unchecked: String(repeating: "s", count: 255)), correlation: id,
      authority: Authority(principal: agent, grant: String(repeating: "g", count: 127)))
    let record = try Record(header, payload: [])
    #expect(record.bytes.count == WireFormat.recordOverheadByteCountMax)
    #expect(try Record(decoding: record.bytes).header == header)
  }

  @Test func `a payload may be as large as the limit and not a byte larger`() throws {
    let limits = WireLimits(payloadByteCountMax: 100, frameRecordCountMax: 4, frameByteCountMax: 1_000)
    let header = try smallRecord().header
    let largest = try Record(header, payload: [UInt8](repeating: 1, count: 100), limits: limits)
    #expect(try Record(decoding: largest.bytes, limits: limits) == largest)
    expectError("tooLarge: the payload of T by ana has 101 bytes; keep it to 100, or raise limits.payload") {
      try Record(header, payload: [UInt8](repeating: 1, count: 101), limits: limits)
    }
    let larger = try Record(header, payload: [UInt8](repeating: 1, count: 101))
    expectError(
      "tooLarge: event \(header.id) has a payload of 101 bytes; raise limits.payload above 100"
    ) { try Record(decoding: larger.bytes, limits: limits) }
    let largerByFar = try Record(header, payload: [UInt8](repeating: 1, count: 5_000))
    expectError("tooLarge: a record claims \(largerByFar.bytes.count) bytes; raise limits.payload above 100")
    {
      try Record(decoding: largerByFar.bytes, limits: limits)
    }
  }

  @Test func `the standard limit is one MiB a payload`() throws {
    let header = try smallRecord().header
    let record = try Record(header, payload: [UInt8](repeating: 1, count: 1 << 20))
    #expect(try Record(decoding: record.bytes) == record)
    #expect(
      errorCode { _ = try Record(header, payload: [UInt8](repeating: 1, count: 1 << 20 + 1)) } == .tooLarge)
  }

  @Test func `a grant has at most 127 bytes`() throws {
    var header = try smallRecord().header
    header.authority = Authority(principal: "ana", grant: String(repeating: "ä", count: 64))
    expectError("tooLarge: the grant of T by ana is too long; keep it to 127 bytes") {
      try Record(header, payload: [])
    }
  }

  @Test func `impossible numbers are refused before they are written`() throws {
    let good = try smallRecord().header
    let changes: [(inout RecordHeader) -> Void] = [
      { $0.epoch = 0 }, { $0.sequence = 0 }, { $0.schemaVersion = 0 },
      { $0.previous = $0.point }, { $0.previous = LanePoint(epoch: 3, sequence: 1) },
      { $0.previous = LanePoint(epoch: 0, sequence: 1) }, { $0.previous = LanePoint(epoch: 1, sequence: 0) },
    ]
    for (number, change) in changes.enumerated() {
      var header = good
      change(&header)
      expectError("invalidRecord: a record's epoch, sequence, version or back-pointer is impossible") {
        try Record(header, payload: [UInt8(number)])
      }
    }
  }

  @Test func `a header knows its stream, lane and point`() throws {
    let published = try smallRecord(type: "T").header
    #expect(published.stream == StreamID(agent: "ana", epoch: 2, channel: .persistent))
    #expect(published.lane == Lane(agent: "ana", channel: .persistent, target: .type("T")))
    #expect(published.point == LanePoint(epoch: 2, sequence: 7))
    let addressed = try smallRecord(addressee: "bob").header
    #expect(addressed.lane.target == .addressee("bob"))
  }

  @Test func `records are equal where their bytes are`() throws {
    let record = try smallRecord()
    #expect(try smallRecord() == record)
    #expect(try Set([smallRecord(), record]).count == 1)
    #expect(try smallRecord(payload: [9]) != record)
  }
}
