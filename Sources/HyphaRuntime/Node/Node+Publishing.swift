import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What leaves the agents of this node.
extension Node: NodeServices {
  var limits: WireLimits { configuration.limits }
  var calls: CallJournal? { configuration.calls }
  var replicas: ReplicationSettings { replication?.settings ?? ReplicationSettings() }

  func now() -> Timestamp { Timestamp(microseconds: scheduler.microseconds()) }

  /// The time by which what was stated before is due: it moves on where the machine's clock was set back behind the log.
  func statedTime() -> Timestamp {
    let physical = scheduler.microseconds()
    return state.withLock { $0.clock.time(physical: physical) }
  }

  func newEvent() -> (EventID, Timestamp) {
    let physical = scheduler.microseconds()
    return state.withLock { state in
      let time = state.clock.now(physical: physical)
      return (EventID(time: time, random: state.random.next()), time)
    }
  }

  func inputsHandled(by agent: AgentID) -> Set<EventID>? { handledBefore.inputs[agent] }

  func random() -> UInt64 { state.withLock { $0.random.next() } }

  func pause(_ duration: Duration) async {
    await withCheckedContinuation { continuation in
      scheduler.schedule(after: duration) { continuation.resume() }
    }
  }

  func commit(_ batch: LogBatch, _ stated: [Stated], of agent: AgentID, level: Int?) async throws {
    while true {
      // What a handler has sent must be in the log before the note that the handler has run.
      while alerts.isHeldUp(agent) {
        if isStopped { return }
        // What waits behind another group is given to the log the moment that it has that one.
        await pause(alerts.isRefused(agent) ? .milliseconds(100) : .milliseconds(1))
      }
      // A node that stops in order still commits what its last handlers have done.
      do {
        return try await commitOnce(batch, stated, alreadySent: false, level: level)
      } catch let error as HyphaError where error.code == .logConflict {
        // Its alert-channel events follow alerts that the log has just refused.
        guard alerts.isHeldUp(agent) else { throw error }
      } catch {
        note(error)
        if isStopped { return }
        await pause(.seconds(1))
      }
    }
  }

