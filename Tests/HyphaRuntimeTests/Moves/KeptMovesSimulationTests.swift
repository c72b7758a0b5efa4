import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// move-kept, by simulation: agents move between nodes with replicas that lose their disks, among nodes that crash and are cut off.
@Suite struct KeptMovesSimulationTests {
  @Test(arguments: 0..<2)
  func `agents that move are not lost, nor doubled, with the disks of their nodes`(part: Int) throws {
    var (lossCount, moveCount, returnCount) = (0, 0, 0)
    let seeds = seeds(60, part: part, of: 2)
    for seed in seeds {
      var run = try Run(seed: seed)
      try run.play()
      #expect(
        run.violations.isEmpty, "HYPHA_SEED=\(seed): \(run.violations.prefix(4).joined(separator: "; "))")
      guard run.violations.isEmpty else { return }
      lossCount += run.lossCount
      moveCount += run.moveCount
      returnCount += run.returnCount
    }
    guard seeds.count > 1 else { return }
    #expect(lossCount >= seeds.count && moveCount >= seeds.count && returnCount > 0)
  }
}

/// Moves from and to nodes with replicas, one thing at a time.
@Suite struct KeptMovesTests {
  /// `ponger` on x takes what `pinger` on y asks; z holds the copies of x and w.
  private struct Moving {
    let deployment: SimulatedDeployment
    init() throws {
      let replicas = ReplicationSettings(nodes: ["z"], level: 1, within: .seconds(100_000))
      let topology = try Topology(
        name: "moving",
        nodes: [
          NodeSpec(id: "x", replicas: replicas), NodeSpec(id: "w", replicas: replicas), NodeSpec(id: "y"),
          NodeSpec(id: "z"),
        ],
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "y"),
          AgentSpec(id: "pinger", kind: "pinger", node: "y", reportsTo: "root"),
          AgentSpec(
            id: "ponger", kind: "ponger", node: "x", reportsTo: "root",
            subscribes: [Subscription(type: "test.Ping")]),
        ])
      deployment = SimulatedDeployment(
        topology, kinds: try KindRegistry(BuiltInKinds.all + [Pinger.self, Ponger.self]), seed: 1)
      try deployment.start()
    }

    func ping(_ numbers: ClosedRange<Int>) throws {
      for number in numbers { try deployment.publish(Ping(number: number), from: "pinger", to: nil) }
      deployment.run(for: .seconds(2))
    }

    func move() throws {
      _ = try deployment.node("y")?.move("ponger", to: "w", by: "operator", note: nil)
      deployment.run(for: .seconds(4))
    }

    func loseDisk(of node: NodeID) throws {
      deployment.kill(node)
      deployment.loseDisk(of: node)
      _ = try deployment.begin(node)
      deployment.run(for: .seconds(4))
    }

    /// The answers that a node's log has.
    func pongs(_ node: NodeID) throws -> [Int] {
      try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.agent == "ponger" && $0.type == Pong.eventType }.sorted { $0.point < $1.point }
        .map { try Pong.decode($0).number }
    }

    func works(_ node: NodeID) -> Bool { deployment.node(node)?.ownAgents.isEmpty == false }
  }

  @Test func `what an agent has stated since it left is not given back to the node that it has left`() throws
  {
    let moving = try Moving()
    try moving.ping(1...5)
    try moving.move()
    try moving.ping(6...9)
    #expect(try moving.pongs("z") == Array(1...9))
    try moving.loseDisk(of: "x")
    #expect(try moving.pongs("x") == Array(1...5))
    #expect(!moving.works("x") && moving.works("w"))
  }

  @Test func `an agent that has come is begun again though its former node is gone, too`() throws {
    let moving = try Moving()
    try moving.ping(1...5)
    try moving.move()
    try moving.ping(6...9)
    moving.deployment.kill("x")
    try moving.loseDisk(of: "w")
    #expect(moving.works("w"))
    try moving.ping(10...12)
    #expect(try moving.pongs("w") == Array(1...12))
  }

  @Test func `an agent is handed over once replicas have all of it, and not before`() throws {
    let moving = try Moving()
    try moving.ping(1...5)
    moving.deployment.kill("z")
    try moving.move()
    let reader = try moving.deployment.reader(of: "w")
    let lane = Lane(agent: "hypha.node.x", channel: .persistent, target: .addressee("hypha.node.w"))
    #expect(try reader.laneHead(lane) == nil && !moving.works("w") && !moving.works("x"))
    _ = try moving.deployment.begin("z")
    moving.deployment.run(for: .seconds(8))
    #expect(moving.works("w"))
    try moving.ping(6...7)
    #expect(try moving.pongs("z") == Array(1...7))
  }

  @Test(arguments: [false, true]) func `what came back of a move counts where all has that it stands behind`(
    isWhole: Bool
  ) throws {
    let other = Lane(agent: "a", channel: .persistent, target: .type(Pong.eventType))
    var outbox = Outbox(agent: "a", epoch: 1, lanes: [:], policyVersion: 1)
    func record(_ event: some Event) throws -> Record {
      let id = EventID(high: 1, low: outbox.end(of: .persistent).sequence + 1)
      let draft = try Draft(bus: event, to: nil, (id, .zero), because: nil)
      return try Record(outbox.number(draft), payload: draft.payload)
    }
    let pong = try record(Pong(number: 1))
    let handover = Handover(
      epoch: 1, committed: ["persistent": 1], stated: [.init(other, pong.point)], handled: [], retries: [])
    let parts = MoveKept.parts(
      of: Array(try JSON.encode(handover)), AgentMoved(move: 1, agent: "a", from: "x", to: "w"),
      hasArrived: false)
    let records = try (isWhole ? [pong] : []) + parts.map { try record($0) }
    let log = try memoryLog("x").0
    log.submit(LogBatch(appends: records.map { .init($0, source: .received(hops: 1)) })) { _ in }
    #expect(try MoveReading(log).departed.map(\.order.to) == (isWhole ? ["w"] : []))
  }
}

