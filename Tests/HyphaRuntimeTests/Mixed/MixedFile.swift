import HyphaCore
import HyphaKinds
import HyphaTopology

@testable import HyphaRuntime

/// The topology file of a ``MixedScenario``, and how it changes: drawn from a seed.
struct MixedFile {
  static let first: [NodeID] = ["hub", "x", "y", "z"]
  static let desk: AgentID = "hypha.desk.boss"

  var nodes = Self.first
  var agents: [AgentSpec] = []
  var observer = ObserverPolicy()
  var oversight: [OversightRule] = []
  var desk = DeskPolicy(approver: "boss")
  private var membership = MembershipSettings()
  /// How many names were given to new agents and nodes.
  private var names = 0
  private var nodeCount = 0

  /// - Parameters:
  ///   - asks: whether agents ask each other questions that become ambient.
  init(run: String, asks: Bool, _ random: inout SeededGenerator) {
    observer.node = "hub"
    observer.charge = 1
    observer.halfLife = 4
    if random.chance(0.6) {
      observer.standby = "x"
      observer.standbyAfter = .milliseconds(UInt64.random(in: 200...3000, using: &random))
    }
    let after = Duration.milliseconds(UInt64.random(in: 600...1200, using: &random))
    membership = MembershipSettings(suspicion: .fixed(after: after), downAfter: after * 2)
    desk.delegation.mode = .auto
    desk.delegation.risk = 2000
    desk.delegation.shadowed = 4
    desk.delegation.audit = 300
    if random.chance(0.7) { oversight = [OversightRule(Plea.eventType, by: "head", .in)] }
    agents = [
      AgentSpec(id: "root", kind: Chief.kind, node: "hub"),
      AgentSpec(
        id: "lead", kind: Chief.kind, node: "x", reportsTo: "root", standby: random.chance(0.6) ? "head" : nil
      ),
      AgentSpec(
        id: "head", kind: TickTaker.kind, node: "y", reportsTo: "root",
        settings: .object(["passes": .bool(true)]), standby: random.chance(0.6) ? "lead" : nil),
      taker("t1", "x", under: "lead", [RevisionTick.eventType]),
      taker("t2", "y", under: "root", [Plea.eventType]),
      taker("t3", "z", under: "lead", [RevisionTick.eventType, Plea.eventType]),
      taker("t4", "hub", under: "head", [Plea.eventType]),
      beater("b1", "y", under: "root", to: ["t1", "t2"], &random),
      beater("b2", "z", under: "head", to: ["t2"], pleads: true, &random),
      beater("b3", "x", under: "head", to: [], pleads: true, &random),
      beater("b4", "hub", under: "lead", to: ["t3"], pleads: true, &random),
      AgentSpec(
        id: "boss", kind: Judge.kind, node: "x", reportsTo: "root",
        settings: .object(["after": .integer(40), "twice": .bool(true)])),
      asker("ana", "y", &random), asker("ben", "z", &random),
      AgentSpec(
        id: "beeper", kind: Beeper.kind, node: "y", reportsTo: "root",
        settings: .object([
          "run": .string(run), "burst": .integer(3), "everyMs": .integer(70), "subjects": .integer(2),
          "to": .array([.string("ear2")]), "count": .integer(60),
        ])),
      ear("ear1", "z", under: "lead", run), ear("ear2", "x", under: "head", run),
    ]
    guard asks else { return }
    let rounds = JSONValue.object(["rounds": .integer(60)])
    agents.append(AgentSpec(id: "oracle", kind: Oracle.kind, node: "z", reportsTo: "root", settings: rounds))
    for (id, node) in [("ina", "y"), ("ida", "x")] as [(AgentID, NodeID)] {
      agents.append(AgentSpec(id: id, kind: Curious.kind, node: node, reportsTo: "lead", settings: rounds))
    }
  }

  func topology() throws -> Topology {
    try Topology(
      name: "mixed", nodes: nodes.map { NodeSpec(id: $0) },
      agents: agents + [
        AgentSpec(
          id: Self.desk, kind: DeskPolicy.kind, node: "x", reportsTo: "boss",
          settings: try JSON.decode(JSONValue.self, from: JSON.encode(desk)))
      ],
      alerts: AlertSettings(deadline: .seconds(2), redelivery: .milliseconds(200)), membership: membership,
      observer: observer, oversight: oversight)
  }

  // MARK: Agents

  private func taker(_ id: AgentID, _ node: NodeID, under supervisor: AgentID, _ types: [EventTypeName])
    -> AgentSpec
  {
    AgentSpec(
      id: id, kind: TickTaker.kind, node: node, reportsTo: supervisor,
      subscribes: types.map { Subscription(type: $0) })
  }

  private func beater(
    _ id: AgentID, _ node: NodeID, under supervisor: AgentID, to: [AgentID], pleads: Bool = false,
    _ random: inout SeededGenerator
  ) -> AgentSpec {
    AgentSpec(
      id: id, kind: Beater.kind, node: node, reportsTo: supervisor,
      settings: .object([
        "to": .array(to.map { .string($0.text) }), "pleads": .bool(pleads),
        "count": .integer(Int64.random(in: 50...150, using: &random)),
        "every": .integer(Int64.random(in: 10...120, using: &random)),
      ]))
  }

