import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

@Suite struct AgentTests {
  private func deployment(_ texts: [String], settings: [String: JSONValue] = [:], far: Bool = true) throws
    -> SimulatedDeployment
  {
    var settings = settings
    if settings["texts"] == nil { settings["texts"] = .array(texts.map { .string($0) }) }
    let topology = try Topology(
      name: "two", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(
          id: "root", kind: "supervisor", node: "x", subscribes: [Subscription(type: "hypha.HandlerFailed")]),
        AgentSpec(
          id: "reader", kind: "reader", node: far ? "y" : "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(id: "writer", kind: "writer", node: "x", reportsTo: "root", settings: .object(settings)),
      ], supervision: SupervisionSettings(retry: RetryPolicy(attemptCountMax: 1)))
    let kinds = try KindRegistry(BuiltInKinds.all + [Writer.self, Reader.self])
    return SimulatedDeployment(topology, kinds: kinds, seed: 1)
  }

  private func state(_ deployment: SimulatedDeployment, far: Bool = true) throws -> Reader.State {
    let snapshot = try deployment.reader(of: far ? "y" : "x").snapshot(of: "reader")
    return try JSON.decode(Reader.State.self, from: #require(snapshot))
  }

  private func stated(_ deployment: SimulatedDeployment, _ node: NodeID, _ type: EventTypeName) throws
    -> [Record]
  {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.source == .stated && $0.record.header.type == type }.map(\.record)
  }

  @Test(arguments: [true, false]) func `a handler that throws leaves no effect but the note of it`(far: Bool)
    throws
  {
    let deployment = try deployment(["one", "throw", "two"], far: far)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let state = try state(deployment, far: far)
    #expect(state.texts == ["one", "two"], "its state is as before, and the others go on")
    #expect(
      try stated(deployment, far ? "y" : "x", Echo.eventType).count == 2, "what it published is discarded")
    let failures = try stated(deployment, far ? "y" : "x", HandlerFailed.eventType)
    #expect(failures.count == 1)
    let failure = try HandlerFailed.decode(failures[0])
    let cause = try stated(deployment, "x", Note.eventType)[1].header.id
    #expect(failure.agent == "reader" && failure.event == cause && failure.error == "failed: on purpose")
    #expect(failures[0].header.causation == cause)
    #expect(deployment.summary().gauges["failures reported"] == 1)
    try deployment.stop()
  }

  @Test func `what is not declared, addressed to nobody or late is refused, and says what to do`() throws {
    let deployment = try deployment(["undeclared", "nobody", "late"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let errors = try state(deployment).errors
    #expect(
      errors == [
        "undeclared: agent 'reader' publishes test.Note, which it does not declare; add it to the kind's publishes, "
          + "of type [any Event.Type], and to the agent's in the topology file where that narrows it",
        "undeclared: agent 'reader' addresses test.Echo to 'nobody', which does not exist; add that agent to the "
          + "topology file",
        "agentFailed: agent 'reader' publishes test.Echo after its handler has returned; await everything that a "
          + "handler starts before it returns",
      ])
    #expect(try stated(deployment, "y", Echo.eventType).count == 3)
    try deployment.stop()
  }

  @Test func `an older version of an event reaches its handler as the newest`() throws {
    let deployment = try deployment(["old"], settings: ["old": .bool(true)])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    #expect(try state(deployment).authors == ["unknown"])
    try deployment.stop()
  }

  @Test func `settings that do not fit name the agent and the setting`() throws {
    let deployment = try deployment([], settings: ["texts": .string("no list")])
    try deployment.start()
    deployment.run(for: .seconds(1))
    let failure = try HandlerFailed.decode(
      try #require(stated(deployment, "x", HandlerFailed.eventType).first))
    #expect(failure.event == nil)
    #expect(
      failure.error.hasPrefix(
        "invalidTopology: the settings of agent 'writer' do not fit its kind 'writer'; correct them in the topology "
          + "file ('texts': "))
    #expect(!deployment.summary().isComplete, "who cannot start has not finished")
    try deployment.stop()
  }

  @Test func `an agent that starts again has its state, and takes what it has not handled`() throws {
    let deployment = try deployment(["one", "two"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    deployment.kill("y")
    try deployment.start("y")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let state = try state(deployment)
    #expect(state.texts == ["one", "two"] && state.starts == 2)
    let opened = try stated(deployment, "y", AgentActivated.eventType).map { try AgentActivated.decode($0) }
    let epochs = opened.map(\.epoch)
    #expect(epochs == epochs.sorted() && Set(epochs).count == 2)
    #expect(opened.map(\.previousEpoch) == [0, epochs.first])
    // Its activation, the record of its start (which has changed its state), and an echo of each note.
    #expect(opened.last?.committed == ["persistent": 4, "alert": 0])
    try deployment.stop()
  }

  @Test func `a handler's effects are committed even when its node is told to stop meanwhile`() throws {
    let deployment = try deployment(["one"], far: false)
    _ = try deployment.begin("x")
    _ = try deployment.begin("y")
    // The reader has its note in hand and waits for the commit when the node stops.
    let isInHand = deployment.loop.run(
      until: { (try? self.stated(deployment, "x", Note.eventType).isEmpty) == false }, limit: .seconds(9))
    #expect(isInHand)
    try deployment.stop()
    #expect(try state(deployment, far: false).starts == 1)
  }

  @Test func `a handler's commit waits for the alerts that the handler has sent`() throws {
    let topology = try Topology(
      name: "one", nodes: [NodeSpec(id: "x")], agents: [AgentSpec(id: "ringer", kind: "ringer", node: "x")])
    let deployment = SimulatedDeployment(topology, kinds: try KindRegistry([Ringer.self]), seed: 1)
    Ringer.scheduler.withLock { $0 = deployment.loop }
    try deployment.start()
    let log = try deployment.reader(of: "x")
    func rung() throws -> Int? {
      try log.snapshot(of: "ringer").map { try JSON.decode(Ringer.State.self, from: $0).rung }
    }
    deployment.run(for: .milliseconds(40))
    deployment.stores["x"]?.setFull(true)
    deployment.run(for: .milliseconds(60))
    // The log has refused the alert, and has room again before the handler returns.
    deployment.stores["x"]?.setFull(false)
    deployment.run(for: .milliseconds(400))
    #expect(try stated(deployment, "x", Bell.eventType).isEmpty && rung() == 0)
    #expect(deployment.summary().nodes[0].backlog == 2, "the alert, and the handler")
    deployment.run(for: .seconds(2))
    #expect(try stated(deployment, "x", Bell.eventType).count == 1 && rung() == 1)
    try deployment.stop()
  }
}
