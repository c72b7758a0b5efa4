import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// What the tests of lost disks ask for.
struct Ping: Event, Hashable {
  static let eventType: EventTypeName = "test.Ping"
  var number: Int
}

/// What a ``Ponger`` answers.
struct Pong: Event, Hashable {
  static let eventType: EventTypeName = "test.Pong"
  var number: Int
}

actor Pinger: Agent {
  static let publishes: [any Event.Type] = [Ping.self]
}

/// Answers each ping once, and knows from its own events how many it has answered.
actor Ponger: Agent {
  struct State: Codable, Equatable {
    var count = 0
    var value = 7
  }
  static let handles = Handlers(Ponger.self).on(Ping.self) { _, ping, context in
    try await context.publish(Pong(number: ping.number))
  }
  static let publishes: [any Event.Type] = [Pong.self]
  static let evolves = Evolution(State.self).on(Pong.self) { state, pong in
    state.count += 1
    state.value = (state.value &* 31 &+ pong.number) % 1_000_003
  }
  static let snapshotEvery = 5
  var state = State()
}

/// `ponger` on x answers what `pinger` on y asks, and `sink` on y takes the answers; x has replicas among the others.
struct LostDisk {
  let deployment: SimulatedDeployment
  let topology: Topology

  init(
    replicas: ReplicationSettings, others: [NodeID], seed: UInt64 = 1, isMutual: Bool = false,
    faults: MemoryNetwork.Faults = .none
  ) throws {
    var nodes = [NodeSpec(id: "x", replicas: replicas), NodeSpec(id: "y")]
    for (index, node) in others.enumerated() {
      var spec = NodeSpec(id: node)
      if isMutual, index == 0 {
        spec.replicas = ReplicationSettings(nodes: ["x"], level: 1, within: .seconds(1))
      }
      nodes.append(spec)
    }
    topology = try Topology(
      name: "lost", nodes: nodes,
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(id: "pinger", kind: "pinger", node: "y", reportsTo: "root"),
        AgentSpec(
          id: "ponger", kind: "ponger", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Ping")]),
        AgentSpec(
          id: "sink", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "test.Pong")]),
      ],
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)))
    deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Pinger.self, Ponger.self]), seed: seed,
      faults: faults)
  }

  func entries(_ node: NodeID) throws -> [LogEntry] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
  }

  func records(_ node: NodeID, _ type: EventTypeName) throws -> [Record] {
    try entries(node).map(\.record).filter { $0.header.type == type }
  }

  func state() throws -> Ponger.State {
    try deployment.state(of: "ponger", Ponger.self, in: deployment.reader(of: "x"))
  }

  func told() throws -> [Rejoined] {
    try records("x", Rejoined.eventType).map { try Rejoined.decode($0) }
  }

  /// Lets time pass until `sink` has so many answers.
  func runUntil(pongCount: Int, limit: Int = 60) throws -> Bool {
    for _ in 0..<limit {
      if try records("y", Pong.eventType).count >= pongCount { return true }
      deployment.run(for: .seconds(2))
    }
    return try records("y", Pong.eventType).count >= pongCount
  }
}

/// A node that comes back with an empty log.
@Suite struct RejoinTests {
  private func pinged(_ lost: LostDisk, _ numbers: ClosedRange<Int>) throws {
    for number in numbers { try lost.deployment.publish(Ping(number: number), from: "pinger", to: nil) }
  }

  private static let two = ReplicationSettings(nodes: ["z", "v"], level: 2, within: .seconds(1000))

