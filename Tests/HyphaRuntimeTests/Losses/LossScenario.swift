import Foundation
import HyphaCore
import HyphaKinds
import HyphaTopology
import HyphaTransport
import Synchronization

@testable import HyphaRuntime

/// A simulated deployment that beeps, with losses of every kind, and an account of them that knows only what its agents
/// have seen and which frames came to which node.
final class LossScenario {
  let deployment: SimulatedDeployment
  let topology: Topology
  let witness: Witness
  private let run: String
  private var random: SeededGenerator
  private let frames = FrameWitness()
  private var up: Set<NodeID> = []
  /// What killed nodes had counted and not saved, and what waited there.
  private var unsaved: [NodeLosses] = []
  private var gone: UInt64 = 0
  private(set) var killCount = 0
  /// How many publications are in the account: pairs of an event and one of those that it is for, on its own node and on
  /// others, and of these how many came there.
  private var known = 0
  private var (local, remote, arrivals) = (UInt64(0), UInt64(0), UInt64(0))
  /// By event and node, for how many agents there.
  private var wanted: [EventID: [NodeID: UInt64]] = [:]

  init(seed: UInt64, faults: Bool) throws {
    var maker = ScenarioMaker(seed: seed)
    random = SeededGenerator(seed: seed, name: "losses")
    run = UUID().uuidString
    topology = try Self.topology(&maker, run, crowd: [3, 7_500, nil, nil][Int(seed / 2 % 4)])
    deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Beeper.self, Listener.self, Deaf.self]),
      seed: seed,
      faults: faults ? maker.faults() : .none)
    // Some nodes' programs are older: they take no packed frames.
    for node in topology.nodes where maker.chance(30) { deployment.versions[node.id] = 1...1 }
    witness = Witness(run, scheduler: deployment.loop)
    deployment.network.onArrival { [frames] frame, node in frames.note(frame, at: node) }
  }

  deinit { Witness.remove(run) }

  /// - Parameter crowd: how many subjects the first agent beeps about, more at once than fit the inbox of the first listener, on
  ///   the same node; nil leaves that to chance.
  private static func topology(_ maker: inout ScenarioMaker, _ run: String, crowd: Int?) throws -> Topology {
    let nodes = (0..<maker.number(in: 1...4)).map { NodeID(unchecked: "n\($0)") }
    var agents = [AgentSpec(id: "root", kind: "supervisor", node: maker.one(of: nodes))]
    for number in 0..<maker.number(in: 1...3) {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "sup\(number)"), kind: "supervisor", node: maker.one(of: nodes),
          reportsTo: maker.one(of: agents).id))
    }
    let supervisors = agents.map(\.id)
    let listeners = (0..<maker.number(in: 1...4)).map { AgentID(unchecked: "listener\($0)") }
    for id in listeners {
      let subjects = maker.chance(40) ? ["s.0", "s.2"] : [">"]
      agents.append(
        AgentSpec(
          id: id, kind: maker.chance(15) ? Deaf.kind : Listener.kind, node: maker.one(of: nodes),
          reportsTo: maker.one(of: supervisors),
          subscribes: maker.chance(70)
            ? subjects.map { Subscription(type: "test.Beep", subjects: Pattern(stringLiteral: $0)) } : []))
      guard agents[agents.count - 1].kind == Listener.kind else { continue }
      agents[agents.count - 1].settings = .object([
        "run": .string(run), "slowOneIn": .integer(Int64(maker.chance(40) ? 0 : maker.number(in: 1...200))),
        "slowMs": .integer(Int64(maker.number(in: 1...40))),
      ])
    }
    for number in 0..<maker.number(in: 1...3) {
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "beeper\(number)"), kind: Beeper.kind, node: maker.one(of: nodes),
          reportsTo: maker.one(of: supervisors),
          settings: .object([
            "run": .string(run), "burst": .integer(Int64(maker.chance(30) ? 150 : maker.number(in: 1...40))),
            "everyMs": .integer(Int64(maker.number(in: 5...200))),
            "subjects": .integer(Int64(maker.one(of: [1, 3, 4000]))),
            "count": .integer(maker.chance(30) ? 2000 : 300),
            "to": .array(maker.chance(50) ? [] : [.string(maker.one(of: listeners).text)]),
          ]), realtime: number == 1 ? RealtimeLimit(perSecond: 100, burst: 30) : nil))
    }
    if let crowd, let listener = agents.firstIndex(where: { $0.id == "listener0" }),
      let beeper = agents.firstIndex(where: { $0.id == "beeper0" })
    {
      agents[listener].kind = Listener.kind
      agents[listener].subscribes = [Subscription(type: "test.Beep")]
      agents[listener].settings = .object([
        "run": .string(run), "slowOneIn": .integer(100), "slowMs": .integer(3),
      ])
      agents[beeper].node = agents[listener].node
      agents[beeper].settings = .object([
        "run": .string(run), "burst": .integer(9000), "everyMs": .integer(100),
        "subjects": .integer(Int64(crowd)), "count": .integer(10_000), "to": .array([.string("listener0")]),
      ])
    }
    return try Topology(name: "beeps", nodes: nodes.map { NodeSpec(id: $0) }, agents: agents)
  }

  // MARK: Running

  func start() throws { for node in topology.nodes { try begin(node.id) } }

  private func begin(_ node: NodeID) throws {
    up.insert(node)
    frames.started(node)
    let start = try deployment.begin(node)
    Task(executorPreference: deployment.loop) { _ = await start.result }
  }

  /// Goes on for a moment in which something may go wrong.
  func step(faults: Bool) throws {
    deployment.run(for: .microseconds(UInt64.random(in: 100...30_000, using: &random)))
    guard faults, let node = topology.nodes.randomElement(using: &random)?.id else { return }
    let other = topology.nodes.randomElement(using: &random)?.id ?? node
    switch UInt64.random(in: 0...9, using: &random) {
    case 0: if up.contains(node) { try kill(node) }
    case 1, 2: if !up.contains(node) { try begin(node) }
    case 3: if other != node { deployment.network.setCut(true, between: node, and: other) }
    case 4...6: if other != node { deployment.network.setCut(false, between: node, and: other) }
    default: break
    }
  }

  private func kill(_ id: NodeID) throws {
    guard let node = deployment.node(id) else { return }
    killCount += 1
    let counted = node.losses()
    gone += counted.channels["realtime"]?.waiting ?? 0
    up.remove(id)
    deployment.kill(id)
    witness.state.withLock { state in
      for agent in topology.agents(on: id) { state.deaths[agent.id, default: 0] += 1 }
    }
    unsaved.append(try Self.difference(counted, LossReading.saved(in: deployment.reader(of: id))))
  }

  /// Lets every node stop in order, and start again.
  func stopAndStart() throws {
    for node in topology.nodes where !up.contains(node.id) { try begin(node.id) }
    deployment.run(for: .seconds(6))
    try deployment.stop()
    up = []
    try start()
  }

  /// Heals the network, lets everybody be quiet, and waits until what is under way has come.
  func end() throws {
    deployment.network.setFaults(.none)
    for first in topology.nodes {
      for second in topology.nodes where first.id != second.id {
        deployment.network.setCut(false, between: first.id, and: second.id)
      }
      if !up.contains(first.id) { try begin(first.id) }
    }
    witness.state.withLock { $0.isQuiet = true }
    deployment.run(for: .seconds(12))
    _ = deployment.loop.run(
      until: { self.reports().allSatisfy { $0.channels["realtime"]?.waiting == 0 } }, limit: .seconds(600))
  }

  private static func difference(_ counted: NodeLosses, _ saved: NodeLosses?) -> NodeLosses {
    var rest = NodeLosses(node: counted.node)
    func minus(_ all: [NodeLosses.Passage], _ some: [NodeLosses.Passage]?) -> [NodeLosses.Passage] {
      let known = Dictionary(uniqueKeysWithValues: (some ?? []).map { ($0.path, $0.count) })
      return all.map { .init(path: $0.path, count: $0.count - (known[$0.path] ?? 0)) }
    }
    rest.sent = minus(counted.sent, saved?.sent)
    rest.arrived = minus(counted.arrived, saved?.arrived)
    rest.losses = counted.losses.map { loss in
      let known = saved?.losses.first { $0.path == loss.path && $0.cause == loss.cause }?.count ?? 0
      return .init(path: loss.path, cause: loss.cause, count: loss.count - known)
    }
    let (now, before) = (counted.channels["realtime"], saved?.channels["realtime"])
    rest.channels["realtime"] = .init(
      published: (now?.published ?? 0) - (before?.published ?? 0),
      delivered: (now?.delivered ?? 0) - (before?.delivered ?? 0))
    return rest
  }

  // MARK: Accounts

  /// What all nodes have counted, whether they run or not.
  private func reports() -> [NodeLosses] {
    topology.nodes.map { spec in
      let saved = try? LossReading.saved(in: deployment.reader(of: spec.id))
      var losses = deployment.node(spec.id)?.losses() ?? saved ?? NodeLosses(node: spec.id)
      if deployment.node(spec.id) == nil { losses.channels["realtime"]?.waiting = 0 }
      losses.agents = topology.agents(on: spec.id).map(\.id)
      for rest in unsaved where rest.node == spec.id { losses.add(earlier: rest) }
      return losses
    }
  }

  private func destinations(_ publication: Witness.Publication) -> [AgentSpec] {
    topology.agents.filter { agent in
      if let addressee = publication.addressee { return agent.id == addressee }
      return agent.id != publication.from
        && agent.subscribes.contains { $0.type == "test.Beep" && $0.subjects.matches(publication.subject) }
    }
  }

  /// Brings the account up to date.
  private func account(_ published: [Witness.Publication]) {
    for publication in published[known...] {
      let home = topology.agent(publication.from)?.node
      for destination in destinations(publication) {
        if destination.node == home {
          local += 1
        } else {
          remote += 1
          wanted[publication.id, default: [:]][destination.node, default: 0] += 1
        }
      }
    }
    known = published.count
    for (id, node) in frames.takeNew() { arrivals += wanted[id]?[node] ?? 0 }
  }

  /// What does not add up, now.
  func violations(atEnd: Bool = false) -> [String] {
    let reports = reports()
    let table = LossTable(reports)
    guard let total = table.channels.first(where: { $0.channel == .realtime }) else { return ["no channel"] }
    let (published, delivered) = witness.state.withLock { ($0.published, $0.delivered) }
    account(published)
    let counted = (
      sent: reports.flatMap(\.sent).reduce(0) { $0 + $1.count },
      arrived: reports.flatMap(\.arrived).reduce(0) { $0 + $1.count }
    )
    let onLinks = table.rows.filter { $0.cause == .link }.reduce(0) { $0 + $1.count }
    // What its agent may not send leaves no node.
    let unsent = table.rows.filter { row in
      row.cause == .rateLimited && row.node != topology.agent(row.path.subscriber)?.node
    }.reduce(0) { $0 + $1.count }
    let dropped = total.lost - onLinks - unsent
    var violations: [String] = []
    func expect(_ left: UInt64, _ right: UInt64, _ what: String) {
      if left != right { violations.append("\(what): \(left), not \(right)") }
    }
    expect(total.published, local + remote, "published")
    expect(total.delivered, UInt64(delivered.count), "delivered")
    expect(counted.sent, remote, "sent")
    expect(counted.arrived, arrivals, "arrived")
    // Of what was under way to a node that was killed nobody knows.
    let interrupted = Set(reports.filter { ($0.interruptionCount ?? 0) > 0 }.map(\.node))
    expect(
      onLinks + unsent + total.unknown, remote - min(remote, arrivals) + gone,
      "lost on links, under way or unknown")
    if interrupted.isEmpty { expect(total.unknown, gone, "unknown") }
    for row in table.rows where row.cause == .link && interrupted.contains(row.node) {
      violations.append("\(row.count) lost on a link to \(row.node), which was killed")
    }
    expect(
      local + arrivals, total.delivered + dropped + total.waiting + gone,
      "local and arrived, by what became of them")
    if atEnd {
      expect(total.waiting, 0, "waiting")
      for report in reports where deployment.node(report.node)?.status().notes.isEmpty == false {
        let notes = deployment.node(report.node)?.status().notes ?? []
        if notes.contains(where: { $0.contains("sent what is no frame") }) { violations.append("\(notes)") }
      }
    }
    return violations
  }

  /// What nodes that were never killed have stated of their losses, held against their counts: of no use before they have stopped.
  func receiptViolations() throws -> [String] {
    var violations: [String] = []
    for report in reports() where !unsaved.contains(where: { $0.node == report.node }) {
      let log = try deployment.reader(of: report.node)
      var counted: [EventsLost.Receipt: UInt64] = [:]
      for loss in report.losses {
        counted[.init(path: loss.path, cause: loss.cause, count: 0), default: 0] += loss.count
      }
      var said: [EventsLost.Receipt: UInt64] = [:]
      for receipt in try LossReading.receipts(in: log).flatMap(\.lost.receipts) {
        said[.init(path: receipt.path, cause: receipt.cause, count: 0), default: 0] += receipt.count
      }
      if said != counted { violations.append("\(report.node) has said \(said), and counted \(counted)") }
    }
    return violations
  }

  /// Which causes were met, by name.
  var causes: Set<LossCause> { Set(LossTable(reports()).rows.map(\.cause)) }
}

/// Which realtime events of other nodes came to which node, each once from one start of it to the next.
private final class FrameWitness: Sendable {
  private struct Arrival: Hashable {
    let id: EventID
    let incarnation: Int
  }

  private struct State {
    var incarnations: [NodeID: Int] = [:]
    var arrivals: [NodeID: Set<Arrival>] = [:]
    var new: [(EventID, NodeID)] = []
  }

  private let state = Mutex(State())

  func started(_ node: NodeID) { state.withLock { $0.incarnations[node, default: 0] += 1 } }

  func note(_ frame: InboundFrame, at node: NodeID) {
    guard frame.channel == .realtime, let records = try? Frame(decoding: frame.bytes).records else { return }
    state.withLock { state in
      let incarnation = state.incarnations[node] ?? 0
      for record in records {
        let arrival = Arrival(id: record.header.id, incarnation: incarnation)
        if state.arrivals[node, default: []].insert(arrival).inserted { state.new.append((arrival.id, node)) }
      }
    }
  }

  /// What has come since the last call.
  func takeNew() -> [(EventID, NodeID)] {
    state.withLock { state in
      defer { state.new = [] }
      return state.new
    }
  }
}
