import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// Agents that cannot begin, and logs of other topologies.
@Suite(.serialized) struct BrokenAgentTests {
  /// Cannot begin while the switch is on.
  private actor Moody: Agent {
    static let handles = Handlers(Moody.self).on(Note.self) { agent, note, _ in agent.read(note) }
    static let finishes = true
    static let isMoody = Mutex(false)

    struct State: Codable { var texts: [String] = [] }
    var state = State()

    func start(in context: Context) throws {
      if Self.isMoody.withLock({ $0 }) { throw HyphaError(.failed, "in a mood") }
      context.finish()
    }

    private func read(_ note: Note) { state.texts.append(note.text) }
  }

  private func topology(subscribes: Bool = true) throws -> Topology {
    try Topology(
      name: "moods", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "moody", kind: "moody", node: "y", reportsTo: "root",
          subscribes: subscribes ? [Subscription(type: "test.Note")] : []),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array([.string("one"), .string("two")])])),
      ])
  }

  private func kinds() throws -> KindRegistry {
    try KindRegistry(BuiltInKinds.all + [Writer.self, Moody.self])
  }

  @Test func `an agent whose start fails takes nothing, and has it all once it can begin`() throws {
    Moody.isMoody.withLock { $0 = true }
    let deployment = SimulatedDeployment(try topology(), kinds: try kinds(), seed: 1)
    try deployment.start()
    #expect(!deployment.runToEnd(limit: .seconds(5)))
    let summary = deployment.summary()
    #expect(summary.nodes.flatMap(\.brokenWorkers) == ["moody"])
    // Beside the two notes: that the agent stands still, which root has taken, and root's answer, which waits.
    #expect(summary.handledPairCount == 1 && summary.statedPairCount == 4)
    #expect(
      summary.nodes.flatMap(\.notes).contains("agent 'moody' does not work: its start has failed"))
    Moody.isMoody.withLock { $0 = false }
    deployment.kill("y")
    try deployment.start("y")
    #expect(deployment.runToEnd(limit: .seconds(60)))
    let snapshot = try #require(try deployment.reader(of: "y").snapshot(of: "moody"))
    #expect(try JSON.decode(Moody.State.self, from: snapshot).texts == ["one", "two"])
    try deployment.stop()
  }

  @Test func `a log is refused under another topology than it was written under`() throws {
    let loop = SimulationLoop()
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 7, low: 7), node: "y"))
    func run(_ topology: Topology) throws {
      let log = try MemoryLog(store: store, time: loop) { loop.schedule(after: .microseconds(100), $0) }
      defer { log.close() }
      let network = MemoryNetwork(scheduler: loop, seed: 1)
      let node = try Node(
        .init(topology: topology, node: "y", kinds: try kinds(), linkPatience: .milliseconds(1)), log: log,
        transport: network.transport(for: Node.linkPlan(of: "y", in: topology)), scheduler: loop,
        executor: loop)
      try loop.run {
        try await node.start()
        await node.stop()
      }
    }
    func expectRefused(_ difference: String) {
      #expect {
        try run(try topology(subscribes: false))
      } throws: { error in
        "\(error)"
          == "invalidTopology: the log of node 'y' was written under another topology than 'moods': \(difference); run it "
          + "with the topology file that it began with, and have a changed one applied to what runs "
          + "('hypha topology plan', 'hypha topology apply'), or begin anew with --fresh or another --data"
      }
    }
    try run(try topology())
    try run(try topology())
    // Also the second time: what is refused leaves the outline as it is.
    for _ in 0..<2 { expectRefused("agent 'moody' does not subscribe to test.Note any more") }
    // An outline of something else says nothing of it.
    let log = try MemoryLog(store: store, time: loop) { loop.schedule(after: .microseconds(100), $0) }
    var policy = ObserverPolicy()
    policy.pins = [DirectLink("root", "moody")]
    let other = try DeploymentOutline(topology().replacing(observer: policy))
    try loop.run { _ = try await log.append(LogBatch(snapshots: other.snapshot(in: log))) }
    log.close()
    expectRefused("the log does not say what differs")
    try run(try topology())
  }

  @Test func `a log is refused under a topology that gives its node none of its agents`() throws {
    let deployment = SimulatedDeployment(try topology(), kinds: try kinds(), seed: 1)
    try deployment.start()
    #expect(deployment.runToEnd(limit: .seconds(60)))
    try deployment.stop()
    let others = try Topology(
      name: "moods", nodes: [NodeSpec(id: "x"), NodeSpec(id: "y")],
      agents: [AgentSpec(id: "root", kind: "supervisor", node: "x")])
    let log = try MemoryLog(store: try #require(deployment.stores["y"]), time: deployment.loop)
    let node = try Node(
      .init(topology: others, node: "y", kinds: try kinds()), log: log,
      transport: deployment.network.transport(for: Node.linkPlan(of: "y", in: others)),
      scheduler: deployment.loop, executor: deployment.loop)
    let head = try log.head()
    #expect { try deployment.loop.run { try await node.start() } } throws: {
      "\($0)".hasPrefix(
        "invalidTopology: the log of node 'y' was written under another topology than 'moods': agent 'moody' is gone, agent "
          + "'writer' is gone; ")
    }
    #expect(try log.head() == head)
  }
}