/// Remembers which pings it was given. On every fourth it throws once before, each time that it runs.
private actor Stumbler: Agent {
  struct State: Codable, Equatable { var handled: [Int] = [] }
  static let handles = Handlers(Stumbler.self).on(Ping.self) { stumbler, ping, _ in
    if ping.number % 4 == 0, stumbler.tried.insert(ping.number).inserted {
      throw HyphaError(.failed, "it has stumbled over \(ping.number)")
    }
    stumbler.state.handled.append(ping.number)
  }
  var state = State()
  private var tried: Set<Int> = []
}

/// `abacus`, `stumbler` and `ponger` move between x and w, of which one or both have replicas, and take what `pinger` on y asks; `sink` on y
/// takes what `ponger` answers.
private struct Run {
  private var random: SeededGenerator
  private let topology: Topology
  private let deployment: SimulatedDeployment
  private let replicas: [NodeID]
  private var pings: [EventID] = []
  private var down: Set<NodeID> = []
  /// What agents had stated on a node, and its replicas had, whenever it lost its disk.
  private var kept: Set<Record> = []
  private(set) var lossCount = 0
  private(set) var moveCount = 0
  /// How often a node has begun with agents that had moved to it, or without those that had left it.
  private(set) var returnCount = 0
  private(set) var violations: [String] = []

