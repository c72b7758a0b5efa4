import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// The observer's seat and what orders files, where the two are not on one node any more.
@Suite struct RevisionSeatTests {
  @Test func `a node that is added where the seat was moved follows those who order`() throws {
    func topology(_ seat: NodeID, _ nodes: [NodeID]) throws -> Topology {
      var policy = ObserverPolicy()
      policy.node = seat
      return try Topology(
        name: "seats", nodes: nodes.map { NodeSpec(id: $0) },
        agents: [AgentSpec(id: "root", kind: "supervisor", node: "a")]
          + nodes.dropFirst().map {
            AgentSpec(id: AgentID(unchecked: "agent-\($0)"), kind: "recorder", node: $0, reportsTo: "root")
          },
        observer: policy)
    }
    let texts = TopologyTexts()
    let first = try topology("a", ["a", "b"])
    let deployment = SimulatedDeployment(first, kinds: try KindRegistry(BuiltInKinds.all), seed: 5)
    deployment.file = try texts.file(first)
    try deployment.start()
    deployment.run(for: .seconds(2))
    func apply(_ file: Topology, after revision: UInt32) throws {
      _ = try deployment.node("b")?.apply(texts.text(file), after: revision, by: "ana", note: nil)
      deployment.run(for: .seconds(5))
    }
    try apply(topology("b", ["a", "b"]), after: 1)
    #expect(deployment.nodes.allSatisfy { $0.topology.revision == 2 && $0.topology.moveSeat == "a" })
    let third = try topology("b", ["a", "b", "c"])
    try apply(third, after: 2)
    deployment.add("c", try texts.file(third))
    _ = try deployment.begin("c")
    deployment.run(for: .seconds(10))
    #expect(deployment.node("c")?.topology.revision == 3, "\(deployment.node("c")?.topology.revision ?? 0)")
    // It takes what is ordered from now on.
    try apply(topology("b", ["a", "b", "c", "d"]), after: 3)
    for node in ["a", "b", "c"] as [NodeID] {
      #expect(deployment.node(node)?.topology.revision == 4, "\(node)")
      #expect(deployment.node(node)?.topology.moveSeat == "a", "\(node)")
    }
    try deployment.stop()
  }

  /// - Parameter ownByteCountMax: the size from which on files and links go in parts.
  @Test(arguments: [nil, 384])
  func `a seat that goes on under a later file is not over because of a term under an earlier one`(
    ownByteCountMax: Int?
  ) throws {
    var policy = ObserverPolicy()
    (policy.node, policy.standby, policy.standbyAfter) = ("a", "b", .milliseconds(500))
    func topology(_ charge: Int) throws -> Topology {
      policy.charge = charge
      return try Topology(
        name: "seats", nodes: ["a", "b", "c"].map { NodeSpec(id: $0) },
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "c"),
          AgentSpec(id: "one", kind: "recorder", node: "a", reportsTo: "root"),
          AgentSpec(id: "other", kind: "recorder", node: "b", reportsTo: "root"),
        ],
        membership: MembershipSettings(
          suspicion: .fixed(after: .milliseconds(600)), downAfter: .milliseconds(600)),
        observer: policy)
    }
    let texts = TopologyTexts()
    let first = try topology(10)
    let deployment = SimulatedDeployment(first, kinds: try KindRegistry(BuiltInKinds.all), seed: 5)
    (deployment.file, deployment.ownByteCountMax) = (try texts.file(first), ownByteCountMax)
    try deployment.start()
    deployment.run(for: .seconds(2))
    for other in ["b", "c"] as [NodeID] { deployment.network.setCut(true, between: "a", and: other) }
    deployment.run(for: .seconds(4))
    let standby = try #require(deployment.node("b")?.desks.topology)
    #expect(
      standby.seat.withLock { $0?.isActive } == true && standby.state.withLock { $0.live.holder } == "b")
    // Who is cut off with the seat's node applies a file.
    _ = try deployment.node("a")?.apply(texts.text(topology(20)), after: 1, by: "ana", note: nil)
    deployment.run(for: .seconds(2))
    #expect(deployment.node("a")?.topology.revision == 2)
    // It hears them before they hear of the file.
    for other in ["b", "c"] as [NodeID] { deployment.network.setCut(false, between: "a", and: other) }
    deployment.run(for: .seconds(10))
    #expect(deployment.nodes.allSatisfy { $0.topology.revision == 2 })
    let seats = ["a", "b"].map { node in
      deployment.node(node)?.desks.topology.seat.withLock { $0?.isActive } ?? nil
    }
    #expect(seats == [true, false])
    _ = try deployment.node("c")?.ask(.pin(DirectLink("one", "other")), by: "ana", note: nil)
    deployment.run(for: .seconds(3))
    for node in deployment.nodes {
      #expect(node.desks.topology.state.withLock { $0.live.links.count } == 1, "\(node.routes.node)")
    }
    try deployment.stop()
  }
}
