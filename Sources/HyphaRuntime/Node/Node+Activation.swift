import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// How a node's agents enter their new epochs when it starts.
extension Node {
  /// Makes the agents' cells. Each agent enters a new epoch, which is committed before anything of it is sent.
  func activate() async throws -> [AgentID: any AgentRunner] {
    let heads = try log.heads()
    let (laneHeads, streams) = (heads.lanes, heads.streams)
    try checkTopology(laneHeads)
    let outline = try DeploymentOutline(configuration.topology).snapshot(in: log).merging(keptFile()) { $1 }
      .merging(revision.snapshots) { $1 }
    var epochs: [AgentID: UInt64] = [:]
    for stream in streams.keys { epochs[stream.agent] = max(epochs[stream.agent] ?? 0, stream.epoch) }
    var lanesOf: [AgentID: [Lane: LanePoint]] = [:]
    for (lane, head) in laneHeads { lanesOf[lane.agent, default: [:]][lane] = head.point }
    let author = configuration.node.author
    let own = Outbox(
      agent: author, epoch: epoch(after: epochs[author] ?? 0), after: epochs[author] ?? 0,
      lanes: lanesOf[author] ?? [:],
      policyVersion: configuration.topology.version)
    desks.own.state.withLock { $0.outbox = own }
    let kept = try beginIncarnation(
      after: ([author] + ownAgents.map(\.id)).compactMap { epochs[$0] }
    ).merging(outline) { $1 }
    try restoreTopology()
    try restoreOversight()
    let shared = [SharedSnapshot.owner: try desks.shared.restore(log)]
    let newest = newestForConsumers(heads)
    var places = try movedPlaces(heads, newest: newest).merging(revision.cursors) { $1 }
    var runners: [AgentID: any AgentRunner] = [:]
    var activations: [Stated] = []
    var batch = try handOver(heads)
    let rejoined = try stateRejoined()
    let heardOf = try RejoinRecord.read(in: log)?.epoch ?? 0
    var arrived: [AgentID: UInt64] = [:]
    for spec in ownAgents {
      let kind = try configuration.kinds.kind(spec.kind)
      let adoption = try adoption(of: spec.id, heads)
      let previous = max(epochs[spec.id] ?? 0, adoption?.epoch ?? 0)
      let next = epoch(after: max(previous, heardOf))
      var outbox = Outbox(
        agent: spec.id, epoch: next, after: previous,
        lanes: desks.moves.ownLanes(of: spec.id, lanesOf[spec.id] ?? [:]),
        policyVersion: configuration.topology.version, limit: topology.realtimeLimit(of: spec))
      activations.append(
        try activation(
          of: spec, next, after: previous,
          adoption.flatMap { $0.epoch == previous ? $0.committed : nil }
            ?? committed(spec.id, previous, streams),
          handled: adoption == nil && revision.places[spec.id] == nil
            ? log.cursor(CursorKey(agent: spec.id, channel: .persistent)) : nil,
          hasReturned: rejoined != nil || adoption?.hasReturned == true, &outbox))
      activations += try keptArrival(of: spec.id, &outbox)
      if adoption != nil || desks.moves.untold[spec.id] != nil { arrived[spec.id] = next }
      if let adoption {
        places.merge(adoption.cursors) { $1 }
        batch.snapshots[spec.id] = adoption.snapshot
      }
      func inbox(_ channel: Channel) throws -> LoggedInbox {
        let key = CursorKey(agent: spec.id, channel: channel)
        let handled = try adoption?.cursors[key] ?? revision.cursors[key] ?? log.cursor(key)
        return LoggedInbox(handled: handled?.position ?? .start, newest: newest[key] ?? .start)
      }
      let mailbox = Mailbox(alert: try inbox(.alert), persistent: try inbox(.persistent))
      runners[spec.id] = makeCell(kind, spec, outbox, mailbox)
    }
    state.withLock { state in
      state.runners = runners
      state.hasRestarted = !epochs.isEmpty
    }
    let moved =
      (rejoined.map { [$0.stated] } ?? []) + batch.appends.map { Stated(record: $0.record, event: nil) }
      + (try arrivals(arrived))
    if !activations.isEmpty || !moved.isEmpty {
      // Nothing is sent yet; neighbours that want these events ask for them.
      let audience = LossAudience(configuration.topology, agents: ownAgents.map(\.id))
      batch.appends = (activations + moved).map { .init($0.record) }
      batch.snapshots[AlertTracker.owner] = try restoreAlerts()
      batch.snapshots[LossAudience.owner] = Array(try JSON.encode(audience))
      batch.snapshots[LossReading.owner] = try openLosses()
      batch.snapshots.merge(kept) { $1 }
      batch.snapshots.merge(shared) { $1 }
      batch.snapshots.merge(keptOrdering()) { $1 }
      batch.snapshots.merge(rejoined?.kept ?? [:]) { $1 }
      batch.cursors.merge(places) { $1 }
      try await commitOnce(batch, activations + moved, alreadySent: true)
      try passKeptDepartures()
    } else {
      var batch = LogBatch(snapshots: kept.merging(keptOrdering()) { $1 })
      batch.cursors = revision.cursors
      log.submit(batch) { _ in }
    }
    return runners
  }

