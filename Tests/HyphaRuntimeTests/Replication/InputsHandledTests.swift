import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// What a ``Abacus`` gets from itself.
struct Chime: Event, Hashable {
  static let eventType: EventTypeName = "test.Chime"
}

/// Remembers which pings it was given, answers every third one, and lets itself be woken once by a timer.
actor Abacus: Agent {
  struct State: Codable, Equatable {
    var handled: [Int] = []
    var chimeCount = 0
  }
  static let handles = Handlers(Abacus.self)
    .on(Ping.self) { abacus, ping, context in
      abacus.state.handled.append(ping.number)
      if ping.number == 1 { try context.schedule(Chime(), after: .seconds(400)) }
      if ping.number % 3 == 0 { try await context.publish(Pong(number: ping.number)) }
    }
    .on(Chime.self) { abacus, _, _ in abacus.state.chimeCount += 1 }
  static let publishes: [any Event.Type] = [Pong.self, Chime.self]
  var state = State()
}

/// A ``Reckoner`` was woken.
struct Struck: Event, Hashable {
  static let eventType: EventTypeName = "test.Struck"
}

/// Answers every third ping and lets itself be woken for every tenth one; the others it handles without a word. Its state is
/// folded from its own events.
actor Reckoner: Agent {
  struct State: Codable, Equatable {
    var answered: [Int] = []
    var chimeCount = 0
  }
  static let handles = Handlers(Reckoner.self)
    .on(Ping.self) { _, ping, context in
      if ping.number % 10 == 0 { try context.schedule(Chime(), after: .seconds(400)) }
      if ping.number % 3 == 0 { try await context.publish(Pong(number: ping.number)) }
    }
    .on(Chime.self) { _, _, context in try await context.publish(Struck()) }
  static let publishes: [any Event.Type] = [Pong.self, Chime.self, Struck.self]
  static let evolves = Evolution(State.self)
    .on(Pong.self) { $0.answered.append($1.number) }
    .on(Struck.self) { state, _ in state.chimeCount += 1 }
  static let snapshotEvery = 7
  var state = State()
}

/// `abacus` on x takes what `pinger` on y asks; x has replicas among the others.
private struct LostAbacus {
  let deployment: SimulatedDeployment
  let topology: Topology
  /// Whether `abacus` is a ``Reckoner``.
  let isEvolving: Bool

  init(
    replicas: ReplicationSettings, isEvolving: Bool = false, seed: UInt64 = 1,
    faults: MemoryNetwork.Faults = .none
  ) throws {
    self.isEvolving = isEvolving
    topology = try Topology(
      name: "abacus",
      nodes: [NodeSpec(id: "x", replicas: replicas), NodeSpec(id: "y")]
        + replicas.nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "y"),
        AgentSpec(id: "pinger", kind: "pinger", node: "y", reportsTo: "root"),
        AgentSpec(
          id: "abacus", kind: isEvolving ? "reckoner" : "abacus", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Ping"), Subscription(type: "test.Chime")]),
      ],
      membership: MembershipSettings(suspicion: .fixed(after: .milliseconds(600)), downAfter: .seconds(1)))
    deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Pinger.self, Abacus.self, Reckoner.self]),
      seed: seed,
      faults: faults)
  }

  func records(_ node: NodeID) throws -> [Record] {
    try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max).map(\.record)
  }

  func state() throws -> Abacus.State {
    try deployment.state(of: "abacus", Abacus.self, in: deployment.reader(of: "x"))
  }

  func reckoned() throws -> Reckoner.State {
    try deployment.state(of: "abacus", Reckoner.self, in: deployment.reader(of: "x"))
  }

  /// The pings that the state knows of.
  func numbers() throws -> [Int] { try isEvolving ? reckoned().answered : state().handled }

  /// The numbers of the answers that x has, in the order in which they were stated.
  func answers() throws -> [Int] {
    try records("x").filter { $0.header.type == Pong.eventType }.sorted { $0.point < $1.point }
      .map { try Pong.decode($0).number }
  }

  /// How often x says that each ping was handled: without a word, and by an answer.
  func sayings() throws -> [EventID: Int] {
    var counts: [EventID: Int] = [:]
    for record in try records("x") where record.header.agent == "abacus" {
      switch record.header.type {
      case InputsHandled.eventType:
        for id in try InputsHandled.decode(record).inputs { counts[id, default: 0] += 1 }
      case Pong.eventType: counts[record.header.causation, default: 0] += 1
      default: break
      }
    }
    return counts
  }

  /// Lets time pass until the state of `abacus` knows of so many.
  func runUntil(handledCount: Int, limit: Int = 60) throws -> Bool {
    for _ in 0..<limit {
      if try numbers().count >= handledCount { return true }
      deployment.run(for: .seconds(2))
    }
    return try numbers().count >= handledCount
  }
}

