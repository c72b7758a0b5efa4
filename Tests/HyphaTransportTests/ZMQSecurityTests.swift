import CZeroMQ
import Foundation
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Testing

/// TCP links with keys, and who is not to pass: sockets of strangers, and of nodes that want more than is theirs.
@Suite struct ZMQSecurityTests {
  private typealias Started = (transport: any Transport, probe: Probe)

  /// `a` sends to `b` and to `c`; nobody sends to `a`.
  private func deployment(_ configure: (inout ZMQTransport.Options) -> Void = { _ in }) -> Deployment {
    Deployment(.curve, ["a", "b", "c"], links: [("a", "b"), ("a", "c")], configure: configure)
  }

  private func url(_ deployment: Deployment, _ role: Endpoints.Role) throws -> String {
    try Endpoints("a", at: deployment.addresses["a"] ?? .local, runtimeDirectory: "/run")[role]
  }

  private func curve(_ deployment: Deployment, as own: LinkKeyPair, to server: LinkKey? = nil) throws
    -> RawSocket.Curve
  {
    (own, try #require(server ?? deployment.pairs["a"]?.key))
  }

  /// Sends frames for `b` until `isReached` holds.
  private func send(_ a: any Transport, until isReached: () -> Bool) -> Bool {
    waitUntil {
      a.send(Channel.allCases.map { Deployment.frame(to: "b", $0, "for b") })
      a.send(Channel.allCases.map { Deployment.frame(to: "c", $0, "for c") })
      return isReached()
    }
  }

  /// What `probe` is told that contains `text`.
  private func expectTold(_ probe: Probe, _ text: String, _ at: SourceLocation = #_sourceLocation) {
    #expect(
      waitUntil { probe.seen.refusals.contains { $0.contains(text) } }, "\(probe.seen.refusals)",
      sourceLocation: at)
  }

  private func expectSilent(_ raws: [RawSocket], _ at: SourceLocation = #_sourceLocation) {
    for raw in raws {
      raw.set(ZMQ_RCVTIMEO, 0)
      #expect(raw.receive() == nil, sourceLocation: at)
    }
  }

  // MARK: Strangers

  @Test func `a stranger's key is refused at every socket, told and counted`() throws {
    let deployment = deployment()
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let pair = LinkKeys.pair()
    let curve = try curve(deployment, as: pair)
    let readers = try Channel.allCases.map {
      RawSocket(ZMQ_SUB, curve: curve, connectingTo: try url(deployment, .channel($0)))
    }
    let asker = RawSocket(
      ZMQ_DEALER, routingID: "b", curve: curve, connectingTo: try url(deployment, .control))
    asker.set(ZMQ_SNDTIMEO, 0)
    asker.send([1, 2, 3])
    expectTold(
      nodes[0].probe,
      "a peer at 127.0.0.1 was refused: its CURVE key \(Z85.encode(LinkKeys.curve(pair.key)) ?? "") is no node's of "
        + "the topology")
    #expect(send(nodes[0].transport) { nodes[0].transport.counters.peersRefused >= 4 })
    #expect(send(nodes[0].transport) { nodes[1].probe.seen.frames.count > 100 })
    expectSilent(readers + [asker])
    #expect(nodes[0].probe.seen.requests.isEmpty)
  }

  @Test func `a peer without keys gets nothing, not over old versions of the protocol either`() throws {
    let deployment = deployment()
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let reader = RawSocket(ZMQ_SUB, connectingTo: try url(deployment, .channel(.alert)))
    let asker = RawSocket(ZMQ_DEALER, routingID: "b", connectingTo: try url(deployment, .control))
    asker.set(ZMQ_SNDTIMEO, 0)
    asker.send([1, 2, 3])
    expectTold(nodes[0].probe, "it has no keys, or is no node")
    #expect(send(nodes[0].transport) { nodes[1].probe.seen.frames.count > 100 })
    expectSilent([reader, asker])
    #expect(nodes[0].probe.seen.requests.isEmpty)
    // ZMTP 1.0 and 2.0 know no security; then a subscription to everything.
    guard case .tcp(_, let port)? = deployment.addresses["a"] else { return }
    let old: [[UInt8]] = [
      [0x01, 0x00, 0x02, 0x00, 0x01],
      [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x01],
    ]
    for greeting in old {
      let answer = try TCPClient(port: port + 2).say(greeting) { _ = send(nodes[0].transport) { true } }
      #expect(answer.count <= 64, "more than a greeting: \(answer.count)")
    }
  }

  @Test func `who takes a node for another does not get in, and the node says so`() throws {
    let deployment = deployment()
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let own = try #require(deployment.pairs["b"])
    let wrong = try curve(deployment, as: own, to: deployment.pairs["c"]?.key)
    let reader = RawSocket(ZMQ_SUB, curve: wrong, connectingTo: try url(deployment, .channel(.alert)))
    expectTold(nodes[0].probe, "it takes this node for another")
    #expect(send(nodes[0].transport) { nodes[1].probe.seen.frames.count > 100 })
    expectSilent([reader])
  }

