import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// What the observer finds in whole deployments, by simulation.
@Suite struct FindingSimulationTests {
  /// `caller` on x calls `taker` on y, which reports to `lead` there; the observer has its seat on x.
  private func topology(_ text: String, mode: ObserverPolicy.Mode, run: String = "") throws -> Topology {
    var policy = ObserverPolicy()
    (policy.node, policy.mode) = ("x", mode)
    return try Topology(
      name: "calls", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "caller", kind: Caller.kind, node: "x", reportsTo: "root",
          settings: .object([
            "to": .string("taker"), "text": .string(text), "afterMs": .integer(10),
            "releaseMs": .integer(20_000),
          ])),
        AgentSpec(id: "lead", kind: Chief.kind, node: "y", reportsTo: "root"),
        AgentSpec(
          id: "taker", kind: Taker.kind, node: "y", reportsTo: "lead",
          settings: .object(["run": .string(run)])),
      ], alerts: AlertSettings(deadline: .seconds(60), redelivery: .milliseconds(200)), observer: policy)
  }

  private func deployment(_ text: String, mode: ObserverPolicy.Mode) throws -> SimulatedDeployment {
    let run = UUID().uuidString
    let topology = try topology(text, mode: mode, run: run)
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Caller.self, Taker.self, Chief.self]), seed: 3)
    Taker.schedulers.withLock { $0[run] = deployment.loop }
    return deployment
  }

  private func stated<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment, _ node: NodeID = "x")
    throws -> [E]
  {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.header.type == E.eventType }.map { try E.decode($0.record) }
  }

  @Test(arguments: ObserverPolicy.Mode.allCases)
  func `an alert that nobody answers is a stall until it is answered, and a restart says nothing again`(
    _ mode: ObserverPolicy.Mode
  ) throws {
    let deployment = try deployment("hold", mode: mode)
    try deployment.start()
    deployment.run(for: .seconds(3))
    #expect(try stated(FindingsChanged.self, deployment).isEmpty)
    deployment.run(for: .seconds(8))
    let first = try stated(FindingsChanged.self, deployment)
    let found = try #require(first.first?.began.first)
    #expect(first.count == 1 && first[0].began.count == 1 && first[0].ended == [])
    #expect(found.topic.kind == .stall && found.topic.agent == "taker" && found.topic.alert != nil)
    #expect(found.evidence == .wait(type: "test.Call", seconds: 4, usualMicroseconds: 0))
    // The seat's node dies and comes back: what it has said is in the log.
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(30))
    let all = try stated(FindingsChanged.self, deployment)
    #expect(all.flatMap(\.began).filter { $0.topic == found.topic }.count <= 2)
    #expect(all.last?.ended == [found.topic] && all.last?.began == [], "\(all)")
    // Whoever reads a log knows what is found and what is over.
    for node in ["x", "y"] as [NodeID] {
      let reading = try TopologyReading(deployment.reader(of: node), of: topology("hold", mode: mode))
      #expect(reading.findings.isEmpty)
    }
    // What waits is told when its time has doubled, and silence a few times, not every second.
    let reports = try stated(LoadReported.self, deployment, "x").filter { $0.node == "x" }
    #expect(reports.count < 30, "\(reports.count)")
    try deployment.stop()
  }

  @Test func `reports have what supervisors relay, and how old it was on both sides`() throws {
    let deployment = try deployment("once", mode: .off)
    try deployment.start()
    deployment.run(for: .seconds(30))
    let reports = try stated(LoadReported.self, deployment)
    let lead = reports.filter { $0.node == "y" }.flatMap(\.relays).filter { $0.agent == "lead" }
    #expect(lead.reduce(0) { $0 + $1.events } >= 2, "the call and its release pass it: \(reports)")
    let release = lead.flatMap(\.sources)
    #expect(release.isEmpty, "nothing is passed on to another node")
    let sent = reports.filter { $0.node == "x" }.flatMap(\.sent)
    #expect(sent.map(\.node) == ["y"] && sent.allSatisfy { $0.microseconds > 0 }, "\(sent)")
    try deployment.stop()
  }
}
