import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// replica-complete, replicated-means-n: what replicas take, and who may read what waits for them.
@Suite struct ReplicaTests {
  private static let lane = Lane(agent: "a", channel: .persistent, target: .type("load.Entry"))
  private let now = Timestamp(microseconds: 1_000_000)

  /// `a` on `x` states entries, which `b` on `y` takes; `z` and `v` are replicas of `x`.
  private func topology(level: Int = 1, within: Duration = .seconds(5), count: Int64 = 40) throws -> Topology
  {
    let settings: [String: JSONValue] = [
      "event": .string("entry"), "count": .integer(count), "every": .integer(1),
    ]
    let replicas = ReplicationSettings(nodes: ["z", "v"], level: level, within: within)
    return try Topology(
      name: "replicas",
      nodes: [NodeSpec(id: "x", replicas: replicas)] + ["y", "z", "v", "w"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "a", kind: "generator", node: "x", reportsTo: "root", settings: .object(settings)),
        AgentSpec(
          id: "b", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "load.Entry")]),
        AgentSpec(id: "idle", kind: "recorder", node: "w", reportsTo: "root"),
      ],
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)))
  }

  private func deployment(_ topology: Topology) throws -> SimulatedDeployment {
    SimulatedDeployment(topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 1)
  }

  private func entries(_ node: NodeID, _ deployment: SimulatedDeployment) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.header.type == "load.Entry" }
  }

  // MARK: Whole nodes

  @Test func `replicas have all that agents of a node state, whoever takes it, and others nothing of it`()
    throws
  {
    let deployment = try deployment(topology())
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    func stated(in node: NodeID) throws -> [Record] {
      try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { ["a", "root"].contains($0.header.agent) }
    }
    let all = try stated(in: "x")
    #expect(all.count > 40 && Set(all.map(\.header.type)).count > 1)
    for replica in ["z", "v"] as [NodeID] {
      let copies = try stated(in: replica)
      #expect(copies.count == all.count && Set(copies) == Set(all), "\(replica), byte for byte")
    }
    #expect(try stated(in: "w").isEmpty && entries("y", deployment).count == 40)
    let status = try #require(deployment.summary().nodes.first { $0.node == "x" }?.replication)
    #expect(status.isCaughtUp && status.behindLaneCounts == ["v": 0, "z": 0] && status.inDoubtCount == 0)
  }

  @Test func `what has left outlives its node and its disk in its replicas, and comes from there`() throws {
    let deployment = try deployment(topology())
    deployment.network.setCut(true, between: "x", and: "y")
    try deployment.start()
    deployment.run(for: .milliseconds(400))
    #expect(try entries("x", deployment).count == 40 && entries("y", deployment).isEmpty)
    deployment.kill("x")
    deployment.network.setCut(false, between: "x", and: "y")
    deployment.run(for: .seconds(5))
    let copies = try entries("z", deployment)
    #expect(copies.count == 40)
    #expect(try entries("y", deployment) == copies)
  }

  @Test func `without replicas nothing leaves until its time is over, then all of it, told as in doubt`()
    throws
  {
    let deployment = try deployment(topology(level: 2, within: .seconds(3), count: 1))
    deployment.network.setCut(true, between: "x", and: "v")
    deployment.beginsWithoutReplicas = "ana"
    try deployment.start()
    deployment.run(for: .seconds(2))
    #expect(try entries("x", deployment).count == 1 && entries("z", deployment).count == 1)
    #expect(try entries("y", deployment).isEmpty, "one replica is too few")
    #expect(deployment.summary().nodes.first { $0.node == "x" }?.replication?.heldCount ?? 0 > 0)
    deployment.run(for: .seconds(20))
    #expect(try entries("y", deployment).count == 1, "kept, and not retracted")
    let told = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.header.type == LeftInDoubt.eventType }.map { try LeftInDoubt.decode($0) }
    #expect(!told.isEmpty && told.allSatisfy { $0.level == 2 && $0.reached == 1 && $0.node == "x" })
    deployment.network.setCut(false, between: "x", and: "v")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try entries("v", deployment).count == 1)
  }

  @Test func `a node that starts again lets nothing leave that nobody is known to have`() throws {
    let deployment = try deployment(topology(level: 2, within: .seconds(1000), count: 1))
    for other in ["v", "y"] as [NodeID] { deployment.network.setCut(true, between: "x", and: other) }
    // While its origin is silent, a replica serves what it has, whether that had left or not.
    deployment.network.setCut(true, between: "z", and: "y")
    deployment.beginsWithoutReplicas = "ana"
    try deployment.start()
    deployment.run(for: .seconds(2))
    deployment.kill("x")
    deployment.network.setCut(false, between: "x", and: "y")
    let start = try deployment.begin("x")
    deployment.run(for: .seconds(20))
    #expect(try entries("x", deployment).count >= 1 && entries("z", deployment).count >= 1)
    #expect(try entries("y", deployment).isEmpty)
    deployment.network.setCut(false, between: "x", and: "v")
    deployment.run(for: .seconds(20))
    #expect(try entries("y", deployment).count >= 1)
    start.cancel()
  }

  @Test func `a node stops in order with what it holds back, and lets it leave when it is back`() throws {
    let deployment = try deployment(topology(level: 2, within: .seconds(1000), count: 1))
    deployment.network.setCut(true, between: "x", and: "v")
    deployment.beginsWithoutReplicas = "ana"
    try deployment.start()
    deployment.run(for: .seconds(2))
    try deployment.stop("x")
    #expect(try entries("x", deployment).count == 1 && entries("y", deployment).isEmpty)
    deployment.network.setCut(false, between: "x", and: "v")
    try deployment.start("x")
    deployment.run(for: .seconds(10))
    #expect(try entries("y", deployment).count >= 1)
  }

  // MARK: Who may read what

  @Test func `what is held back is told and served to replicas alone until it may leave`() throws {
    let (log, _) = try memoryLog("x")
    let topology = try topology()
    let server = try CatchUpServer(log: log, routes: RouteTable(node: "x", topology: topology))
    for node in ["y", "z"] as [NodeID] {
      let greeting = Greeting(node: node, topologyVersion: topology.version, topologyHash: topology.hash)
      _ = server.answer(.hello(greeting), from: node)
    }
    let records = try (1...3).map { try record("a", UInt64($0)) }
    log.submit(LogBatch(appends: records.map { .init($0) })) { _ in }
    func look(_ node: NodeID) -> (told: UInt64, through: UInt64, served: Int) {
      var found: (told: UInt64, through: UInt64, served: Int) = (0, 0, 0)
      if case .heads(_, let through, let heads)? = server.answer(
        .sync(log: log.identity.id, since: 0), from: node)
      {
        (found.told, found.through) = (heads.first?.point.sequence ?? 0, through)
      }
      if case .records(_, _, let served)? = server.answer(.fetch(lane: Self.lane, after: .start), from: node)
      {
        found.served = served.count
      }
      return found
    }
    server.committed(Array(records[..<1]), from: Position(rawValue: 1))
    server.committed(Array(records[1..<2]), from: Position(rawValue: 2), isHeld: true)
    server.committed(Array(records[2...]), from: Position(rawValue: 3), isHeld: true)
    #expect(look("z") == (3, 3, 3) && look("y") == (1, 1, 1))
    server.letGo(Array(records[1..<2]).heads(from: Position(rawValue: 2)))
    #expect(look("y") == (2, 2, 2))
    server.letGo(Array(records[2...]).heads(from: Position(rawValue: 3)))
    #expect(look("y") == (3, 3, 3))
    let all = server.withhold()
    #expect(look("z") == (3, 3, 3) && look("y") == (0, 0, 0) && all.values.map(\.point) == [records[2].point])
    server.letGo(all)
    #expect(look("y") == (3, 3, 3))
  }

  @Test func `a replica takes a node's copies by its own name, from that node alone`() throws {
    let topology = try topology()
    let own = Lane(agent: "a", channel: .persistent, target: .addressee("a"))
    for (node, isReplica) in [("z", true), ("v", true), ("y", false), ("w", false)] as [(NodeID, Bool)] {
      let routes = RouteTable(node: node, topology: topology)
      #expect(routes.plan(of: own).isReplica == isReplica && routes.plan(of: own).isTaken == isReplica)
      var courier = Courier(channel: .persistent, routes: routes, heads: [:]) { _, type in
        type == "load.Entry"
      }
      func take(from sender: NodeID, _ record: Record) -> Courier.Actions {
        let frame = Frame(via: node.author, topologyVersion: 0, hops: 1, records: [record])
        return courier.receive(frame, from: sender, now: now)
      }
      let timer = try record("a", 1, to: "a", type: "any.Timer")
      #expect(take(from: "hub", timer).refusals.count == 1)
      #expect(take(from: "x", timer).taken.count == (isReplica ? 1 : 0))
      #expect(take(from: "x", try record("a", 2, type: "un.Declared")).taken.isEmpty)
    }
    let routes = RouteTable(node: "x", topology: topology)
    #expect(Set(routes.plan(of: own).nodes) == ["z", "v"])
    #expect(
      !routes.plan(of: Lane(agent: NodeID("x").author, channel: .persistent, target: own.target)).nodes
        .contains("z"))
    #expect(routes.plan(of: Lane(agent: "a", channel: .realtime, target: own.target)).nodes.isEmpty)
  }

  // MARK: Publishing

  @Test func `an agent may ask for more than its node does, and not for more than there are`() throws {
    let topology = try Topology(
      name: "careful",
      nodes: [
        NodeSpec(id: "x", replicas: ReplicationSettings(nodes: ["z"], within: .seconds(2))),
        NodeSpec(id: "y"),
        NodeSpec(id: "z"),
      ],
      agents: [
        AgentSpec(
          id: "root", kind: "recorder", node: "y",
          subscribes: ["test.Careful", "test.Alarming"].map {
            Subscription(type: EventTypeName(stringLiteral: $0))
          }),
        AgentSpec(id: "careful", kind: "careful", node: "x", reportsTo: "root"),
      ])
    let kinds = try KindRegistry(BuiltInKinds.all + [CarefulAgent.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 1)
    try deployment.start()
    deployment.network.setCut(true, between: "x", and: "z")
    func arrived() throws -> [String] {
      try deployment.reader(of: "y").read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.header.type == "test.Careful" }.map { try Careful.decode($0).text }
    }
    func alarmCount() throws -> Int {
      try deployment.reader(of: "y").read(after: .start, limit: .max, byteLimit: .max)
        .count { $0.record.type == Alarming.eventType }
    }
    deployment.run(for: .milliseconds(500))
    #expect(try alarmCount() == 0, "what the next handler sends would show what waits")
    #expect(
      try arrived() == ["refused"],
      "a level that the node does not have is refused, what asks for nothing leaves")
    deployment.run(for: .seconds(4))
    #expect(try arrived() == ["refused", "replicated"], "it left at its deadline")
    #expect(try alarmCount() == 1)
    #expect(deployment.summary().nodes.first { $0.node == "x" }?.replication?.inDoubtCount == 1)
  }
}

struct Careful: Event, Hashable {
  static let eventType: EventTypeName = "test.Careful"
  var text: String
}

struct Alarming: Event {
  static let eventType: EventTypeName = "test.Alarming"
  static let channel = Channel.alert
}

/// Publishes one event that waits for nothing and tells what was refused, then one that waits for a replica, and an alert.
actor CarefulAgent: Agent {
  static let kind = "careful"
  static let publishes: [any Event.Type] = [Careful.self, Alarming.self]
  private var isWarned = false

  func start(in context: Context) async throws {
    do {
      try await context.publish(Careful(text: "never"), durability: .replicated(2))
    } catch let error as HyphaError where error.code == .usage {
      try await context.publish(Careful(text: "refused"), durability: .synced)
    }
    context.wake(after: .milliseconds(100))
  }

  func wake(in context: Context) async throws {
    guard !isWarned else { return _ = try await context.publish(Alarming()) }
    isWarned = true
    try await context.publish(Careful(text: "replicated"), durability: .replicated(1))
    context.wake(after: .milliseconds(100))
  }
}
