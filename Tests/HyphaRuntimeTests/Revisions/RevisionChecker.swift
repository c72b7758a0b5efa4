import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// Checks the promises about revisions of the topology file from what the nodes' logs have: all know the same ones, and what is for
/// an agent by the last of them it has taken, once and in order.
struct RevisionChecker {
  private(set) var violations: [String] = []
  /// Each topology that the deployment has run under, without moves.
  private(set) var topologies: [Topology]
  /// The last one, with agents where they were moved.
  let final: Topology
  let moves: AgentMoves
  let entries: [NodeID: [LogEntry]]

  /// - Parameter left: the nodes that have left: they need not know what came later.
  init(
    _ logs: [NodeID: any LogReader], first: Topology, file: TopologyText, left: Set<NodeID> = []
  ) throws {
    let readings = try logs.mapValues { try MoveReading($0) }
    // All that stay know the same, or it is told below.
    let staying = readings.filter { !left.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
    let reading = staying.max { $0.revisions.number < $1.revisions.number }!
    let revisions = reading.revisions
    topologies = [first]
    for place in revisions.revisions.indices {
      let order = revisions.revisions[place].order
      let replaced = Set(revisions.revisions[...place].map(\.order.replacedFingerprint)).subtracting([
        order.fingerprint
      ])
      topologies.append(try file.read(order.file).revised(by: order, after: replaced))
    }
    moves = reading.moves
    final = try reading.placing(topologies[topologies.count - 1])
    entries = try logs.mapValues { try $0.read(after: .start, limit: .max, byteLimit: .max) }
    for (node, log) in logs.sorted(by: { $0.key < $1.key }) {
      if try !log.verify().findings.isEmpty { violations.append("log-sound: \(node)") }
      if left.contains(node) { continue }
      if readings[node]?.revisions != revisions { violations.append("revision-agrees: \(node)") }
      if readings[node]?.moves.moves.map(\.order) != moves.moves.map(\.order) {
        violations.append("move-agrees: \(node)")
      }
      let kept = try KeptFile.read(in: log)?.revision ?? 1
      if kept != revisions.number { violations.append("revision-taken: \(node) is at \(kept)") }
    }
    checkAnswers()
    try checkDeliveries()
  }

  /// All wishes of operators have one answer each, whoever orders and however often it is said.
  private mutating func checkAnswers() {
    struct Answer: Hashable {
      let type: EventTypeName
      let payload: [UInt8]
    }
    let wishes = Set(stated.filter { MoveEvents.forSeat.contains($0.type) }.map(\.id))
    var answers: [EventID: Set<Answer>] = [:]
    for record in stated where wishes.contains(record.causation) {
      answers[record.causation, default: []].insert(Answer(type: record.type, payload: Array(record.payload)))
    }
    if answers.contains(where: { $0.value.count > 1 }) {
      violations.append("one-orderer: a wish has two answers")
    }
    if answers.count < wishes.count { violations.append("one-orderer: a wish has no answer") }
  }

  /// All events that agents and nodes have stated, each once.
  var stated: [Record] {
    var seen: Set<EventID> = []
    return entries.sorted { $0.key < $1.key }.flatMap(\.value).filter {
      $0.source == .stated && seen.insert($0.record.id).inserted
    }.map(\.record)
  }

  private mutating func checkDeliveries() throws {
    var ticks: [Lane: [EventID]] = [:]
    var counted: [AgentID: [(epoch: UInt64, sequence: UInt64, event: TickTaken)]] = [:]
    var bells: [(id: EventID, from: AgentID, to: AgentID)] = []
    var heard: [EventID] = []
    for record in stated {
      switch record.type {
      case RevisionTick.eventType, Plea.eventType: ticks[record.lane, default: []].append(record.id)
      case RevisionBell.eventType:
        if let addressee = record.addressee { bells.append((record.id, record.agent, addressee)) }
      case BellTaken.eventType: heard.append(try BellTaken.decode(record).of)
      case TickTaken.eventType:
        counted[record.agent, default: []].append(
          (record.header.epoch, record.header.sequence, try TickTaken.decode(record)))
      default: break
      }
    }
    if Set(heard).count != heard.count { violations.append("a bell was heard twice") }
    let all = Set(heard)
    let unheard = bells.filter { bell in
      final.agent(bell.to) != nil && !final.isRetired(bell.to) && !all.contains(bell.id)
    }
    if let bell = unheard.first {
      violations.append("alert-complete: \(bell.to) has not heard \(unheard.count) bells of \(bell.from)")
    }
    let routes = Routes(final)
    for (agent, all) in counted.sorted(by: { $0.key < $1.key }) {
      let ordered = all.sorted { ($0.epoch, $0.sequence) < ($1.epoch, $1.sequence) }.map(\.event)
      if Set(ordered.map(\.of)).count != ordered.count { violations.append("persistent-once: \(agent)") }
      for (lane, events) in Dictionary(
        grouping: ordered, by: { "\($0.author) \($0.type) \($0.isAddressed)" })
      where zip(events, events.dropFirst()).contains(where: { $0.index >= $1.index }) {
        violations.append("persistent-order: \(agent) of \(lane)")
      }
    }
    for (lane, ids) in ticks.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      for agent in routes.destinations(of: lane) {
        let taken = Set(counted[agent, default: []].map(\.event.of))
        let missed = ids.count { !taken.contains($0) }
        if missed > 0 {
          violations.append("persistent-complete: \(agent) lacks \(missed) of \(ids.count) of \(lane)")
        }
      }
    }
    for agent in final.filedAgents where agent.kind == Beater.kind {
      guard case .integer(let count)? = agent.settings["count"] else { continue }
      let own = ticks.first { $0.key.agent == agent.id && $0.key.target == .type(RevisionTick.eventType) }
      if own?.value.count != Int(count) {
        violations.append("\(agent.id) has ticked \(own?.value.count ?? 0) times")
      }
    }
  }
}
