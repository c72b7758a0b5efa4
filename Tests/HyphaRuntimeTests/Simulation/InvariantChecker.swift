import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaRuntime
import HyphaTopology
import HyphaTransport

/// Checks the logs of a finished run against docs/guarantees.md.
///
/// It knows the topology and the logs' bytes, and nothing of routes, couriers and mailboxes: whom an event
/// is for is worked out here once more.
struct InvariantChecker {
  let run: ScenarioRun
  private let topology: Topology
  /// The names under which nodes state events, each with its node.
  private let authors: [AgentID: NodeID]
  private(set) var violations: [String] = []
  /// The events that agents of each node stated, by id.
  private var stated: [EventID: LogEntry] = [:]
  /// The newest epoch of each agent.
  private var epochs: [AgentID: UInt64] = [:]
  /// The node on which each agent has opened each epoch.
  private var openings: [AgentID: [UInt64: NodeID]] = [:]
  /// Alerts that a node has and that their origin lost with a crash.
  private(set) var forkedCount = 0

  init(_ run: ScenarioRun) {
    self.run = run
    topology = run.topology
    authors = Dictionary(uniqueKeysWithValues: topology.nodes.map { ($0.id.author, $0.id) })
    for (node, entry) in Self.all(run) where entry.source == .stated {
      let header = entry.record.header
      if stated.updateValue(entry, forKey: header.id) != nil { fail("id-once", "\(header.id) stated twice") }
      epochs[header.agent] = max(epochs[header.agent] ?? 0, header.epoch)
      guard header.type == AgentActivated.eventType else { continue }
      if let other = openings[header.agent, default: [:]].updateValue(node, forKey: header.epoch) {
        fail("one-writer", "\(header.agent) has opened epoch \(header.epoch) on \(other) and on \(node)")
      }
    }
    checkLogs()
    checkDelivery()
    checkEpochs()
    checkCauses()
    checkCursors()
    checkReplication()
    if run.isComplete { checkMoves() }
    if !run.isComplete {
      let lines = run.summary.nodes.map(Self.text)
      let moves = run.moves.moves.map { "\($0.order) \($0.stage)" }
      fail("finish-comes", "the deployment never completes; \(lines); \(moves)")
    }
    for status in run.summary.nodes where status.contradictedLaneCount > 0 {
      fail("relays-checked", "honest relays are contradicted on \(status.node): \(status.notes.suffix(4))")
    }
    if run.isComplete && run.lateCount > 0 {
      fail("finish-means-delivered", "\(run.lateCount) events came after the deployment was complete")
    }
    if run.isComplete { violations += AlertChecker(run) { destinations($0) }.violations }
    if topology.observer.node != nil && run.isComplete { checkTopology() }
    if topology.observer.standby != nil && run.isComplete { violations += SeatChecker(run).violations }
    if run.scenario.isBranching && run.isComplete { violations += BranchChecker(run).violations }
    violations += run.breaches
  }

  private static func text(_ status: NodeStatus) -> String {
    let counts = status.channels.mapValues { [$0.statedPairCount, $0.handledPairCount] }
    var text = "\(status.node): \(counts) backlog \(status.backlog) behind \(status.behindLaneCount)"
    text += " finished \(status.finishedCount) of \(status.workerCount)"
    if let copies = status.replication {
      text += " copies lack \(copies.behindLaneCounts), \(copies.heldCount) held"
    }
    return text + " \(status.notes.suffix(4))"
  }

  /// What the bus states about an alert in the name of the agent that stated it.
  private static let aboutOwnAlerts: Set<EventTypeName> = [
    AlertEscalated.eventType, AlertUnanswered.eventType,
  ]

  mutating func fail(_ invariant: String, _ text: String) { violations.append("\(invariant): \(text)") }

  private static func all(_ run: ScenarioRun) -> [(NodeID, LogEntry)] {
    run.logs.sorted { $0.key < $1.key }.flatMap { node, log in log.entries.map { (node, $0) } }
  }

  /// The agents that an event is for, from the topology alone.
  func destinations(_ header: RecordHeader) -> [AgentSpec] {
    // What a node says of others is for those who are with it.
    if let node = authors[header.agent] {
      return topology.agents(on: node).filter { $0.subscribes.contains { $0.type == header.type } }
    }
    if let addressee = header.addressee { return topology.agents.filter { $0.id == addressee } }
    return topology.agents.filter { agent in
      agent.id != header.agent && agent.subscribes.contains { $0.type == header.type }
    }
  }