/// What an agent has handled without a word, on a node that loses its disk.
@Suite struct InputsHandledTests {
  private static let two = ReplicationSettings(nodes: ["z", "v"], level: 2, within: .seconds(1000))

  @Test
  func
    `after a lost disk an agent has its state and its timers, and is given nothing again that it has handled`()
    throws
  {
    let lost = try LostAbacus(replicas: Self.two)
    let deployment = lost.deployment
    try deployment.start()
    for number in 1...20 { try deployment.publish(Ping(number: number), from: "pinger", to: nil) }
    #expect(try lost.runUntil(handledCount: 20))
    let before = try lost.state()
    for _ in 0..<2 {
      deployment.kill("x")
      deployment.loseDisk(of: "x")
      try deployment.start("x")
      deployment.run(for: .seconds(10))
      #expect(try lost.state() == before)
    }
    for number in 21...25 { try deployment.publish(Ping(number: number), from: "pinger", to: nil) }
    #expect(try lost.runUntil(handledCount: 25))
    deployment.run(for: .seconds(10))
    #expect(try lost.state().handled == Array(1...25))
    let pongs = try lost.records("x").filter { $0.header.type == Pong.eventType }
    #expect(try pongs.map { try Pong.decode($0).number } == [3, 6, 9, 12, 15, 18, 21, 24])
    #expect(try lost.state().chimeCount == 0)
    deployment.run(for: .seconds(500))
    #expect(try lost.state().chimeCount == 1, "its timer came back, and fires once")
    #expect(try deployment.reader(of: "x").verify().findings.isEmpty)
  }

  @Test
  func `after a lost disk an event-sourced agent has its state and its timers, and is given nothing again`()
    throws
  {
    let lost = try LostAbacus(replicas: Self.two, isEvolving: true)
    let deployment = lost.deployment
    try deployment.start()
    var pings: [EventID] = []
    func ping(_ numbers: ClosedRange<Int>) throws {
      for number in numbers {
        pings.append(try deployment.publish(Ping(number: number), from: "pinger", to: nil))
      }
      _ = try lost.runUntil(handledCount: numbers.upperBound / 3)
      deployment.run(for: .seconds(5))
    }
    func check(_ moment: String) throws {
      #expect(try lost.numbers() == Array(stride(from: 3, through: pings.count, by: 3)), "\(moment)")
      #expect(try lost.answers() == lost.numbers(), "\(moment)")
      let sayings = try lost.sayings()
      #expect(pings.allSatisfy { sayings[$0] == 1 } && sayings.count == pings.count, "\(moment): \(sayings)")
    }
    // The newest state that the replicas have is of a ping that was answered, too, and of a silent one; answers come after it.
    for last in [35, 45] {
      try ping(pings.count + 1...last)
      try check("before \(last)")
      let before = try lost.reckoned()
      deployment.kill("x")
      deployment.loseDisk(of: "x")
      try deployment.start("x")
      deployment.run(for: .seconds(10))
      #expect(try lost.reckoned() == before)
      try check("after \(last)")
    }
    try ping(46...52)
    try check("in the end")
    #expect(try lost.reckoned().chimeCount == 0)
    deployment.run(for: .seconds(500))
    #expect(try lost.reckoned().chimeCount == 5, "its timers came back, and each fires once")
    #expect(try deployment.reader(of: "x").verify().findings.isEmpty)
  }

  @Test func `a node without replicas states nothing of it`() throws {
    let lost = try LostAbacus(replicas: ReplicationSettings())
    try lost.deployment.start()
    for number in 1...5 { try lost.deployment.publish(Ping(number: number), from: "pinger", to: nil) }
    #expect(try lost.runUntil(handledCount: 5))
    #expect(try lost.records("x").allSatisfy { $0.header.type != InputsHandled.eventType })
  }

