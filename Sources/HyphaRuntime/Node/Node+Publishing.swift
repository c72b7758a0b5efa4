import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What leaves the agents of this node.
extension Node: NodeServices {
  var limits: WireLimits { configuration.limits }

  func now() -> Timestamp { Timestamp(microseconds: scheduler.microseconds()) }

  func newEvent() -> (EventID, Timestamp) {
    let physical = scheduler.microseconds()
    return state.withLock { state in
      let time = state.clock.now(physical: physical)
      return (EventID(time: time, random: state.random.next()), time)
    }
  }

  func random() -> UInt64 { state.withLock { $0.random.next() } }

  func pause(_ duration: Duration) async {
    await withCheckedContinuation { continuation in
      scheduler.schedule(after: duration) { continuation.resume() }
    }
  }

  func commit(_ batch: LogBatch, _ stated: [Stated], of agent: AgentID) async throws {
    while true {
      // What a handler has sent must be in the log before the note that the handler has run.
      while alerts.isHeldUp(agent) {
        if isStopped { return }
        await pause(.milliseconds(100))
      }
      // A node that stops in order still commits what its last handlers have done.
      do {
        return try await commitOnce(batch, stated, alreadySent: false)
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
  /// this returns.
  func commitOnce(_ batch: LogBatch, _ stated: [Stated], alreadySent: Bool) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let number = state.withLock { state in
        state.commitCount += 1
        state.commits[state.commitCount] = continuation
        return state.commitCount
      }
      log.submit(batch) { result in
        if case .success(let receipt) = result { self.deliver(stated, receipt, alreadySent: alreadySent) }
        let continuation = self.state.withLock { $0.commits.removeValue(forKey: number) }
        continuation?.resume(with: result.map { _ in () }.mapError { $0 as any Error })
      }
    }
  }

  func checkRoomForAlert(of agent: AgentID) throws { try alerts.checkRoom(for: agent) }

  func holdAlerts(of agent: AgentID, from sequence: UInt64) { alerts.hold(agent, from: sequence) }

  func releaseAlerts(of agent: AgentID) { append(alerts.release(agent), of: agent) }

  func publishAlert(_ alert: Stated) {
    count(alert.record.header)
    send([alert.record])
    append(alerts.offer(alert), of: alert.record.header.agent)
  }

  private func append(_ group: [Stated], of agent: AgentID) {
    guard !group.isEmpty else { return }
    log.submit(LogBatch(appends: group.map { .init($0.record) }, isUrgent: true)) { result in
      switch result {
      case .success(let receipt):
        self.deliver(group, receipt, alreadySent: true)
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

  func publishRealtime(_ header: RecordHeader, _ draft: Draft) throws {
    let step = routes.step(from: header.lane)
    let expiresAt = draft.timeToLive.map {
      Timestamp(microseconds: header.time.microseconds + $0.wholeMicroseconds)
    }
    var frames: [OutboundFrame] = []
    if !step.forwards.isEmpty {
      var payload: [UInt8] = []
      try draft.event?.encode(into: &payload)
      let record = try Record(header, payload: payload, limits: limits)
      frames = self.frames(of: [record], along: step, remaining: draft.timeToLive)
    }
    // Only now: an event that cannot leave is taken nowhere.
    count(header)
    if let event = draft.event { deliver(header, .value(event), at: nil, expiresAt: expiresAt) }
    ledger.sent(header.lane, routes)?.add(header.subject)
    if !frames.isEmpty { transmit(frames) }
  }

  /// Delivers what was committed: to agents of this node, and over the links where it was not sent before.
  private func deliver(_ stated: [Stated], _ receipt: CommitReceipt, alreadySent: Bool) {
    guard !stated.isEmpty else { return }
    let placed = stated.enumerated().map { index, stated in
      (record: stated.record, position: Position(rawValue: receipt.first.rawValue + UInt64(index)))
    }
    server.committed(placed)
    for (stated, (record, position)) in zip(stated, placed) {
      if record.header.channel == .alert { observeAlert(record, at: position, isStated: true) }
      deliver(
        record.header, stated.event.map { .value($0) } ?? .record(record), at: position, expiresAt: nil)
    }
    observed(receipt)
    guard !alreadySent else { return }
    for record in stated.map(\.record) { count(record.header) }
    send(stated.map(\.record))
  }

  /// Delivers an event of this node's to those of this node, even where the way between them in the tree
  /// leads over another node.
  private func deliver(
    _ header: RecordHeader, _ content: Delivery.Content, at position: Position?, expiresAt: Timestamp?
  ) {
    for agent in routes.plan(of: header.lane).local {
      let hops = UInt8(clamping: routes.distance(header.agent, agent))
      offer(
        Delivery(
          header: header, content: content, position: position, hops: hops, expiresAt: expiresAt),
        to: agent)
    }
  }

  /// Sends records over the links of their lanes, neighbours of one lane in one frame.
  func send(_ records: [Record]) {
    var frames: [OutboundFrame] = []
    var rest = records[...]
    while let first = rest.first {
      let lane = first.header.lane
      var byteCount = 0
      let run = rest.prefix(limits.frameRecordCountMax).prefix { record in
        byteCount += record.bytes.count
        return record.header.lane == lane && (byteCount <= Self.runByteCountMax || record == first)
      }
      frames += self.frames(of: Array(run), along: routes.step(from: lane), remaining: nil)
      rest = rest.dropFirst(run.count)
    }
    if !frames.isEmpty { transmit(frames) }
  }

  /// The most bytes of records in one frame with more than one.
  private static var runByteCountMax: Int { 256 << 10 }

  private func frames(of records: [Record], along step: RouteStep, remaining: Duration?) -> [OutboundFrame] {
    step.forwards.map { forward in
      let frame = Frame(
        via: forward.via, topologyVersion: configuration.topology.version, hops: forward.hops,
        remaining: remaining, records: records)
      return OutboundFrame(
        node: forward.node, channel: records[0].header.channel, bytes: frame.encoded())
    }
  }

  /// Counts an event that agents of this node have published, and those of its agents that relay it first.
  private func count(_ header: RecordHeader) {
    let lane = header.lane
    let pairCount = routes.plan(of: lane).destinationCount(of: header.subject)
    let relays = routes.step(from: lane).relays
    state.withLock { state in
      state.publishedCounts[header.channel, default: 0] += 1
      state.publishedPairCounts[header.channel, default: 0] += UInt64(pairCount)
      for relay in relays { state.relayed[relay, default: 0] += 1 }
    }
  }

  /// Puts an event in the mailbox of an agent of this node.
  func offer(_ delivery: Delivery, to agent: AgentID) {
    guard let runner = state.withLock({ $0.runners[agent] }) else { return }
    guard let dropped = runner.mailbox.offer(delivery) else { return }
    lost(dropped.delivery.header, for: agent, dropped.cause)
  }
}
