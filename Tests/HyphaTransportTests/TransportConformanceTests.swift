import Glibc
import HyphaCore
import HyphaTransport
import Synchronization
import Testing

/// What every transport promises, whatever carries it.
@Suite struct `Every transport` {
  @Test(arguments: TransportKind.allCases)
  func `delivers frames of each channel in order per link and says whose they are`(_ kind: TransportKind)
    throws
  {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [("a", "c"), ("b", "c")])
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let texts = (0..<500).map { "\($0)" }
    // In batches, and channels mixed.
    for batch in texts.chunked(by: 7) {
      for sender in nodes[..<2] {
        sender.transport.send(
          Channel.allCases.flatMap { channel in batch.map { Deployment.frame(to: "c", channel, $0) } })
      }
    }
    let probe = nodes[2].probe
    #expect(probe.wait { $0.frames.count >= 3000 })
    let seen = probe.seen
    for node in ["a", "b"] as [NodeID] {
      for channel in Channel.allCases {
        #expect(seen.texts(from: node, channel) == texts, "from \(node) over \(channel)")
      }
    }
  }

  @Test(arguments: TransportKind.allCases)
  func `delivers over the links of the plan alone`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [("a", "b"), ("c", "b")])
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    // No link leads from a to c or from b to a; no link takes frames for another's agent.
    nodes[0].transport.send([Deployment.frame(to: "c", .alert, "astray")])
    nodes[1].transport.send([Deployment.frame(to: "a", .alert, "backwards")])
    nodes[0].transport.send([
      OutboundFrame(node: "b", channel: .alert, bytes: frameBytes(via: "c.agent", "another's"))
    ])
    nodes[0].transport.send([Deployment.frame(to: "b", .alert, "right")])
    nodes[2].transport.send([Deployment.frame(to: "b", .alert, "right too")])
    #expect(nodes[1].probe.wait { $0.frames.count >= 2 })
    #expect(nodes[1].probe.seen.frames.map { text(of: $0.bytes) }.sorted() == ["right", "right too"])
    #expect(waitUntil { nodes[0].transport.counters.framesDropped == 1 })
    #expect(waitUntil { nodes[1].transport.counters.framesDropped == 1 })
    #expect(nodes[0].probe.seen.frames.isEmpty)
    #expect(nodes[2].probe.seen.frames.isEmpty)
  }

  @Test(arguments: TransportKind.allCases)
  func `brings requests to their node and answers back, in order`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [])
    let names: [NodeID] = ["a", "b", "c"]
    let transports = try names.map { try deployment.transport($0) }
    let probes = transports.map { transport in
      Probe(onRequest: { transport.reply(Array("re: ".utf8) + $0.bytes, to: $0.node) })
    }
    for (transport, probe) in zip(transports, probes) { try transport.start(probe) }
    defer { transports.forEach { $0.stop() } }
    for number in 0..<100 {
      transports[0].request(Array("to b \(number)".utf8), of: "b")
      transports[0].request(Array("to c \(number)".utf8), of: "c")
      transports[1].request(Array("to c \(number)".utf8), of: "c")
    }
    #expect(probes[0].wait { $0.answers.count >= 200 })
    #expect(probes[1].wait { $0.answers.count >= 100 && $0.requests.count >= 100 })
    #expect(probes[2].wait { $0.requests.count >= 200 })
    for (index, node) in [(0, "b"), (0, "c"), (1, "c")] as [(Int, NodeID)] {
      let answers = probes[index].seen.answers.filter { $0.node == node }
      #expect(
        answers.map { String(decoding: $0.bytes, as: UTF8.self) } == (0..<100).map { "re: to \(node) \($0)" })
    }
    #expect(Set(probes[1].seen.requests.map(\.node)) == ["a"])
    #expect(Set(probes[2].seen.requests.map(\.node)) == ["a", "b"])
  }

  @Test(arguments: TransportKind.allCases)
  func `tells once for each channel that the links are open`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [("a", "b"), ("a", "c"), ("b", "c")])
    let (early, earlyProbe) = (try deployment.transport("a"), Probe())
    try early.start(earlyProbe)
    defer { early.stop() }
    // Without b and c the links of a are not open.
    let (second, secondProbe) = (try deployment.transport("b"), Probe())
    try second.start(secondProbe)
    defer { second.stop() }
    #expect(earlyProbe.seen.opened.isEmpty)
    let (last, lastProbe) = (try deployment.transport("c"), Probe())
    try last.start(lastProbe)
    defer { last.stop() }
    for probe in [earlyProbe, secondProbe, lastProbe] {
      #expect(probe.wait { $0.opened.count >= 3 })
      #expect(probe.seen.opened.sorted { $0.rawValue < $1.rawValue } == Channel.allCases)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func `opens and closes links while it runs`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [("a", "b"), ("b", "c")])
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let (a, b, c) = (nodes[0], nodes[1], nodes[2])
    var (planA, planC) = (deployment.plan("a"), deployment.plan("c"))
    // The node that takes changes first: what it asks for is not refused, and it is known when the other one changes.
    planC.number = 1
    planC.incoming["a"] = [Deployment.agent(of: "c")]
    c.transport.update(planC)
    #expect(c.probe.wait { seen in Channel.allCases.allSatisfy { seen.links[$0]?.plan == 1 } })
    planA.number = 1
    planA.outgoing["c"] = [Deployment.agent(of: "c")]
    a.transport.update(planA)
    let isOpen = Probe.Seen.Links(plan: 1, missing: [])
    #expect(a.probe.wait { seen in Channel.allCases.allSatisfy { seen.links[$0] == isOpen } })
    for channel in Channel.allCases {
      a.transport.send([
        Deployment.frame(to: "c", channel, "direct"), Deployment.frame(to: "b", channel, "old"),
      ])
      #expect(c.probe.wait { $0.texts(from: "a", channel) == ["direct"] }, "\(channel)")
      #expect(b.probe.wait { $0.texts(from: "a", channel) == ["old"] }, "\(channel)")
    }
    // The node that takes goes first again: the other one learns that it does.
    c.transport.update(deployment.plan("c"))
    let isGone: Set<AgentID> = [Deployment.agent(of: "c")]
    #expect(a.probe.wait { seen in Channel.allCases.allSatisfy { seen.links[$0]?.missing == isGone } })
    a.transport.update(deployment.plan("a"))
    #expect(a.probe.wait { seen in Channel.allCases.allSatisfy { seen.links[$0]?.missing == [] } })
    let dropped = a.transport.send([Deployment.frame(to: "c", .alert, "never")])
    a.transport.send([Deployment.frame(to: "b", .alert, "still")])
    #expect(b.probe.wait { $0.texts(from: "a", .alert) == ["old", "still"] })
    #expect(dropped.count == 1 || waitUntil { a.transport.counters.framesDropped == 1 })
    #expect(c.probe.seen.texts(from: "a", .alert) == ["direct"])
    #expect(a.probe.seen.refusals == [] && c.probe.seen.refusals == [])
  }

  @Test(arguments: TransportKind.allCases)
  func `calls nobody after it has stopped`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b", "c"], links: [("a", "b"), ("a", "c")])
    let nodes = try deployment.start(["a", "b", "c"])
    defer { nodes.forEach { $0.transport.stop() } }
    let (sender, stopping, other) = (nodes[0], nodes[1], nodes[2])
    sender.transport.send((0..<200).map { Deployment.frame(to: "b", .alert, "\($0)") })
    #expect(stopping.probe.wait { !$0.frames.isEmpty })
    stopping.transport.stop()
    if kind == .memory { #expect(other.probe.wait { _ in sender.transport.counters.framesSent >= 200 }) }
    let count = stopping.probe.seen.count
    sender.transport.send((0..<50).map { Deployment.frame(to: "b", .alert, "late \($0)") })
    sender.transport.request([1], of: "b")
    sender.transport.send((0..<50).map { Deployment.frame(to: "c", .alert, "\($0)") })
    #expect(other.probe.wait { $0.frames.count >= 50 })
    // A callback that had begun may have ended meanwhile on the in-memory network.
    #expect(stopping.probe.seen.count <= count + (kind == .memory ? 1 : 0))
    // Stopping again does nothing, and sending neither.
    stopping.transport.stop()
    stopping.transport.send([Deployment.frame(to: "a", .alert, "never")])
  }

  @Test(arguments: TransportKind.allCases)
  func `finds a neighbour again that has come back`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let nodes = try deployment.start(["a", "b"])
    let (survivor, first) = (nodes[0], nodes[1])
    defer { survivor.transport.stop() }
    survivor.transport.request([1], of: "b")
    #expect(first.probe.wait { !$0.requests.isEmpty })
    first.transport.stop()
    let second = try deployment.start(["b"])[0]
    defer { second.transport.stop() }
    // The new one's link may be open before the old one's is known to be closed, so that nobody is told of either.
    func find(_ other: NodeID, _ sender: any Transport, _ probe: Probe) -> Bool {
      (0..<1000).contains { _ in
        if Set(probe.seen.frames.map(\.channel)).count == Channel.allCases.count { return true }
        sender.send(Channel.allCases.map { Deployment.frame(to: other, $0, "again") })
        usleep(10_000)
        return false
      }
    }
    #expect(find("b", survivor.transport, second.probe))
    #expect(find("a", second.transport, survivor.probe))
    survivor.transport.request([2], of: "b")
    second.transport.request([3], of: "a")
    #expect(second.probe.wait { !$0.requests.isEmpty })
    #expect(survivor.probe.wait { !$0.requests.isEmpty })
    second.transport.reply([4], to: "a")
    #expect(survivor.probe.wait { !$0.answers.isEmpty })
  }

  @Test(arguments: TransportKind.allCases)
  func `counts what it sends, receives and drops`(_ kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b"], links: [("a", "b")])
    let nodes = try deployment.start(["a", "b"])
    defer { nodes.forEach { $0.transport.stop() } }
    nodes[0].transport.send((0..<30).map { Deployment.frame(to: "b", .persistent, "\($0)") })
    nodes[0].transport.send((0..<20).map { Deployment.frame(to: "b", .realtime, "\($0)") })
    nodes[0].transport.request([1], of: "nobody")
    #expect(nodes[1].probe.wait { $0.frames.count >= 50 })
    var sent = TransportCounters()
    sent.framesSent = 50
    sent.messagesDropped = 1
    #expect(waitUntil { nodes[0].transport.counters == sent })
    var received = TransportCounters()
    received.framesReceived = 50
    #expect(waitUntil { nodes[1].transport.counters == received })
  }
}

extension Array {
  /// Runs of `count` elements, the last perhaps shorter.
  fileprivate func chunked(by count: Int) -> [ArraySlice<Element>] {
    stride(from: 0, to: self.count, by: count).map { self[$0..<Swift.min($0 + count, self.count)] }
  }
}
