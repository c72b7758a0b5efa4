import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Synchronization

@testable import HyphaRuntime

/// Checks what docs/guarantees.md promises of a ``MixedScenario`` that has come to its end, by the files, the logs and what agents have
/// seen.
struct MixedChecker {
  private(set) var violations: [String] = []
  /// How often things were met, so that a simulation in which they never are is seen.
  private(set) var counts: [String: Int] = [:]

  private let scenario: MixedScenario
  private let revisions: RevisionChecker
  /// What agents and nodes have stated, and on which node.
  private let stated: [(node: NodeID, record: Record)]
  private var final: Topology { revisions.final }

  init(_ scenario: MixedScenario) throws {
    self.scenario = scenario
    let deployment = scenario.deployment
    let logs = try Dictionary(
      uniqueKeysWithValues: deployment.stores.keys.map { ($0, try deployment.reader(of: $0)) })
    revisions = try RevisionChecker(logs, first: scenario.first, file: deployment.file!)
    stated = revisions.entries.sorted { $0.key < $1.key }.flatMap { node, entries in
      entries.filter { $0.source == .stated }.map { (node, $0.record) }
    }
    violations = revisions.violations
    counts["revisions"] = revisions.topologies.count - 1
    counts["nodes added"] = revisions.final.nodes.count - scenario.first.nodes.count
    checkMoves()
    checkWhoIsThere()
    try checkOversight()
    checkRights()
    checkTopology()
    try checkDecisions()
    checkRealtime()
    try deployment.stop()
    try checkReceipts()
  }

  private mutating func fail(_ invariant: String, _ text: String) {
    violations.append("\(invariant): \(text)")
  }

  private mutating func count(_ what: String, _ number: Int = 1) { counts[what, default: 0] += number }

  /// What is of the file under which something was stated on a node: a node that was added runs under the one that it began with
  /// until it has heard of the revision.
  private func one<Value>(
    _ begun: [NodeID: Value], _ revised: [UInt32: Value], of record: Record, on node: NodeID
  )
    -> Value?
  {
    let version = record.header.authority.policyVersion
    return (version == scenario.first.version ? begun[node] : nil) ?? revised[version]
  }

  // MARK: move-completes, one-writer, id-once

  private mutating func checkMoves() {
    for move in revisions.moves.newest where move.stage != .arrived {
      if !final.isRetired(move.order.agent) { fail("move-completes", "\(move.order) is \(move.stage)") }
    }
    count("moves", revisions.moves.moves.count)
    var openings: [AgentID: [UInt64: NodeID]] = [:]
    for (node, entries) in revisions.entries.sorted(by: { $0.key < $1.key }) {
      for entry in entries where entry.source == .stated {
        let header = entry.record.header
        guard header.type == AgentActivated.eventType else { continue }
        if let other = openings[header.agent, default: [:]].updateValue(node, forKey: header.epoch) {
          fail("one-writer", "\(header.agent) has opened epoch \(header.epoch) on \(other) and on \(node)")
        }
      }
    }
  }

  /// Each agent of the newest file works on its node, and nobody else does anything.
  private mutating func checkWhoIsThere() {
    for spec in final.nodes {
      guard let node = scenario.deployment.node(spec.id) else {
        fail("finish-comes", "\(spec.id) does not run")
        continue
      }
      let running = Set(node.state.withLock { $0.runners.keys })
      let wanted = Set(final.agents(on: spec.id).map(\.id))
      if running != wanted {
        fail("moved-once", "\(spec.id) has \(running.symmetricDifference(wanted)) or lacks them")
      }
    }
  }

  // MARK: oversight-in, only-destined

  /// What an agent has handled was for it by the file under which it did; what a node's log has was for an agent there by some file.
  private mutating func checkOversight() throws {
    let routes = Dictionary(revisions.topologies.map { ($0.version, Routes($0)) }) { $1 }
    let begun = scenario.added.mapValues { Routes($0) }
    let records = Dictionary(stated.map { ($0.record.id, $0.record) }) { $1 }
    for (node, record) in stated where record.type == TickTaken.eventType {
      let taken = try TickTaken.decode(record)
      guard let event = records[taken.of], let way = one(begun, routes, of: record, on: node) else {
        fail("taken-before-seen", "\(record.agent) has taken \(taken.of), which nobody has stated")
        continue
      }
      if !way.destinations(of: event.lane).contains(record.agent) {
        fail("oversight-in", "\(record.agent) has handled \(event.type) of \(event.agent) on \(node)")
      }
      if taken.type == Plea.eventType, record.agent == "head" { count("pleas overseen") }
    }
    var homes: [AgentID: Set<NodeID>] = [:]
    for topology in revisions.topologies {
      for agent in topology.agents { homes[agent.id, default: []].insert(agent.node) }
    }
    for move in revisions.moves.moves { homes[move.order.agent, default: []].insert(move.order.to) }
    for (node, entries) in revisions.entries.sorted(by: { $0.key < $1.key }) {
      let own = Set(homes.filter { $0.value.contains(node) }.keys)
      for record in entries.map(\.record)
      where record.type == Plea.eventType && !own.contains(record.agent) {
        let isFor = routes.values.contains { $0.destinations(of: record.lane).contains(where: own.contains) }
        if !isFor { fail("only-destined", "\(node) has \(record.type) of \(record.agent)") }
      }
    }
  }

