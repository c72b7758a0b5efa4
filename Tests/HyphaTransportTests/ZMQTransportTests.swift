import CZeroMQ
import Foundation
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Testing

/// What the transport on ZeroMQ promises beyond every transport: bounds, and strangers that do no harm.
@Suite struct `ZeroMQ transport` {
  private let control = Endpoints.Role.control

  private func url(_ deployment: Deployment, _ node: NodeID, _ role: Endpoints.Role) throws -> String {
    try Endpoints(
      node, at: deployment.addresses[node] ?? .local, runtimeDirectory: deployment.options.runtimeDirectory)[
        role]
  }

  /// Passes frames, a request and an answer between the two nodes.
  private func expectAlive(_ a: (transport: any Transport, probe: Probe), _ b: (any Transport, Probe)) {
    let (before, answers) = (b.1.seen.frames.count, a.probe.seen.answers.count)
    a.transport.send(Channel.allCases.map { Deployment.frame(to: "b", $0, "alive") })
    #expect(b.1.wait { $0.frames.count >= before + 3 })
    let requests = b.1.seen.requests.count
    a.transport.request([7], of: "b")
    #expect(b.1.wait { $0.requests.count > requests })
    b.0.reply([8], to: "a")
    #expect(a.probe.wait { $0.answers.count > answers })
  }

  // MARK: Bounds