  private func makeCell<Kind: Agent>(
    _ kind: Kind.Type, _ spec: AgentSpec, _ outbox: Outbox, _ mailbox: Mailbox
  ) -> any AgentRunner {
    AgentCell(kind, spec: spec, services: self, outbox: outbox, mailbox: mailbox)
  }

  private func checkTopology(_ lanes: [Lane: LaneHead]) throws {
    let check = TopologyCheck(
      topology: configuration.topology, log: log,
      remedy:
        "run it with the topology file that it began with, and have a changed one applied to what runs ('hypha topology plan', "
        + "'hypha topology apply'), or begin anew with --fresh or another --data"
    )
    try check.check(lanes)
  }

  /// The last sequences that the log has of an agent in an epoch, by channel.
  private func committed(_ agent: AgentID, _ epoch: UInt64, _ streams: [StreamID: StreamHead])
    -> [String: UInt64]
  {
    var committed: [String: UInt64] = [:]
    for channel in Channel.allCases where channel.isLogged {
      let stream = StreamID(agent: agent, epoch: epoch, channel: channel)
      committed[channel.description] = streams[stream]?.sequence ?? 0
    }
    return committed
  }

  /// The epoch that an agent enters after another: the milliseconds since 1970 at which its node began, or the next one. So a log
  /// that was put back, copied or lost does not bring a node to use an epoch again that others have heard of.
  func epoch(after previous: UInt64) -> UInt64 { max(previous + 1, began / 1_000) }

  /// The event by which an agent opens an epoch.
  func activation(
    of spec: AgentSpec, _ epoch: UInt64, after previous: UInt64, _ committed: [String: UInt64],
    handled: Cursor?, hasReturned: Bool = false, _ outbox: inout Outbox
  ) throws -> Stated {
    let event = AgentActivated(
      agent: spec.id, node: configuration.node, epoch: epoch, previousEpoch: previous,
      committed: committed, topology: fingerprint, handledThrough: handled?.position.rawValue,
      hasReturned: hasReturned ? true : nil)
    let (id, time) = newEvent()
    var payload: [UInt8] = []
    try event.encode(into: &payload)
    let draft = Draft(
      event: event, addressee: nil, id: id, time: time, channel: .persistent,
      type: AgentActivated.eventType, schemaVersion: AgentActivated.schemaVersion, subject: event.subject,
      contentType: .json, causation: .none, correlation: id, payload: payload)
    return Stated(record: try Record(outbox.number(draft), payload: payload), event: event)
  }
}