  // MARK: declared-only

  private mutating func checkRights() {
    let topologies = Dictionary(revisions.topologies.map { ($0.version, $0) }) { $1 }
    for (node, record) in stated where record.header.authority.grant == "topology" {
      guard let topology = one(scenario.added, topologies, of: record, on: node),
        let agent = topology.agent(record.agent),
        let publishes = agent.publishes
      else { continue }
      if !publishes.contains(record.type), !SystemEvents.all.contains(record.type) {
        fail("declared-only", "\(record.agent) has stated \(record.type) under version \(topology.version)")
      }
    }
  }

  // MARK: topology-agrees, topology-followed, questions-agree, seats, branches

  private mutating func checkTopology() {
    let deployment = scenario.deployment
    var lives: [NodeID: (live: LiveTopology, sending: UInt32)] = [:]
    for node in deployment.nodes {
      lives[node.routes.node] = (node.desks.topology.state.withLock { $0.live }, node.routes.sending)
    }
    let newest = lives.values.map(\.live).max { $0.version < $1.version }
    for (node, (live, sending)) in lives.sorted(by: { $0.key < $1.key }) {
      if live != newest {
        fail("topology-agrees", "\(node) knows version \(live.version), not \(newest?.version ?? 0)")
      }
      if sending != newest?.version {
        fail("topology-followed", "\(node) sends by \(sending), not \(newest?.version ?? 0)")
      }
    }
    let views = deployment.nodes.map { ($0.routes.node, $0.desks.ambient.view) }
    for (node, view) in views where view != views[0].1 { fail("questions-agree", "\(node) has \(view)") }
    count("ambient", views.first?.1.promoted.count ?? 0)
    for seat in final.observer.seats {
      guard let node = deployment.node(seat) else { continue }
      let (version, isActive) = node.desks.topology.seat.withLock {
        ($0?.version ?? 0, $0?.isActive ?? false)
      }
      let isHolder = final.observer.holder(of: SeatTerm.of(newest?.version ?? 1)) == seat
      if isActive != isHolder {
        fail("seat-one-holder", "\(seat) decides: \(isActive), in the end, at version \(version)")
      }
    }
    for (place, topology) in revisions.topologies.enumerated() {
      let isNewest = place == revisions.topologies.count - 1
      let logged = LoggedTopology(topology, of: revisions.entries, lives: lives, isNewest: isNewest)
      func told(_ violation: String) -> String { "\(violation) (revision \(place + 1))" }
      let branches = BranchChecker(logged)
      violations += branches.violations.map(told)
      count("attached", branches.attachedCount)
      let seats = SeatChecker(logged)
      if topology.observer.standby != nil { violations += seats.violations.map(told) }
      count("takeovers", seats.takeoverCount)
    }
    count("links", stated.count { $0.record.type == LinksChanged.eventType })
  }

  // MARK: decision-once and those below it

  private mutating func checkDecisions() throws {
    guard let home = final.agent(MixedFile.desk)?.node else { return }
    let deployment = scenario.deployment
    let log = try deployment.reader(of: home)
    let own = revisions.entries[home, default: []].map(\.record).filter { $0.agent == MixedFile.desk }
    func state<Kind: Agent>(_ agent: AgentID, _ kind: Kind.Type) throws -> Kind.State {
      try deployment.state(of: agent, kind, in: deployment.reader(of: final.agent(agent)!.node))
    }
    let checker = try DecisionChecker(
      own.sorted { $0.point < $1.point }, scenario.policies,
      askers: ["ana": state("ana", Asker.self), "ben": state("ben", Asker.self)],
      told: state("boss", Judge.self).told.reduce(0, +),
      ledger: DecisionLedger.read(desk: MixedFile.desk, in: log),
      state: state(MixedFile.desk, DecisionDesk.self))
    violations += checker.violations
    count("granted", checker.grantedCount)
    count("revoked", checker.revokedCount)
  }

  // MARK: realtime

  /// What was given was published, to who takes it by some file.
  private mutating func checkRealtime() {
    let (published, delivered) = scenario.witness.state.withLock { ($0.published, $0.delivered) }
    let events = Dictionary(published.map { ($0.id, $0) }) { $1 }
    for (agent, id) in delivered {
      guard let event = events[id], event.addressee ?? agent == agent else {
        fail("only-destined", "\(agent) was given \(id), which is not for it")
        continue
      }
    }
    count("realtime", delivered.count)
  }

  /// A node that was never killed has said in its log of each realtime loss that it has counted.
  private mutating func checkReceipts() throws {
    for node in scenario.deployment.stores.keys.sorted() where !scenario.killed.contains(node) {
      let log = try scenario.deployment.reader(of: node)
      var counted: [EventsLost.Receipt: UInt64] = [:]
      for loss in try LossReading.saved(in: log)?.losses ?? [] {
        counted[.init(path: loss.path, cause: loss.cause, count: 0), default: 0] += loss.count
      }
      var said: [EventsLost.Receipt: UInt64] = [:]
      for receipt in try LossReading.receipts(in: log).flatMap(\.lost.receipts) {
        said[.init(path: receipt.path, cause: receipt.cause, count: 0), default: 0] += receipt.count
      }
      if said != counted { fail("losses-told", "\(node) has said \(said), and counted \(counted)") }
      count("losses", Int(counted.values.reduce(0, +)))
    }
  }
}
