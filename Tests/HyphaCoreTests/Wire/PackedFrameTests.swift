import HyphaCore
import Testing

/// Frames whose events share what they have in common: what goes in comes out, byte for byte as it would have come alone.
@Suite struct PackedFrameTests {
  private static let lane = Lane(agent: "ana", channel: .realtime, target: .type("T"))

  /// Events of a realtime lane that follow each other: some of other subjects, authorities, shapes and causes than the one before.
  static func run(_ random: inout SeededGenerator, count: Int) throws -> [Record] {
    let any = random.lane()
    let lane = Lane(agent: any.agent, channel: .realtime, target: any.target)
    var header = random.header(lane: lane)
    header.epoch = UInt64(random.int(2...1 << 40))
    header.sequence = UInt64(random.int(1...1 << 40))
    header.previous =
      random.chance(0.3) ? .start : LanePoint(epoch: header.epoch - 1, sequence: random.next() | 1)
    header.time = Timestamp(rawValue: random.next() >> 8)
    var records: [Record] = []
    for _ in 0..<count {
      records.append(try Record(header, payload: random.bytes(random.chance(0.2) ? 0 : random.int(1...300))))
      header.previous = header.point
      header.sequence += random.chance(0.8) ? 1 : UInt64(random.int(1...9_000))
      header.time = Timestamp(rawValue: header.time.rawValue + UInt64(random.int(0...5_000)))
      header.id = random.id()
      switch random.int(0...4) {
      case 0: (header.causation, header.correlation) = (.none, header.id)
      case 1: (header.causation, header.correlation) = (random.id(), random.id())
      default: break
      }
      if random.chance(0.2) { header.subject = ["a", "b", "c"][random.int(0...2)] }
      if random.chance(0.05) { header.schemaVersion = UInt16(random.int(1...3)) }
      if random.chance(0.05) { header.contentType = ContentType(rawValue: UInt8(random.int(0...2))) }
      if random.chance(0.05) {
        header.authority = Authority(principal: "ana", policyVersion: UInt32(random.int(1...3)))
      }
    }
    return records
  }

  private func frame(_ records: [Record]) -> Frame {
    Frame(via: "hub", topologyVersion: 5, hops: 2, remaining: .seconds(1), records: records)
  }

  private func version(_ bytes: [UInt8]) -> UInt8 { bytes[bytes.firstIndex(of: 0)! + 5] }

  @Test func `random runs read back as they were, and as they would be alone`() throws {
    var random = seededRandom()
    for _ in 0..<400 {
      let records = try Self.run(&random, count: random.chance(0.1) ? 256 : random.int(1...40))
      let sent = frame(records)
      let bytes = sent.encoded(isPacked: true)
      #expect(version(bytes) == 2)
      let back = try Frame(decoding: bytes)
      #expect((back.via, back.topologyVersion, back.hops, back.remaining) == ("hub", 5, 2, .seconds(1)))
      #expect(back.records.map(\.header) == records.map(\.header))
      #expect(back.records.map(\.bytes) == records.map(\.bytes))
      #expect(back.records.map { Array($0.payload) } == records.map { Array($0.payload) })
      #expect(back.records.map(\.byteCount) == records.map(\.byteCount))
      #expect(back.records.map(\.payloadByteCount) == records.map(\.payloadByteCount))
      #expect(back.records.map(\.point) == records.map(\.point))
      #expect(back.records.map(\.alone) == records)
      // Whoever passes it on passes on the same bytes, or the same records whole.
      #expect(back.encoded(isPacked: true) == bytes)
      #expect(back.encoded() == sent.encoded())
    }
  }

  @Test func `events by templates that are kept are packed as their records are`() throws {
    var random = seededRandom()
    for _ in 0..<200 {
      let records = try Self.run(&random, count: random.int(1...60))
      let front = FrameFront(
        via: "hub", lane: records[0].lane, topologyVersion: 5, hops: 2, isPacked: true)
      var body = FrameBody(behind: front)
      var templates: [String: RecordTemplate] = [:]
      for record in records {
        let header = record.header
        let kind = "\(header.subject) \(header.schemaVersion) \(header.contentType) \(header.authority)"
        let template = try templates[kind] ?? RecordTemplate(header, limits: .standard)
        templates[kind] = template
        try record.withPayload { try body.append(template, RecordTemplate.Numbers(record), payload: $0) }
      }
      #expect(front.finish(body, remaining: .seconds(1)) == frame(records).encoded(isPacked: true))
    }
  }