  /// The node that states what an agent states in an epoch.
  private func home(of header: RecordHeader) -> NodeID? {
    authors[header.agent] ?? openings[header.agent]?[header.epoch]
  }

  private func home(of agent: AgentID) -> NodeID? { authors[agent] ?? topology.agent(agent)?.node }

  /// The nodes on which an agent is or was.
  private func homes(of agent: AgentID) -> Set<NodeID> {
    Set(openings[agent]?.values.map { $0 } ?? []).union(
      run.moves.moves.filter { $0.order.agent == agent }.flatMap { [$0.order.from, $0.order.to] }
    ).union([home(of: agent)].compactMap { $0 })
  }

  /// Whether a node may have events because agents that they are for, or are of, have been there.
  private func wasFor(_ node: NodeID, _ header: RecordHeader) -> Bool {
    homes(of: header.agent).contains(node)
      || homes(of: header.agent).contains { topology.node($0)?.replicas.nodes.contains(node) ?? false }
      || authors[header.agent] == nil
        && destinations(header).contains { homes(of: $0.id).contains(node) }
      || header.addressee.map { homes(of: $0).contains(node) } ?? false
  }

  /// Whether an event is for agents of a node, or for the node itself.
  private func isFor(_ node: NodeID, _ header: RecordHeader) -> Bool {
    guard authors[header.agent] != nil else {
      let origin = topology.agent(header.agent).flatMap { topology.node($0.node) }
      return destinations(header).contains { $0.node == node } || home(of: header.agent) == node
        || origin?.replicas.nodes.contains(node) ?? false
    }
    if let addressee = header.addressee {
      return addressee == node.author || home(of: addressee) == node
    }
    return TopologyEvents.forAll.contains(header.type) || MoveEvents.forAll.contains(header.type)
      || MoveEvents.forSeat.contains(header.type) && node == topology.moveSeat
      || TopologyEvents.forSeat.contains(header.type) && topology.observer.seats.contains(node)
  }

  // MARK: replicated-means-n, in-doubt-kept

  /// What left a node with too few copies lies in a range that the node says left in doubt; what it says so is in its log.
  private mutating func checkReplication() {
    for (node, log) in run.logs {
      let told = log.entries.filter { $0.record.header.type == LeftInDoubt.eventType && $0.source == .stated }
        .compactMap { try? LeftInDoubt.decode($0.record) }
      let positions = Dictionary(
        log.entries.map { ($0.record.header.id, $0.position.rawValue) }, uniquingKeysWith: min)
      for early in run.early where early.node == node {
        guard let position = positions[early.id] else {
          fail("in-doubt-kept", "\(node) has lost \(early.id)")
          continue
        }
        if !told.contains(where: { $0.first <= position && position <= $0.last && $0.reached < $0.level }) {
          fail("replicated-means-n", "\(early.id) left \(node) on \(early.copyCount) replicas, untold")
        }
      }
    }
  }

  // MARK: log-sound, persistent-complete, persistent-once, persistent-order, alert-complete, alert-order

  private mutating func checkLogs() {
    for (node, log) in run.logs {
      for finding in log.findings { fail("log-sound", "\(node): \(finding)") }
      for entry in log.entries {
        let header = entry.record.header
        let home = home(of: header)
        if header.channel == .realtime { fail("realtime-unlogged", "\(header.id) in the log of \(node)") }
        // Who has not opened the epoch has lost it in a crash.
        if (entry.source == .stated) != (home == node), entry.source == .stated || home != nil {
          fail("one-writer", "\(node) has \(header.id) of \(header.agent) as \(entry.source)")
        }
        if home != node && !isFor(node, header) && !wasFor(node, header) {
          fail("only-destined", "\(node) has \(header.id), which is for nobody there")
        }
      }
    }
  }

