import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaRuntime
import HyphaTopology
import Testing

@testable import HyphaOperator

@Suite struct ReportIncidentsTests {
  private func incidents(_ deployment: SimulatedDeployment) throws -> ReportIncidents {
    let log = try deployment.reader(of: "x")
    var incidents = ReportIncidents()
    try log.visit(Position.start.next...log.head(), .forward) { entry in
      incidents.take(String(decoding: entry.record.type, as: UTF8.self), entry.record)
      return true
    }
    return incidents
  }

  @Test func `a node's first start is no restart, and each one after it is one`() throws {
    let topology = try Topology(
      name: "room", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "lead", kind: "supervisor", node: "x"),
        AgentSpec(id: "ana", kind: "recorder", node: "x", reportsTo: "lead"),
      ])
    let deployment = SimulatedDeployment(topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 1)
    try deployment.start()
    deployment.run(for: .seconds(1))
    #expect(try incidents(deployment).counts == [:])
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(1))
    let found = try incidents(deployment)
    #expect(found.counts == ["node restarted": 1])
    #expect(found.incidents.map(\.agent) == ["x"] && found.incidents.map(\.text) == ["2 agents begin anew"])
    deployment.kill("x")
    try deployment.start("x")
    #expect(try incidents(deployment).counts == ["node restarted": 2])
  }
}
