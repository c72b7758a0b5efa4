import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// When a standby takes the observer's seat over, and when a node with the seat decides, in whole deployments under a simulated clock.
@Suite struct StandbyTests {
  /// The seat on a, its standby on b.
  private func deployment() throws -> SimulatedDeployment {
    var policy = ObserverPolicy()
    (policy.node, policy.standby, policy.standbyAfter) = ("a", "b", .seconds(5))
    let topology = try Topology(
      name: "seats", nodes: ["a", "b", "c"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "c"),
        AgentSpec(id: "one", kind: "recorder", node: "a", reportsTo: "root"),
        AgentSpec(id: "other", kind: "recorder", node: "b", reportsTo: "root"),
      ], membership: MembershipSettings(suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(2)),
      observer: policy)
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 5,
      commitDelay: .milliseconds(5)...(.milliseconds(5)))
    try deployment.start()
    deployment.run(for: .seconds(2))
    return deployment
  }

  private func entries<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment, _ node: NodeID) throws
    -> [(event: E, entry: LogEntry)]
  {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.header.type == E.eventType }.map { (try E.decode($0.record), $0) }
  }

  private func begun(_ deployment: SimulatedDeployment) throws -> [SeatBegun] {
    try entries(LinksChanged.self, deployment, "b").compactMap(\.event.begun)
  }

  private func live(_ deployment: SimulatedDeployment, _ node: NodeID) -> LiveTopology? {
    deployment.node(node)?.desks.topology.state.withLock { $0.live }
  }

  @Test func `a standby waits for as long as the file says, and its judgement is the cause`() throws {
    let deployment = try deployment()
    deployment.kill("a")
    deployment.run(for: .milliseconds(4500))
    let down = try #require(try entries(NodeDown.self, deployment, "b").first { $0.event.node == "a" })
    #expect(try begun(deployment).isEmpty, "it is down, and not for long enough")
    deployment.run(for: .seconds(2))
    let term = try #require(try begun(deployment).first)
    #expect(term.node == "b" && term.term == 2 && term.standing == "down")
    #expect(term.silentMicroseconds >= 5_000_000)
    let change = try #require(try entries(LinksChanged.self, deployment, "b").first)
    #expect(change.entry.record.header.causation == down.entry.record.header.id)
    #expect(live(deployment, "c")?.holder == "b" && live(deployment, "b")?.holder == "b")
    try deployment.stop()
  }

  @Test func `a standby that hears nobody does not take over`() throws {
    let deployment = try deployment()
    for other in ["a", "c"] as [NodeID] { deployment.network.setCut(true, between: "b", and: other) }
    deployment.run(for: .seconds(20))
    #expect(try begun(deployment).isEmpty)
    // It hears others again, and the seat is still silent.
    deployment.network.setCut(false, between: "b", and: "c")
    deployment.run(for: .seconds(20))
    #expect(try begun(deployment).map(\.node) == ["b"], "it takes over, and the two do so once")
    // The seat hears of it from c, before it has the event.
    _ = try deployment.node("a")?.ask(.freeze, by: "operator", note: nil)
    deployment.run(for: .seconds(2))
    #expect(try entries(LinksChanged.self, deployment, "a").isEmpty, "it decides nothing more")
    deployment.network.setCut(false, between: "b", and: "a")
    deployment.run(for: .seconds(5))
    #expect(try entries(SeatSuperseded.self, deployment, "a").map(\.event.holder) == ["b"])
    for node in ["a", "b", "c"] as [NodeID] { #expect(live(deployment, node)?.isFrozen == true, "\(node)") }
    try deployment.stop()
  }

  @Test func `a seat that is handed over is taken at once, and given back`() throws {
    let deployment = try deployment()
    let asked = try #require(try deployment.node("c")?.ask(.handOver, by: "operator", note: nil))
    _ = try deployment.node("c")?.ask(.freeze, by: "operator", note: nil)
    deployment.run(for: .seconds(2))
    let given = try #require(
      try entries(LinksChanged.self, deployment, "a").first { $0.event.handedTo != nil })
    #expect(given.event.handedTo == "b" && given.entry.record.causation == asked)
    let term = try #require(try entries(LinksChanged.self, deployment, "b").first { $0.event.begun != nil })
    #expect(
      term.event.begun?.standing == "handed over" && term.entry.record.causation == given.entry.record.id)
    #expect(term.event.begun?.after == given.event.version, "nothing that was decided counts no more")
    for node in ["a", "b", "c"] as [NodeID] {
      let known = live(deployment, node)
      #expect(known?.holder == "b" && known?.handedTo == nil && known?.isFrozen == true, "\(node)")
    }
    _ = try deployment.node("c")?.ask(.handOver, by: "operator", note: nil)
    deployment.run(for: .seconds(2))
    #expect(live(deployment, "c")?.holder == "a" && SeatTerm.of(live(deployment, "c")?.version ?? 0) == 3)
    #expect(
      try entries(SeatSuperseded.self, deployment, "a").count { $0.entry.source == .stated } == 1)
    #expect(
      try entries(SeatSuperseded.self, deployment, "b").count { $0.entry.source == .stated } == 1)
    // There is nobody to give it to.
    deployment.kill("b")
    deployment.run(for: .seconds(4))
    _ = try deployment.node("c")?.ask(.handOver, by: "operator", note: nil)
    deployment.run(for: .seconds(2))
    let refused = try entries(RuleRefused.self, deployment, "c").map(\.event.reason)
    #expect(refused == ["node 'b', which would have the seat, is not there"])
    #expect(live(deployment, "c")?.holder == "a")
    try deployment.stop()
  }

  @Test func `a seat that nobody takes comes back to who has given it away`() throws {
    let deployment = try deployment()
    _ = try deployment.node("a")?.ask(.handOver, by: "operator", note: nil)
    // The other one dies before it knows.
    for span in 1...200 where try entries(LinksChanged.self, deployment, "a").isEmpty {
      deployment.run(for: .milliseconds(span % 3))
    }
    #expect(try entries(LinksChanged.self, deployment, "b").isEmpty)
    deployment.kill("b")
    deployment.run(for: .seconds(3))
    #expect(live(deployment, "c")?.handedTo == "b" && live(deployment, "c")?.holder == nil)
    _ = try deployment.node("c")?.ask(.freeze, by: "operator", note: nil)
    deployment.run(for: .seconds(6))
    #expect(live(deployment, "c")?.holder == "a" && live(deployment, "c")?.isFrozen == true)
    _ = try deployment.begin("b")
    deployment.run(for: .seconds(5))
    #expect(live(deployment, "b")?.holder == "a" && SeatTerm.of(live(deployment, "b")?.version ?? 0) == 3)
    try deployment.stop()
  }

  @Test func `a seat that starts decides nothing before it has heard the other node`() throws {
    let deployment = try deployment()
    _ = try deployment.node("a")?.ask(.freeze, by: "operator", note: nil)
    // It dies with the rule in its log, and before the answer is.
    // The clock stands still where nothing is due within the span: so it goes from one thing to the next.
    for span in 1...100 where try entries(RuleAsked.self, deployment, "a").isEmpty {
      deployment.run(for: .milliseconds(span))
    }
    #expect(try entries(RuleAsked.self, deployment, "a").count == 1)
    deployment.kill("a")
    #expect(try entries(LinksChanged.self, deployment, "a").isEmpty)
    deployment.run(for: .seconds(10))
    #expect(try begun(deployment).count == 1)
    _ = try deployment.begin("a")
    deployment.run(for: .seconds(8))
    let stated = try entries(LinksChanged.self, deployment, "a").filter { $0.entry.source == .stated }
    #expect(stated.isEmpty, "\(stated.map(\.event.version))")
    for node in ["a", "b", "c"] as [NodeID] { #expect(live(deployment, node)?.isFrozen == true, "\(node)") }
    try deployment.stop()
  }
}
