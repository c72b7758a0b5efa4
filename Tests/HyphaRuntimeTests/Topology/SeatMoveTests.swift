import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// The observer's seat moves to another node by a file, in whole deployments under a simulated clock.
@Suite struct SeatMoveTests {
  private func topology(_ seat: NodeID?, standby: NodeID? = nil) throws -> Topology {
    var policy = ObserverPolicy()
    (policy.node, policy.standby, policy.standbyAfter) = (seat, standby, .seconds(3))
    return try Topology(
      name: "seats", nodes: ["a", "b", "c"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "c"),
        AgentSpec(id: "one", kind: "recorder", node: "a", reportsTo: "root"),
        AgentSpec(id: "other", kind: "recorder", node: "b", reportsTo: "root"),
      ], membership: MembershipSettings(suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(2)),
      observer: policy)
  }

  private func changes(_ deployment: SimulatedDeployment, _ node: NodeID, after version: UInt32) throws
    -> [(by: AgentID, event: LinksChanged)]
  {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.type == LinksChanged.eventType && $0.header.authority.policyVersion >= version }
      .map { ($0.agent, try LinksChanged.decode($0)) }
  }

  private func apply(
    _ topology: Topology, _ texts: TopologyTexts, to deployment: SimulatedDeployment, revision: UInt32
  ) throws -> TopologyRevised {
    _ = try deployment.node("b")?.apply(
      texts.text(topology), after: revision - 1, by: "ana", note: nil)
    deployment.run(for: .seconds(4))
    for node in ["a", "b", "c"] as [NodeID] {
      #expect(try KeptFile.read(in: deployment.reader(of: node))?.revision == revision, "\(node)")
    }
    return try #require(try MoveReading(deployment.reader(of: "a")).revisions.newest)
  }

  @Test func `a file moves the seat, in a later term than any of the node that has it`() throws {
    let texts = TopologyTexts()
    let first = try topology("a", standby: "b")
    let deployment = SimulatedDeployment(
      first, kinds: try KindRegistry(BuiltInKinds.all), seed: 7,
      commitDelay: .milliseconds(5)...(.milliseconds(5)))
    deployment.file = try texts.file(first)
    try deployment.start()
    deployment.run(for: .seconds(2))
    _ = try deployment.node("c")?.ask(.pin(DirectLink("one", "other")), by: "ana", note: nil)
    // It is under way while the seat moves.
    let second = try apply(topology("b", standby: "c"), texts, to: deployment, revision: 2)
    #expect(second.seat == "a" && SeatTerm.of(second.version) == 3)
    _ = try deployment.node("c")?.ask(.freeze, by: "ana", note: nil)
    deployment.run(for: .seconds(3))
    for node in ["a", "b", "c"] as [NodeID] {
      let news = try changes(deployment, node, after: second.version)
      #expect(news.map(\.by) == [NodeID("b").author], "\(node)")
      #expect(news.map(\.event.version) == [second.version + 1])
      let live = deployment.node(node)?.desks.topology.state.withLock { $0.live }
      #expect(live?.isFrozen == true && live?.links.isEmpty == true, "\(node)")
    }
    // The standby has it now, and a file gives it back: to the node that orders files.
    deployment.kill("b")
    deployment.run(for: .seconds(8))
    #expect(try changes(deployment, "a", after: second.version).last?.event.begun?.node == "c")
    try deployment.start("b")
    deployment.run(for: .seconds(3))
    let third = try apply(topology("a"), texts, to: deployment, revision: 3)
    #expect(SeatTerm.of(third.version) >= 5 && SeatTerm.of(third.version) % 2 == 1)
    _ = try deployment.node("b")?.ask(.freeze, by: "ana", note: nil)
    deployment.run(for: .seconds(3))
    for node in ["a", "b", "c"] as [NodeID] {
      let news = try changes(deployment, node, after: third.version)
      #expect(news.map(\.by) == [NodeID("a").author], "\(node)")
    }
    try deployment.stop()
  }
}
