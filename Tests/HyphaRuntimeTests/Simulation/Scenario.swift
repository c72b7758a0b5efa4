import Foundation
import HyphaCore
import HyphaKinds
import HyphaRuntime
import HyphaTopology
import HyphaTransport

/// One simulated run: who is there, what they do, and what goes wrong when. All of it follows from a seed.
struct Scenario {
  enum Action {
    case kill(NodeID)
    case begin(NodeID)
    case cut(Bool, NodeID, NodeID)
    case full(Bool, NodeID)
    case faults(MemoryNetwork.Faults)
    /// An operator asks at a node for a change of the topology.
    case ask(NodeID, LinkRule)
    /// An operator asks at a node for an agent to be moved.
    case move(AgentID, to: NodeID, at: NodeID)
  }

  /// How much goes wrong.
  enum Weather { case calm, lossy, stormy }

  let seed: UInt64
  let name: String
  let topology: Topology
  let faults: MemoryNetwork.Faults
  let commitDelay: ClosedRange<Duration>
  /// What goes wrong, in the order of time.
  let actions: [(at: UInt64, action: Action)]
  /// The recording that the trace agents act out: index, from, to.
  let recording: [(from: AgentID, to: AgentID)]
  let failOneIn: UInt64
  let isBranching: Bool

  /// - Parameters:
  ///   - isLive: whether the topology is observed, and changed while the run goes on.
  ///   - isReplicated: whether nodes have replicas.
  ///   - isMoving: whether agents are moved while the run goes on.
  ///   - isSharing: whether agents share values, and others read them.
  ///   - hasStandby: whether the observer's seat has a standby, and both are away now and then.
  ///   - isBranching: whether supervisors have standbys, and their nodes are away for long.
  init(
    seed: UInt64, weather: Weather = .stormy, isLive: Bool = false, isReplicated: Bool = false,
    isMoving: Bool = false, isSharing: Bool = false, hasStandby: Bool = false, isBranching: Bool = false
  ) throws {
    var maker = ScenarioMaker(seed: seed, isWatchful: hasStandby || isBranching)
    self.seed = seed
    self.isBranching = isBranching
    name = "\(seed)-\(UUID().uuidString)"
    failOneIn = maker.chance(50) ? 0 : maker.number(in: 2...9)
    var drawn = try maker.topology(run: name, failOneIn: failOneIn)
    if isSharing { drawn.0 = try maker.shared(drawn.0) }
    if isBranching { drawn.0 = try maker.branching(drawn.0) }
    recording = drawn.1
    topology =
      isReplicated
      ? try maker.replicated(drawn.0)
      : isLive ? try maker.observed(drawn.0, hasStandby: hasStandby) : drawn.0
    faults = weather == .calm ? .none : maker.faults()
    let commit = maker.number(in: 20...3000)
    commitDelay = .microseconds(commit)...(.microseconds(commit + maker.number(in: 0...2000)))
    var storm = weather == .stormy ? maker.storm(over: topology.nodes.map(\.id)) : []
    if hasStandby { storm = maker.absences(of: topology.observer.seats, in: topology, among: storm) }
    if isBranching { storm = maker.deaths(in: topology, among: storm) }
    let wishes = isLive ? maker.wishes(topology, among: storm) : storm
    actions = isMoving ? maker.moves(topology, among: wishes) : wishes
  }

  /// All kinds that a scenario may have.
  static var kinds: KindRegistry {
    get throws {
      try KindRegistry(
        BuiltInKinds.all + [Watcher.self, Chief.self, Sharer.self, BoardReader.self, BoardFollower.self])
    }
  }

  /// Removes the recording that the agents act out.
  func removeFiles() { try? FileManager.default.removeItem(atPath: ScenarioMaker.path(of: name)) }
}

/// Draws the parts of a ``Scenario``.
struct ScenarioMaker {
  private var random: SeededGenerator
  /// How nodes watch each other: half of the deployments hardly bear any silence.
  private let membership: MembershipSettings
  /// Where chance wants it, a node that is away for so long that others do without it, in microseconds.
  private let longAbsence: (at: UInt64, length: UInt64, number: UInt64)?

