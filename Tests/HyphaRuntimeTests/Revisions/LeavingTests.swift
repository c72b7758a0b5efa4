import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization
import Testing

@testable import HyphaRuntime

/// `p` on z counts for all who take its ticks, until a file has z no more; `desk` on x leads it, and `t` on y is below the root.
private final class LeavingOffice {
  /// What a file says beside that.
  struct File {
    var nodes: [NodeSpec] = ["hub", "x", "y", "z"].map { NodeSpec(id: $0) }
    /// The agents that take all ticks.
    var takers: Set<AgentID> = ["t"]
    /// How often `p` ticks, in milliseconds, and how many times.
    var (every, count): (Int64, Int64) = (5, 300)
    /// Whether `desk` is told afterwards of ticks.
    var isOverseen = false
    /// The same without z.
    var withoutZ: File {
      var file = self
      file.nodes = nodes.filter { $0.id != "z" }.map { node in
        var node = node
        node.replicas.nodes.removeAll { $0 == "z" }
        node.replicas.level = min(node.replicas.level, node.replicas.nodes.count)
        return node
      }
      return file
    }
  }

  let deployment: SimulatedDeployment
  private let texts = TopologyTexts()
  private let first: Topology
  private let plannedCount: Int
  private var revision: UInt32 = 1

  init(
    _ file: File, seed: UInt64 = 7, faults: MemoryNetwork.Faults = .none,
    notary: (@Sendable (NodeID) -> any Notary)? = nil
  ) throws {
    (first, plannedCount) = (try Self.topology(file), Int(file.count))
    deployment = SimulatedDeployment(
      first, kinds: try KindRegistry(BuiltInKinds.all + [Beater.self, TickTaker.self]), seed: seed,
      faults: faults, notary: notary)
    deployment.file = try texts.file(first)
    try deployment.start()
    deployment.run(for: .seconds(1))
  }

  private static func topology(_ file: File) throws -> Topology {
    var agents = [
      AgentSpec(id: "root", kind: "supervisor", node: "hub"),
      RevisionScenario.tally("desk", "x", under: "root", takesAll: file.takers.contains("desk")),
      RevisionScenario.tally("t", "y", under: "root", takesAll: file.takers.contains("t")),
      RevisionScenario.pulse("q", "x", under: "root", to: ["t"]),
    ]
    if file.nodes.contains(where: { $0.id == "z" }) {
      let settings: [String: JSONValue] = [
        "to": .array([]), "count": .integer(file.count), "every": .integer(file.every),
      ]
      agents.append(
        AgentSpec(id: "p", kind: Beater.kind, node: "z", reportsTo: "desk", settings: .object(settings)))
    }
    if file.isOverseen {
      // Who oversees leads somebody in each file.
      agents.append(RevisionScenario.pulse("r", "y", under: "desk", to: []))
    }
    return try Topology(
      name: "leaving", nodes: file.nodes, agents: agents,
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)),
      oversight: file.isOverseen
        ? [OversightRule(RevisionTick.eventType, by: "desk", .after, every: .seconds(100_000))] : [])
  }

  func apply(_ file: File) throws {
    let text = try texts.text(Self.topology(file))
    _ = try deployment.node("hub")?.apply(text, after: revision, by: "ana", note: nil)
    revision += 1
  }

  var hasLeft: Bool { deployment.left.contains("z") }

  /// Lets time pass until z has left, and all that is for somebody was handled.
  func end() throws {
    #expect(
      deployment.runToEnd(limit: .seconds(120)), "\(deployment.summary().nodes.map { ($0.node, $0.notes) })")
    #expect(hasLeft)
  }

  func records(_ node: NodeID, _ type: EventTypeName, by agent: AgentID? = nil) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
      .filter { $0.type == type && (agent == nil || $0.agent == agent) }
  }

  /// The numbers of the ticks of `p` that an agent on a node has taken, in its order.
  func taken(by agent: AgentID, on node: NodeID) throws -> [Int] {
    try records(node, TickTaken.eventType, by: agent).sorted { $0.point < $1.point }
      .map { try TickTaken.decode($0) }.filter { $0.author == "p" }.map(\.index)
  }

  /// All promises about files, from all logs; and that who takes the ticks of `p` has all that z has stated.
  func check(takers: [(AgentID, NodeID)] = [("t", "y")]) throws {
    try deployment.stop()
    let logs = try ["hub", "x", "y", "z"].map { NodeID(unchecked: $0) }.reduce(into: [:]) { logs, node in
      logs[node] = try deployment.reader(of: node)
    }
    let checker = try RevisionChecker(logs, first: first, file: deployment.file!, left: deployment.left)
    #expect(checker.violations.isEmpty, "\(checker.violations)")
    let count = try records("z", RevisionTick.eventType, by: "p").count
    #expect(count > 50 && count < plannedCount, "it was at work when it left: \(count)")
    for (agent, node) in takers { #expect(try taken(by: agent, on: node) == Array(0..<count), "\(agent)") }
  }
}