  private static let movers: [AgentID] = ["abacus", "stumbler", "ponger"]

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed, name: "kept-moves")
    let others = (0..<Int.random(in: 1...3, using: &random)).map { NodeID(unchecked: "r\($0)") }
    replicas = others
    var nodes = others.map { NodeSpec(id: $0) } + [NodeSpec(id: "y")]
    for node in ["x", "w"] as [NodeID] {
      var spec = NodeSpec(id: node)
      // Each may hold the other's copies, too.
      let all = (others + (random.chance(0.3) ? [node == "x" ? "w" : "x"] : [])).shuffled(using: &random)
      let holders = Array(all.prefix(Int.random(in: 1...all.count, using: &random)))
      let isReplicated = random.chance(0.7)
      if node == "x" || isReplicated {
        spec.replicas = ReplicationSettings(
          nodes: holders, level: Int.random(in: 1...holders.count, using: &random), within: .seconds(100_000))
      }
      nodes.append(spec)
    }
    topology = try Topology(
      name: "kept-moves", nodes: nodes,
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(id: "pinger", kind: "pinger", node: "y", reportsTo: "root"),
        AgentSpec(
          id: "abacus", kind: "abacus", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Ping"), Subscription(type: "test.Chime")]),
        AgentSpec(
          id: "ponger", kind: "ponger", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Ping")]),
        AgentSpec(
          id: "stumbler", kind: "stumbler", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Ping")],
          supervision: SupervisionSettings(
            retry: RetryPolicy(initial: .milliseconds(700), cap: .seconds(1), attemptCountMax: 100))),
        AgentSpec(
          id: "sink", kind: "recorder", node: "y", reportsTo: "root",
          subscribes: [Subscription(type: "test.Pong")]),
      ],
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)))
    let faults = MemoryNetwork.Faults(
      loss: random.chance(0.5) ? 0 : Double.random(in: 0...0.2, using: &random),
      duplication: random.chance(0.5) ? 0 : 0.2, delay: .microseconds(100)...(.microseconds(3000)))
    deployment = SimulatedDeployment(
      topology,
      kinds: try KindRegistry(BuiltInKinds.all + [Pinger.self, Abacus.self, Stumbler.self, Ponger.self]),
      seed: seed, faults: faults)
  }

  mutating func play() throws {
    try deployment.start()
    for _ in 0..<Int.random(in: 8...24, using: &random) {
      try step()
      deployment.run(for: .milliseconds(UInt64.random(in: 0...400, using: &random)))
    }
    if moveCount == 0 { try move() }
    if lossCount == 0 { try lose() }
    for first in topology.nodes {
      for second in topology.nodes where first.id < second.id {
        deployment.network.setCut(false, between: first.id, and: second.id)
      }
    }
    for node in topology.nodes.map(\.id) where down.remove(node) != nil { _ = try deployment.begin(node) }
    for _ in 0..<60 where try !isSettled() { deployment.run(for: .seconds(2)) }
    deployment.run(for: .seconds(8))
    try check()
  }

  private func isSettled() throws -> Bool {
    let moves = try moves()
    return try moves.moves.allSatisfy { $0.stage == .arrived || moves.newest(of: $0.order.agent) != $0 }
      && records("y").count { $0.header.type == Pong.eventType && $0.header.agent == "ponger" } >= pings.count
      && state().handled.count >= pings.count
      && stumbled().count >= pings.count
  }

  private func moves() throws -> AgentMoves { try MoveReading(deployment.reader(of: "y")).moves }

  private func home(of agent: AgentID) throws -> NodeID { try moves().newest(of: agent)?.order.to ?? "x" }

  private func state() throws -> Abacus.State {
    try deployment.state(of: "abacus", Abacus.self, in: deployment.reader(of: home(of: "abacus")))
  }

  private func stumbled() throws -> [Int] {
    try deployment.state(of: "stumbler", Stumbler.self, in: deployment.reader(of: home(of: "stumbler")))
      .handled
  }

  private func records(_ node: NodeID) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
  }

  // MARK: What happens

  private mutating func step() throws {
    switch Int.random(in: 0...12, using: &random) {
    case 0...4:
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        // Its node may begin anew just now.
        guard let id = try? deployment.publish(Ping(number: pings.count + 1), from: "pinger", to: nil) else {
          return
        }
        pings.append(id)
      }
    case 5...7: try move()
    case 8:
      let node = (replicas + ["x", "w"]).randomElement(using: &random) ?? "x"
      if down.insert(node).inserted { deployment.kill(node) }
    case 9...10:
      if let node = down.sorted().randomElement(using: &random), down.remove(node) != nil {
        _ = try deployment.begin(node)
      }
    case 11:
      let (first, second) = (
        random.chance(0.5) ? "x" : "w" as NodeID, replicas.randomElement(using: &random) ?? "r0"
      )
      deployment.network.setCut(random.chance(0.6), between: first, and: random.chance(0.7) ? second : "y")
    default: if lossCount < 2 { try lose() }
    }
  }

  private mutating func move() throws {
    let agent = Self.movers.randomElement(using: &random) ?? "abacus"
    let to: NodeID = try home(of: agent) == "x" ? "w" : "x"
    guard try deployment.node("y")?.move(agent, to: to, by: "operator", note: nil) != nil else { return }
    moveCount += 1
  }

  private mutating func lose() throws {
    let (node, settings) =
      ["x", "w"].compactMap { id -> (NodeID, ReplicationSettings)? in
        topology.node(id).flatMap { $0.replicas.nodes.isEmpty ? nil : (id, $0.replicas) }
      }.randomElement(using: &random) ?? ("x", ReplicationSettings())
    // A replica that loses its disk has lost what it held for the other: that is another promise.
    guard !topology.nodes.contains(where: { $0.replicas.nodes.contains(node) }) else { return }
    if down.insert(node).inserted { deployment.kill(node) }
    lossCount += 1
    let copies = try settings.nodes.map { Set(try records($0)) }
    let entries = try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
    for entry in entries where entry.source == .stated && entry.record.channel == .persistent {
      guard Self.movers.contains(entry.record.agent) else { continue }
      if copies.count(where: { $0.contains(entry.record) }) >= settings.level { kept.insert(entry.record) }
    }
    if entries.contains(where: { $0.source == .stated && $0.record.type == .moveKept }) { returnCount += 1 }
    deployment.loseDisk(of: node)
  }

  // MARK: What holds

  private mutating func fail(_ promise: String, _ text: String) { violations.append("\(promise): \(text)") }

  private mutating func check() throws {
    let moves = try moves()
    for move in moves.newest where move.stage != .arrived {
      fail("move-completes", "\(move.order) is \(move.stage)")
    }
    for agent in Self.movers {
      let home = try home(of: agent)
      for node in topology.nodes.map(\.id) {
        let works = deployment.node(node)?.ownAgents.contains { $0.id == agent } ?? false
        if works != (node == home) {
          fail("moved-once", "\(agent) \(works ? "works" : "does not work") on \(node)")
        }
      }
      let log = Set(try records(home))
      let missing = kept.filter { $0.agent == agent && !log.contains($0) }
      if !missing.isEmpty { fail("move-kept", "\(home) misses \(missing.count) events of \(agent)") }
      var opened: [UInt64: Set<EventID>] = [:]
      for record in try topology.nodes.flatMap({ try records($0.id) })
      where record.agent == agent && record.type == AgentActivated.eventType {
        opened[record.epoch, default: []].insert(record.header.id)
      }
      if opened.values.contains(where: { $0.count > 1 }) {
        fail("epoch-opens", "an epoch of \(agent) is used twice")
      }
    }
    try checkWork()
    for node in topology.nodes {
      for finding in try deployment.reader(of: node.id).verify().findings {
        fail("log-sound", "\(node.id): \(finding)")
      }
    }
  }

  private mutating func checkWork() throws {
    let log = try records(home(of: "ponger"))
    let stated = Set(log.filter { $0.type == Pong.eventType && $0.agent == "ponger" })
    let taken = try records("y").filter { $0.type == Pong.eventType && $0.agent == "ponger" }
    // What had not left a replica may have given to y while its node was silent.
    let sound = taken.filter { stated.contains($0) }
    if Set(sound) != stated { fail("persistent-complete", "y has \(sound.count) of \(stated.count) answers") }
    let causes = Dictionary(grouping: sound, by: \.header.causation)
    for ping in pings where causes[ping]?.count != 1 {
      fail("persistent-once", "\(ping) was answered \(causes[ping]?.count ?? 0) times")
    }
    let counts = try state().handled.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
    if let twice = counts.first(where: { $0.value > 1 }) {
      fail("once", "abacus has \(twice.key) \(twice.value) times")
    }
    if try stumbled().sorted() != Array((0...pings.count).dropFirst()) {
      fail("once", "stumbler has \(try stumbled()) of \(pings.count)")
    }
    // Of a commit on too few replicas an answer may have come back, and the state not.
    let missing = (0...pings.count).dropFirst().filter { counts[$0] == nil && $0 % 3 != 0 }
    if !missing.isEmpty { fail("complete", "abacus misses \(missing)") }
  }
}