  init(seed: UInt64, isWatchful: Bool = false) {
    random = SeededGenerator(seed: seed, name: "scenario")
    var watching = SeededGenerator(seed: seed, name: "membership")
    let after = Duration.milliseconds(UInt64.random(in: 600...1500, using: &watching))
    membership =
      watching.chance(0.5) || isWatchful
      ? MembershipSettings(suspicion: .fixed(after: after), downAfter: after * 2) : MembershipSettings()
    longAbsence =
      watching.chance(0.3)
      ? (
        UInt64.random(in: 0...400_000, using: &watching),
        UInt64.random(in: 1_000_000...5_000_000, using: &watching), watching.next()
      ) : nil
  }

  mutating func number(in range: ClosedRange<UInt64>) -> UInt64 { UInt64.random(in: range, using: &random) }
  mutating func chance(_ percent: UInt64) -> Bool { number(in: 0...99) < percent }
  mutating func one<Element>(of elements: [Element]) -> Element {
    elements[Int(number(in: 0...UInt64(elements.count - 1)))]
  }

  mutating func faults() -> MemoryNetwork.Faults {
    let low = number(in: 20...400)
    let high = low + (chance(60) ? number(in: 0...6000) : 0)
    return MemoryNetwork.Faults(
      loss: chance(30) ? 0 : Double(number(in: 0...30)) / 100,
      duplication: chance(40) ? 0 : Double(number(in: 0...30)) / 100,
      delay: .microseconds(low)...(.microseconds(high)))
  }

  // MARK: Who is there

  mutating func topology(run: String, failOneIn: UInt64) throws
    -> (Topology, [(from: AgentID, to: AgentID)])
  {
    let nodes = (0..<number(in: 2...6)).map { NodeID(unchecked: "n\($0)") }
    var agents = [supervisor("root", on: one(of: nodes), under: nil)]
    for number in 0..<number(in: 1...3) {
      agents.append(supervisor(AgentID(unchecked: "sup\(number)"), on: one(of: nodes), under: "root"))
    }
    let supervisors = agents.map(\.id)
    let takers = (0..<number(in: 1...3)).map { AgentID(unchecked: "rec\($0)") }
    let watchers = (0..<number(in: 1...2)).map { AgentID(unchecked: "watch\($0)") }
    let generators = (0..<number(in: 1...4)).map { AgentID(unchecked: "gen\($0)") }
    for id in takers {
      agents.append(
        AgentSpec(
          id: id, kind: "recorder", node: one(of: nodes), reportsTo: one(of: supervisors),
          subscribes: subscriptions(
            [
              "load.Entry", "load.Alarm", "load.Signal", "hypha.HandlerFailed", "hypha.AgentActivated",
              "hypha.NodeSuspected", "hypha.NodeDown", "hypha.NodeReturned",
            ],
            generators)))
    }
    for id in watchers {
      agents.append(
        AgentSpec(
          id: id, kind: "watcher", node: one(of: nodes), reportsTo: one(of: supervisors),
          subscribes: subscriptions(
            ["load.Entry", "load.Alarm", "load.Signal", "test.Echo", "test.Bell"], generators),
          settings: .object(["run": .string(run), "failOneIn": .integer(Int64(failOneIn))]),
          supervision: supervision()))
    }
    for id in generators {
      agents.append(generator(id, on: one(of: nodes), under: one(of: supervisors), to: takers + watchers))
    }
    let (resources, recording) = try trace(run: run)
    for id in resources {
      agents.append(
        AgentSpec(
          id: id, kind: "trace", node: one(of: nodes), reportsTo: one(of: supervisors),
          settings: .object([
            "file": .string(Self.path(of: run)), "speed": .integer(chance(50) ? 0 : 40),
          ])))
    }
    agents.shuffle(using: &random)
    let alerts = AlertSettings(
      deadline: .milliseconds(number(in: 50...3000)), redelivery: .milliseconds(number(in: 10...1000)))
    let topology = try Topology(
      name: "run", nodes: nodes.map { NodeSpec(id: $0) }, agents: agents, alerts: alerts,
      membership: membership)
    return (topology, recording)
  }

