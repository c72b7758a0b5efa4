import HyphaCore
import Testing

@Suite struct RecordTemplateTests {
  @Test func `what a template encodes is what a header and a payload encode`() throws {
    var random = seededRandom()
    for _ in 0..<200 {
      let header = random.header()
      let template = try RecordTemplate(header)
      var wanted: [Record] = []
      var builder = RecordBatchBuilder(recordCount: 5, byteCount: 1000)
      for _ in 0..<random.int(1...5) {
        var next = header
        next.id = random.id()
        next.time = Timestamp(rawValue: random.bits())
        next.sequence = max(1, random.bits())
        next.previous = .start
        next.causation = random.id()
        next.correlation = random.id()
        let payload = random.bytes(random.int(0...100))
        let numbers = RecordTemplate.Numbers(
          id: next.id, time: next.time, sequence: next.sequence, previous: next.previous,
          causation: next.causation, correlation: next.correlation)
        try payload.withUnsafeBytes { try builder.append(template, numbers, payload: $0) }
        wanted.append(try Record(next, payload: payload))
      }
      let records = builder.records()
      #expect(records.count == wanted.count)
      for (index, record) in records.enumerated() {
        #expect(record.byteCount == template.byteCount(payloadByteCount: record.payloadByteCount))
        #expect(record == wanted[index])
        #expect(record.bytes == wanted[index].bytes)
        #expect(record.header == wanted[index].header)
        #expect(record.alone.bytes == wanted[index].bytes)
        #expect(record.payload.elementsEqual(wanted[index].payload))
      }
    }
  }

  @Test func `an impossible number or too large a payload is refused and appends nothing`() throws {
    var random = seededRandom()
    var header = random.header()
    (header.epoch, header.sequence, header.previous) = (2, 1, .start)
    let limits = WireLimits(payloadByteCountMax: 8, frameRecordCountMax: 1, frameByteCountMax: 1000)
    let template = try RecordTemplate(header, limits: limits)
    func code(sequence: UInt64, previous: LanePoint = .start, payload: [UInt8] = []) -> HyphaError.Code? {
      let numbers = RecordTemplate.Numbers(
        id: header.id, time: header.time, sequence: sequence, previous: previous, causation: .none,
        correlation: header.id)
      var bytes: [UInt8] = [1, 2, 3]
      let code = errorCode {
        try payload.withUnsafeBytes { try template.append(numbers, payload: $0, to: &bytes) }
      }
      #expect((bytes == [1, 2, 3]) == (code != nil))
      return code
    }
    #expect(code(sequence: 0) == .invalidRecord)
    #expect(code(sequence: 5, previous: LanePoint(epoch: 2, sequence: 5)) == .invalidRecord)
    #expect(code(sequence: 5, payload: [UInt8](repeating: 0, count: 9)) == .tooLarge)
    #expect(code(sequence: 5, payload: [UInt8](repeating: 0, count: 8)) == nil)
  }

  @Test func `records of one frame have the names of their own, met before or not`() throws {
    var random = seededRandom()
    var names = RecordNamesCache()
    for _ in 0..<50 {
      // Few lanes and subjects, so that names are met again, and more than the cache has places for.
      let lane = random.lane()
      let headers = (0..<4).map { _ in random.header(lane: lane) }
      let choices = (0..<random.int(1...256)).map { _ in random.int(0...3) }
      let records = try choices.map { try Record(headers[$0], payload: random.bytes(random.int(0...9))) }
      let frame = Frame(via: "next", topologyVersion: 1, hops: 1, records: records)
      let decoded = try Frame(decoding: frame.encoded(), limits: .standard, names: &names)
      #expect(decoded == frame)
      #expect(decoded.records.map(\.header) == records.map(\.header))
      for index in choices.indices.dropFirst() where choices[index] == choices[index - 1] {
        #expect(decoded.records[index].names === decoded.records[index - 1].names)
      }
    }
  }
}
