import CZeroMQ
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Testing

/// What is decided about strangers, without a socket.
@Suite struct SecurityMachineTests {
  private let stranger = LinkKeys.pair().key

  // MARK: Keys

  @Test func `keys that are made are the library's own, and each belongs to its private half`() throws {
    let keys = LinkKeys()
    for _ in 0..<20 {
      let pair = try keys.makePair()
      #expect(try keys.key(of: pair.secret) == pair.key)
      var bytes = [UInt8](repeating: 0, count: LinkKey.byteCount)
      #expect(zmq_z85_decode(&bytes, pair.key.text) != nil)
      #expect(LinkKey(bytes: bytes) == pair.key)
    }
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
    #expect(request.key == stranger && request.address == "10.0.0.7")
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
      for (place, first) in taken.enumerated() {
        for last in taken[place...] {
          let count = taken[place...].prefix { $0 <= last }.count
          let most = Double(capacity) + (last - first) / .seconds(1) * rate
          #expect(Double(count) <= most + 1e-6, "seed \(seed)")
        }
      }
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
