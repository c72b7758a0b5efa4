import HyphaCore
import HyphaTransport
import Testing

@Suite struct `Control messages` {
  static let log = EventID(high: 7, low: 9)
  static let samples: [ControlMessage] = [
    .hello(Greeting(node: "ops", topologyVersion: 3, topologyHash: 0x0123_4567_89AB_CDEF)),
    .hello(Greeting(node: "ops", versions: 2...255, program: "", topologyVersion: 3, topologyHash: 1)),
    .welcome(node: "ops", version: 7, program: "1.2.3-beta", topologyVersion: 4),
    .refused(.topology, reason: "the topology differs"), .refused(RefusalKind(rawValue: 200), reason: ""),
    .sync(log: log, since: 17),
    .heads(log: log, through: 99, heads: []),
    .heads(
      log: log, through: 99,
      heads: [
        .init(lane: Sample.lane, point: at(2, 5)),
        .init(lane: Lane(agent: "a", channel: .persistent, target: .addressee("b")), point: at(1, 1)),
      ]),
    .fetch(lane: Sample.lane, after: at(1, 4)), .goodbye,
    .records(lane: Sample.lane, after: .start, records: []),
    .records(lane: Sample.lane, after: .start, records: Sample.run(1...3)),
    .vouch(runs: []),
    .vouch(runs: [
      LaneRun(lane: Sample.lane, after: .start, through: at(1, 4)),
      LaneRun(
        lane: Lane(agent: "a", channel: .alert, target: .addressee("b")), after: at(1, 4), through: at(2, 1)),
    ]),
    .progress(ready: 7, sending: 0), .copies(of: "hub", log: log, since: 17),
    .incarnation(Incarnation(node: "ops", epoch: 1_767_225_600_000, id: log) { _ in [UInt8](0..<64) }),
    .incarnation(Incarnation(node: "ops", epoch: 1, id: log, sign: nil)),
    .copied(of: "hub", log: log, through: 99, heads: []),
    .copied(of: "hub", log: log, through: 99, heads: [.init(lane: Sample.lane, point: at(2, 5))]),
    .vouched(
      RunVoucher(
        origin: "ops",
        entries: [.unknown, .gone, .digest([UInt8](100..<132))].map { verdict in
          .init(run: LaneRun(lane: Sample.lane, after: .start, through: at(1, 4)), verdict: verdict)
        }, sign: { _ in [UInt8](0..<64) })),
  ]

  @Test(arguments: samples) func `a message is the same after its way`(_ message: ControlMessage) throws {
    #expect(try ControlMessage(decoding: message.encoded()) == message)
  }

  @Test(arguments: samples) func `a message cut short anywhere is an error`(_ message: ControlMessage) {
    let bytes = message.encoded()
    for count in bytes.indices {
      #expect(throws: HyphaError.self) { try ControlMessage(decoding: Array(bytes[..<count])) }
    }
  }

  @Test(arguments: samples) func `a message with bytes beyond its end is an error`(_ message: ControlMessage)
  {
    #expect(throws: HyphaError.self) { try ControlMessage(decoding: message.encoded() + [0]) }
  }

  @Test(arguments: samples) func `a message with one altered byte is an error`(_ message: ControlMessage) {
    let bytes = message.encoded()
    for index in bytes.indices {
      for mask in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF] as [UInt8] {
        var altered = bytes
        altered[index] ^= mask
        #expect(throws: HyphaError.self) { try ControlMessage(decoding: altered) }
      }
    }
  }

  @Test func `altered messages with a right checksum are errors or what they say`() {
    for seed in Seeds.all(defaultCount: 20_000) {
      var random = SeededGenerator(seed: seed)
      let bytes = Mutation.mend(
        controlMessage: Mutation.mutate(Self.samples.randomElement(using: &random)!.encoded(), &random))
      do {
        let message = try ControlMessage(decoding: bytes)
        let isSame = message.encoded() == bytes
        #expect(isSame, "seed \(seed)")
      } catch {
        let code = (error as? HyphaError)?.code
        #expect(
          code == .invalidFrame || code == .invalidRecord || code == .tooLarge, "seed \(seed): \(error)")
      }
    }
  }

  @Test func `a message larger than a frame may be is refused before it is read`() {
    let limits = WireLimits(payloadByteCountMax: 100, frameRecordCountMax: 1, frameByteCountMax: 100)
    let bytes = ControlMessage.records(lane: Sample.lane, after: .start, records: Sample.run(1...1)).encoded()
    #expect {
      try ControlMessage(decoding: bytes, limits: limits)
    } throws: {
      "\($0)" == "tooLarge: a control message has \(bytes.count) bytes; raise limits.frame"
    }
  }

  @Test func `claims of more lanes or records than may be are refused before room is made`() {
    var heads = ControlMessage.heads(log: Self.log, through: 1, heads: []).encoded()
    heads.replaceSubrange(heads.count - 2..<heads.count, with: [0xFF, 0xFF])
    #expect {
      try ControlMessage(decoding: Mutation.mend(controlMessage: heads))
    } throws: {
      "\($0)" == "tooLarge: a control message claims 65535 lanes"
    }
    var records = ControlMessage.records(lane: Sample.lane, after: .start, records: []).encoded()
    records.replaceSubrange(records.count - 2..<records.count, with: [0xFF, 0xFF])
    #expect {
      try ControlMessage(decoding: Mutation.mend(controlMessage: records))
    } throws: {
      "\($0)" == "invalidFrame: a control message claims 65535 records"
    }
  }

  @Test func `a long reason is cut at a whole character`() throws {
    let message = ControlMessage.refused(.other, reason: "a" + String(repeating: "ü", count: 200))
    guard case .refused(_, let reason) = try ControlMessage(decoding: message.encoded()) else {
      Issue.record("another message came out")
      return
    }
    #expect(reason == "a" + String(repeating: "ü", count: 127))
  }

  @Test func `greetings that cannot be are refused`() {
    for (versions, problem) in [
      ([0, 1], "a greeting has protocol version 0"),
      ([2, 1], "a greeting has protocol versions from 2 to 1"),
    ] as [([UInt8], String)] {
      var bytes = ControlMessage.hello(Greeting(node: "a", topologyVersion: 1, topologyHash: 1)).encoded()
      bytes.replaceSubrange(12..<14, with: versions)
      #expect {
        try ControlMessage(decoding: Mutation.mend(controlMessage: bytes))
      } throws: {
        "\($0)" == "invalidFrame: \(problem)"
      }
    }
  }

  @Test func `records of another lane than the message names are refused`() {
    let other = Lane(agent: "origin", channel: .alert, target: .addressee("b"))
    let bytes = ControlMessage.records(lane: other, after: .start, records: Sample.run(1...1)).encoded()
    #expect {
      try ControlMessage(decoding: bytes)
    } throws: {
      "\($0)" == "invalidFrame: a control message has records of another lane than it names"
    }
  }
}
