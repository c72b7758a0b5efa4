import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// Terms of the observer's seat that no record has room for, in whole deployments under a simulated clock.
@Suite struct SeatPartsSimulationTests {
  private static let linkCount = 1500

  /// The seat on a, its standby on b, and as many links between agents of c as are wanted.
  private func deployment(linkCount: Int, seed: UInt64 = 5, ownByteCountMax: Int? = nil) throws
    -> SimulatedDeployment
  {
    let leaves = (0..<56).map { AgentID(unchecked: String(repeating: "n", count: 60) + "-\($0)") }
    var policy = ObserverPolicy()
    (policy.node, policy.standby, policy.standbyAfter) = ("a", "b", .seconds(5))
    (policy.agentLinks, policy.memory) = (255, 65_536)
    for (place, one) in leaves.enumerated() {
      for other in leaves[(place + 1)...] where policy.pins.count < linkCount {
        policy.pins.append(DirectLink(one, other))
      }
    }
    let topology = try Topology(
      name: "seats", nodes: ["a", "b", "c"].map { NodeSpec(id: $0) },
      agents: [AgentSpec(id: "root", kind: "supervisor", node: "c")]
        + leaves.map { AgentSpec(id: $0, kind: "recorder", node: "c", reportsTo: "root") },
      membership: MembershipSettings(suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(2)),
      observer: policy)
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all), seed: seed,
      commitDelay: .milliseconds(5)...(.milliseconds(5)))
    deployment.ownByteCountMax = ownByteCountMax
    try deployment.start()
    deployment.run(for: .seconds(2))
    return deployment
  }

  private func live(_ deployment: SimulatedDeployment, _ node: NodeID) -> LiveTopology? {
    deployment.node(node)?.desks.topology.state.withLock { $0.live }
  }

  /// How many parts of what b has stated are in a log.
  private func partCount(_ deployment: SimulatedDeployment, _ node: NodeID) throws -> Int {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .count { $0.record.type == LinksChanged.eventType && $0.record.agent == "hypha.node.b" }
  }

  @Test func `all links go with the seat to its standby and back, in parts, and any log has them`() throws {
    let deployment = try deployment(linkCount: Self.linkCount, ownByteCountMax: 1 << 16)
    _ = try deployment.node("c")?.ask(.handOver, by: "operator", note: nil)
    deployment.run(for: .seconds(4))
    let count = try partCount(deployment, "c")
    #expect(count > 2)
    let second = live(deployment, "c")
    #expect(second?.holder == "b" && second?.links.count == Self.linkCount)
    _ = try deployment.node("c")?.ask(.handOver, by: "operator", note: nil)
    deployment.run(for: .seconds(4))
    for node in ["a", "b", "c"] as [NodeID] {
      let known = live(deployment, node)
      #expect(known?.holder == "a" && known?.links.count == Self.linkCount, "\(node)")
      #expect(SeatTerm.of(known?.version ?? 0) == 3, "\(node)")
    }
    // A log that is read up to a place between the parts has the topology of before.
    let reader = try deployment.reader(of: "c")
    let parts = try reader.read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.type == LinksChanged.eventType && $0.record.agent == "hypha.node.b" }.map(
        \.position)
    let topology = deployment.node("c")!.topology
    for (place, position) in parts.prefix(count).enumerated() {
      let reading = try TopologyReading(reader, of: topology, through: .position(position), withSeat: false)
      #expect(
        reading.live.holder == (place + 1 < count ? nil : "b") && reading.live.links.count == Self.linkCount)
    }
    try deployment.stop()
  }

  @Test
  func `a node that is cut off between the parts keeps what it has, and takes the rest after a restart`()
    throws
  {
    let deployment = try halved(seed: 3).deployment
    let count = try partCount(deployment, "c")
    for other in ["a", "b"] as [NodeID] { deployment.network.setCut(true, between: "c", and: other) }
    // What a restart would have to read again is saved, with the parts.
    deployment.run(for: .seconds(30))
    let kept = try #require(try TopologySnapshot.read(in: deployment.reader(of: "c")))
    #expect(kept.parts != EventParts() && kept.live.holder == nil)
    #expect(live(deployment, "c")?.holder == nil && live(deployment, "b")?.holder == "b")
    deployment.kill("c")
    _ = try deployment.begin("c")
    for other in ["a", "b"] as [NodeID] { deployment.network.setCut(false, between: "c", and: other) }
    deployment.run(for: .seconds(10))
    #expect(try partCount(deployment, "c") > count)
    #expect(live(deployment, "c")?.holder == "b" && live(deployment, "c") == live(deployment, "b"))
    try deployment.stop()
  }

  @Test(arguments: 1...4)
  func `a seat that crashes between the parts of what begins its term leaves all with one topology`(
    seed: UInt64
  ) throws {
    let (deployment, count) = try halved(seed: seed)
    deployment.kill("b")
    deployment.run(for: .seconds(9))
    // Half of a term is none. Who has given the seat away takes it back; where it has heard of the term and does not know how that
    // began, nobody decides until the other one is back.
    let hasHeard = deployment.node("a")?.desks.topology.state.withLock { $0.heardTerm } == 2
    let holder: NodeID? = hasHeard ? nil : "a"
    for node in ["a", "c"] as [NodeID] {
      #expect(live(deployment, node)?.holder == holder, "HYPHA_SEED=\(seed): \(node) after \(count) parts")
    }
    _ = try deployment.begin("b")
    deployment.run(for: .seconds(10))
    for node in ["a", "b", "c"] as [NodeID] {
      let known = live(deployment, node)
      #expect(
        known?.links.count == Self.linkCount && known?.holder == holder ?? "b", "HYPHA_SEED=\(seed): \(node)")
      #expect(known == live(deployment, "a"), "HYPHA_SEED=\(seed): \(node)")
    }
    // Where what b had stated came to nothing it has said so.
    let told = try deployment.reader(of: "b").read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.type == SeatSuperseded.eventType && $0.source == .stated }
    #expect(told.count == (hasHeard ? 0 : 1), "HYPHA_SEED=\(seed): \(told.count)")
    try deployment.stop()
  }

  /// A deployment in which b has begun its term, and c has some of that and not all. Each part comes in a frame of its own: two have
  /// more bytes than one frame takes together.
  private func halved(seed: UInt64) throws -> (deployment: SimulatedDeployment, count: Int) {
    for attempt in UInt64(0)..<8 {
      let deployment = try deployment(
        linkCount: Self.linkCount, seed: seed * 8 + attempt, ownByteCountMax: 150_000)
      deployment.network.setFaults(
        MemoryNetwork.Faults(loss: 0, duplication: 0.1, delay: .milliseconds(1)...(.milliseconds(80))))
      _ = try deployment.node("a")?.ask(.handOver, by: "operator", note: nil)
      var (own, others, span, stepCount) = (0, 0, 100, 0)
      while others == 0 {
        // The clock stands still where nothing is due within the span.
        let before = deployment.loop.microseconds()
        deployment.run(for: .microseconds(span))
        span = deployment.loop.microseconds() == before ? span * 2 : 100
        (own, others) = (try partCount(deployment, "b"), try partCount(deployment, "c"))
        // All or nothing of it is in the log of who states it.
        try #require(own == 0 || own == 3, "HYPHA_SEED=\(seed): \(own) parts")
        stepCount += 1
        try #require(stepCount < 10_000, "HYPHA_SEED=\(seed): nothing has come")
      }
      deployment.network.setFaults(.none)
      if others < own { return (deployment, others) }
      // The first one has come last.
      try deployment.stop()
    }
    throw HyphaError(.failed, "HYPHA_SEED=\(seed): all parts come at once", remedy: "try other delays")
  }

  @Test
  func `an event that is too large to be stated takes no number, and one of the topology goes in parts`()
    throws
  {
    let deployment = try deployment(linkCount: 0)
    let node = try #require(deployment.node("a"))
    let text = String(repeating: "x", count: 2 << 20)
    node.state(own: MoveAsked(agent: "root", to: "b", note: text), because: nil)
    deployment.run(for: .seconds(1))
    #expect(
      node.status().notes.contains { $0.contains("hypha.MoveAsked") && $0.contains("keep it to 1048576") })
    let asked = node.state(own: RuleAsked(rule: .freeze, note: text), because: nil)
    deployment.run(for: .seconds(3))
    for node in ["a", "b", "c"] as [NodeID] { #expect(live(deployment, node)?.isFrozen == true, "\(node)") }
    let answers = try deployment.reader(of: "c").read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.type == LinksChanged.eventType && $0.record.causation == asked }
    #expect(answers.count == 1)
    try deployment.stop()
  }
}
