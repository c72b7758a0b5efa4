import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// Folds what it states into a number that depends on the order, and states by turns to all and to one.
private actor Folder: Agent {
  struct State: Codable, Equatable {
    var value = 7
    var count = 0
  }
  static let handles = Handlers(Folder.self).on(Note.self) { agent, note, context in
    let added = Added(amount: note.text.utf8.count)
    try await context.publish(added, to: agent.state.count.isMultiple(of: 3) ? "root" : nil)
  }
  static let publishes: [any Event.Type] = [Added.self]
  static let evolves = Evolution(State.self).on(Added.self) { state, event in
    state.value = (state.value &* 31 &+ event.amount) % 1_000_003
    state.count += 1
  }
  static let snapshotEvery = 5
  var state = State()
}

/// Agents that move, one at a time, on three nodes: `root` and `writer` on y, the one that moves on x.
@Suite(.serialized) struct MoveTests {
  private func deployment(_ texts: [String], kind: String = "fragile") throws -> SimulatedDeployment {
    let topology = try Topology(
      name: "moves", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y"), NodeSpec(id: "z")],
      agents: [
        AgentSpec(
          id: "root", kind: "supervisor", node: "y", subscribes: [Subscription(type: "test.Added")]),
        AgentSpec(
          id: "mover", kind: kind, node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(
          id: "writer", kind: "writer", node: "y", reportsTo: "root",
          settings: .object(["texts": .array(texts.map { .string($0) })])),
      ],
      supervision: SupervisionSettings(retry: RetryPolicy(jitterPercent: 0, attemptCountMax: 4)))
    return SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Fragile.self, Folder.self]), seed: 1)
  }

  private func move(_ deployment: SimulatedDeployment, to node: NodeID, at asked: NodeID = "y") throws {
    _ = try #require(deployment.node(asked)).move("mover", to: node, by: "ana", note: "a test")
  }

  private func stage(_ deployment: SimulatedDeployment, in node: NodeID = "y") throws -> AgentMoves.Stage? {
    try MoveReading(deployment.reader(of: node)).moves.newest(of: "mover")?.stage
  }

  private func snapshot(_ deployment: SimulatedDeployment, _ node: NodeID) throws -> AgentSnapshot {
    try #require(try AgentSnapshot.read(of: "mover", in: deployment.reader(of: node)))
  }

  @Test func `state, timers, retries and dead letters come along, and work goes on where it was`() throws {
    let deployment = try deployment(["remind 20000", "fail 3", "hopeless", "plain"])
    try deployment.start()
    deployment.run(for: .milliseconds(500))
    let before = try JSON.decode(Fragile.State.self, from: snapshot(deployment, "x").state)
    #expect(before.texts.count == 2 && before.reminders.isEmpty)
    try move(deployment, to: "z")
    deployment.run(for: .seconds(2))
    #expect(try stage(deployment) == .arrived)
    let log = try deployment.reader(of: "z")
    let letters = try DeadLetter.open(in: log)
    #expect(letters.map(\.failure.agent) == ["mover"])
    let letter = try #require(letters.first)
    #expect(try letter.entry(in: log)?.record.header.id == letter.failure.event)
    #expect(try DeadLetter.open(in: deployment.reader(of: "x")).isEmpty)
    let node = try #require(deployment.node("z"))
    try deployment.loop.run {
      try await node.resolveDeadLetter(
        letter.failure.event, of: "mover", .requeued, by: "ana", note: nil)
    }
    #expect(deployment.runToEnd(limit: .seconds(300)))
    let state = try JSON.decode(Fragile.State.self, from: snapshot(deployment, "z").state)
    #expect(state.reminders.count == 1 && state.starts > before.starts)
    let words = state.texts.map { String($0.prefix { $0 != "/" }) }
    // Each attempt once: those of before are not made again.
    #expect(words.filter { $0.hasPrefix("plain") } == ["plain#1"])
    #expect(words.filter { $0.hasPrefix("remind") } == ["remind 20000#1"])
    let failures = try log.read(after: .start, limit: .max, byteLimit: .max).compactMap {
      try? HandlerFailed.decode($0.record)
    }
    #expect(failures.compactMap(\.attempt).sorted() == [1, 1, 1, 2, 3], "\(failures)")
    // Nothing of it is left where it was.
    for (key, cursor) in try deployment.reader(of: "x").cursors() where key.agent == "mover" {
      #expect(cursor.handledCount == 0)
    }
    let activations = try log.read(after: .start, limit: .max, byteLimit: .max).compactMap {
      try? AgentActivated.decode($0.record)
    }.filter { $0.agent == "mover" }
    #expect(
      activations.map(\.node) == ["x", "z"] && activations.map(\.previousEpoch) == [0, activations[0].epoch])
    #expect(activations.last?.committed["persistent"] ?? 0 > 4)
  }

  @Test func `a state of many megabytes comes along in parts`() throws {
    let texts = (0..<4).map { String(repeating: "\($0)", count: 500_000) }
    let deployment = try deployment(texts)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    let before = try JSON.decode(Fragile.State.self, from: snapshot(deployment, "x").state)
    try move(deployment, to: "z")
    deployment.run(for: .seconds(10))
    #expect(try stage(deployment) == .arrived)
    let state = try JSON.decode(Fragile.State.self, from: snapshot(deployment, "z").state)
    #expect(state.texts == before.texts && state.texts.count == 4)
    #expect(deployment.runToEnd(limit: .seconds(100)))
  }

  @Test(arguments: [3, 5, 23]) func `an event-sourced state is folded in the agent's own order`(count: Int)
    throws
  {
    let texts = (0..<count).map { String(repeating: "x", count: $0 % 11) }
    let deployment = try deployment(texts, kind: Folder.kind)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    var wanted = Folder.State()
    for text in texts {
      wanted.value = (wanted.value &* 31 &+ text.utf8.count) % 1_000_003
      wanted.count += 1
    }
    for (node, back) in [("z", "y"), ("x", "z")] as [(NodeID, NodeID)] {
      try move(deployment, to: node, at: back)
      deployment.run(for: .seconds(5))
      #expect(try stage(deployment) == .arrived)
      let log = try deployment.reader(of: node)
      #expect(try deployment.state(of: "mover", Folder.self, in: log) == wanted)
      // Without a snapshot, too, as after a change of its shape.
      let anew = try StateRestoration<Folder>.restore(
        Folder.State(), from: nil, of: "mover", in: log, epoch: .max)
      #expect(anew.state == wanted && anew.replayedCount == count)
    }
  }

  @Test func `where its former node is away, the move waits, says so, and goes on when it is back`() throws {
    let deployment = try deployment((0..<50).map { "plain \($0)" })
    try deployment.start()
    deployment.run(for: .milliseconds(2))
    deployment.kill("x")
    try move(deployment, to: "z", at: "z")
    deployment.run(for: .seconds(5))
    #expect(try stage(deployment) == .ordered)
    let now = Timestamp(microseconds: deployment.loop.microseconds())
    let report = try #require(deployment.node("z")).explain("mover")
    let finding = try #require(report.findings.first { $0.topic == "move" })
    #expect(finding.isObstacle && finding.text.contains("'x' has not handed it over"), "\(report.findings)")
    let offline = try #require(try AgentReport(of: "mover", in: deployment.reader(of: "z"), now: now))
    #expect(offline.findings.contains { $0.text == finding.text })
    // The others have been killed meanwhile as well.
    deployment.kill("y")
    deployment.kill("z")
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    #expect(try stage(deployment) == .arrived)
    // And again, all at once: it stays there.
    for node in ["x", "y", "z"] as [NodeID] { deployment.kill(node) }
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    let state = try JSON.decode(Fragile.State.self, from: snapshot(deployment, "z").state)
    #expect(state.texts.map { $0.prefix { $0 != "#" } } == (0..<50).map { "plain \($0)" })
    #expect(deployment.node("x")?.state.withLock { $0.runners["mover"] == nil } == true)
    #expect(deployment.node("z")?.state.withLock { $0.runners["mover"] != nil } == true)
  }

  @Test func `a node that has not heard of the move works on alone, and nobody takes what it says then`()
    throws
  {
    let deployment = try deployment(["plain 1"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    for other in ["y", "z"] as [NodeID] { deployment.network.setCut(true, between: "x", and: other) }
    try move(deployment, to: "z")
    deployment.run(for: .seconds(10))
    #expect(deployment.node("x")?.state.withLock { $0.runners["mover"] != nil } == true)
    try deployment.publish(Echo(of: .none), from: "mover", to: nil)
    let lane = Lane(agent: "mover", channel: .persistent, target: .type(Echo.eventType))
    let said = try #require(try deployment.reader(of: "x").laneHead(lane)).count
    #expect(try deployment.reader(of: "z").laneHead(lane) == nil)
    for other in ["y", "z"] as [NodeID] { deployment.network.setCut(false, between: "x", and: other) }
    deployment.run(for: .seconds(10))
    // It has handed over what it did meanwhile: there were never two of it.
    #expect(try stage(deployment) == .arrived)
    #expect(deployment.node("x")?.state.withLock { $0.runners["mover"] == nil } == true)
    #expect(try deployment.reader(of: "z").laneHead(lane)?.count == said)
    #expect(deployment.runToEnd(limit: .seconds(100)))
    for node in ["x", "y", "z"] as [NodeID] {
      #expect(try RecordedFork.all(in: deployment.reader(of: node)).isEmpty)
      #expect(try deployment.reader(of: node).verify().findings == [])
    }
  }

  @Test func `who comes to the node of an author whose events it takes is not given those again`() throws {
    let deployment = try deployment(["plain 1", "plain 2", "plain 3"])
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(100)))
    try move(deployment, to: "y")
    for _ in 0..<500 where try stage(deployment) != .arrived {
      deployment.run(for: .milliseconds(40))
      let notes = deployment.node("y")?.status().notes ?? []
      #expect(!notes.contains { $0.contains("logConflict") }, "\(notes)")
    }
    #expect(try stage(deployment) == .arrived)
    #expect(deployment.runToEnd(limit: .seconds(100)))
  }

  @Test func `what cannot be is refused, and told`() throws {
    let deployment = try deployment(["plain"])
    try deployment.start()
    let node = try #require(deployment.node("x"))
    #expect(throws: HyphaError.self) { try node.move("nobody", to: "z", by: "ana", note: nil) }
    #expect(throws: HyphaError.self) { try node.move("mover", to: "nowhere", by: "ana", note: nil) }
    let asked = try node.move("mover", to: "x", by: "ana", note: nil)
    deployment.run(for: .seconds(2))
    let answers = try deployment.reader(of: "x").read(after: .start, limit: .max, byteLimit: .max)
      .map(\.record).filter { $0.header.causation == asked }
    #expect(try answers.map { try MoveRefused.decode($0).reason } == ["it is there already"])
    #expect(try MoveReading(deployment.reader(of: "x")).moves.moves.isEmpty)
  }
}