  @Test func `neighbours with the same names are known as such, and a whole run as one`() throws {
    var random = seededRandom()
    for _ in 0..<100 {
      let records = try Frame(decoding: frame(Self.run(&random, count: 20)).encoded(isPacked: true)).records
      #expect(records.isWholeRun && !records.dropLast().isWholeRun && !records.map(\.alone).isWholeRun)
      var begin = 0
      while begin < records.count {
        let end = records.endOfStretch(at: begin)
        #expect(end > begin && records[begin..<end].allSatisfy { $0.names === records[begin].names })
        begin = end
      }
    }
  }

  @Test func `what had to wait between two of a frame is not taken for one of them`() throws {
    var random = seededRandom()
    var header = random.header()
    (header.epoch, header.sequence, header.previous) = (2, 5, .start)
    let first = try Record(header, payload: [1])
    header.sequence = 7
    let third = try Record(header, payload: [3])
    header.subject = "another"
    header.sequence = 6
    let second = try Record(header, payload: [2])
    let came = try Frame(decoding: frame([first, third]).encoded()).records
    #expect([came[0], second, came[1]].endOfStretch(at: 0) == 1)
    #expect(came.endOfStretch(at: 0) == 2)
  }

  @Test func `an event of a run costs 44 bytes beside its payload`() throws {
    var header = RecordHeader(
      id: EventID(high: 1, low: 1), time: .zero, channel: .realtime, agent: "ana", epoch: 2, sequence: 1,
      previous: .start, addressee: nil, type: "T", subject: "s", correlation: EventID(high: 1, low: 1),
      authority: Authority(principal: "ana"))
    var records: [Record] = []
    for _ in 0..<3 {
      records.append(try Record(header, payload: [UInt8](repeating: 7, count: 128)))
      header.previous = header.point
      header.sequence += 1
      header.id = EventID(high: 1, low: header.sequence)
      header.correlation = header.id
    }
    let counts = (1...3).map { frame(Array(records[..<$0])).encoded(isPacked: true).count }
    #expect(counts[1] - counts[0] == 172 && counts[2] - counts[1] == 172)
  }

  @Test func `what does not follow each other is sent whole`() throws {
    var random = seededRandom()
    var records = try Self.run(&random, count: 5)
    records.remove(at: 2)
    let bytes = frame(records).encoded(isPacked: true)
    #expect(version(bytes) == 1)
    #expect(try Frame(decoding: bytes).records == records)
  }