  @Test func `a commit of which an event is missing does not count, unless a later one came back whole`() {
    let ids = (1...4).map { EventID(time: Timestamp(microseconds: UInt64($0)), random: 0) }
    func said(_ sequence: UInt64, beside: Int, _ id: EventID, state: UInt8? = nil) -> (
      point: LanePoint, event: InputsHandled
    ) {
      let event = InputsHandled(of: "a", besideCount: beside, inputs: [id], snapshot: state.map { [$0] })
      return (LanePoint(epoch: 1, sequence: sequence), event)
    }
    func points(_ sequences: UInt64...) -> [AgentID: Set<LanePoint>] {
      ["a": Set(sequences.map { LanePoint(epoch: 1, sequence: $0) })]
    }
    let rows = [said(2, beside: 1, ids[0], state: 1), said(5, beside: 2, ids[1], state: 2)]
    let whole = KeptAgents(.init(points: points(1, 2, 3, 4, 5), said: rows))
    #expect(whole.inputs["a"] == [ids[0], ids[1]] && whole.snapshots["a"] == [2])
    let torn = KeptAgents(.init(points: points(1, 2, 3, 5), said: rows))
    #expect(torn.inputs["a"] == [ids[0]] && torn.snapshots["a"] == [1])
    let early = KeptAgents(.init(points: points(2, 3, 4, 5), said: rows))
    #expect(early.inputs["a"] == [ids[0], ids[1]] && early.snapshots["a"] == [2])
    // One of which an event had gone with a disk was handled anew then, or not yet.
    let returned = KeptAgents(
      .init(points: points(2, 3, 4, 5), said: rows, returns: ["a": [LanePoint(epoch: 1, sequence: 3)]]))
    #expect(returned.inputs["a"] == [ids[1]] && returned.snapshots["a"] == [2])
    let none = KeptAgents(.init(points: points(2, 5), said: rows))
    #expect(none.inputs.isEmpty && none.snapshots.isEmpty)
  }

  @Test func `an older state does not take the place of one that was too large`() {
    let large = [UInt8](repeating: 1, count: InputsHandled.snapshotByteCountMax + 1)
    let rows = [
      (LanePoint(epoch: 1, sequence: 1), InputsHandled(of: "a", besideCount: 0, inputs: [], snapshot: [1])),
      (LanePoint(epoch: 1, sequence: 2), InputsHandled(of: "a", besideCount: 0, inputs: [], snapshot: large)),
    ]
    #expect(KeptAgents(.init(points: [:], said: rows)).snapshots.isEmpty)
  }

  @Test(arguments: [false, true])
  func `whatever crashes, the state has each input once, and what was on n replicas is not handled again`(
    isEvolving: Bool
  )
    throws
  {
    var (lossCount, keptCount) = (0, 0)
    let seeds = seeds(30, part: 0, of: 1)
    for seed in seeds {
      var run = try Run(seed: seed, isEvolving: isEvolving)
      try run.play()
      #expect(
        run.violations.isEmpty, "HYPHA_SEED=\(seed): \(run.violations.prefix(4).joined(separator: "; "))")
      guard run.violations.isEmpty else { return }
      lossCount += run.lossCount
      keptCount += run.kept.count
    }
    guard seeds.count > 1 else { return }
    #expect(lossCount >= seeds.count && keptCount > seeds.count)
  }
}

/// One deployment whose x loses its disk, once or twice, among replicas that crash and are cut off.
private struct Run {
  private var random: SeededGenerator
  private let lost: LostAbacus
  private let replicas: ReplicationSettings
  private var pingCount = 0
  private var down: Set<NodeID> = []
  private(set) var lossCount = 0
  /// The pings that were named on enough replicas whenever x lost its disk, and what the state had of them.
  private(set) var kept: Set<EventID> = []
  private(set) var violations: [String] = []

  init(seed: UInt64, isEvolving: Bool) throws {
    random = SeededGenerator(seed: seed, name: "abacus")
    let others = (0..<Int.random(in: 1...3, using: &random)).map { NodeID(unchecked: "r\($0)") }
    replicas = ReplicationSettings(
      nodes: others, level: Int.random(in: 1...others.count, using: &random), within: .seconds(100_000))
    let faults = MemoryNetwork.Faults(
      loss: random.chance(0.5) ? 0 : Double.random(in: 0...0.2, using: &random),
      duplication: random.chance(0.5) ? 0 : 0.2, delay: .microseconds(100)...(.microseconds(3000)))
    lost = try LostAbacus(replicas: replicas, isEvolving: isEvolving, seed: seed, faults: faults)
  }

