import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// One agent at work: takes what waits in its mailbox, runs its handlers one at a time, and commits their
/// effects.
final class AgentCell<Kind: Agent>: AgentHost, AgentRunner {
  let spec: AgentSpec
  let mailbox: Mailbox
  private let agent = Kind()
  private let services: any NodeServices
  private let outbox: Mutex<Outbox>
  private let allowed: [ObjectIdentifier: EventTypeName]
  private let subjects: [EventTypeName: [Pattern]]
  private let metrics = Mutex(AgentMetrics(isWorker: Kind.finishes))

  init(
    _ kind: Kind.Type, spec: AgentSpec, services: any NodeServices, outbox: Outbox, mailbox: Mailbox
  ) {
    self.spec = spec
    self.services = services
    self.mailbox = mailbox
    self.outbox = Mutex(outbox)
    var allowed = [ObjectIdentifier(HandlerFailed.self): HandlerFailed.eventType]
    for type in Kind.publishes where spec.publishes?.contains(type.eventType) ?? true {
      allowed[ObjectIdentifier(type)] = type.eventType
    }
    self.allowed = allowed
    subjects = Dictionary(grouping: spec.subscribes, by: \.type).mapValues { $0.map(\.subjects) }
  }

  /// How many inputs are handled in one commit at the most.
  static var batchLimit: Int { 128 }

  func run() async { await run(on: agent) }

  func snapshotMetrics() -> AgentMetrics { metrics.withLock { $0 } }

  var waitingRealtimeCount: Int {
    // What goes from one to the other meanwhile counts twice, or for a moment not at all.
    let queued = mailbox.realtimeCount { wants($0.header) }
    return queued + metrics.withLock { $0.inHandCount }
  }

  func state(_ draft: Draft) throws { try publishNow(draft) }

  private func run(on agent: isolated Kind) async {
    var batch = Batch()
    do {
      batch.cursors = try Self.cursors(of: spec.id, in: services.log)
      if Kind.State.self != Stateless.self, let snapshot = try services.log.snapshot(of: spec.id) {
        agent.state = try JSON.decode(Kind.State.self, from: snapshot)
        batch.snapshot = snapshot
      }
    } catch {
      return giveUp("cannot be restored: \(error)")
    }
    // An agent that cannot begin must not take, and count as handled, what is for it.
    let outcome = await turn(on: agent, input: nil, &batch) { try await $0.start(in: $1) }
    let hasStarted = outcome != .threw
    guard await commit(&batch, on: agent) else { return }
    guard hasStarted else { return giveUp("does not work: its start has failed") }
    while let work = await mailbox.next(upTo: Self.batchLimit, now: services.now) {
      noteTaken(work)
      if work.isWake { _ = await turn(on: agent, input: nil, &batch) { try await $0.wake(in: $1) } }
      for delivery in work.deliveries {
        await handle(delivery, on: agent, &batch)
        guard await takeAlerts(on: agent, &batch) else { return }
      }
      if let (channel, after) = work.catchUp {
        guard await catchUp(channel, after: after, on: agent, &batch) else { return }
      }
      guard await commit(&batch, on: agent) else { return }
    }
  }

  /// Leaves the agent silent until its node starts again; its events wait in the log.
  private func giveUp(_ reason: String) {
    metrics.withLock { $0.isBroken = true }
    services.note("agent '\(spec.id)' \(reason)")
  }

  static func cursors(of agent: AgentID, in log: any LogReader) throws -> [Channel: Cursor] {
    var cursors: [Channel: Cursor] = [:]
    for channel in Channel.allCases where channel.isLogged {
      cursors[channel] = try log.cursor(CursorKey(agent: agent, channel: channel)) ?? .start
    }
    return cursors
  }

  // MARK: Handling

  private func noteTaken(_ work: Mailbox.Work) {
    let count = work.deliveries.count { $0.header.channel == .realtime && wants($0.header) }
    if count > 0 { metrics.withLock { $0.takenRealtimeCount += count } }
    for delivery in work.expired { services.lost(delivery.header, for: spec.id, .expired) }
  }

  private func handle(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch) async {
    let header = delivery.header
    defer {
      // What is handed out again was noted the first time.
      if let position = delivery.position, delivery.attempt == 1 { batch.handled(header.channel, position) }
    }
    guard wants(header) else { return }
    guard let entry = Kind.handles.entries[header.type] else {
      // Answers to an agent's alerts are the bus's; an agent may look at them.
      guard header.type != AlertAcknowledged.eventType else { return }
      if header.channel == .realtime { metrics.withLock { $0.unhandledRealtimeCount += 1 } }
      services.lost(header, for: spec.id, .unhandled)
      services.note("agent '\(spec.id)' has no handler for \(header.type) from '\(header.agent)'")
      return
    }
    if delivery.attempt == 1 {
      metrics.withLock { $0.delivered(header, hops: delivery.hops, at: services.now()) }
    }
    let answer = await turn(on: agent, input: header, attempt: delivery.attempt, &batch) { agent, context in
      let event: any Event =
        switch delivery.content {
        case .value(let event): event
        case .record(let record): try entry.decode(record)
        }
      try await entry.call(agent, event, context)
    }
    if header.channel == .alert { noteAnswer(answer, to: delivery, &batch) }
  }

