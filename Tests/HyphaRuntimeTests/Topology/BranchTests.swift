import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// What becomes of a branch whose supervisor's node dies, in whole deployments under a simulated clock.
@Suite struct BranchTests {
  /// `head` on mid leads `gen` on far; the root is on top, and `aide` on side stands beside the head.
  private func deployment(
    event: String, mode: OversightRule.Mode? = nil, standby: AgentID? = nil, isObserved: Bool = true,
    to addressee: AgentID? = nil, count: Int64 = 4000
  ) throws -> SimulatedDeployment {
    var policy = ObserverPolicy()
    if isObserved { (policy.node, policy.mode) = ("top", .off) }
    let type: EventTypeName =
      event == "signal" ? "load.Signal" : event == "alarm" ? "load.Alarm" : "load.Entry"
    let takes = [Subscription(type: type)]
    var settings: [String: JSONValue] = [
      "event": .string(event), "count": .integer(count), "every": .integer(10),
    ]
    if let addressee { settings["to"] = .array([.string(addressee.text)]) }
    let topology = try Topology(
      name: "branches", nodes: ["top", "mid", "far", "side"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "recorder", node: "top", subscribes: takes),
        AgentSpec(id: "head", kind: "recorder", node: "mid", reportsTo: "root", standby: standby),
        AgentSpec(id: "aide", kind: "recorder", node: "side", reportsTo: "root", subscribes: takes),
        AgentSpec(
          id: "gen", kind: "generator", node: "far", reportsTo: "head",
          settings: .object(settings)),
        AgentSpec(
          id: "low", kind: "recorder", node: "mid", reportsTo: "head",
          subscribes: addressee == nil ? [] : takes),
      ], alerts: AlertSettings(deadline: .seconds(1), redelivery: .milliseconds(200)),
      membership: MembershipSettings(suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(2)),
      observer: policy, oversight: mode.map { [OversightRule(type, by: "head", $0)] } ?? [])
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 7,
      commitDelay: .milliseconds(2)...(.milliseconds(2)))
    try deployment.start()
    deployment.run(for: .seconds(2))
    return deployment
  }

  private func entries<E: Event>(_ type: E.Type, _ deployment: SimulatedDeployment, _ node: NodeID) throws
    -> [(event: E, entry: LogEntry)]
  {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      .filter { $0.record.header.type == E.eventType }.map { (try E.decode($0.record), $0) }
  }

  private func attachments(_ deployment: SimulatedDeployment, _ node: NodeID) -> [AgentID: AgentID] {
    let live = deployment.node(node)?.desks.topology.state.withLock { $0.live }
    return Dictionary((live?.attachments ?? []).map { ($0.attachment.supervisor, $0.attachment.to) }) { $1 }
  }

  /// The realtime events that agents of a node were given.
  private func delivered(_ deployment: SimulatedDeployment, _ node: NodeID) -> UInt64 {
    deployment.node(node)?.status().channels["realtime"]?.latency.count ?? 0
  }

  @Test(arguments: [true, false])
  func `realtime events of a branch flow again some seconds after its supervisor's node has died`(
    isObserved: Bool
  ) throws {
    for standby in [nil, "aide"] as [AgentID?] {
      let deployment = try deployment(event: "signal", standby: standby, isObserved: isObserved)
      let begun = delivered(deployment, "top")
      #expect(begun > 50)
      deployment.kill("mid")
      // Until it counts as down nothing comes through.
      deployment.run(for: .seconds(1))
      let atDeath = delivered(deployment, "top")
      deployment.run(for: .seconds(5))
      let attached = delivered(deployment, "top")
      #expect(attached > atDeath + 100, "\(attached - atDeath) of 500")
      let seat: NodeID = "top"
      for node in [seat, "far", "side"] {
        #expect(attachments(deployment, node) == ["head": standby ?? "root"], "\(node)")
      }
      let down = try #require(try entries(NodeDown.self, deployment, seat).first { $0.event.node == "mid" })
      let change = try #require(try entries(LinksChanged.self, deployment, seat).first)
      #expect(change.entry.record.causation == down.entry.record.id)
      // All of the time that follows.
      deployment.run(for: .seconds(4))
      #expect(delivered(deployment, "top") >= attached + 390)
      // Back, it has its branch when it has stayed, and nothing is missed meanwhile.
      _ = try deployment.begin("mid")
      deployment.run(for: .seconds(1))
      #expect(attachments(deployment, "far") == ["head": standby ?? "root"], "not at once")
      let before = delivered(deployment, "top")
      deployment.run(for: .seconds(6))
      for node in [seat, "far", "side", "mid"] { #expect(attachments(deployment, node) == [:], "\(node)") }
      #expect(delivered(deployment, "top") >= before + 590, "make before break")
      let changes = try entries(LinksChanged.self, deployment, seat)
      #expect(changes.count == 2 && changes[1].event.attachments?.returned == ["head"])
      let relayed = deployment.node("mid")?.status().relayed["head"] ?? 0
      deployment.run(for: .seconds(1))
      #expect((deployment.node("mid")?.status().relayed["head"] ?? 0) > relayed, "it relays again")
      try deployment.stop()
    }
  }

  /// Up for 1.5 s at a time and away for less than is noticed: with `downAfter` of 2 s it has never stayed, however long it takes
  /// until its next start is noticed.
  @Test(arguments: [500, 525, 700, 900])
  func `a node that comes and goes does not rewire the network`(pause: Int) throws {
    let deployment = try deployment(event: "signal")
    deployment.kill("mid")
    deployment.run(for: .seconds(4))
    for _ in 0..<6 {
      _ = try deployment.begin("mid")
      deployment.run(for: .milliseconds(1500))
      deployment.kill("mid")
      deployment.run(for: .milliseconds(pause))
    }
    #expect(try entries(LinksChanged.self, deployment, "top").count == 1)
    #expect(attachments(deployment, "far") == ["head": "root"])
    deployment.kill("far")
    try deployment.stop()
  }

  @Test(arguments: [OversightRule.Mode.in, .parallel])
  func `what a dead supervisor oversees waits for it, and passes nobody else`(_ mode: OversightRule.Mode)
    throws
  {
    let deployment = try deployment(event: "entry", mode: mode, count: 400)
    func count(_ node: NodeID) throws -> Int {
      try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
        .count { $0.record.agent == "gen" && $0.record.type == "load.Entry" }
    }
    #expect(try count("mid") > 50)
    deployment.kill("mid")
    deployment.run(for: .seconds(10))
    #expect(attachments(deployment, "far") == ["head": "root"])
    #expect(try count("mid") < 400)
    // Those who are overseen `in` reach nobody, and no node beyond has a byte of them.
    #expect(try count("top") == (mode == .in ? 0 : 400) && count("side") == (mode == .in ? 0 : 400))
    _ = try deployment.begin("mid")
    deployment.run(for: .seconds(10))
    #expect(try count("mid") == 400 && count("top") == (mode == .in ? 0 : 400))
    #expect(deployment.runToEnd(limit: .seconds(60)))
    try deployment.stop()
  }

  @Test func `alerts that escalate to a dead supervisor go on up at their deadline`() throws {
    let deployment = try deployment(event: "alarm", to: "low", count: 1000)
    deployment.kill("mid")
    deployment.run(for: .seconds(8))
    let escalated = try entries(AlertEscalated.self, deployment, "far").map { $0.entry.record.addressee }
    #expect(escalated.contains("head") && escalated.contains("root"), "\(Set(escalated))")
    #expect(try entries(AlertEscalated.self, deployment, "top").count > 10, "they come to the root")
    _ = try deployment.begin("mid")
    #expect(deployment.runToEnd(limit: .seconds(120)))
    try deployment.stop()
  }

  @Test func `the node that decides takes a dead branch up where it left it`() throws {
    let deployment = try deployment(event: "entry", standby: "aide", count: 100_000)
    deployment.kill("mid")
    deployment.run(for: .seconds(4))
    #expect(attachments(deployment, "far") == ["head": "aide"])
    deployment.kill("top")
    deployment.run(for: .milliseconds(500))
    _ = try deployment.begin("top")
    deployment.run(for: .seconds(12))
    #expect(
      attachments(deployment, "top") == ["head": "aide"] && attachments(deployment, "far") == ["head": "aide"]
    )
    #expect(try entries(LinksChanged.self, deployment, "far").count == 1, "nothing was stated twice")
    // The standby goes, too: then it is the root.
    deployment.kill("side")
    deployment.run(for: .seconds(4))
    #expect(attachments(deployment, "far") == ["head": "root"])
    for node in ["mid", "side"] as [NodeID] { _ = try deployment.begin(node) }
    deployment.run(for: .seconds(8))
    #expect(attachments(deployment, "far") == [:])
    deployment.kill("far")
    try deployment.stop()
  }
}