  @Test func `every truncation and every altered bit is refused`() throws {
    var random = seededRandom()
    var bytes = frame(try Self.run(&random, count: 6)).encoded(isPacked: true)
    for count in 0..<bytes.count {
      let code = errorCode { _ = try Frame(decoding: Array(bytes.prefix(count))) }
      #expect(code == .invalidFrame || code == .invalidRecord, "\(count) bytes")
    }
    for bit in 0..<bytes.count * 8 {
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: HyphaError.self, "bit \(bit)") { try Frame(decoding: bytes) }
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    }
  }

  // MARK: Forged frames

  /// Where the first event begins in frames of ``frame(_:)`` of ``lane``.
  private static let begin = "hub/ana/#T".utf8.count + 1 + 4 + 11

  /// Two events and their frame.
  private func pair() throws -> (records: [Record], bytes: [UInt8]) {
    var header = RecordHeader(
      id: EventID(high: 1, low: 1), time: Timestamp(microseconds: 9), channel: .realtime, agent: "ana",
      epoch: 2,
      sequence: 7, previous: LanePoint(epoch: 1, sequence: 3), addressee: nil, type: "T", subject: "s",
      correlation: EventID(high: 1, low: 1), authority: Authority(principal: "ana"))
    let first = try Record(header, payload: [1, 2, 3])
    header.previous = header.point
    (header.sequence, header.id) = (8, EventID(high: 1, low: 2))
    header.correlation = header.id
    let records = [first, try Record(header, payload: [4])]
    return (records, frame(records).encoded(isPacked: true))
  }

  /// The bytes with a right checksum.
  private func mended(_ bytes: [UInt8]) -> [UInt8] {
    guard let end = bytes.firstIndex(of: 0), bytes.count > end + 5 else { return bytes }
    let checksum = (bytes[..<end] + bytes[(end + 5)...]).withUnsafeBytes { checksumCRC32C($0) }
    return bytes.with(checksum, at: end + 1)
  }

  @Test func `what breaks a rule is refused though its checksum is right`() throws {
    let (records, bytes) = try pair()
    let frontByteCount = records[0].byteCount - 3
    let second = Self.begin + 44 + frontByteCount + 3
    let front = Self.begin + 44
    func refuse(_ text: String, _ change: (inout [UInt8]) -> Void) {
      var forged = bytes
      change(&forged)
      expectError(text) { try Frame(decoding: mended(forged)) }
    }
    #expect(try Frame(decoding: mended(bytes)).records == records)
    let unknown =
      "invalidRecord: an event of a frame has causes or reserved bytes that are not known; upgrade this node"
    refuse(unknown) { $0[second + 41] = 3 }
    refuse(unknown) { $0[second + 42] = 1 }
    refuse("invalidRecord: an event of a frame refers to front 2 of 1") { $0[second + 40] = 2 }
    let impossible = "invalidRecord: an event of a frame has an impossible sequence or back-pointer"
    refuse(impossible) { $0[second + 4] = 9 }
    refuse(impossible) { $0[Self.begin + 16] = 0 }
    let apart = "invalidRecord: an event of a frame does not follow the one before it"
    refuse(apart) { $0[second + 16] = 9 }
    refuse(apart) { $0[second + 4] = 0 }
    refuse(apart) { $0[second + 9] = 0 }
    refuse(
      "tooLarge: an event of a frame has a payload of 16777217 bytes; raise limits.payload above 1048576"
    ) {
      $0[second + 3] = 1
    }
    refuse("invalidRecord: a record's checksum does not match: it was altered or damaged") {
      $0[front + 20] ^= 1
    }
    refuse("invalidFrame: a frame is cut short: it ends at byte \(second + 35)") { $0.removeLast(10) }
  }

  @Test func `a front is of the lane, of the realtime channel, and has no payload`() throws {
    let (records, _) = try pair()
    func forged(_ front: Record) -> [UInt8] {
      var body = frame([records[0]]).encoded(isPacked: true)
      body.replaceSubrange(Self.begin + 44..<body.count - 3, with: front.bytes)
      return mended(body)
    }
    func front(_ change: (inout RecordHeader) -> Void, payload: [UInt8] = []) throws -> Record {
      var header = records[0].header
      change(&header)
      return try Record(header, payload: payload)
    }
    #expect(try Frame(decoding: forged(front { _ in })).records == [records[0]])
    let text = "invalidRecord: a front of a frame has a payload, or is not of the realtime channel"
    expectError(text) { try Frame(decoding: forged(front({ _ in }, payload: [1]))) }
    expectError(text) { try Frame(decoding: forged(front { $0.channel = .persistent })) }
    expectError("invalidFrame: a frame's topic does not name the lane of its records") {
      try Frame(decoding: forged(front { $0.agent = "bob" }))
    }
  }

  @Test func `whatever is taken of bytes with a right checksum is a run that reads back`() throws {
    var random = seededRandom()
    var takenCount = 0
    for _ in 0..<20_000 {
      var bytes = frame(try Self.run(&random, count: random.int(1...5))).encoded(isPacked: true)
      let begin = bytes.firstIndex(of: 0)! + 5
      for _ in 0..<random.int(1...3) {
        bytes[random.int(begin...bytes.count - 1)] = UInt8(truncatingIfNeeded: random.bits())
      }
      guard let taken = try? Frame(decoding: mended(bytes)) else { continue }
      takenCount += 1
      for record in taken.records { #expect(try Record(decoding: record.bytes) == record) }
      #expect(try Frame(decoding: taken.encoded(isPacked: true)).records == taken.records)
      if version(bytes) == 2 {
        #expect(zip(taken.records, taken.records.dropFirst()).allSatisfy { $1.previous == $0.point })
      }
    }
    #expect(takenCount > 1_000)
  }
}