  /// Lets alerts that have come meanwhile overtake what is in hand, and commits them at once.
  ///
  /// - Returns: whether the agent can go on.
  private func takeAlerts(on agent: isolated Kind, _ batch: inout Batch) async -> Bool {
    let alerts = mailbox.takeAlerts(upTo: Self.batchLimit)
    guard !alerts.isEmpty else { return true }
    for alert in alerts { await handle(alert, on: agent, &batch) }
    return await commit(&batch, on: agent)
  }

  /// Acknowledges an alert whose handler has returned; lets one whose handler threw run again.
  private func noteAnswer(_ answer: Turn.Outcome, to delivery: Delivery, _ batch: inout Batch) {
    let header = delivery.header
    guard !AlertEvents.notAnswered.contains(header.type) else { return }
    switch answer {
    case .returned:
      batch.again.forget(header.id)
      guard services.routes.node(of: header.agent) != nil else { return }
      batch.drafts.append(.acknowledgement(of: HeldAlert(header), services.newEvent()))
    case .held: batch.again.forget(header.id)
    case .threw:
      guard let wait = batch.again.wait(after: header, now: services.now(), services.alertSettings) else {
        return
      }
      var again = delivery
      again.attempt += 1
      services.scheduler.schedule(after: wait) { [mailbox, again] in mailbox.offerAgain(again) }
    }
  }

  /// Runs one call of the agent. Where it throws, its effects are discarded, its state is as before, and the
  /// failure is an event.
  ///
  /// - Parameter attempt: how often it was called on the same input, this time included; that it throws is stated once.
  private func turn(
    on agent: isolated Kind, input: RecordHeader?, attempt: Int = 1, _ batch: inout Batch,
    _ body: (isolated Kind, Context) async throws -> Void
  ) async -> Turn.Outcome {
    let before = agent.state
    let turn = Turn(host: self, input: input, attempt: attempt, began: services.now())
    do {
      try await body(agent, Context(turn: turn))
      let effects = turn.end()
      batch.drafts += effects.drafts
      batch.finishes = batch.finishes || effects.finishes
      for delay in effects.wakes { services.scheduler.schedule(after: delay) { [mailbox] in mailbox.wake() } }
      return effects.isHeld ? .held : .returned
    } catch {
      _ = turn.end()
      agent.state = before
      metrics.withLock { $0.failureCount += 1 }
      services.note("agent '\(spec.id)' failed\(input.map { " on \($0.type) \($0.id)" } ?? ""): \(error)")
      guard attempt == 1 else { return .threw }
      let failure = Turn(host: self, input: input, began: services.now())
      let event = HandlerFailed(agent: spec.id, event: input?.id, error: String("\(error)".prefix(4096)))
      _ = try? failure.publish(event, to: nil, because: Context(turn: failure).cause)
      batch.drafts += failure.end().drafts
      return .threw
    }
  }

  /// Whether one of the agent's subscriptions covers an event that was published to all subscribers.
  private func wants(_ header: RecordHeader) -> Bool {
    guard header.addressee == nil else { return header.addressee == spec.id }
    return subjects[header.type]?.contains { $0.matches(header.subject) } ?? false
  }

  /// Reads the next part of a channel's events from the log and handles those that are for this agent.
  ///
  /// - Returns: whether the agent can go on.
  private func catchUp(
    _ channel: Channel, after: Position, on agent: isolated Kind, _ batch: inout Batch
  ) async -> Bool {
    do {
      let entries = try services.log.read(after: after, limit: 512, byteLimit: 1 << 20)
      for entry in entries where entry.record.header.channel == channel && isForUs(entry.record.header) {
        let hops: UInt8? =
          switch entry.source {
          case .stated: UInt8(clamping: services.routes.distance(entry.record.header.agent, spec.id))
          case .received(let hops): hops
          }
        let delivery = Delivery(
          header: entry.record.header, content: .record(entry.record), position: entry.position,
          hops: hops, expiresAt: nil)
        await handle(delivery, on: agent, &batch)
        guard await takeAlerts(on: agent, &batch) else { return false }
      }
      guard let last = entries.last else {
        // The log ends before an event that was offered: another one would spin here.
        services.note("agent '\(spec.id)' was offered events that its node's log does not have")
        await services.pause(.seconds(1))
        return true
      }
      mailbox.caughtUp(channel, through: last.position)
    } catch {
      services.note("agent '\(spec.id)' cannot read its events: \(error)")
      await services.pause(.seconds(1))
    }
    return true
  }

  private func isForUs(_ header: RecordHeader) -> Bool {
    if let addressee = header.addressee { return addressee == spec.id }
    return subjects[header.type] != nil && header.agent != spec.id
  }

  // MARK: Committing