  mutating func play() throws {
    let deployment = lost.deployment
    try deployment.start()
    for _ in 0..<Int.random(in: 6...16, using: &random) {
      try step()
      deployment.run(for: .milliseconds(UInt64.random(in: 0...300, using: &random)))
    }
    if lossCount == 0 { try lose() }
    for node in replicas.nodes + ["y"] { deployment.network.setCut(false, between: "x", and: node) }
    for node in lost.topology.nodes.map(\.id) where down.remove(node) != nil {
      _ = try deployment.begin(node)
    }
    _ = try lost.runUntil(handledCount: lost.isEvolving ? pingCount / 3 : pingCount)
    deployment.run(for: .seconds(10))
    try check()
  }

  private mutating func step() throws {
    let deployment = lost.deployment
    switch Int.random(in: 0...9, using: &random) {
    case 0...5:
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        pingCount += 1
        try deployment.publish(Ping(number: pingCount), from: "pinger", to: nil)
      }
    case 6:
      let node = replicas.nodes.randomElement(using: &random) ?? "r0"
      if down.insert(node).inserted { deployment.kill(node) }
    case 7:
      if let node = down.sorted().randomElement(using: &random), down.remove(node) != nil {
        _ = try deployment.begin(node)
      }
    case 8:
      let node = (replicas.nodes + ["y"]).randomElement(using: &random) ?? "y"
      deployment.network.setCut(random.chance(0.5), between: "x", and: node)
    default: if lossCount < 2 { try lose() }
    }
  }

  private mutating func lose() throws {
    let deployment = lost.deployment
    if down.insert("x").inserted { deployment.kill("x") }
    lossCount += 1
    let copies = try replicas.nodes.map { Set(try lost.records($0)) }
    let own = try lost.records("x").filter { $0.header.agent == "abacus" && $0.channel == .persistent }
    for record in own where record.header.type == InputsHandled.eventType {
      let said = try InputsHandled.decode(record)
      // The commit that was on its way may be there in parts.
      let commit = own.filter {
        $0.header.epoch == record.header.epoch && $0.header.sequence <= record.header.sequence
          && $0.header.sequence + UInt64(said.besideCount) >= record.header.sequence
      }
      guard commit.allSatisfy({ event in copies.count { $0.contains(event) } >= replicas.level }) else {
        continue
      }
      kept.formUnion(said.inputs)
    }
    deployment.loseDisk(of: "x")
  }

  private mutating func check() throws {
    let numbers = try lost.numbers()
    let counts = numbers.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
    if let twice = counts.first(where: { $0.value > 1 }) {
      violations.append("once: \(twice.key) is \(twice.value) times in the state")
    }
    // Of a commit on too few replicas an answer may have come back, and the state not.
    let missing = (0...pingCount).dropFirst().filter { counts[$0] == nil && ($0 % 3 == 0) == lost.isEvolving }
    if !missing.isEmpty { violations.append("complete: the state misses \(missing)") }
    if lost.isEvolving, try numbers != lost.answers() {
      violations.append("folded: the state has \(numbers) of \(try lost.answers())")
    }
    // What was named on enough replicas is named once in all that x has now.
    var named: [EventID: Int] = [:]
    for record in try lost.records("x") where record.header.type == InputsHandled.eventType {
      for id in try InputsHandled.decode(record).inputs { named[id, default: 0] += 1 }
    }
    for id in kept where named[id] != 1 {
      violations.append("handled again: \(id) is named \(named[id] ?? 0) times")
    }
    let pongs = try lost.records("x").filter { $0.header.type == Pong.eventType }.map(\.header.causation)
    if Set(pongs).count != pongs.count { violations.append("persistent-once: a ping was answered twice") }
    for node in lost.topology.nodes {
      for finding in try lost.deployment.reader(of: node.id).verify().findings {
        violations.append("log-sound: \(node.id): \(finding)")
      }
    }
  }
}