  /// Commits a batch or throws. Its events are delivered on the log's thread, in the order of commits, before
  /// this returns; and where the node has replicas, it returns when they may leave (``ReplicationLedger``).
  ///
  /// - Parameter level: how many replicas must have them; nil for what the topology file says.
  func commitOnce(
    _ batch: LogBatch, _ stated: [Stated], alreadySent: Bool, level: Int? = nil
  ) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let number = state.withLock { state in
        state.commitCount += 1
        state.commits[state.commitCount] = continuation
        return state.commitCount
      }
      let resume: @Sendable (Result<Void, any Error>) -> Void = { result in
        self.state.withLock { $0.commits.removeValue(forKey: number) }?.resume(with: result)
      }
      log.submit(batch) { result in
        switch result {
        case .failure(let error): resume(.failure(error))
        case .success(let receipt):
          guard self.replication != nil, !alreadySent, !stated.isEmpty else {
            self.deliver(stated, receipt, alreadySent: alreadySent)
            return resume(.success(()))
          }
          self.deliverAndHold(stated, receipt, level: level) { resume(.success(())) }
        }
      }
    }
  }

  func checkRoomForAlert(of agent: AgentID) throws { try alerts.checkRoom(for: agent) }

  func holdAlerts(of agent: AgentID, from sequence: UInt64) { alerts.hold(agent, from: sequence) }

  func releaseAlerts(of agent: AgentID) { append(alerts.release(agent), of: agent) }

  func publishAlert(_ alert: Stated) {
    count(alert.record)
    send([alert.record])
    append(alerts.offer(alert), of: alert.record.agent)
  }

  private func append(_ group: [Stated], of agent: AgentID) {
    guard !group.isEmpty else { return }
    log.submit(LogBatch(appends: group.map { .init($0.record) }, priority: .urgent)) { result in
      switch result {
      case .success(let receipt):
        self.deliver(group, receipt, alreadySent: true)
        self.sendToReplicas(group.map(\.record))
        self.append(self.alerts.appended(group, of: agent), of: agent)
      case .failure(let error):
        self.note(error)
        guard self.alerts.refused(group, of: agent), !self.isStopped else { return }
        self.scheduler.schedule(after: .seconds(1)) {
          self.append(self.alerts.retry(agent), of: agent)
        }
      }
    }
  }

  func countRealtime(pairCount: Int) {
    realtimeCount.wrappingAdd(1, ordering: .relaxed)
    realtimePairCount.wrappingAdd(UInt64(pairCount), ordering: .relaxed)
  }

  func relayCounts(of agents: [AgentID]) -> [RelayCount] {
    state.withLock { state in agents.map { state.relayCount(of: $0) } }
  }

  func localTargets(of lane: Lane) -> [LocalTarget] {
    let runners = state.withLock { $0.runners }
    return routes.plan(of: lane).local.map { agent in
      LocalTarget(
        agent: agent, mailbox: runners[agent]?.mailbox,
        hops: UInt8(clamping: routes.distance(lane.agent, agent)))
    }
  }

  func deliver<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, to targets: [LocalTarget]
  ) {
    // Questions and answers meet handlers that run.
    let isPlain = E.self != Asked.self && E.self != Answered.self
    for index in targets.indices {
      if isPlain, let mailbox = targets[index].mailbox {
        for dropped in mailbox.offer(event, numbers, of: front, hops: targets[index].hops) {
          lost(dropped.delivery, for: targets[index].agent, dropped.cause)
        }
      } else {
        let run = TypedRun(front, [numbers], [event])
        offer(Delivery(run, position: nil, hops: targets[index].hops), to: targets[index].agent)
      }
    }
  }

  func send(_ run: OutboundRun) { drop(transport.send(run), .queueFull) }

  func flowCounter(of lane: Lane) -> FlowMeter.Counter? {
    // What a node says itself passes between no agents.
    guard topology.observer.node != nil, topology.agent(lane.agent) != nil else { return nil }
    return desks.topology.meter.counter(of: lane) { routes.subscribers(of: lane).map(\.agent) }
  }

  func sentCounter(of lane: Lane) -> SentLane? { ledger.sent(lane, routes) }

  /// Takes note of what the node itself has stated and the log has taken.
  func delivered(own stated: [Stated], _ receipt: CommitReceipt) {
    deliver(stated, receipt, alreadySent: true)
    for (index, own) in stated.enumerated()
    where TopologyEvents.all.contains(own.record.type) || own.record.type == AnswerShared.eventType {
      observeTopology(own.record, at: Position(rawValue: receipt.first.rawValue + UInt64(index)))
    }
  }

  /// Delivers what was committed: to agents of this node, and over the links where it was not sent before.
  private func deliver(_ stated: [Stated], _ receipt: CommitReceipt, alreadySent: Bool) {
    guard !stated.isEmpty else { return }
    let records = stated.map(\.record)
    server.committed(records, from: receipt.first)
    // What nodes say of moves comes last in a commit.
    if let last = records.last, last.agent == routes.author {
      for (index, record) in records.enumerated() where record.agent == routes.author {
        observeMove(record, at: Position(rawValue: receipt.first.rawValue + UInt64(index)), isStated: true)
      }
    }
    deliverHere(stated, records, receipt, isNew: !alreadySent)
    if !alreadySent { send(records) }
  }

  /// Delivers what was committed to agents of this node, has replicas get it, and sends it over the other links once it may
  /// leave; then calls `whenDone`.
  private func deliverAndHold(
    _ stated: [Stated], _ receipt: CommitReceipt, level: Int?, whenDone: @escaping @Sendable () -> Void
  ) {
    let records = stated.map(\.record)
    server.committed(records, from: receipt.first, isHeld: true)
    deliverHere(stated, records, receipt, isNew: true)
    replicate(records, receipt, level: level) { leaves in
      if leaves {
        self.server.letGo(records.heads(from: receipt.first))
        self.send(records)
      }
      whenDone()
    }
  }

  private func deliverHere(_ stated: [Stated], _ records: [Record], _ receipt: CommitReceipt, isNew: Bool) {
    let runs = records.laneRuns
    if desks.shared.isUsed {
      for run in runs where desks.shared.takes(records[run.lowerBound].lane) {
        share(stated[run], from: Position(rawValue: receipt.first.rawValue + UInt64(run.lowerBound)))
      }
    }
    for run in runs {
      let lane = records[run.lowerBound].lane
      if lane.channel == .alert { observeAlerts(records[run], from: receipt.first, isStated: true) }
      let local = routes.plan(of: lane).local
      flowCounter(of: lane)?.add(run.count)
      if !local.isEmpty {
        var rest = stated[run]
        while let first = rest.first {
          let count = rest.prefix { $0.record.sharesNames(with: first.record) }.count
          let position = Position(rawValue: receipt.first.rawValue + UInt64(rest.startIndex))
          deliver(rest.prefix(count), at: position, to: local)
          rest = rest.dropFirst(count)
        }
      }
      if isNew { for index in run { count(records[index]) } }
    }
    observed(receipt)
  }

  /// Delivers events of this node's, neighbours with the same names, to those of this node, even where the way between them
  /// in the tree leads over another node.
  private func deliver(_ stated: ArraySlice<Stated>, at position: Position, to agents: [AgentID]) {
    guard let author = stated.first?.record.agent else { return }
    let values = ValueRun.of(stated)
    for agent in agents {
      let hops = UInt8(clamping: routes.distance(author, agent))
      let delivery =
        values.map { Delivery($0, position: position, hops: hops) }
        ?? Delivery(stated.map(\.record)[...], position: position, hops: hops)
      offer(delivery, to: agent)
    }
  }

  /// Sends records over the links of their lanes, neighbours of one lane in one frame.
  func send(_ records: [Record]) {
    var frames: [OutboundFrame] = []
    for run in records.laneRuns {
      let lane = records[run.lowerBound].lane
      let (step, version) = routes.departure(of: lane)
      guard !step.forwards.isEmpty else { continue }
      if lane.channel == .persistent { noteDeparture(records[run], along: step) }
      for part in parts(of: run, in: records) {
        frames += self.frames(of: Array(records[part]), along: step, version)
      }
    }
    if !frames.isEmpty { transmit(frames) }
  }

  /// The parts of a run of one lane's records that fit into a frame each.
  func parts(of run: Range<Int>, in records: [Record]) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var begin = run.lowerBound
    while begin < run.upperBound {
      var (end, byteCount) = (begin, 0)
      while end < run.upperBound, end - begin < limits.frameRecordCountMax {
        byteCount += records[end].byteCount
        if byteCount > Self.runByteCountMax && end > begin { break }
        end += 1
      }
      parts.append(begin..<end)
      begin = end
    }
    return parts
  }

  /// The most bytes of records in one frame with more than one.
  private static var runByteCountMax: Int { 256 << 10 }

  private func frames(of records: [Record], along step: RouteStep, _ version: UInt32) -> [OutboundFrame] {
    step.forwards.map { forward in
      let frame = Frame(
        via: forward.via, topologyVersion: version, hops: forward.hops, records: records)
      return OutboundFrame(
        node: forward.node, channel: records[0].channel, bytes: frame.encoded())
    }
  }

  /// Counts an event that agents of this node have published, and those of its agents that relay it first.
  private func count(_ record: Record) {
    let lane = record.lane
    let isOfAgent = !lane.isOfBus
    let pairCount = routes.plan(of: lane).destinationCount(of: record.subject)
    let relays = routes.departure(of: lane).step.relays
    state.withLock { state in
      if isOfAgent { state.publishedCounts[lane.channel, default: 0] += 1 }
      state.publishedPairCounts[lane.channel, default: 0] += UInt64(pairCount)
      for relay in relays { state.relayCount(of: relay).value.wrappingAdd(1, ordering: .relaxed) }
    }
  }

  /// Puts events in the mailbox of an agent of this node.
  func offer(_ delivery: Delivery, to agent: AgentID) {
    guard let runner = state.withLock({ $0.runners[agent] }) else {
      // An agent that was moved here, and has not begun, gets from the log what is in it, and nothing else.
      if !delivery.channel.isLogged { lost(delivery, for: agent, .stopped) }
      return
    }
    // These meet handlers that run.
    if delivery.isAnswer { return runner.take(answer: delivery) }
    if delivery.isQuestion, runner.refuses(question: delivery) { return }
    for dropped in runner.mailbox.offer(delivery) { lost(dropped.delivery, for: agent, dropped.cause) }
  }
}

extension [Record] {
  /// How far each lane goes, where the records are in a log from a position on.
  func heads(from first: Position) -> [Lane: LaneHead] {
    var heads: [Lane: LaneHead] = [:]
    for (index, record) in enumerated() {
      heads[record.lane] = LaneHead(
        point: record.point, position: Position(rawValue: first.rawValue + UInt64(index)), count: 0)
    }
    return heads
  }

  /// The stretches of records of one lane.
  var laneRuns: [Range<Int>] {
    var runs: [Range<Int>] = []
    var begin = 0
    for index in indices.dropFirst() {
      let (record, last) = (self[index], self[index - 1])
      if record.sharesNames(with: last) || record.lane == last.lane { continue }
      runs.append(begin..<index)
      begin = index
    }
    if begin < count { runs.append(begin..<count) }
    return runs
  }
}