  private struct Batch {
    var drafts: [Draft] = []
    var cursors: [Channel: Cursor] = [:]
    var moved: Set<Channel> = []
    var snapshot: [UInt8]?
    var finishes = false
    /// Alerts whose handlers have thrown; it outlives the commit.
    var again = AlertsAgain()

    mutating func handled(_ channel: Channel, _ position: Position) {
      var cursor = cursors[channel] ?? .start
      cursor.position = max(cursor.position, position)
      cursor.handledCount += 1
      cursors[channel] = cursor
      moved.insert(channel)
    }
  }

  /// Commits what the handlers left; tries again until the log takes it or the node stops.
  ///
  /// - Returns: whether the agent can go on. What cannot be committed whole is not committed at all.
  private func commit(_ batch: inout Batch, on agent: isolated Kind) async -> Bool {
    var logBatch = LogBatch()
    if Kind.State.self != Stateless.self {
      do {
        let snapshot = Array(try JSON.encode(agent.state))
        if snapshot != batch.snapshot {
          logBatch.snapshots[spec.id] = snapshot
          batch.snapshot = snapshot
        }
      } catch {
        giveUp("has a state that cannot be encoded: \(error)")
        return false
      }
    }
    // Answers to alerts do not wait behind others' batches.
    logBatch.isUrgent = batch.moved.contains(.alert)
    for channel in batch.moved {
      logBatch.cursors[CursorKey(agent: spec.id, channel: channel)] = batch.cursors[channel]
    }
    let drafts = batch.drafts
    batch.drafts = []
    batch.moved = []
    defer { if batch.finishes { metrics.withLock { $0.isFinished = true } } }
    guard !drafts.isEmpty || !logBatch.isEmpty else { return true }
    var stated: [Stated] = []
    do {
      stated = try outbox.withLock { outbox in
        let stated = try drafts.map { draft in
          let header = outbox.number(draft)
          return Stated(
            record: try Record(header, payload: draft.payload, limits: services.limits), event: draft.event)
        }
        if let first = stated.first(where: { $0.record.header.channel == .alert }) {
          services.holdAlerts(of: spec.id, from: first.record.header.sequence)
        }
        return stated
      }
    } catch {
      // Names, versions and sizes were checked when the events were published.
      giveUp("cannot encode what it published: \(error)")
      return false
    }
    logBatch.appends = stated.map { .init($0.record) }
    defer { services.releaseAlerts(of: spec.id) }
    do {
      try await services.commit(logBatch, stated, of: spec.id)
      return true
    } catch {
      giveUp("cannot commit what it did: \(error)")
      return false
    }
  }

  // MARK: What contexts ask for

  func newEvent() -> (EventID, Timestamp) { services.newEvent() }
  func random() -> UInt64 { services.random() }
  func report(_ name: String, _ value: Int64) { metrics.withLock { $0.gauges[name] = value } }

  func checkPublish<E: Event>(_ type: E.Type, to addressee: AgentID?) throws -> EventTypeName {
    guard let name = allowed[ObjectIdentifier(type)] else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(E.eventType), which it does not declare",
        remedy:
          "add it to the kind's publishes, and to the agent's in the topology file where that narrows it")
    }
    guard E.schemaVersion > 0 else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(name) with schema version 0", remedy: "count from 1")
    }
    if let addressee, services.routes.node(of: addressee) == nil {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' addresses \(name) to '\(addressee)', which does not exist",
        remedy: "add that agent to the topology file")
    }
    return name
  }

  func checkPayload(byteCount: Int, of type: EventTypeName) throws {
    guard byteCount <= services.limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "agent '\(spec.id)' publishes \(type) with a payload of \(byteCount) bytes",
        remedy: "keep it to \(services.limits.payloadByteCountMax)")
    }
  }

  func publishNow(_ draft: Draft) throws {
    // Numbering and handing over stay under one lock, so that a lane leaves in its order.
    try outbox.withLock { outbox in
      if draft.channel == .alert {
        try services.checkRoomForAlert(of: spec.id)
        if let within = draft.within {
          let deadline = try Draft.deadline(within, of: draft, services.newEvent())
          let record = try Record(outbox.number(deadline), payload: deadline.payload, limits: services.limits)
          services.publishAlert(Stated(record: record, event: deadline.event))
        }
        let record = try Record(outbox.number(draft), payload: draft.payload, limits: services.limits)
        services.publishAlert(Stated(record: record, event: draft.event))
      } else {
        try services.publishRealtime(outbox.number(draft), draft)
      }
    }
  }
}

/// An agent at work, whatever its kind.
protocol AgentRunner: AnyObject, Sendable {
  var spec: AgentSpec { get }
  var mailbox: Mailbox { get }
  /// Works until the mailbox is stopped.
  func run() async
  func snapshotMetrics() -> AgentMetrics
  /// How many realtime events for the agent wait in its mailbox or are in its hand.
  var waitingRealtimeCount: Int { get }
  /// States an alert of the bus in the agent's stream; on any thread.
  func state(_ draft: Draft) throws
}

/// A persistent or alert event that an agent of this node published, with the value it was made of.
struct Stated: Sendable {
  var record: Record
  var event: any Event
}
