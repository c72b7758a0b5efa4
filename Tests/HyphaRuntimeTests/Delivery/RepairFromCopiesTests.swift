import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// repair-from-copies, repair-paced: repair by nodes that have taken a lane, while its origin is silent.
@Suite struct RepairFromCopiesTests {
  private static let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private static let end = LanePoint(epoch: 1, sequence: 3)
  private let now = Timestamp(microseconds: 1_000_000)
  private let later = Timestamp(microseconds: 2_000_000)

  /// `a` on `x` states entries, which `b` on `y` and `c` on `z` take, and nobody on `w`.
  private func topology() throws -> Topology {
    let settings: [String: JSONValue] = [
      "event": .string("entry"), "count": .integer(40), "every": .integer(1),
    ]
    let takers = [("b", "y"), ("c", "z")].map { agent, node in
      AgentSpec(
        id: AgentID(unchecked: agent), kind: "recorder", node: NodeID(unchecked: node), reportsTo: "root",
        subscribes: [Subscription(type: "load.Entry")])
    }
    return try Topology(
      name: "copies", nodes: ["x", "y", "z", "w"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root", settings: .object(settings)),
        AgentSpec(id: "idle", kind: "recorder", node: "w", reportsTo: "root"),
      ] + takers,
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)))
  }

  private func routes(_ node: NodeID) throws -> RouteTable {
    RouteTable(node: node, topology: try topology())
  }

  private func courier(_ channel: Channel = .persistent) throws -> Courier {
    Courier(channel: channel, routes: try routes("y"), heads: [:]) { _, _ in true }
  }

  private func due(_ courier: inout Courier, silent: Set<NodeID> = [], at now: Timestamp? = nil) -> [NodeID] {
    var pace = RepairPace()
    return courier.fetchesDue(now: now ?? later, silent: silent, pace: &pace).map(\.node)
  }

  // MARK: Whole nodes

  private func deployment() throws -> SimulatedDeployment {
    SimulatedDeployment(
      try topology(), kinds: try KindRegistry(BuiltInKinds.all), seed: 1, notary: { TestNotary($0) })
  }

  private func entries(_ node: NodeID, _ deployment: SimulatedDeployment) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.header.type == "load.Entry" }
  }

  @Test func `what a dead origin has stated is fetched from a node that has taken it, and confirmed later`()
    throws
  {
    let deployment = try deployment()
    deployment.network.setCut(true, between: "x", and: "y")
    try deployment.start()
    deployment.run(for: .milliseconds(200))
    #expect(try entries("z", deployment).count == 40 && entries("y", deployment).isEmpty)
    deployment.kill("x")
    deployment.network.setCut(false, between: "x", and: "y")
    deployment.run(for: .seconds(5))
    #expect(
      try entries("y", deployment) == entries("z", deployment), "byte for byte, in the order of the lane")
    #expect(try entries("w", deployment).isEmpty)
    let taken = try #require(deployment.summary().nodes.first { $0.node == "y" })
    #expect(taken.channels["persistent"]?.counts["from copies"] ?? 0 >= 40)
    #expect(taken.uncheckedEventCount >= 40, "its origin cannot be asked")
    try deployment.start("x")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    deployment.run(for: .seconds(20))
    let confirmed = try #require(deployment.summary().nodes.first { $0.node == "y" })
    #expect(confirmed.uncheckedEventCount == 0 && confirmed.contradictedLaneCount == 0)
    #expect(try entries("y", deployment).count == 40)
  }

  /// Starts z and y, which run for some seconds.
  private func startTakers(_ deployment: SimulatedDeployment) throws {
    try deployment.start("z")
    try deployment.start("y")
    deployment.run(for: .seconds(5))
  }

  /// A deployment in which z has events of its own making in the places of the first that x states, of x's epoch or of one
  /// before it, and which has run for a while.
  private func forged(ofEpochBefore isBefore: Bool) throws -> (SimulatedDeployment, forged: [Record]) {
    let (deployment, honest) = (try deployment(), try deployment())
    if !isBefore { try startTakers(honest) }
    try honest.start("x")
    honest.run(for: .milliseconds(200))
    let forged = try entries("x", honest).prefix(3).map { honest in
      var header = honest.header
      header.id = EventID(high: 9, low: header.sequence)
      header.time = Timestamp(microseconds: deployment.loop.microseconds() + header.sequence)
      return try Record(header, payload: honest.payload)
    }
    let log = try MemoryLog(store: #require(deployment.stores["z"]), time: deployment.loop)
    log.submit(LogBatch(appends: forged.map { .init($0, source: .received(hops: 1)) })) { _ in }
    log.close()
    try startTakers(deployment)
    #expect(try entries("y", deployment) == forged)
    try deployment.start("x")
    deployment.run(for: .seconds(20))
    return (deployment, forged)
  }

  @Test func `what a node has forged in its copy is told of once the origin is back`() throws {
    let (deployment, _) = try forged(ofEpochBefore: false)
    let status = try #require(deployment.summary().nodes.first { $0.node == "y" })
    #expect(status.contradictedLaneCount == 1)
    #expect(status.notes.contains { $0.contains("or one that served its copy") }, "\(status.notes)")
  }

  @Test
  func `what a node has forged of an epoch that never was is a fork, and all that the origin states comes`()
    throws
  {
    let (deployment, forged) = try forged(ofEpochBefore: true)
    let status = try #require(deployment.summary().nodes.first { $0.node == "y" })
    #expect(status.contradictedLaneCount == 0 && status.uncheckedEventCount == 0)
    #expect(
      status.notes.contains { $0.hasPrefix("fork in lane a/persistent/#load.Entry") }, "\(status.notes)")
    let forks = try RecordedFork.all(in: deployment.reader(of: "y"))
    #expect(forks.map(\.lane) == [Self.lane] && forks.map(\.lostCount) == [3])
    #expect(try entries("y", deployment) == forged + entries("x", deployment))
    #expect(try entries("x", deployment).count == 40)
  }

  // MARK: Who is asked

  @Test func `while the origin is silent, a node that takes the lane, too, is asked`() throws {
    var courier = try courier()
    courier.announce(Self.lane, Self.end, by: "z", now: now)
    var pace = RepairPace()
    let due = courier.fetchesDue(now: later, silent: ["x"], pace: &pace)
    #expect(due.map(\.node) == ["z"] && due.map(\.lane) == [Self.lane] && due.map(\.after) == [.start])
    let records = try (1...3).map { try record("a", UInt64($0)) }
    let actions = courier.receive(answer: records, of: Self.lane, after: .start, from: "z", now: later)
    #expect(actions.taken.flatMap(\.records) == records && actions.refusals.isEmpty)
    #expect(actions.taken.allSatisfy { $0.isCopy && $0.isRepair } && courier.behindCount == 0)
    #expect(courier.counters.copiedCount == 3)
  }

  @Test func `events of a lane from a node that was not asked for it are refused`() throws {
    var courier = try courier()
    let own = try record("a", 1)
    let unasked = courier.receive(answer: [own], of: Self.lane, after: .start, from: "z", now: now)
    #expect(unasked.taken.isEmpty && unasked.refusals.count == 1 && courier.counters.refusedCount == 1)
    courier.announce(Self.lane, Self.end, by: "x", now: now)
    #expect(due(&courier) == ["x"])
    let other = courier.receive(answer: [own], of: Self.lane, after: .start, from: "z", now: later)
    #expect(other.taken.isEmpty && other.refusals.count == 1)
  }

  @Test func `a lane of which a relay or a copy was false is fetched from its origin alone`() throws {
    var courier = try courier()
    courier.announce(Self.lane, Self.end, by: "x", now: now)
    #expect(due(&courier, silent: ["x"]) == ["z"])
    courier.distrust(Self.lane, now: later)
    let late = courier.receive(
      answer: [try record("a", 1)], of: Self.lane, after: .start, from: "z", now: later)
    #expect(late.taken.isEmpty && late.refusals.count == 1)
    #expect(due(&courier, silent: ["x"], at: Timestamp(microseconds: 9_000_000)) == ["x"])
    #expect(!courier.isHolder("z", of: Self.lane))
  }

  @Test func `what a node states under its own name is asked of that node alone`() throws {
    var courier = try courier()
    let own = Lane(
      agent: NodeID("x").author, channel: .persistent, target: .type(TopologyEvents.forAll.sorted()[0]))
    courier.announce(own, Self.end, by: "x", now: now)
    #expect(courier.behindCount == 1 && due(&courier, silent: ["x"]) == ["x"])
    #expect(!courier.isHolder("z", of: own) && courier.isHolder("z", of: Self.lane))
  }

  @Test func `others are asked for a silent node's lanes once a second, from where they left off`() {
    let greeting = ControlMessage.hello(Greeting(node: "y", topologyVersion: 1, topologyHash: 1))
    var client = CatchUpClient(peers: ["x", "z"], greeting: greeting)
    func copies(at milliseconds: UInt64, silent: Set<NodeID> = ["x"]) -> [(NodeID, ControlMessage)] {
      client.due(now: Timestamp(microseconds: milliseconds * 1000), silent: silent).filter {
        if case .copies = $0.1 { true } else { false }
      }
    }
    #expect(copies(at: 900).isEmpty, "z has not answered a greeting")
    client.welcomed(by: "z", under: 1)
    #expect(copies(at: 1000, silent: []).isEmpty)
    #expect(copies(at: 1000, silent: ["x", "z"]).isEmpty && !client.hasAsked("z", forCopiesOf: "x"))
    #expect(copies(at: 1000).map(\.1) == [.copies(of: "x", log: .none, since: 0)])
    #expect(copies(at: 1999).isEmpty && client.hasAsked("z", forCopiesOf: "x"))
    let log = EventID(high: 1, low: 1)
    client.told(by: "z", copiesOf: "x", log: log, through: 7, isFull: false)
    #expect(copies(at: 2000).map(\.1) == [.copies(of: "x", log: log, since: 7)])
    client.told(by: "z", copiesOf: "x", log: log, through: 9, isFull: true)
    #expect(copies(at: 2001).map(\.1) == [.copies(of: "x", log: log, since: 9)], "there is more at once")
    #expect(client.toldThrough == ["x": 0, "z": 0], "copies say nothing of how far their origin was heard")
  }

  @Test func `a large deployment's questions are spread over time, and none is left out`() {
    let greeting = ControlMessage.hello(Greeting(node: "y", topologyVersion: 1, topologyHash: 1))
    let nodes = (0..<20).map { NodeID(unchecked: "n\($0)") }
    var client = CatchUpClient(peers: nodes, greeting: greeting)
    for node in nodes { client.welcomed(by: node, under: 1) }
    var asked: Set<[NodeID]> = []
    for tick in 0..<40 {
      let due = client.due(
        now: Timestamp(microseconds: UInt64(1000 + tick * 25) * 1000), silent: Set(nodes[..<10]))
      let copies = due.compactMap { node, question in
        if case .copies(let origin, _, _) = question { [node, origin] } else { nil }
      }
      #expect(copies.count <= CatchUpClient.copiesCountMax)
      asked.formUnion(copies)
    }
    #expect(asked.count == 100)
  }

  // MARK: Who answers

  @Test func `a node tells of what it has taken of another's lanes, and serves it, to those that it is for`()
    throws
  {
    let (log, _) = try memoryLog("z")
    let records = try (1...3).map { try record("a", UInt64($0)) }
    log.submit(LogBatch(appends: records.map { .init($0, source: .received(hops: 1)) })) { _ in }
    let topology = try topology()
    let server = try CatchUpServer(log: log, routes: try routes("z"))
    let id = log.identity.id
    let question = ControlMessage.copies(of: "x", log: id, since: 0)
    #expect(server.answer(question, from: "y") == CatchUpServer.greetFirst)
    for node in ["w", "x", "y"] as [NodeID] {
      let greeting = Greeting(node: node, topologyVersion: topology.version, topologyHash: topology.hash)
      _ = server.answer(.hello(greeting), from: node)
    }
    let told = ControlMessage.copied(
      of: "x", log: id, through: 3, heads: [.init(lane: Self.lane, point: Self.end)])
    func none(of origin: NodeID) -> ControlMessage {
      .copied(of: origin, log: id, through: 3, heads: [])
    }
    #expect(server.answer(question, from: "y") == told)
    #expect(server.answer(.copies(of: "x", log: .none, since: 3), from: "y") == told, "another log")
    #expect(server.answer(.copies(of: "x", log: id, since: 3), from: "y") == none(of: "x"))
    #expect(server.answer(.copies(of: "w", log: id, since: 0), from: "y") == none(of: "w"))
    #expect(server.answer(question, from: "w") == none(of: "x"), "the lane does not go there")
    for (origin, node) in [("x", "x"), ("z", "y")] as [(NodeID, NodeID)] {
      guard case .refused? = server.answer(.copies(of: origin, log: id, since: 0), from: node) else {
        Issue.record("\(node) was told of copies of \(origin)")
        continue
      }
    }
    let fetch = ControlMessage.fetch(lane: Self.lane, after: LanePoint(epoch: 1, sequence: 1))
    guard case .records(_, _, let served)? = server.answer(fetch, from: "y") else {
      Issue.record("a copy was not served")
      return
    }
    #expect(served == Array(records[1...]))
    guard case .refused? = server.answer(fetch, from: "w") else {
      Issue.record("a copy was served to a node that the lane does not go to")
      return
    }
  }

  // MARK: How fast

  @Test func `lanes are fetched no faster than the pace allows, alerts at once`() throws {
    let limits = RepairPace.Limits(bytesPerSecond: 1 << 20, burstByteCount: 512 << 10)
    for (channel, count) in [(Channel.persistent, 3), (.alert, 4)] {
      var (courier, pace) = (try courier(channel), RepairPace(limits))
      for agent in ["a", "root", "c", "idle"] as [AgentID] {
        let lane = Lane(agent: agent, channel: channel, target: .addressee("b"))
        courier.announce(lane, Self.end, by: "x", now: now)
      }
      #expect(courier.behindCount == 4)
      let first = courier.fetchesDue(now: later, silent: [], pace: &pace)
      #expect(first.count == count, "\(channel)")
      let rest = courier.fetchesDue(now: Timestamp(microseconds: 2_500_000), silent: [], pace: &pace)
      #expect(first.count + rest.count == 4 && Set((first + rest).map(\.lane)).count == 4)
    }
  }
}