  private mutating func checkDelivery() {
    var lanes: [Lane: [Record]] = [:]
    for (_, entry) in Self.all(run) where entry.source == .stated {
      lanes[entry.record.header.lane, default: []].append(entry.record)
    }
    // An agent that was moved has stated them on several nodes.
    for lane in lanes.keys { lanes[lane]?.sort { $0.point < $1.point } }
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) {
      var received: [Lane: [Record]] = [:]
      var isReceived: Set<Lane> = []
      for entry in log.entries {
        received[entry.record.header.lane, default: []].append(entry.record)
        if entry.source != .stated { isReceived.insert(entry.record.header.lane) }
      }
      for (lane, records) in received where isReceived.contains(lane) {
        let kept = records.filter { stated[$0.header.id]?.record == $0 }
        for lost in records where stated[lost.header.id] == nil {
          let isFork = lane.channel == .alert && lost.header.epoch < epochs[lane.agent] ?? 0
          if !isFork {
            fail("fork-only-alerts", "\(node) has \(lost.header.point) of \(lane), its origin not")
          }
          forkedCount += 1
        }
        checkForks(of: lane, records, at: node, log.forks.filter { $0.lane == lane })
        if kept.count + forks(records) != records.count { fail("same-bytes", "\(node): \(lane)") }
        // Where nobody is any more that it is for, it has ended.
        let isHere = records.contains { isFor(node, $0.header) }
        let all = isHere ? lanes[lane] ?? [] : Array((lanes[lane] ?? []).prefix(kept.count))
        if kept != all { failDelivery(node, lane, kept, all) }
      }
      for (lane, records) in lanes where received[lane] == nil {
        let header = records[0].header
        guard home(of: lane.agent) != node, isFor(node, header) else { continue }
        failDelivery(node, lane, [], records)
      }
    }
  }

  /// What an origin has lost lies in a fork that the log tells, once the lane has gone on; and nothing else lies in one.
  private mutating func checkForks(
    of lane: Lane, _ records: [Record], at node: NodeID, _ told: [RecordedFork]
  ) {
    let lost = Set(records.filter { stated[$0.header.id] == nil }.map(\.point))
    let newest = records.last { stated[$0.header.id] != nil }?.point ?? .start
    let inForks = Set(
      records.map(\.point).filter { point in
        told.contains { $0.fork.common < point && point <= $0.fork.kept.point }
      })
    if !inForks.isSubset(of: lost) || !inForks.isSuperset(of: lost.filter { $0 < newest }) {
      fail("fork-reported", "\(node) has \(lost) of \(lane), which its origin lost, and tells \(told)")
    }
  }

  private func forks(_ records: [Record]) -> Int { records.filter { stated[$0.header.id] == nil }.count }

  private mutating func failDelivery(_ node: NodeID, _ lane: Lane, _ got: [Record], _ all: [Record]) {
    let what: String
    if Set(got).count != got.count {
      what = "once"
    } else if Set(got) == Set(all) {
      what = "order"
    } else {
      what = "complete"
    }
    fail("\(lane.channel)-\(what)", "\(node) has \(got.count) of \(all.count) events of \(lane)")
  }

  // MARK: epoch-opens, stream-contiguous

  private mutating func checkEpochs() {
    // Each epoch is of one node; those of one agent may be of several.
    let stated = Dictionary(grouping: Self.all(run).filter { $0.1.source == .stated }) {
      $0.1.record.header.agent
    }
    for entries in stated.values {
      var ends: [StreamID: UInt64] = [:]
      var opened: [AgentID: UInt64] = [:]
      let inOrder = entries.sorted {
        ($0.1.record.header.epoch, $0.1.position) < ($1.1.record.header.epoch, $1.1.position)
      }
      for (node, entry) in inOrder {
        let header = entry.record.header
        if header.sequence != (ends[header.stream] ?? 0) + 1 {
          fail("stream-contiguous", "\(node): \(header.stream) goes on with \(header.sequence)")
        }
        ends[header.stream] = header.sequence
        // Of what a node states itself nothing leaves before it is committed: there is nothing to name.
        if authors[header.agent] != nil { continue }
        if header.channel == .persistent && header.sequence == 1 {
          checkOpening(entry.record, after: opened[header.agent] ?? 0, ends)
          opened[header.agent] = header.epoch
        } else if opened[header.agent] != header.epoch {
          fail("epoch-opens", "\(header.stream) has an event before its epoch was opened")
        }
      }
    }
  }

  private mutating func checkOpening(_ record: Record, after previous: UInt64, _ ends: [StreamID: UInt64]) {
    let header = record.header
    guard header.type == AgentActivated.eventType, let event = try? AgentActivated.decode(record),
      event.epoch > previous, event.previousEpoch == previous, event.epoch == header.epoch
    else { return fail("epoch-opens", "\(header.stream) does not open its epoch") }
    for channel in [Channel.persistent, .alert] {
      let end = ends[StreamID(agent: header.agent, epoch: previous, channel: channel)] ?? 0
      if event.committed[channel.description] != end {
        fail("epoch-opens", "\(header.stream) names \(event.committed), but \(channel) ended at \(end)")
      }
    }
  }

  // MARK: taken-before-seen, causes-first

  private mutating func checkCauses() {
    for (node, log) in run.logs {
      var seen: [EventID: RecordHeader] = [:]
      for entry in log.entries {
        let header = entry.record.header
        if entry.source == .stated, header.causation != .none {
          if let cause = seen[header.causation] {
            if cause.time >= header.time { fail("causes-first", "\(header.id) is not after its cause") }
            if cause.correlation != header.correlation { fail("causes-first", "\(header.id): correlation") }
            let isOwn = cause.agent == header.agent && Self.aboutOwnAlerts.contains(header.type)
            if cause.addressee != nil && cause.addressee != header.agent && !isOwn {
              fail("taken-before-seen", "\(header.agent) acts on what is for \(cause.addressee!)")
            }
          } else if entry.record.said(Bell.self)?.isForSignal != true {
            fail("taken-before-seen", "\(node): the cause of \(header.id) is not in the log before it")
          }
        }
        seen[header.id] = header
      }
    }
  }

  // MARK: topology-agrees, topology-followed

  private mutating func checkTopology() {
    let seats = topology.observer.seats.compactMap { run.lives[$0]?.live }
    guard let wanted = seats.max(by: { $0.version < $1.version }) else {
      return fail("topology-agrees", "the seat does not run")
    }
    for (node, (live, sending)) in run.lives.sorted(by: { $0.key < $1.key }) {
      if live != wanted {
        fail("topology-agrees", "\(node) knows version \(live.version), not \(wanted.version)")
      }
      if sending != wanted.version {
        fail("topology-followed", "\(node) sends by \(sending), not \(wanted.version)")
      }
    }
  }

  // MARK: moved-once, move-completes

  /// Who was moved works where it was moved to, and nowhere else since; all nodes know that.
  private mutating func checkMoves() {
    for (node, log) in run.logs {
      let orders = log.entries.compactMap { $0.record.said(AgentMoved.self) }
      if orders != run.moves.moves.map(\.order) {
        fail("move-agrees", "\(node) knows of \(orders.count) moves of \(run.moves.moves.count)")
      }
      for cursor in log.cursors where cursor.value.handledCount > 0 {
        if home(of: cursor.key.agent) != node {
          fail("moved-once", "\(cursor.key.agent) has a place in the log of \(node)")
        }
      }
    }
    for move in run.moves.moves where move.stage != .arrived {
      fail("move-completes", "\(move.order) is \(move.stage)")
    }
    for agent in topology.agents {
      guard let epoch = epochs[agent.id] else { continue }
      if openings[agent.id]?[epoch] != agent.node {
        let node = openings[agent.id]?[epoch]?.text ?? "no node"
        fail("moved-once", "\(agent.id) works on \(node), not \(agent.node)")
      }
    }
  }

  // MARK: cursor-counts

  private mutating func checkCursors() {
    for agent in topology.agents {
      guard let log = run.logs[agent.node] else { continue }
      for channel in [Channel.persistent, .alert] {
        let mine = log.entries.filter { entry in
          entry.record.header.channel == channel
            && destinations(entry.record.header).contains { $0.id == agent.id }
        }
        let cursor = log.cursors[CursorKey(agent: agent.id, channel: channel)] ?? .start
        // Where nothing is before it, a node moves it on to the log's head when it starts and stops.
        let last = mine.last?.position ?? .start
        let head = log.entries.last?.position ?? .start
        let isAtEnd = cursor.position >= last && cursor.position <= head
        if cursor.handledCount != UInt64(mine.count) || !isAtEnd {
          fail(
            "cursor-counts",
            "\(agent.id) has handled \(cursor.handledCount) of \(mine.count) on \(channel), to \(cursor.position)"
          )
        }
      }
    }
  }
}