  private func asker(_ id: AgentID, _ node: NodeID, _ random: inout SeededGenerator) -> AgentSpec {
    var settings: [String: JSONValue] = ["count": .integer(50), "every": .integer(80)]
    if random.chance(0.5) { settings["bad"] = .integer(Int64.random(in: 15...45, using: &random)) }
    return AgentSpec(
      id: id, kind: Asker.kind, node: node, reportsTo: "boss", settings: .object(settings))
  }

  private func ear(_ id: AgentID, _ node: NodeID, under supervisor: AgentID, _ run: String) -> AgentSpec {
    AgentSpec(
      id: id, kind: Listener.kind, node: node, reportsTo: supervisor,
      subscribes: [Subscription(type: Beep.eventType)],
      settings: .object(["run": .string(run), "slowOneIn": .integer(0), "slowMs": .integer(0)]))
  }

  // MARK: Changes

  /// The file with one to four things changed.
  func changed(_ moves: AgentMoves, _ random: inout SeededGenerator) -> MixedFile {
    var next = self
    for _ in 0..<Int.random(in: 1...4, using: &random) { next.change(before: self, moves, &random) }
    return next
  }

  private mutating func change(before: MixedFile, _ moves: AgentMoves, _ random: inout SeededGenerator) {
    let workers = agents.indices.filter { [Beater.kind, TickTaker.kind].contains(agents[$0].kind) }
      .filter { agents[$0].id != "head" }
    guard let index = workers.randomElement(using: &random) else { return }
    let id = agents[index].id
    let isAsBefore = before.agents.contains(agents[index])
    let supervisors: [AgentID] = ["root", "lead", "head"]
    let supervisor = supervisors.randomElement(using: &random)!
    let place = before.nodes.randomElement(using: &random)!
    switch Int.random(in: 0...15, using: &random) {
    case 0:
      names += 1
      agents.append(
        taker(
          AgentID(unchecked: "n\(names)"), nodes.randomElement(using: &random)!, under: supervisor,
          [[], [RevisionTick.eventType], [Plea.eventType]].randomElement(using: &random)!))
    case 1:
      names += 1
      let takers = agents.filter { $0.kind == TickTaker.kind && $0.id != "head" }.map(\.id)
      agents.append(
        beater(
          AgentID(unchecked: "n\(names)"), nodes.randomElement(using: &random)!, under: supervisor,
          to: Array(takers.prefix(1)), pleads: random.chance(0.5), &random))
    case 2 where workers.count > 4: remove(index)
    case 3, 4: agents[index].reportsTo = supervisor
    case 5 where agents[index].kind == TickTaker.kind && isAsBefore:
      let type = [RevisionTick.eventType, Plea.eventType].randomElement(using: &random)!
      let isTaken = agents[index].subscribes.contains { $0.type == type }
      agents[index].subscribes.removeAll { $0.type == type }
      if !isTaken { agents[index].subscribes.append(Subscription(type: type)) }
    case 6, 7:
      guard isAsBefore else { return }
      if moves.newest(of: id).map({ $0.stage == .arrived }) ?? true { agents[index].node = place }
    case 8 where nodeCount < 2:
      nodeCount += 1
      nodes.append(NodeID(unchecked: "m\(nodeCount)"))
    case 9, 10:
      let modes: [OversightRule.Mode?] = [.in, .in, .parallel, .after, .outside, nil]
      let mode = modes.randomElement(using: &random)!
      oversight = mode.map { [OversightRule(Plea.eventType, by: "head", $0, every: .seconds(1))] } ?? []
    case 11:
      let place = agents.firstIndex { $0.id == "lead" }!
      agents[place].standby = agents[place].standby == nil ? "head" : nil
    case 12:
      observer.standby = ["x", "y", nil].randomElement(using: &random)!
      observer.standbyAfter = .milliseconds(UInt64.random(in: 200...3000, using: &random))
    case 13 where agents[index].kind == Beater.kind:
      // May it ring, or not any more?
      let mayRing = agents[index].publishes != nil
      agents[index].publishes = mayRing ? nil : [RevisionTick.eventType, Plea.eventType]
      if case .object(var settings) = agents[index].settings {
        settings["isMute"] = .bool(!mayRing)
        agents[index].settings = .object(settings)
      }
    case 14:
      desk.version += 1
      desk.delegation.mode = desk.delegation.mode == .auto ? .off : .auto
    case 15:
      let ends = agents.filter { $0.kind == Beater.kind || $0.kind == TickTaker.kind }.map(\.id)
      let pair = ends.shuffled(using: &random).prefix(2)
      observer.pins = random.chance(0.5) || pair.count < 2 ? [] : [DirectLink(pair[0], pair[1])]
    default: break
    }
  }

  private mutating func remove(_ index: Int) {
    let id = agents[index].id
    agents.remove(at: index)
    // Nobody addresses it any more.
    for place in agents.indices where agents[place].kind == Beater.kind {
      guard case .array(let to) = agents[place].settings["to"] else { continue }
      agents[place].settings["to"] = .array(to.filter { $0 != .string(id.text) })
    }
    observer.pins.removeAll { $0.one == id || $0.other == id }
  }
}