  @Test func `a node whose disk is gone has back what it had stated, and goes on in a higher epoch`() throws {
    let lost = try LostDisk(replicas: Self.two, others: ["z", "v"])
    let deployment = lost.deployment
    try deployment.start()
    #expect(try lost.told().isEmpty, "a first start is none")
    try pinged(lost, 1...23)
    #expect(try lost.runUntil(pongCount: 23))
    let (before, state) = (
      try lost.entries("x").filter { $0.record.header.agent == "ponger" }, try lost.state()
    )
    #expect(state.count == 23)
    deployment.kill("x")
    deployment.loseDisk(of: "x")
    try deployment.start("x")
    deployment.run(for: .seconds(5))
    let after = try lost.entries("x")
    #expect(Set(before.map(\.record)).isSubset(of: after.map(\.record)), "byte for byte")
    #expect(try lost.state() == state, "folded from its own events")
    #expect(try lost.records("y", Pong.eventType).count == 23, "nothing is done again")
    let activations = try lost.records("x", AgentActivated.eventType).map { try AgentActivated.decode($0) }
    #expect(activations.count == 2)
    #expect(
      activations[1].previousEpoch == activations[0].epoch && activations[1].epoch > activations[0].epoch)
    let last = before.map(\.record.header).filter { $0.channel == .persistent }.map(\.sequence).max()
    #expect(activations[1].committed["persistent"] == last)
    let told = try #require(try lost.told().first)
    #expect(told.isProven && !told.isWaived && told.level == 2 && told.forks.isEmpty)
    #expect(told.answered.map(\.node) == ["z", "v"] && told.takenCount == UInt64(before.count))
    #expect(told.agents.map(\.agent) == ["ponger"] && told.agents[0].found["persistent"] == last)
    // It goes on, and what it states is no fork for anybody.
    try pinged(lost, 24...30)
    #expect(try lost.runUntil(pongCount: 30))
    #expect(try lost.records("y", Pong.eventType).map { try Pong.decode($0).number } == Array(1...30))
    for node in ["y", "z", "v", "x"] as [NodeID] {
      let log = try deployment.reader(of: node)
      #expect(try RecordedFork.all(in: log).filter { $0.lane.agent == "ponger" }.isEmpty)
      #expect(try log.verify().findings.isEmpty, "\(node)")
    }
    // A restart is one like any other.
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(2))
    #expect(try lost.told().count == 1 && lost.records("y", Pong.eventType).count == 30)
    #expect(try lost.state().count == 30)
  }

  @Test func `it does nothing before enough replicas have answered, and says whom it waits for`() throws {
    let lost = try LostDisk(
      replicas: ReplicationSettings(nodes: ["z", "v"], level: 1, within: .seconds(1000)), others: ["z", "v"])
    let deployment = lost.deployment
    try deployment.start()
    try pinged(lost, 1...5)
    #expect(try lost.runUntil(pongCount: 5))
    deployment.kill("x")
    deployment.loseDisk(of: "x")
    deployment.network.setCut(true, between: "x", and: "v")
    let start = try deployment.begin("x")
    deployment.run(for: .seconds(30))
    #expect(try lost.records("x", AgentActivated.eventType).count <= 1, "of the copies alone")
    #expect(try lost.entries("x").allSatisfy { $0.source != .stated })
    let notes = try #require(deployment.node("x")).status().notes
    #expect(
      notes.contains { $0.contains("waits for v (2 of 2") && $0.contains("--without-replicas") }, "\(notes)")
    #expect(!deployment.summary().isComplete)
    deployment.network.setCut(false, between: "x", and: "v")
    deployment.run(for: .seconds(10))
    #expect(try lost.told().map(\.isProven) == [true] && lost.state().count == 5)
    start.cancel()
  }

  @Test func `who says not to wait is named, and what answers is taken`() throws {
    let lost = try LostDisk(
      replicas: ReplicationSettings(nodes: ["z", "v"], level: 1, within: .seconds(1000)), others: ["z", "v"])
    let deployment = lost.deployment
    try deployment.start()
    try pinged(lost, 1...5)
    #expect(try lost.runUntil(pongCount: 5))
    for node in ["x", "v"] as [NodeID] { deployment.kill(node) }
    deployment.loseDisk(of: "x")
    deployment.beginsWithoutReplicas = "ana"
    _ = try deployment.begin("x")
    deployment.run(for: .seconds(20))
    let record = try #require(try lost.records("x", Rejoined.eventType).first)
    #expect(record.header.authority.principal == "ana")
    let told = try Rejoined.decode(record)
    #expect(told.isWaived && !told.isProven && told.answered.map(\.node) == ["z"])
    #expect(try lost.state().count == 5)
  }

  @Test func `a start that is killed while it takes copies goes on where it was`() throws {
    let lost = try LostDisk(replicas: Self.two, others: ["z", "v"])
    let deployment = lost.deployment
    try deployment.start()
    try pinged(lost, 1...40)
    #expect(try lost.runUntil(pongCount: 40))
    let before = try lost.entries("x").filter { $0.record.header.agent == "ponger" }.map(\.record)
    deployment.kill("x")
    deployment.loseDisk(of: "x")
    for step in 1...40 {
      _ = try deployment.begin("x")
      deployment.run(for: .microseconds(UInt64(step) * 150))
      deployment.kill("x")
    }
    _ = try deployment.begin("x")
    deployment.run(for: .seconds(10))
    #expect(try Set(before).isSubset(of: lost.entries("x").map(\.record)))
    #expect(try lost.told().count == 1 && lost.state().count == 40)
    #expect(try deployment.reader(of: "x").verify().findings.isEmpty)
  }

  @Test func `two that are each other's replicas both start when both are new`() throws {
    let lost = try LostDisk(
      replicas: ReplicationSettings(nodes: ["z"], level: 1, within: .seconds(1000)), others: ["z"],
      isMutual: true)
    try lost.deployment.start()
    try pinged(lost, 1...3)
    #expect(try lost.runUntil(pongCount: 3))
    #expect(try lost.told().isEmpty)
  }
}