  @Test func `what exceeds a queue is dropped and counted, channel by channel`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b"), ("b", "a")]) {
      $0.queueCountMax = 10
      $0.queueByteCountMax = 1000
    }
    let (held, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let holding = Probe(onFrames: { frames in
      guard frames[0].channel == .alert else { return }
      held.signal()
      release.wait()
    })
    let a = try deployment.transport("a")
    try a.start(holding)
    defer { a.stop() }
    let b = try deployment.start(["b"])[0]
    defer { b.transport.stop() }
    #expect(holding.wait { $0.opened.count >= 3 })
    // The urgent thread of a is held in a callback: what is sent over it waits.
    b.transport.send([Deployment.frame(to: "a", .alert, "hold")])
    #expect(held.wait(timeout: .now() + 120) == .success)
    a.send((0..<25).map { Deployment.frame(to: "b", .alert, "\($0)") })
    #expect(a.counters.framesDropped == 15)
    // Realtime has its own room, by bytes as well.
    let large = String(repeating: "x", count: 300)
    a.send((0..<5).map { _ in Deployment.frame(to: "b", .realtime, large) })
    #expect(a.counters.framesDropped == 17)
    // A run comes back with all that is in it, and takes no more.
    let records = Sample.run(1...3)
    let front = FrameFront(via: "b", lane: Sample.lane, topologyVersion: 7, hops: 1)
    let run = OutboundRun(channel: .realtime, links: [.init(node: "b", front: front)], expiry: nil)
    #expect(try run.add(records[0]) && run.add(records[1]))
    let returned = try a.send(run).map { try Frame(decoding: $0.bytes).records }
    #expect(returned == [Array(records[..<2])])
    #expect(try !run.add(records[2]))
    #expect(a.counters.framesDropped == 18)
    // The bulk thread is not held.
    a.send([Deployment.frame(to: "b", .persistent, "passes")])
    #expect(b.probe.wait { $0.texts(from: "a", .persistent) == ["passes"] })
    release.signal()
    #expect(b.probe.wait { $0.frames.count >= 14 })
    #expect(b.probe.seen.texts(from: "a", .alert) == (0..<10).map { "\($0)" })
    #expect(b.probe.seen.texts(from: "a", .realtime).count == 3)
  }

  @Test func `requests to a node that is away wait for a while and are bounded`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: []) {
      $0.requestCountMax = 5
      $0.requestPatience = .seconds(60)
    }
    let (a, probe) = (try deployment.transport("a"), Probe())
    try a.start(probe)
    defer { a.stop() }
    for number in UInt8(0)..<8 { a.request([number], of: "b") }
    #expect(waitUntil { a.counters.messagesDropped == 3 })
    let (b, late) = (try deployment.transport("b"), Probe())
    try b.start(late)
    defer { b.stop() }
    #expect(late.wait { $0.requests.count >= 5 })
    #expect(late.seen.requests.map(\.bytes) == [[3], [4], [5], [6], [7]])
  }

  @Test func `requests that waited too long are dropped, not sent`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: []) { $0.requestPatience = .milliseconds(1) }
    let a = try deployment.transport("a")
    try a.start(Probe())
    defer { a.stop() }
    a.request([1], of: "b")
    #expect(
      waitUntil {
        a.request([2], of: "b")
        return a.counters.messagesDropped >= 1
      })
    let (b, late) = (try deployment.transport("b"), Probe())
    try b.start(late)
    defer { b.stop() }
    #expect(
      waitUntil {
        a.request([3], of: "b")
        return late.seen.requests.contains { $0.bytes == [3] }
      })
    #expect(!late.seen.requests.contains { $0.bytes == [1] })
  }

  @Test func `an answer to a node that has gone is counted as dropped`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [])
    let a = try deployment.start(["a"])[0]
    defer { a.transport.stop() }
    a.transport.reply([1], to: "b")
    #expect(waitUntil { a.transport.counters.messagesDropped == 1 })
  }

  @Test func `what is larger than the limit is not sent`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b")]) { $0.messageByteCountMax = 1000 }
    let nodes = try deployment.start(["a", "b"])
    defer { nodes.forEach { $0.transport.stop() } }
    let large = String(repeating: "x", count: 1001)
    nodes[0].transport.send([Deployment.frame(to: "b", .alert, large)])
    nodes[0].transport.request(Array(large.utf8), of: "b")
    #expect(nodes[0].transport.counters.framesDropped == 1)
    #expect(nodes[0].transport.counters.messagesDropped == 1)
    expectAlive(nodes[0], nodes[1])
  }

  // MARK: Strangers

  @Test func `a message above the limit is refused and the node lives on`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b")]) { $0.messageByteCountMax = 10_000 }
    let nodes = try deployment.start(["a", "b"])
    defer { nodes.forEach { $0.transport.stop() } }
    let raw = RawSocket(ZMQ_DEALER, routingID: "b", connectingTo: try url(deployment, "a", control))
    raw.send([1])
    #expect(nodes[0].probe.wait { $0.requests.count == 1 })
    raw.send([UInt8](repeating: 0, count: 20_000))
    // It is cut off, and what it sends once it has connected again is taken.
    #expect(
      waitUntil {
        raw.send([2])
        return nodes[0].probe.seen.requests.contains { $0.bytes == [2] }
      })
    #expect(nodes[0].probe.seen.requests.allSatisfy { $0.bytes.count == 1 })
    expectAlive(nodes[0], nodes[1])
  }

  @Test func `messages of strangers to the control socket are dropped and counted`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b")])
    let nodes = try deployment.start(["a", "b"])
    defer { nodes.forEach { $0.transport.stop() } }
    let address = try url(deployment, "a", control)
    // No name, a name of no node, bytes that are no text.
    for routingID in [nil, "stranger", "\u{1}\u{2}"] {
      let before = nodes[0].transport.counters.messagesDropped
      let raw = RawSocket(ZMQ_DEALER, routingID: routingID, connectingTo: address)
      raw.send([1, 2, 3])
      raw.send([1], [2], [3])
      raw.send([])
      #expect(waitUntil { nodes[0].transport.counters.messagesDropped == before + 3 })
    }
    // A node's name, and messages of too many parts.
    let before = nodes[0].transport.counters.messagesDropped
    let raw = RawSocket(ZMQ_DEALER, routingID: "b", connectingTo: address)
    raw.send([], [1])
    raw.send([1], [2], [3], [4])
    #expect(waitUntil { nodes[0].transport.counters.messagesDropped == before + 2 })
    #expect(nodes[0].probe.seen.requests.isEmpty)
    expectAlive(nodes[0], nodes[1])
  }

  @Test func `subscriptions of strangers change nothing`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b")])
    let (a, probe) = (try deployment.transport("a"), Probe())
    try a.start(probe)
    defer { a.stop() }
    let address = try url(deployment, "a", .channel(.alert))
    let everything = RawSocket(ZMQ_SUB, connectingTo: address)
    let garbage = RawSocket(ZMQ_XSUB, connectingTo: address)
    garbage.send([])
    garbage.send([7, 7, 7])
    garbage.send([1] + [UInt8](repeating: 0x41, count: 5000))
    garbage.send([0] + Array("b.agent/".utf8))
    garbage.send([1], [2], [3])
    #expect(probe.seen.opened.isEmpty)
    let b = try deployment.start(["b"])[0]
    defer { b.transport.stop() }
    #expect(probe.wait { Set($0.opened).count == 3 })
    expectAlive((a, probe), b)
    // A subscription holds from when the publisher has it: what is sent before passes it by.
    everything.set(ZMQ_RCVTIMEO, 50)
    #expect(
      waitUntil {
        a.send([Deployment.frame(to: "b", .alert, "alive")])
        return everything.receive() == frameBytes(via: "b.agent", "alive")
      })
  }

  @Test func `garbage in the place of a neighbour does no harm`() throws {
    let deployment = Deployment(.tcp, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let (b, probe) = (try deployment.transport("b"), Probe())
    try b.start(probe)
    defer { b.stop() }
    do {
      // Someone else at the address of a: messages of several parts, and one that is too large.
      let raw = RawSocket(ZMQ_PUB, bindingTo: try url(deployment, "a", .channel(.alert)))
      #expect(
        waitUntil {
          raw.send(Array("b.agent/".utf8), [1])
          raw.send(frameBytes(via: "b.agent", "one part"))
          return !probe.seen.frames.isEmpty
        })
      raw.send(Array("b.agent/".utf8) + [UInt8](repeating: 0, count: 5 << 20))
      // libzmq gives the connection up for that; it is opened anew.
      #expect(
        waitUntil {
          raw.send(frameBytes(via: "b.agent", "anew"))
          return probe.seen.texts(from: "a", .alert).contains("anew")
        })
      #expect(Set(probe.seen.texts(from: "a", .alert)) == ["one part", "anew"])
    }
    let a = try deployment.start(["a"])[0]
    defer { a.transport.stop() }
    #expect(probe.wait { Set($0.opened).count == 3 })
    expectAlive(a, (b, probe))
  }

  @Test func `bytes that are not ZMTP do no harm`() throws {
    let deployment = Deployment(.tcp, ["a", "b"], links: [("a", "b")])
    let nodes = try deployment.start(["a", "b"])
    defer { nodes.forEach { $0.transport.stop() } }
    guard case .tcp(_, let port) = deployment.addresses["a"] else { return }
    for offset in UInt16(0)..<4 {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = loopback(port + offset)
      let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      #expect(result == 0)
      var random = SeededGenerator(seed: UInt64(offset))
      let bytes = (0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      close(descriptor)
    }
    expectAlive(nodes[0], nodes[1])
  }

  @Test func `another program at a neighbour's port delays the link and no more`() throws {
    let deployment = Deployment(.tcp, ["a", "b"], links: [("a", "b"), ("b", "a")])
    guard case .tcp(_, let port) = deployment.addresses["a"] else { return }
    let (b, probe) = (try deployment.transport("b"), Probe())
    do {
      let stranger = try #require(PlainListener(port: port + 2))
      try b.start(probe)
      // Twice, so that libzmq or the transport has tried again.
      #expect(stranger.answer("HTTP/1.1 400 Bad Request\r\n\r\n", times: 2))
    }
    defer { b.stop() }
    let a = try deployment.start(["a"])[0]
    defer { a.transport.stop() }
    #expect(probe.wait { Set($0.opened).count == 3 })
    expectAlive(a, (b, probe))
  }

  // MARK: Ending

  @Test func `what waits is sent before it stops`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b")]) { $0.linger = .seconds(10) }
    let nodes = try deployment.start(["a", "b"])
    defer { nodes[1].transport.stop() }
    nodes[0].transport.send((0..<5000).map { Deployment.frame(to: "b", .persistent, "\($0)") })
    nodes[0].transport.stop()
    #expect(nodes[1].probe.wait { $0.frames.count == 5000 })
  }

  @Test func `it can be stopped from a callback, and by several threads at once`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let b = try deployment.transport("b")
    let stopping = Probe(onFrames: { _ in b.stop() })
    try b.start(stopping)
    let a = try deployment.start(["a"])[0]
    a.transport.send((0..<2000).map { Deployment.frame(to: "b", .alert, "\($0)") })
    #expect(stopping.wait { !$0.frames.isEmpty })
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      a.transport.stop()
      b.stop()
    }
    // Its name is free when it says so.
    let again = try deployment.transport("a")
    try again.start(Probe())
    again.stop()
  }

  @Test func `a transport that is let go stops`() throws {
    let deployment = Deployment(.ipc, ["a"], links: [])
    do { _ = try deployment.start(["a"]) }
    // Its sockets are free again.
    let again = try deployment.start(["a"])[0]
    again.transport.stop()
  }
}
