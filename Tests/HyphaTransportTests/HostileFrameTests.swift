import HyphaCore
import HyphaTransport
import Testing

/// Frames and records as no honest node sends them: decoding gives an error or what the bytes say.
@Suite struct `Hostile frames` {
  private static let frames: [Frame] = [
    Frame(via: "next", topologyVersion: 1, hops: 1, records: Sample.run(1...1)),
    Frame(
      via: "a-longer.name_of-an-agent", topologyVersion: 70_000, hops: 255, remaining: .milliseconds(20),
      records: Sample.run(1...3)),
    Frame(
      via: "next", topologyVersion: 2, hops: 3,
      records: [
        Sample.record(
          at(4, 5), after: at(3, 9), payload: Array("{\"text\":\"Grüße\"}".utf8), channel: .persistent,
          subject: "incident.42.opened", addressee: "someone")
      ]),
  ]

  @Test func `100,000 altered frames are errors or the frame that was sent`() {
    for seed in Seeds.all(defaultCount: 50_000) {
      var random = SeededGenerator(seed: seed)
      let frame = Self.frames.randomElement(using: &random)!
      let original = frame.encoded()
      let altered = Mutation.mutate(original, &random)
      if let decoded = try? Frame(decoding: altered) {
        let isSame = decoded == frame && altered == original
        #expect(isSame, "seed \(seed)")
      }
      // With right checksums it may be another frame, and must then be exactly what the bytes say.
      let mended = Mutation.mend(frame: altered)
      // Times to live above 70 minutes are shortened when they are written again.
      if let decoded = try? Frame(decoding: mended), decoded.remaining ?? .zero < .seconds(4200) {
        let isSame = decoded.encoded() == mended
        #expect(isSame, "seed \(seed)")
      }
    }
  }

  @Test func `100,000 altered records are errors or the record that was sent`() {
    for seed in Seeds.all(defaultCount: 50_000) {
      var random = SeededGenerator(seed: seed)
      let record = Self.frames.randomElement(using: &random)!.records[0]
      let altered = Mutation.mutate(record.bytes, &random)
      if let decoded = try? Record(decoding: altered) { #expect(decoded == record, "seed \(seed)") }
      let mended = Mutation.mend(record: altered)
      if let decoded = try? Record(decoding: mended) {
        let again = try? Record(decoded.header, payload: decoded.payload)
        let isSame = again?.bytes == mended
        #expect(isSame, "seed \(seed)")
      }
    }
  }

  @Test func `random bytes are never a frame`() {
    for seed in Seeds.all(defaultCount: 10_000) {
      var random = SeededGenerator(seed: seed)
      let bytes = (0..<Int(random.next() % 400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      #expect(throws: HyphaError.self) { try Frame(decoding: bytes) }
      #expect(throws: HyphaError.self) { try Record(decoding: bytes) }
      #expect(throws: HyphaError.self) { try ControlMessage(decoding: bytes) }
    }
  }
}
