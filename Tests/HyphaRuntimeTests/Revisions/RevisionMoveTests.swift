import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// What an agent has handled, where revisions and moves meet.
@Suite struct RevisionMoveTests {
  /// `t` on z takes the ticks of `b` on the hub, or does not.
  private func topology(isTaking: Bool) throws -> Topology {
    try Topology(
      name: "meeting", nodes: ["hub", "x", "z"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: Chief.kind, node: "hub"),
        RevisionScenario.tally("t", "z", under: "root", takesAll: isTaking),
        AgentSpec(
          id: "b", kind: Beater.kind, node: "hub", reportsTo: "root",
          settings: .object(["to": .array([]), "count": .integer(40)])),
      ])
  }

  /// - Parameter atOnce: whether the node that the agent leaves hears of the file and of the move in one.
  @Test(arguments: [false, true])
  func `what was handled is not given again where an agent has moved and takes the lane once more`(
    atOnce: Bool
  )
    throws
  {
    let texts = TopologyTexts()
    let (first, without) = (try topology(isTaking: true), try topology(isTaking: false))
    let deployment = SimulatedDeployment(
      first, kinds: try KindRegistry(BuiltInKinds.all + [Beater.self, TickTaker.self, Chief.self]), seed: 3)
    deployment.file = try texts.file(first)
    try deployment.start()
    deployment.run(for: .seconds(2))
    func apply(_ topology: Topology, after revision: UInt32) throws {
      _ = try deployment.node("hub")?.apply(texts.text(topology), after: revision, by: "ana", note: nil)
      deployment.run(for: .seconds(5))
    }
    if atOnce { deployment.kill("z") }
    try apply(without, after: 1)
    _ = try deployment.node("hub")?.move("t", to: "x", by: "ana", note: nil)
    deployment.run(for: .seconds(5))
    if atOnce { try deployment.start("z") }
    deployment.run(for: .seconds(5))
    #expect(deployment.node("x")?.state.withLock { $0.runners["t"] } != nil)
    try apply(first, after: 2)
    try deployment.stop()
    let logs = try ["hub", "x", "z"].map { NodeID(unchecked: $0) }.reduce(into: [:]) { logs, node in
      logs[node] = try deployment.reader(of: node)
    }
    let checker = try RevisionChecker(logs, first: first, file: deployment.file!)
    #expect(checker.violations.isEmpty, "\(checker.violations)")
    #expect(checker.stated.count { $0.type == TickTaken.eventType } == 40)
    #expect(checker.topologies.count == 3 && checker.final.agent("t")?.node == "x")
  }
}
