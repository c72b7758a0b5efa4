import CZeroMQ
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Testing

/// What is decided about strangers, without a socket.
@Suite struct SecurityMachineTests {
  private let stranger = LinkKeys.pair().key

  // MARK: Keys

  @Test func `a key belongs to its private half, and so do the keys of CURVE that follow from them`() throws {
    let keys = LinkKeys()
    for _ in 0..<20 {
      let pair = try keys.makePair()
      #expect(keys.key(of: pair.secret) == pair.key)
      var bytes = [UInt8](repeating: 0, count: LinkKey.byteCount)
      #expect(zmq_z85_decode(&bytes, pair.key.text) != nil)
      #expect(LinkKey(bytes: bytes) == pair.key)
      // libzmq finds the same public key from the private one.
      let secret = try #require(keys.withCurveSecret(of: pair.secret) { Z85.encode($0) })
      var curve = [CChar](repeating: 0, count: LinkKey.textByteCount + 1)
      #expect(zmq_curve_public(&curve, secret) == 0)
      #expect(
        try keys.curveKey(of: pair.key)
          == Z85.decode(String(decoding: curve.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)))
    }
  }

  @Test func `a key is that of RFC 8032, and what is no point of the curve is refused`() throws {
    let seed: [UInt8] = [
      0x9D, 0x61, 0xB1, 0x9D, 0xEF, 0xFD, 0x5A, 0x60, 0xBA, 0x84, 0x4A, 0xF4, 0x92, 0xEC, 0x2C, 0xC4, 0x44,
      0x49,
      0xC5, 0x69, 0x7B, 0x32, 0x69, 0x19, 0x70, 0x3B, 0xAC, 0x03, 0x1C, 0xAE, 0x7F, 0x60,
    ]
    let key = LinkKeys().key(of: try #require(LinkSecret(bytes: seed)))
    #expect(key.bytes.prefix(4) == [0xD7, 0x5A, 0x98, 0x01] && key.bytes.suffix(2) == [0x51, 0x1A])
    // Python computes the same from it, in tools/hypha_wire.py.
    #expect(try LinkKeys().curveKey(of: key).prefix(4) == [0xD8, 0x5E, 0x07, 0xEC])
    #expect(throws: HyphaError.self) {
      try LinkKeys().curveKey(of: LinkKey(String(repeating: "0", count: 40)))
    }
  }

  @Test func `what a node has signed is known for it, and nothing else is`() throws {
    let (own, other) = (LinkKeys.pair(), LinkKeys.pair())
    let keys: [NodeID: LinkKey] = ["a": own.key, "b": other.key]
    let a = LinkNotary(try LinkSecurity(own: own, keys: keys))
    let b = LinkNotary(try LinkSecurity(own: other, keys: keys))
    let statement = Array("a statement".utf8)
    let signature = a.sign(statement)
    #expect(b.hasSigned("a", statement, signature))
    #expect(!b.hasSigned("b", statement, signature) && !b.hasSigned("c", statement, signature))
    #expect(!b.hasSigned("a", statement + [0], signature) && !b.hasSigned("a", [], signature))
    #expect(!b.hasSigned("a", statement, b.sign(statement)) && !b.hasSigned("a", statement, []))
    var altered = signature
    altered[40] ^= 1
    #expect(!b.hasSigned("a", statement, altered))
    // All that a voucher says is signed.
    let run = LaneRun(
      lane: Lane(agent: "ana", channel: .alert, target: .addressee("bob")), after: .start,
      through: LanePoint(epoch: 1, sequence: 2))
    let voucher = RunVoucher(origin: "a", entries: [.init(run: run, verdict: .unknown)], sign: a.sign)
    #expect(b.hasSigned("a", voucher.statement, voucher.signature))
    var others = [voucher, voucher, voucher, voucher]
    others[0].entries = []
    others[1].entries[0].verdict = .gone
    others[2].entries[0].run.through = LanePoint(epoch: 1, sequence: 3)
    others[3].origin = "b"
    for other in others { #expect(!b.hasSigned("a", other.statement, other.signature)) }
    // FIPS 180-4: SHA-256 of "abc".
    #expect(a.digest(of: Array("abc".utf8)).prefix(4) == [0xBA, 0x78, 0x16, 0xBF])
  }

  @Test func `two nodes with one key are refused`() throws {
    let pair = LinkKeys.pair()
    #expect {
      try LinkSecurity(own: pair, keys: ["a": pair.key, "b": stranger, "c": pair.key])
    } throws: {
      "\($0)"
        == "invalidTopology: the nodes 'a' and 'c' have the same key; make each a pair of its own: hypha keys generate c"
    }
  }

  // MARK: ZAP

  private func request(_ change: (inout [[UInt8]]) -> Void = { _ in }) throws -> [[UInt8]] {
    var key = [UInt8](repeating: 0, count: LinkKey.byteCount)
    zmq_z85_decode(&key, stranger.text)
    var parts = ["1.0", "7", "hypha", "10.0.0.7", "", "CURVE"].map { Array($0.utf8) } + [key]
    change(&parts)
    return parts
  }

  @Test func `a question of libzmq names key and address, and its answer repeats its number`() throws {
    let request = try ZAPRequest(parts: request())
    #expect(request.key == stranger.bytes && request.address == "10.0.0.7")
    let texts = { (parts: [[UInt8]]) in parts.map { String(decoding: $0, as: UTF8.self) } }
    #expect(texts(request.answer("hq")) == ["1.0", "7", "200", "OK", "hq", ""])
    #expect(texts(request.answer(nil)) == ["1.0", "7", "400", "unknown key", "", ""])
  }

  @Test func `what is no question about a CURVE key is refused`() throws {
    let changes: [(inout [[UInt8]]) -> Void] = [
      { $0[0] = Array("2.0".utf8) }, { $0[5] = Array("NULL".utf8) }, { $0[5] = Array("PLAIN".utf8) },
      { $0[6].removeLast() }, { $0[6].append(0) }, { $0.removeLast() }, { $0.append([]) }, { $0 = [] },
      { $0[3] = [0xFF] }, { $0[1] = [UInt8](repeating: 0, count: 256) },
    ]
    for (place, change) in changes.enumerated() {
      #expect(throws: HyphaError.self, "\(place)") { try ZAPRequest(parts: request(change)) }
    }
  }

  // MARK: Rates

  @Test func `a bucket lets a burst pass, then its rate, and never more than both`() {
    for seed in Seeds.all(defaultCount: 200) {
      var random = SeededGenerator(seed: seed)
      let (capacity, rate) = (Int(random.next() % 20) + 1, Double(random.next() % 50))
      var bucket = TokenBucket(capacity: capacity, perSecond: rate)
      var now = Duration.seconds(5)
      var taken: [Duration] = []
      for _ in 0..<500 {
        now += .microseconds(Int64(random.next() % 200_000))
        if bucket.take(now: now) { taken.append(now) }
      }
      // Between any two takes there are no more than a burst and what the rate gave meanwhile: so says the takes' number
      // less what the rate has given since the start, which nowhere exceeds its least value before by more than a burst.
      var least = Double.infinity
      var isKept = true
      for (number, time) in taken.enumerated() {
        let surplus = Double(number) - time / .seconds(1) * rate
        least = min(least, surplus)
        isKept = isKept && surplus - least + 1 <= Double(capacity) + 1e-6
      }
      #expect(isKept, "seed \(seed)")
    }
    var bucket = TokenBucket(capacity: 2, perSecond: 1)
    let takes = [0, 0, 0, 500, 1000, 1000, 900, 9000, 9000, 9000].map { bucket.take(now: .milliseconds($0)) }
    #expect(takes == [true, true, false, false, true, false, false, true, true, false])
  }

  @Test func `each refusal is told once, and strangers cannot fill the operator's notes`() {
    var log = RefusalLog()
    let first = [Duration.zero, .seconds(3600)].map { now in log.tells("first", now: now) }
    #expect(first == [true, false])
    var told = 0
    for number in 0..<10_000 where log.tells("key \(number)", now: .seconds(3600) + .milliseconds(number)) {
      told += 1
    }
    #expect(told == RefusalLog.burstCount)
    let isToldLater = log.tells("an hour later", now: .seconds(7200))
    #expect(isToldLater)
  }

  // MARK: Greetings

  private func greeting(_ node: NodeID, _ versions: ClosedRange<UInt8> = 1...1, hash: UInt64 = 7) -> Greeting
  {
    Greeting(
      node: node, versions: versions, program: "0.\(versions.upperBound)", topologyVersion: 3,
      topologyHash: hash)
  }

  @Test func `nodes speak the highest version that both know`() {
    for (mine, others, expected) in [
      (1...1, 1...1, 1), (1...4, 2...9, 4), (3...9, 1...5, 5), (2...2, 1...9, 2),
    ]
      as [(ClosedRange<UInt8>, ClosedRange<UInt8>, UInt8)]
    {
      #expect(
        greeting("a", mine).answer(to: greeting("b", others), from: "b")
          == .welcome(node: "a", version: expected, program: "0.\(mine.upperBound)", topologyVersion: 3))
    }
  }

  @Test func `both sides are told what does not fit, and the older one is to be upgraded`() {
    let (old, new) = (greeting("a", 1...1), greeting("b", 2...3))
    let words =
      "and node '%' (0.@) speaks protocol version # have none in common; upgrade node 'a'"
    #expect(
      old.answer(to: new, from: "b")
        == .refused(
          .protocolVersion,
          reason: "node 'a' (0.1) speaks protocol version 1 "
            + words.replacing("%", with: "b").replacing("@", with: "3").replacing("#", with: "2 to 3")))
    #expect(
      new.answer(to: old, from: "a")
        == .refused(
          .protocolVersion,
          reason: "node 'b' (0.3) speaks protocol version 2 to 3 "
            + words.replacing("%", with: "a").replacing("@", with: "1").replacing("#", with: "1")))
  }

  @Test func `who follows another topology or greets as another is refused`() {
    #expect(
      greeting("a").answer(to: greeting("b", hash: 8), from: "b")
        == .refused(
          .topology,
          reason: "node 'a' follows topology version 3 (7), node 'b' follows topology version 3 (8); "
            + "start both from one topology file"))
    guard case .refused(.unauthorized, _) = greeting("a").answer(to: greeting("b"), from: "c") else {
      Issue.record("a node greeted as another")
      return
    }
  }

  @Test func `a refusal fits into its message whatever the names`() throws {
    let long = NodeID(unchecked: String(repeating: "n", count: NodeID.byteCountMax))
    let other = Greeting(
      node: long, versions: 200...255, program: String(repeating: "\u{1B}", count: 90), topologyVersion: .max,
      topologyHash: .max)
    let answer = greeting(long, 1...3).answer(to: other, from: long)
    guard case .refused(.protocolVersion, let reason) = try ControlMessage(decoding: answer.encoded()) else {
      Issue.record("not refused")
      return
    }
    #expect(reason.utf8.count <= 255 && !reason.contains("\u{1B}"))
  }
}
