import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// One node, started twice: another process of it runs on a copy of its log, or on a log of its own.
@Suite struct TwinTests {
  private func topology(every milliseconds: Double = 5) throws -> Topology {
    try Topology(
      name: "twins", nodes: ["x", "y", "z"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(
          id: "source", kind: "generator", node: "x", reportsTo: "root",
          settings: .object([
            "event": .string("entry"), "count": .number(1_000_000), "every": .number(milliseconds),
          ])),
        AgentSpec(
          id: "near", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
        AgentSpec(
          id: "far", kind: "recorder", node: "z", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
      ])
  }

  /// A deployment whose node x runs.
  private func deployment(seed: UInt64 = 1, every milliseconds: Double = 5) throws -> SimulatedDeployment {
    let deployment = SimulatedDeployment(
      try topology(every: milliseconds), kinds: try KindRegistry(BuiltInKinds.all), seed: seed
    ) { TestNotary($0) }
    try deployment.start()
    return deployment
  }

  /// Starts another process of node x.
  private func startTwin(
    of deployment: SimulatedDeployment, on store: MemoryLogStore, seed: UInt64 = 7
  ) throws -> (node: Node, log: MemoryLog) {
    let (loop, topology) = (deployment.loop, try topology(every: 20))
    let log = try MemoryLog(store: store, time: loop) { loop.schedule(after: .microseconds(300), $0) }
    let node = try Node(
      .init(
        topology: topology, node: "x", kinds: try KindRegistry(BuiltInKinds.all), seed: seed,
        notary: TestNotary("x")),
      log: log, transport: deployment.network.transport(for: Node.linkPlan(of: "x", in: topology)),
      scheduler: loop, executor: loop)
    try loop.run { try await node.start() }
    return (node, log)
  }

  private func copy(_ deployment: SimulatedDeployment) throws -> MemoryLogStore {
    try MemoryLogStore(copyOf: deployment.reader(of: "x"))
  }

  private func records(_ log: any LogReader) throws -> [Record] {
    try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
  }

  /// The places of what the source has stated in an epoch, in the order of a log.
  private func entries(_ log: any LogReader, in epoch: UInt64? = nil) throws -> [LanePoint] {
    let stated = try records(log).filter { $0.agent == "source" && $0.type == "load.Entry" }
    guard let epoch else { return stated.map(\.point) }
    return stated.filter { $0.epoch == epoch }.map(\.point)
  }

  private func epoch(_ log: any LogReader) throws -> UInt64 {
    try #require(try log.streamHeads().keys.filter { $0.agent == "source" }.map(\.epoch).max())
  }

  private func superseded(_ log: any LogReader) throws -> [NodeSuperseded] {
    try records(log).filter { $0.type == NodeSuperseded.eventType }.map { try NodeSuperseded.decode($0) }
  }

  @Test func `the one that began first says that it stops, and nothing more of it reaches others`() throws {
    let deployment = try deployment()
    deployment.run(for: .seconds(2))
    let elder = try #require(deployment.node("x"))
    let twin = try startTwin(of: deployment, on: copy(deployment))
    #expect(deployment.loop.run(until: { elder.superseded != nil }, limit: .seconds(3)))
    #expect(elder.superseded?.code == .superseded && twin.node.superseded == nil)
    // What is on its way arrives.
    deployment.run(for: .milliseconds(5))
    let former = try epoch(deployment.reader(of: "x"))
    let reached = try ["y", "z"].map { try entries(deployment.reader(of: $0), in: former) }
    deployment.run(for: .seconds(2))
    #expect(try ["y", "z"].map { try entries(deployment.reader(of: $0), in: former) } == reached)
    try deployment.stop("x")
    let said = try superseded(deployment.reader(of: "x"))
    let newest = try epoch(twin.log)
    #expect(said.map(\.epoch) == [former] && said.map(\.newerEpoch) == [newest], "\(said)")
    #expect(
      elder.status().isSuperseded == true && elder.status().notes.contains { $0.hasPrefix("superseded: ") })
    // It has not said goodbye for the other.
    #expect(deployment.node("y")?.status().peers["x"]?.standing == "up")
    deployment.run(for: .seconds(1))
    for node in ["y", "z"] as [NodeID] {
      let log = try deployment.reader(of: node)
      let (here, there) = (try entries(log, in: newest), try entries(twin.log, in: newest))
      #expect(!here.isEmpty && here.count >= there.count - 2 && here == Array(there.prefix(here.count)))
      // What the first one had stated since the copy was taken there.
      #expect(try RecordedFork.all(in: log).contains { $0.lane.agent == "source" && $0.lostCount > 0 })
    }
    try deployment.loop.run { await twin.node.stop() }
    try deployment.stop()
  }

  /// Copies of any age or none, any partition before and after, loss: in the end one of the two is left, the newer.
  @Test(arguments: seeds(12))
  func `whatever fails, the one that began last is left, and all of it is delivered`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed, name: "twins")
    func some(_ milliseconds: UInt64) -> Duration { .milliseconds(Int64(random.next() % milliseconds)) }
    let deployment = try deployment(seed: seed, every: 20)
    deployment.network.setFaults(
      .init(
        loss: Double(random.next() % 20) / 100, duplication: 0.05,
        delay: .microseconds(50)...(.milliseconds(Int64(1 + random.next() % 30)))))
    deployment.run(for: some(2000))
    let store =
      random.next() % 3 == 0
      ? MemoryLogStore(identity: LogIdentity(id: EventID(high: 3, low: seed), node: "x"))
      : try copy(deployment)
    func cutSome() {
      for peer in ["y", "z"] as [NodeID] {
        deployment.network.setCut(random.next() % 2 == 0, between: "x", and: peer)
      }
    }
    cutSome()
    deployment.run(for: some(1500))
    let elder = try #require(deployment.node("x"))
    let twin = try startTwin(of: deployment, on: store, seed: seed &+ 1)
    for _ in 0..<(random.next() % 4) {
      deployment.run(for: some(1500))
      cutSome()
    }
    if random.next() % 3 == 0 {
      deployment.kill("y")
      deployment.run(for: some(500))
      try deployment.start("y")
    }
    for peer in ["y", "z"] as [NodeID] { deployment.network.setCut(false, between: "x", and: peer) }
    deployment.network.setFaults(.none)
    #expect(deployment.loop.run(until: { elder.superseded != nil }, limit: .seconds(5)), "seed \(seed)")
    try deployment.stop("x")
    let newest = try epoch(twin.log)
    let stated = try entries(twin.log, in: newest)
    let all = Lane(agent: "source", channel: .persistent, target: .type("load.Entry"))
    for node in ["y", "z"] as [NodeID] {
      let log = try deployment.reader(of: node)
      let hasAll = deployment.loop.run(
        until: { ((try? log.laneHead(all)?.point) ?? .start) >= stated.last ?? .start }, limit: .seconds(60))
      #expect(hasAll && !stated.isEmpty, "seed \(seed), \(node)")
    }
    #expect(twin.node.superseded == nil)
    #expect(try superseded(deployment.reader(of: "x")).count == 1)
    try deployment.loop.run { await twin.node.stop() }
    for node in ["y", "z"] as [NodeID] {
      let log = try deployment.reader(of: node)
      #expect(try entries(log, in: newest).starts(with: stated), "seed \(seed), \(node)")
      #expect(try log.verify().findings.isEmpty, "seed \(seed)")
      let all = try entries(log)
      #expect(all == all.sorted() && Set(all).count == all.count, "seed \(seed)")
    }
    try deployment.stop()
  }

  @Test func `a node that starts anew still knows who was there last`() throws {
    let deployment = try deployment()
    deployment.run(for: .seconds(1))
    let elder = try #require(deployment.node("x"))
    for peer in ["y", "z"] as [NodeID] { deployment.network.setCut(true, between: "x", and: peer) }
    // The network cannot cut off one of two: the first does not hear while it is stopped.
    let store = try copy(deployment)
    try deployment.stop("z")
    deployment.network.setCut(false, between: "x", and: "y")
    let twin = try startTwin(of: deployment, on: store)
    let own = elder.desks.fencing.state.withLock { $0.incarnations.own }
    let y = try #require(deployment.node("y"))
    let hasHeard = deployment.loop.run(
      until: { y.desks.fencing.state.withLock { $0.incarnations.newest["x"] != own } }, limit: .seconds(3))
    deployment.network.setCut(true, between: "x", and: "y")
    twin.node.halt()
    twin.log.crash()
    try #require(hasHeard && elder.superseded == nil)
    deployment.run(for: .seconds(1))
    deployment.kill("y")
    try deployment.start("y")
    deployment.network.setCut(false, between: "x", and: "y")
    #expect(deployment.loop.run(until: { elder.superseded != nil }, limit: .seconds(5)))
    try deployment.stop()
  }

  /// Keeps what a node says.
  private final class Ear: Transport {
    let answers = Mutex<[ControlMessage]>([])
    let stopCount = Mutex(0)
    func start(_ receiver: any TransportReceiver) throws {}
    func update(_ plan: LinkPlan) {}
    func send(_ frames: [OutboundFrame]) -> [OutboundFrame] { [] }
    func request(_ message: [UInt8], of node: NodeID) {}
    func reply(_ message: [UInt8], to node: NodeID) {
      if let message = try? ControlMessage(decoding: message) { answers.withLock { $0.append(message) } }
    }
    var counters: TransportCounters { TransportCounters() }
    func stop() { stopCount.withLock { $0 += 1 } }
  }

  @Test func `who is older is answered, and a word without the node's signature stops nobody`() throws {
    let (loop, topology, ear) = (SimulationLoop(), try topology(), Ear())
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 1), node: "y"))
    let log = try MemoryLog(store: store, time: loop) { loop.schedule(after: .microseconds(300), $0) }
    let node = try Node(
      .init(
        topology: topology, node: "y", kinds: try KindRegistry(BuiltInKinds.all),
        linkPatience: .milliseconds(1), notary: TestNotary("y")),
      log: log, transport: ear, scheduler: loop, executor: loop)
    try loop.run { try await node.start() }
    func said(_ node: NodeID, _ epoch: UInt64, by signer: NodeID?) -> PeerMessage {
      let incarnation = Incarnation(
        node: node, epoch: epoch, id: EventID(high: 2, low: epoch),
        sign: signer.map { signer in { TestNotary(signer).sign($0) } })
      return PeerMessage(node: "x", bytes: ControlMessage.incarnation(incarnation).encoded())
    }
    let own = try #require(node.desks.fencing.state.withLock { $0.incarnations.own })
    node.received(requests: [said("x", 8, by: "x"), said("x", 9, by: "z"), said("x", 7, by: "x")])
    #expect(
      ear.answers.withLock { $0 } == [
        .incarnation(
          try #require(
            node.desks.fencing.state.withLock { $0.incarnations.newest["x"] }))
      ])
    #expect(node.desks.fencing.state.withLock { $0.incarnations.newest["x"]?.epoch } == 8)
    for signer in [nil, "x", "z"] as [NodeID?] {
      let lie = said("y", own.epoch + 1, by: signer)
      node.received(requests: [lie])
      node.received(answers: [lie])
    }
    #expect(node.superseded == nil && ear.stopCount.withLock { $0 } == 0)
    node.received(requests: [said("y", own.epoch, by: "y"), said("y", own.epoch + 1, by: "y")])
    #expect(node.superseded?.code == .superseded && ear.stopCount.withLock { $0 } == 1)
    try loop.run { await node.stop() }
    log.close()
  }

  @Test func `a node that is started again after its end is not told that it is superseded`() throws {
    let deployment = try deployment()
    for round in 0..<6 {
      deployment.run(for: .milliseconds(700))
      if round.isMultiple(of: 2) { deployment.kill("x") } else { try deployment.stop("x") }
      // Also within the same millisecond.
      if round.isMultiple(of: 3) { deployment.run(for: .milliseconds(300)) }
      try deployment.start("x")
    }
    deployment.run(for: .seconds(3))
    #expect(deployment.node("x")?.superseded == nil)
    try deployment.stop()
  }
}
