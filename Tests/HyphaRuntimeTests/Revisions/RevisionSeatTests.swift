import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// The observer's seat where a revision and a takeover did not hear of each other.
@Suite struct RevisionSeatTests {
  @Test func `a seat that goes on under a later file is not over because of a term under an earlier one`()
    throws
  {
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
    deployment.file = try texts.file(first)
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
