import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// Whole nodes: `caller` on node x calls `taker` on node y, which reports to `lead` on y, and that to `root` on x.
@Suite struct AlertLifeTests {
  private func deployment(
    _ text: String, to addressee: AgentID = "taker", lead: String = Chief.kind, after: Int = 10,
    settings: [String: JSONValue] = [:], notes: Int = 0, far: Bool = true
  ) throws -> SimulatedDeployment {
    let run = UUID().uuidString
    var caller = settings
    caller["to"] = .string(addressee.text)
    caller["text"] = .string(text)
    caller["afterMs"] = .integer(Int64(after))
    let node: NodeID = far ? "y" : "x"
    let topology = try Topology(
      name: "calls", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(id: "caller", kind: Caller.kind, node: "x", reportsTo: "root", settings: .object(caller)),
        AgentSpec(id: "lead", kind: lead, node: node, reportsTo: "root"),
        AgentSpec(
          id: "taker", kind: Taker.kind, node: node, reportsTo: "lead",
          subscribes: [Subscription(type: "test.Note")], settings: .object(["run": .string(run)])),
        AgentSpec(
          id: "writer", kind: Writer.kind, node: "x", reportsTo: "root",
          settings: .object(["texts": .array(Array(repeating: .string("n"), count: notes))])),
      ], alerts: AlertSettings(deadline: .seconds(10), redelivery: .milliseconds(200)))
    let kinds = try KindRegistry(
      BuiltInKinds.all + [Caller.self, Taker.self, Chief.self, Writer.self])
    let deployment = SimulatedDeployment(topology, kinds: kinds, seed: 3)
    Taker.schedulers.withLock { $0[run] = deployment.loop }
    return deployment
  }

  private func entries(_ deployment: SimulatedDeployment, _ node: NodeID = "x") throws -> [LogEntry] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
  }

  private func stated<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment, _ node: NodeID = "x")
    throws -> [LogEntry]
  {
    try entries(deployment, node).filter { $0.source == .stated && $0.record.header.type == E.eventType }
  }

  private func state<State: Decodable>(
    of agent: AgentID, _ type: State.Type, _ deployment: SimulatedDeployment, _ node: NodeID = "y"
  ) throws -> State {
    let snapshot = try deployment.reader(of: node).snapshot(of: agent)
    return try JSON.decode(State.self, from: #require(snapshot))
  }

  private func openCount(_ deployment: SimulatedDeployment) -> Int {
    deployment.summary().nodes.reduce(0) { $0 + $1.openAlertCount }
  }

  @Test func `an answer is committed with the note that the alert is handled, and comes home`() throws {
    let deployment = try deployment("once")
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let call = try #require(stated(Call.self, deployment).first).record.header
    let answers = try stated(AlertAcknowledged.self, deployment, "y").map(\.record.header)
    #expect(answers.map(\.causation) == [call.id] && answers.map(\.addressee) == ["caller"])
    #expect(answers.map(\.correlation) == [call.correlation])
    #expect(try state(of: "caller", Caller.State.self, deployment, "x").answers == ["taker "])
    #expect(try stated(AlertEscalated.self, deployment).isEmpty)
    try deployment.stop()
  }

  @Test func `a handler that throws is run again until it returns, with its state as it was`() throws {
    let deployment = try deployment("third")
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let state = try state(of: "taker", Taker.State.self, deployment)
    #expect(state.order == ["call"] && state.attempts == [1, 2, 3])
    let waits = zip(state.tries.dropFirst(), state.tries).map { $0 - $1 }
    #expect(waits.count == 2 && (200..<220).contains(waits[0]) && (400..<420).contains(waits[1]), "\(waits)")
    #expect(try stated(HandlerFailed.self, deployment, "y").count == 1, "that it throws is stated once")
    #expect(try stated(AlertAcknowledged.self, deployment, "y").count == 1)
    let cursor = try deployment.reader(of: "y").cursor(CursorKey(agent: "taker", channel: .alert))
    #expect(cursor?.handledCount == 1)
    try deployment.stop()
  }

  @Test(arguments: [Chief.kind, "supervisor"])
  func `an alert that nobody answers goes up, each step an event`(lead: String) throws {
    let deployment = try deployment("never", lead: lead)
    try deployment.start()
    deployment.run(for: .seconds(9))
    #expect(!deployment.summary().isComplete, "an open alert is something left to do")
    #expect(try openCount(deployment) == 1 && stated(AlertEscalated.self, deployment).isEmpty)
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let call = try #require(stated(Call.self, deployment).first).record.header
    let steps = try stated(AlertEscalated.self, deployment).map(\.record)
    let ends = try stated(AlertUnanswered.self, deployment).map { try AlertUnanswered.decode($0.record) }
    let isAnswered = lead == Chief.kind
    #expect(steps.map(\.header.addressee) == (isAnswered ? ["lead"] : ["lead", "root"]))
    #expect(steps.allSatisfy { $0.header.causation == call.id && $0.header.agent == "caller" })
    let first = try AlertEscalated.decode(steps[0])
    #expect(first.alert == call.id && first.unanswered == ["taker"] && first.step == 1)
    #expect(first.type == "test.Call" && first.agent == "caller")
    #expect(ends.map(\.unanswered) == (isAnswered ? [] : [["taker"]]))
    let waited = steps[0].header.time.since(call.time)
    #expect(waited >= .seconds(10) && waited < .seconds(10.1), "\(waited)")
    #expect(deployment.summary().nodes.map(\.unansweredAlertCount).reduce(0, +) == (isAnswered ? 0 : 1))
    try deployment.stop()
  }

  @Test func `an alert may have a deadline of its own`() throws {
    let deployment = try deployment("never", settings: ["withinMs": .integer(500)])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let call = try #require(stated(Call.self, deployment).first).record.header
    let step = try #require(stated(AlertEscalated.self, deployment).first).record.header
    #expect(
      step.time.since(call.time) >= .milliseconds(500) && step.time.since(call.time) < .milliseconds(600))
    try deployment.stop()
  }

  @Test func `a handler may hold its answer, which then commits with what releases it`() throws {
    let deployment = try deployment("hold", settings: ["releaseMs": .integer(3000)])
    try deployment.start()
    deployment.run(for: .seconds(2))
    #expect(openCount(deployment) == 1)
    #expect(try stated(AlertAcknowledged.self, deployment, "y").isEmpty)
    // What was held survives a crash with the agent's state.
    deployment.kill("y")
    try deployment.start("y")
    deployment.run(for: .seconds(2))
    #expect(openCount(deployment) == 0)
    let answers = try stated(AlertAcknowledged.self, deployment, "y").map(\.record.header)
    #expect(try answers.map(\.causation) == stated(Call.self, deployment).map(\.record.header.id))
    #expect(try stated(AlertEscalated.self, deployment).isEmpty)
    try deployment.stop()
  }

  @Test func `open alerts are found again after a crash, and are not escalated at once`() throws {
    let deployment = try deployment("never")
    try deployment.start()
    deployment.run(for: .seconds(5))
    #expect(openCount(deployment) == 1)
    deployment.kill("x")
    deployment.run(for: .seconds(60))
    try deployment.start("x")
    #expect(openCount(deployment) == 1)
    deployment.run(for: .seconds(4))
    #expect(try stated(AlertEscalated.self, deployment).isEmpty, "answers may be on their way")
    deployment.run(for: .seconds(2))
    #expect(try stated(AlertEscalated.self, deployment).count == 1)
    #expect(openCount(deployment) == 0, "the lead has answered")
    deployment.kill("x")
    try deployment.start("x")
    deployment.run(for: .seconds(30))
    #expect(openCount(deployment) == 0)
    #expect(try stated(AlertEscalated.self, deployment).count == 1, "what is settled stays settled")
    try deployment.stop()
  }

  @Test func `what was saved in the meantime is enough to go on from`() throws {
    let deployment = try deployment("never", lead: "supervisor", settings: ["withinMs": .integer(120_000)])
    try deployment.start()
    deployment.run(for: .seconds(40))
    let bytes = try deployment.reader(of: "x").snapshot(of: AlertTracker.owner)
    let snapshot = try JSON.decode(AlertTracker.Snapshot.self, from: #require(bytes))
    #expect(snapshot.open.map(\.withinMicroseconds) == [120_000_000])
    #expect(snapshot.through > 0)
    deployment.kill("x")
    try deployment.start("x")
    #expect(openCount(deployment) == 1)
    deployment.run(for: .seconds(75))
    #expect(try stated(AlertEscalated.self, deployment).isEmpty, "its own deadline was not forgotten")
    deployment.run(for: .seconds(10))
    #expect(try stated(AlertEscalated.self, deployment).count == 1)
    try deployment.stop()
  }

  @Test func `an operator answers by hand, on an authority of its own`() throws {
    let deployment = try deployment("never")
    try deployment.start()
    deployment.run(for: .seconds(2))
    let node = try #require(deployment.node("x"))
    let open = node.openAlerts
    #expect(open.map(\.agent) == ["caller"] && open[0].duties.map(\.holder) == ["taker"])
    #expect(throws: HyphaError.self) {
      try node.acknowledgeAlert(EventID(high: 1, low: 2), by: "ana", note: nil)
    }
    let settled = try node.acknowledgeAlert(open[0].id, by: "ana", note: "a drill")
    #expect(settled.id == open[0].id)
    deployment.run(for: .seconds(1))
    #expect(node.openAlerts.isEmpty)
    let answer = try #require(stated(AlertAcknowledged.self, deployment).first).record
    #expect(answer.header.authority == Authority(principal: "ana", grant: "operator", policyVersion: 1))
    #expect(try AlertAcknowledged.decode(answer) == AlertAcknowledged(by: "ana", note: "a drill"))
    #expect(answer.header.causation == open[0].id)
    try deployment.stop()
  }

  @Test(arguments: [true, false])
  func `an alert's handler runs next, whatever waits on the persistent channel`(far: Bool) throws {
    let deployment = try deployment("overtake", after: 2000, notes: 10_000, far: far)
    try deployment.start()
    deployment.run(for: .seconds(4))
    let node: NodeID = far ? "y" : "x"
    let log = try entries(deployment, node)
    let call = try #require(log.first { $0.record.header.type == Call.eventType })
    let answer = try #require(log.first { $0.record.header.type == AlertAcknowledged.eventType })
    // One note that was in hand may end first; then the call, then one commit.
    let taken = answer.appendedAt.since(call.appendedAt)
    #expect(taken < .milliseconds(3), "\(taken)")
    let order = try state(of: "taker", Taker.State.self, deployment, node).order
    let place = try #require(order.firstIndex(of: "call"))
    #expect((100...5000).contains(place), "thousands of notes waited")
    try deployment.stop()
  }
}