/// What becomes of those who need a node that leaves.
@Suite struct LeavingTests {
  private typealias File = LeavingOffice.File

  private func file(_ replicas: [NodeID: ReplicationSettings]) -> File {
    var file = File()
    for index in file.nodes.indices {
      if let settings = replicas[file.nodes[index].id] { file.nodes[index].replicas = settings }
    }
    return file
  }

  private func settings(_ nodes: [NodeID]) -> ReplicationSettings {
    ReplicationSettings(nodes: nodes, level: nodes.count, within: .seconds(1000))
  }

  @Test func `whose replica leaves goes on with the others, which have all`() throws {
    let file = file(["x": settings(["y", "z"])])
    let office = try LeavingOffice(file)
    try office.apply(file.withoutZ)
    try office.end()
    try office.check()
    let before = Set(try office.records("x", RevisionTick.eventType, by: "q"))
    #expect(before.count == 600)
    #expect(try Set(office.records("y", RevisionTick.eventType, by: "q")) == before)
  }

  @Test func `all begin at once, one of them without its disk, though its replica has left`() throws {
    for seed in seeds(4) {
      let office = try LeavingOffice(file(["x": settings(["y", "z"])]), seed: seed)
      try office.apply(file(["x": settings(["y", "z"])]).withoutZ)
      try office.end()
      let before = Set(try office.records("x", RevisionTick.eventType, by: "q"))
      try office.deployment.stop()
      office.deployment.loseDisk(of: "x")
      try office.deployment.start()
      try office.end()
      let after = Set(try office.records("x", RevisionTick.eventType, by: "q"))
      #expect(after.isSuperset(of: before) && !before.isEmpty, "HYPHA_SEED=\(seed)")
      try office.deployment.stop()
    }
  }

  @Test(arguments: [0, 1]) func `a node with replicas leaves once they have all, too`(level: Int) throws {
    var file = file(["z": ReplicationSettings(nodes: ["y"], level: level, within: .seconds(1000))])
    file.takers = []
    // Nobody else takes anything of it. Where nothing waits for it, it lags by many round trips.
    let delay = Duration.milliseconds(level == 0 ? 20 : 0)
    if level == 0 { (file.every, file.count) = (1, 20_000) }
    let office = try LeavingOffice(file, faults: MemoryNetwork.Faults(delay: delay...delay))
    let deployment = office.deployment
    deployment.network.setCut(true, between: "y", and: "z")
    deployment.run(for: .seconds(4))
    try office.apply(file.withoutZ)
    deployment.run(for: .seconds(20))
    #expect(!office.hasLeft && deployment.node("z")?.topology.revision == 2)
    deployment.network.setCut(false, between: "y", and: "z")
    try office.end()
    let stated = Set(try office.records("z", RevisionTick.eventType, by: "p"))
    #expect(try Set(office.records("y", RevisionTick.eventType, by: "p")) == stated)
    try office.check(takers: [])
  }