  /// The same topology with agents that share values and others that read them, with and without a handler for them.
  mutating func shared(_ topology: Topology) throws -> Topology {
    let nodes = topology.nodes.map(\.id)
    let supervisors = topology.agents.filter { ["supervisor", Chief.kind].contains($0.kind) }.map(\.id)
    var agents = topology.agents
    for index in 0..<number(in: 1...3) {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "share\(index)"), kind: Sharer.kind, node: one(of: nodes),
          reportsTo: one(of: supervisors),
          settings: .object([
            "count": .integer(Int64(number(in: 1...40))), "every": .integer(Int64(number(in: 0...20))),
          ])))
    }
    for index in 0..<number(in: 1...4) {
      let subjects: Pattern = chance(30) ? "board.1" : .everything
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "look\(index)"), kind: chance(60) ? BoardReader.kind : BoardFollower.kind,
          node: one(of: nodes), reportsTo: one(of: supervisors),
          subscribes: [Subscription(type: Board.eventType, subjects: subjects)],
          settings: .object([
            "count": .integer(Int64(number(in: 1...20))), "every": .integer(Int64(number(in: 1...30))),
          ])))
    }
    return try Topology(
      name: topology.name, nodes: topology.nodes, agents: agents, alerts: topology.alerts,
      membership: topology.membership)
  }

  /// The same topology with an observer that changes links on little evidence.
  mutating func observed(_ topology: Topology, hasStandby: Bool = false) throws -> Topology {
    var policy = ObserverPolicy()
    policy.node = one(of: topology.nodes).id
    policy.charge = 1
    policy.halfLife = 4
    policy.agentLinks = Int(number(in: 1...4))
    if hasStandby {
      policy.standby = one(of: topology.nodes.filter { $0.id != policy.node }).id
      policy.standbyAfter = .milliseconds(number(in: 200...4000))
      if chance(20) { policy.mode = .suggest }
    }
    if chance(30) {
      policy.mustPass = [one(of: topology.agents.filter { !topology.children(of: $0.id).isEmpty }).id]
    }
    return try Topology(
      name: topology.name, nodes: topology.nodes, agents: topology.agents, alerts: topology.alerts,
      membership: topology.membership, supervision: topology.supervision, observer: policy)
  }

  /// The same topology with standbys for most supervisors.
  mutating func branching(_ topology: Topology) throws -> Topology {
    let agents = topology.agents.map { agent in
      var agent = agent
      let others = topology.agents.filter { other in
        let isBeside = other.reportsTo == agent.reportsTo && agent.reportsTo != nil
        return other.id != agent.id && (isBeside || other.reportsTo == agent.id)
      }
      guard !topology.children(of: agent.id).isEmpty, !others.isEmpty, chance(60) else { return agent }
      agent.standby = one(of: others).id
      return agent
    }
    return try topology.replacing(agents: agents)
  }

  /// Nodes of supervisors that die for so long that their branches are attached elsewhere, or nearly, among what goes wrong.
  mutating func deaths(in topology: Topology, among storm: [(at: UInt64, action: Scenario.Action)])
    -> [(at: UInt64, action: Scenario.Action)]
  {
    var actions = storm
    let nodes = topology.agents.filter { !topology.children(of: $0.id).isEmpty }.map(\.node)
    var at: UInt64 = 0
    for _ in 0..<number(in: 1...5) {
      let (node, length) = (one(of: nodes), number(in: 500_000...9_000_000))
      at += number(in: 100_000...2_000_000)
      actions.append((at, .kill(node)))
      actions.append((at + length, .begin(node)))
      if chance(40) { at += length }
    }
    return actions.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(
      \.element)
  }

  /// The same topology with replicas for most nodes.
  mutating func replicated(_ topology: Topology) throws -> Topology {
    let names = topology.nodes.map(\.id)
    let nodes = topology.nodes.map { node in
      var node = node
      guard chance(75) else { return node }
      let others = names.filter { $0 != node.id }.shuffled(using: &random)
      let replicas = Array(others.prefix(Int(number(in: 1...3))))
      node.replicas = ReplicationSettings(
        nodes: replicas, level: chance(80) ? Int(number(in: 1...UInt64(replicas.count))) : 0,
        within: .milliseconds(number(in: 50...2000)))
      return node
    }
    return try topology.replacing(nodes: nodes)
  }

  /// Nodes of the observer's seat that are killed, or cut off from others, for a while, among what goes wrong.
  mutating func absences(
    of seats: [NodeID], in topology: Topology, among storm: [(at: UInt64, action: Scenario.Action)]
  ) -> [(at: UInt64, action: Scenario.Action)] {
    var actions = storm
    var at: UInt64 = 0
    for _ in 0..<number(in: 1...4) {
      let (seat, length) = (one(of: seats), number(in: 500_000...6_000_000))
      at += number(in: 200_000...3_000_000)
      if chance(50) {
        actions.append((at, .kill(seat)))
        actions.append((at + length, .begin(seat)))
      } else {
        // From all others, or from some of them.
        let isWhole = chance(50)
        for other in topology.nodes.map(\.id) where other != seat && (isWhole || chance(60)) {
          actions.append((at, .cut(true, seat, other)))
          actions.append((at + length, .cut(false, seat, other)))
        }
      }
      if chance(70) { at += length }
    }
    return actions.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(
      \.element)
  }

  /// What operators ask for, among what goes wrong.
  mutating func wishes(_ topology: Topology, among storm: [(at: UInt64, action: Scenario.Action)])
    -> [(at: UInt64, action: Scenario.Action)]
  {
    var actions = storm
    let span = max(600_000, storm.map(\.at).max() ?? 0)
    for _ in 0..<number(in: 1...12) {
      let link = DirectLink(one(of: topology.agents).id, one(of: topology.agents).id)
      var rules: [LinkRule] = [
        .pin(link), .pin(link), .pin(link), .pin(link), .unpin(link), .forbid(link), .allow(link),
        .retire(link),
        .freeze, .thaw, .revert(version: 1, links: []),
      ]
      if topology.observer.standby != nil { rules += [.handOver, .handOver] }
      actions.append((number(in: 0...span), .ask(one(of: topology.nodes).id, one(of: rules))))
    }
    return actions.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(
      \.element)
  }

  /// Agents that operators move, among what goes wrong: some again and again.
  mutating func moves(_ topology: Topology, among storm: [(at: UInt64, action: Scenario.Action)])
    -> [(at: UInt64, action: Scenario.Action)]
  {
    var actions = storm
    let span = max(600_000, storm.map(\.at).max() ?? 0)
    let movers = topology.agents.map(\.id).shuffled(using: &random).prefix(Int(number(in: 1...3)))
    for _ in 0..<number(in: 1...6) {
      let node = one(of: topology.nodes).id
      actions.append(
        (number(in: 0...span), .move(one(of: Array(movers)), to: node, at: one(of: topology.nodes).id)))
    }
    return actions.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(
      \.element)
  }

  private mutating func supervision() -> SupervisionSettings {
    SupervisionSettings(
      retry: RetryPolicy(
        initial: .milliseconds(number(in: 1...100)), cap: .milliseconds(number(in: 1...300)),
        attemptCountMax: Int(number(in: 1...4))))
  }

  private mutating func supervisor(_ id: AgentID, on node: NodeID, under: AgentID?) -> AgentSpec {
    AgentSpec(
      id: id, kind: chance(40) ? Chief.kind : "supervisor", node: node, reportsTo: under,
      subscribes: chance(40) ? [Subscription(type: "hypha.HandlerFailed")] : [])
  }

  private mutating func subscriptions(_ types: [EventTypeName], _ generators: [AgentID]) -> [Subscription] {
    types.filter { _ in chance(55) }.map { type in
      guard chance(25), type.text.hasPrefix("load.") else { return Subscription(type: type) }
      return Subscription(type: type, subjects: Pattern(stringLiteral: "load.\(one(of: generators))"))
    }
  }

  private mutating func generator(
    _ id: AgentID, on node: NodeID, under supervisor: AgentID, to takers: [AgentID]
  ) -> AgentSpec {
    let event = one(of: ["entry", "entry", "alarm", "signal"])
    var settings: [String: JSONValue] = [
      "event": .string(event), "count": .integer(Int64(number(in: 1...50))),
      "every": .number(Double(number(in: 0...40)) / 8), "seed": .integer(Int64(number(in: 1...1000))),
      "padding": .integer(Int64(chance(20) ? 3000 : number(in: 0...50))),
    ]
    if chance(40) {
      settings["to"] = .array((0...number(in: 0...2)).map { _ in .string(one(of: takers).text) })
    }
    return AgentSpec(
      id: id, kind: "generator", node: node, reportsTo: supervisor, settings: .object(settings))
  }

  // MARK: The recording

  static func path(of run: String) -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("hypha-run-\(run).csv").path
  }

  private mutating func trace(run: String) throws -> ([AgentID], [(from: AgentID, to: AgentID)]) {
    guard chance(80) else { return ([], []) }
    let resources = (0..<number(in: 2...5)).map { AgentID(unchecked: "res\($0)") }
    var cases: [(at: AgentID, last: Int?)] = (0..<number(in: 1...6)).map { _ in (one(of: resources), nil) }
    var recording: [(from: AgentID, to: AgentID)] = []
    var text = "index,time,case,activity,from,to,predecessor\n"
    for index in 0..<Int(number(in: 1...60)) {
      let number = Int(number(in: 0...UInt64(cases.count - 1)))
      let (from, last) = cases[number]
      let to = one(of: resources.filter { $0 != from })
      recording.append((from, to))
      let second = String(repeating: "0", count: index < 10 ? 1 : 0) + "\(index)"
      text += "\(index),2020-01-01T00:00:\(second).000000Z,case\(number),act,\(from),\(to),"
      text += last.map(String.init) ?? ""
      text += "\n"
      cases[number] = (to, index)
    }
    try text.write(toFile: Self.path(of: run), atomically: false, encoding: .utf8)
    let parts = resources.filter { id in recording.contains { $0.from == id || $0.to == id } }
    return (parts, recording)
  }

  // MARK: What goes wrong

  mutating func storm(over nodes: [NodeID]) -> [(at: UInt64, action: Scenario.Action)] {
    var actions: [(at: UInt64, action: Scenario.Action)] = []
    let span = number(in: 20...600) * 1000
    for _ in 0..<number(in: 0...5) {
      let (at, node) = (number(in: 0...span), one(of: nodes))
      actions.append((at, .kill(node)))
      actions.append((at + number(in: 1...400_000), .begin(node)))
    }
    for _ in 0..<number(in: 0...2) {
      let (at, first, second) = (number(in: 0...span), one(of: nodes), one(of: nodes))
      guard first != second else { continue }
      actions.append((at, .cut(true, first, second)))
      actions.append((at + number(in: 1000...2_000_000), .cut(false, first, second)))
    }
    for _ in 0..<number(in: 0...2) {
      let (at, node) = (number(in: 0...span), one(of: nodes))
      actions.append((at, .full(true, node)))
      actions.append((at + number(in: 500...3_000_000), .full(false, node)))
    }
    if chance(40) { actions.append((number(in: 0...span), .faults(faults()))) }
    if let absence = longAbsence {
      let node = nodes[Int(absence.number % UInt64(nodes.count))]
      actions.append((absence.at, .kill(node)))
      actions.append((absence.at + absence.length, .begin(node)))
    }
    // Sorted by place too where times are equal.
    return actions.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
      .map(\.element)
  }
}
