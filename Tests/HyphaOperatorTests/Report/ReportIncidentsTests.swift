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

  @Test func `an agent's first start is no restart, and each one after it is one`() throws {
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
    #expect(found.counts == ["agent restarted": 2])
    let opened = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .compactMap { try? AgentActivated.decode($0.record) }.filter { $0.agent == "ana" }.map(\.epoch)
    let text = try #require(found.incidents.first { $0.agent == "ana" }?.text)
    #expect(opened.count == 2 && text == "on x, epoch \(opened[1]) after \(opened[0])")
  }
}