  @Test func `a node that loses its disk while it leaves has back from its replicas what others wait for`()
    throws
  {
    let file = file(["z": settings(["y"])])
    let office = try LeavingOffice(file)
    let deployment = office.deployment
    // Who lacks something of it is away, so that it cannot leave yet.
    deployment.kill("x")
    deployment.run(for: .milliseconds(100))
    try office.apply(file.withoutZ)
    deployment.run(for: .seconds(10))
    #expect(!office.hasLeft && deployment.node("z")?.topology.revision == 2)
    let before = try office.records("z", RevisionTick.eventType, by: "p")
    deployment.kill("z")
    deployment.loseDisk(of: "z")
    _ = try deployment.begin("z")
    deployment.run(for: .seconds(10))
    #expect(try office.records("z", RevisionTick.eventType, by: "p") == before)
    #expect(!office.hasLeft)
    try deployment.start("x")
    try office.end()
    try office.check()
  }

  @Test(arguments: [false, true])
  func `what a node has stated that leaves is confirmed by its key before it goes`(isLossy: Bool) throws {
    let faults = MemoryNetwork.Faults(loss: 0.1, duplication: 0.1, delay: .zero ... .milliseconds(20))
    let office = try LeavingOffice(File(), faults: isLossy ? faults : .none) { TestNotary($0) }
    let deployment = office.deployment
    // One has the events by way of others, and no word about them.
    try office.apply(File().withoutZ)
    var unchecked: UInt64 = 0
    for _ in 0..<2000 where !office.hasLeft {
      deployment.run(for: .milliseconds(10))
      let wasReleased = try !office.records("y", NodeReleased.eventType, by: NodeID("y").author).isEmpty
      guard wasReleased, deployment.node("z") != nil else { continue }
      unchecked = max(unchecked, deployment.node("y")?.status().uncheckedEventCount ?? 0)
    }
    #expect(unchecked == 0, "\(unchecked) are confirmed by nobody")
    try office.end()
    deployment.run(for: .seconds(10))
    for node in deployment.nodes {
      let status = node.status()
      #expect(status.uncheckedEventCount == 0 && status.contradictedLaneCount == 0, "\(status.node)")
      #expect(!status.notes.contains { $0.contains("'z'") }, "\(status.notes)")
    }
    for node in ["hub", "x", "y", "z"] as [NodeID] {
      #expect(try deployment.reader(of: node).verify().findings.isEmpty)
    }
    try office.check()
  }