  @Test func `a node at another's address is not taken for it`() throws {
    let deployment = Deployment(.curve, ["a", "b"], links: [("a", "b")]) {
      $0.reconnectInterval = .milliseconds(5)...(.milliseconds(5))
    }
    let alert = try url(deployment, .channel(.alert))
    // Whoever is there has a pair of its own, and lets everybody in.
    let impostor = RawSocket(ZMQ_PUB, server: LinkKeys.pair(), bindingTo: alert)
    let (b, probe) = (try deployment.transport("b"), Probe())
    try b.start(probe)
    defer { b.stop() }
    #expect(
      waitUntil {
        impostor.send(frameBytes(via: "b.agent", "false"))
        return probe.seen.refusals.contains { $0.hasPrefix("no link to node 'a': it ends every handshake") }
      }, "\(probe.seen.refusals)")
    #expect(probe.seen.frames.isEmpty)
  }

  @Test func `a node is told why its link does not open`() throws {
    let deployment = deployment()
    let (first, firstProbe) = (try deployment.transport("a"), Probe())
    try first.start(firstProbe)
    defer { first.stop() }
    // b as it was before it got a new key, and b without any.
    var plan = deployment.plan("b")
    let old = LinkKeys.pair()
    plan.security = try LinkSecurity(
      own: old, keys: deployment.pairs.mapValues(\.key).merging(["b": old.key]) { $1 })
    let (stale, staleProbe) = (try ZMQTransport(plan: plan, options: deployment.options), Probe())
    try stale.start(staleProbe)
    defer { stale.stop() }
    expectTold(
      staleProbe, "no link to node 'a': it refuses this node's key; start both from one topology file")
    plan = deployment.plan("c")
    plan.security = nil
    let (plain, plainProbe) = (try ZMQTransport(plan: plan, options: deployment.options), Probe())
    try plain.start(plainProbe)
    defer { plain.stop() }
    expectTold(plainProbe, "no link to node 'a': it asks for keys, and this node has none")
  }

  // MARK: Nodes that want more than is theirs

  @Test func `a request is from the node whose key it comes with, whatever name it claims`() throws {
    let deployment = deployment()
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let (a, c) = (nodes[0], nodes[2])
    c.transport.request([1], of: "a")
    #expect(a.probe.wait { $0.requests.map(\.node) == ["c"] })
    // b says that it is c, and would take over its connection.
    let own = try #require(deployment.pairs["b"])
    let liar = RawSocket(
      ZMQ_DEALER, routingID: "c", curve: try curve(deployment, as: own),
      connectingTo: try url(deployment, .control))
    liar.send([2])
    #expect(a.probe.wait { $0.requests.map(\.node) == ["c", "b"] })
    a.transport.reply([7], to: "c")
    #expect(c.probe.wait { $0.answers.map(\.bytes) == [[7]] })
    a.transport.reply([8], to: "b")
    #expect(liar.receive() == [8])
  }

  @Test func `a node may subscribe to what goes to it and to nothing else`() throws {
    let deployment = deployment()
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let own = try #require(deployment.pairs["b"])
    let reader = RawSocket(
      ZMQ_SUB, subscribingTo: ["", "c.agent/", "b", "b.agent/"], curve: try curve(deployment, as: own),
      connectingTo: try url(deployment, .channel(.alert)))
    reader.set(ZMQ_RCVTIMEO, 0)
    var got: Set<[UInt8]> = []
    #expect(
      send(nodes[0].transport) {
        while let frame = reader.receive() { got.insert(frame) }
        return !got.isEmpty && nodes[2].probe.seen.frames.count > 100
      })
    #expect(got == [frameBytes(via: "b.agent", "for b")])
    expectTold(nodes[0].probe, "node 'b' asked for the alert frames of 'c.agent/', which do not go there")
    #expect(nodes[0].transport.counters.peersRefused == 3)
  }

  @Test func `a node that asks too much is cut short, and others are not`() throws {
    let deployment = deployment {
      $0.requestRateMax = 1
      $0.requestBurstMax = 5
    }
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    for number in UInt8(0)..<100 { nodes[1].transport.request([number], of: "a") }
    #expect(waitUntil { nodes[0].transport.counters.messagesRefused >= 50 })
    nodes[2].transport.request([200], of: "a")
    #expect(nodes[0].probe.wait { $0.requests.contains { $0.node == "c" } })
    expectTold(nodes[0].probe, "node 'b' sends more than 1 requests a second; the rest is dropped")
    #expect(nodes[0].transport.counters.peersRefused == 0)
  }

  @Test func `what may be sent without keys may be sent with them, and no more`() throws {
    let deployment = deployment { $0.messageByteCountMax = 10_000 }
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let empty = frameBytes(via: "b.agent", "").count
    let largest = String(repeating: "x", count: 10_000 - empty)
    nodes[0].transport.send(Channel.allCases.map { Deployment.frame(to: "b", $0, largest) })
    #expect(nodes[1].probe.wait { $0.frames.count == 3 && $0.frames.allSatisfy { $0.bytes.count == 10_000 } })
    let own = try #require(deployment.pairs["b"])
    let raw = RawSocket(
      ZMQ_DEALER, curve: try curve(deployment, as: own), connectingTo: try url(deployment, .control))
    raw.send([UInt8](repeating: 0, count: 10_100))
    #expect(
      waitUntil {
        raw.send([2])
        return nodes[0].probe.seen.requests.contains { $0.bytes == [2] }
      })
    #expect(nodes[0].probe.seen.requests.allSatisfy { $0.bytes == [2] })
  }
}

/// A plain TCP connection to the loopback device.
private struct TCPClient {
  private let descriptor: Int32

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(port)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0)
  }

  /// Says `bytes` and returns what comes back until the other end closes; calls `meanwhile` again and again.
  func say(_ bytes: [UInt8], meanwhile: () -> Void) throws -> [UInt8] {
    defer { close(descriptor) }
    send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    let isClosed = waitUntil {
      meanwhile()
      let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { answer += buffer.prefix(count) }
      return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }
    #expect(isClosed, "the connection stays open")
    return answer
  }
}