  @Test func `what came by way of others is not taken for confirmed while the log has just shown it`() throws
  {
    var file = File()
    // Each tick is confirmed before the next one.
    let every: Int64 = 250
    (file.every, file.count) = (every, 1000)
    let office = try LeavingOffice(file) { TestNotary($0) }
    let y = try #require(office.deployment.node("y"))
    let (auditor, loop) = (try #require(y.auditor), office.deployment.loop)
    let lane = Lane(agent: "p", channel: .persistent, target: .type(RevisionTick.eventType))
    let seen = Mutex((count: UInt64.max, newCount: 0, confirmedCount: 0, awaitedCount: 0))
    /// Returns when to look again: just before the next tick comes.
    @Sendable func look() -> Duration {
      let count = (try? y.log.laneHead(lane))??.count ?? 0
      let isAwaited = auditor.awaits("z")
      return seen.withLock { seen in
        let isNew = count > seen.count
        seen.count = count
        if isNew {
          seen.newCount += 1
          if isAwaited { seen.awaitedCount += 1 }
        } else if !isAwaited {
          seen.confirmedCount += 1
        }
        return .milliseconds(isNew ? every - 5 : 0)
      }
    }
    // It is committed ahead of what has come from others, in one group: the log shows all of that, and has told nobody yet.
    @Sendable func lookAgain() {
      y.log.submit(LogBatch(priority: .urgent)) { result in
        // It ends with the node.
        guard case .success = result else { return }
        loop.schedule(after: look(), lookAgain)
      }
    }
    lookAgain()
    office.deployment.run(for: .seconds(6))
    let (_, newCount, confirmedCount, awaitedCount) = seen.withLock { $0 }
    #expect(newCount >= 20 && confirmedCount > newCount, "\(newCount) \(confirmedCount)")
    #expect(awaitedCount == newCount, "\(awaitedCount) of \(newCount)")
    try office.deployment.stop()
  }

  @Test func `what a full log could not take is not waited for for ever`() throws {
    var file = File()
    (file.every, file.count) = (250, 1000)
    let office = try LeavingOffice(file) { TestNotary($0) }
    let deployment = office.deployment
    let y = try #require(deployment.node("y"))
    let auditor = try #require(y.auditor)
    deployment.stores["y"]?.setFull(true)
    deployment.run(for: .seconds(1))
    #expect(y.status().notes.contains { $0.contains("is full") }, "\(y.status().notes)")
    deployment.stores["y"]?.setFull(false)
    deployment.run(for: .seconds(5))
    #expect(deployment.node("y") === y && y.status().uncheckedEventCount <= 1)
    // Each tick is confirmed before the next one.
    let isConfirmed = deployment.loop.run(until: { !auditor.awaits("z") }, limit: .seconds(1))
    #expect(isConfirmed)
    try deployment.stop()
  }

  @Test(arguments: [false, true])
  func `the last digests of a node that leaves come to who oversees its agents`(crashes: Bool) throws {
    var file = File()
    file.isOverseen = true
    let office = try LeavingOffice(file)
    let deployment = office.deployment
    if crashes { deployment.kill("x") }
    try office.apply(file.withoutZ)
    if crashes {
      for pause in [2, 10, 30, 60, 200, 400] as [Int64] {
        deployment.run(for: .milliseconds(pause))
        deployment.kill("z")
        _ = try deployment.begin("z")
      }
      deployment.run(for: .seconds(10))
      #expect(!office.hasLeft, "the one who oversees has not got its digests")
      try deployment.start("x")
    }
    try office.end()
    let digests = try office.records("x", OversightDigest.eventType, by: NodeID("z").author)
      .map { try OversightDigest.decode($0) }
    let told = digests.flatMap(\.agents).filter { $0.agent == "p" }.reduce(0) { $0 + $1.count }
    #expect(digests.allSatisfy { $0.by == "desk" && $0.node == "z" })
    #expect(told == UInt64(try office.records("z", RevisionTick.eventType, by: "p").count))
    let handled = try deployment.reader(of: "x").cursor(CursorKey(agent: "desk", channel: .persistent))
    #expect((handled?.handledCount ?? 0) >= UInt64(digests.count))
    try office.check()
  }

  @Test func `who comes to take its events while it leaves has all of them`() throws {
    var file = File()
    file.takers = []
    let office = try LeavingOffice(file)
    let deployment = office.deployment
    deployment.kill("x")
    try office.apply(file.withoutZ)
    deployment.run(for: .seconds(10))
    let count = try office.records("z", RevisionTick.eventType, by: "p").count
    #expect(try !office.hasLeft && office.records("y", RevisionTick.eventType, by: "p").isEmpty)
    #expect(try !office.records("z", NodeReleased.eventType, by: NodeID("y").author).isEmpty)
    // It has released z under the file before, and wants more by this one.
    file.takers = ["t"]
    try office.apply(file.withoutZ)
    deployment.network.setCut(true, between: "y", and: "z")
    deployment.run(for: .seconds(5))
    try deployment.start("x")
    deployment.run(for: .seconds(10))
    #expect(!office.hasLeft, "y has nothing yet")
    deployment.network.setCut(false, between: "y", and: "z")
    try office.end()
    #expect(try office.taken(by: "t", on: "y") == Array(0..<count))
    try office.check()
  }

  @Test func `who comes to take its events when it has left has them from those who took them`() throws {
    var file = File()
    file.takers = ["desk"]
    let office = try LeavingOffice(file)
    try office.apply(file.withoutZ)
    try office.end()
    file.takers = ["desk", "t"]
    try office.apply(file.withoutZ)
    office.deployment.run(for: .seconds(5))
    try office.end()
    try office.check(takers: [("desk", "x"), ("t", "y")])
  }
}
