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
  let services: any NodeServices
  let outbox: Mutex<Outbox>
  let allowed: [ObjectIdentifier: EventTypeName]
  private let entries = Kind.handles.entries
  private let subjects: [EventTypeName: [Pattern]]
  let metrics = Mutex(AgentMetrics(isWorker: Kind.finishes))

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
  static var batchLimit: Int { 4096 }
  /// How long inputs are handled before what they have caused is committed: it waits for that, and a crash has all of it
  /// done anew.
  static var batchDuration: Duration { .milliseconds(2) }
  /// How long alerts are handled before those that were are answered: a commit takes several milliseconds, and those
  /// that wait wait for each.
  static var alertsDuration: Duration { .milliseconds(10) }

  func run() async { await run(on: agent) }

  func snapshotMetrics() -> AgentMetrics { metrics.withLock { $0 } }

  var waitingRealtimeCount: Int {
    // What goes from one to the other meanwhile counts twice, or for a moment not at all.
    let queued = mailbox.realtimeCount { wantedCount(in: $0) }
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
      guard await handle(alerts: work.alerts, on: agent, &batch) else { return }
      if work.isWake { _ = await turn(on: agent, input: nil, &batch) { try await $0.wake(in: $1) } }
      guard await handle(work.deliveries, on: agent, &batch) else { return }
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
    let count = work.deliveries.reduce(0) { $1.channel == .realtime ? $0 + wantedCount(in: $1) : $0 }
    if count > 0 { metrics.withLock { $0.takenRealtimeCount += count } }
    for delivery in work.expired { services.lost(delivery, for: spec.id, .expired) }
  }

  /// Handles what was taken from the mailbox, and commits on the way where that takes long, or alerts have come.
  ///
  /// - Returns: whether the agent can go on.
  private func handle(_ deliveries: [Delivery], on agent: isolated Kind, _ batch: inout Batch) async -> Bool {
    var began = services.now()
    for delivery in deliveries {
      var rest = delivery
      while true {
        let end = began.advanced(by: Self.batchDuration)
        let handledCount = handlePrompt(rest, until: end, on: agent, &batch)
        if handledCount == rest.count { break }
        rest.drop(first: handledCount)
        if services.now() >= end {
          guard await commit(&batch, on: agent) else { return false }
          began = services.now()
        }
        guard await takeAlerts(on: agent, &batch) else { return false }
        let isLast = rest.count == 1
        await handle(rest.takeFirst(1), on: agent, &batch)
        if isLast { break }
      }
      guard await takeAlerts(on: agent, &batch) else { return false }
    }
    return true
  }

  /// Handles one event.
  private func handle(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch) async {
    defer {
      // What is handed out again was noted the first time.
      if let position = delivery.position, delivery.attempt == 1 { batch.handled(delivery.channel, position) }
    }
    let (input, attempt, now) = (delivery.input, delivery.attempt, services.now())
    guard !isExpired(delivery, at: now) else { return }
    guard let entry = entry(for: input, &batch) else { return noteUnhandled(delivery) }
    if attempt == 1 { metrics.withLock { $0.delivered(delivery, at: now) } }
    let answer =
      switch entry {
      case .suspending(let take):
        await turn(on: agent, input: input, attempt: attempt, &batch) { try await take($0, input, $1) }
      case .prompt(let take):
        await turn(on: agent, input: input, attempt: attempt, &batch) { try take($0, input, $1) }
      }
    if delivery.channel == .alert { noteAnswer(answer, to: delivery, &batch) }
  }

  /// Lets alerts that have come meanwhile overtake what is in hand.
  ///
  /// - Returns: whether the agent can go on.
  private func takeAlerts(on agent: isolated Kind, _ batch: inout Batch) async -> Bool {
    await handle(alerts: mailbox.takeAlerts(upTo: Self.batchLimit), on: agent, &batch)
  }

  /// Handles alerts, all of them before any that come meanwhile, and commits their answers at once, or on the way where
  /// that takes long.
  ///
  /// - Returns: whether the agent can go on.
  private func handle(
    alerts: [Delivery], on agent: isolated Kind, _ batch: inout Batch
  ) async -> Bool {
    guard !alerts.isEmpty else { return true }
    var end = services.now().advanced(by: Self.alertsDuration)
    for delivery in alerts {
      var rest = delivery
      for _ in 0..<delivery.count {
        if services.now() >= end {
          guard await commit(&batch, on: agent) else { return false }
          end = services.now().advanced(by: Self.alertsDuration)
        }
        await handle(rest.takeFirst(1), on: agent, &batch)
      }
    }
    return await commit(&batch, on: agent)
  }

  /// Whether a delivery's time to live is over; then it is counted.
  private func isExpired(_ delivery: Delivery, at now: Timestamp) -> Bool {
    guard let end = delivery.expiresAt, end <= now else { return false }
    lose(delivery, .expired)
    return true
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

  /// Takes note that no handler is called with what the agent has in hand.
  private func lose(_ delivery: Delivery, _ cause: LossCause) {
    if delivery.channel == .realtime {
      let count = wantedCount(in: delivery)
      metrics.withLock { $0.unhandledRealtimeCount += count }
    }
    services.lost(delivery, for: spec.id, cause)
  }

  /// Counts an event without a handler, if it is for this agent.
  private func noteUnhandled(_ delivery: Delivery) {
    let header = delivery.header
    // Answers to an agent's alerts are the bus's; an agent may look at them.
    guard wants(header), header.type != AlertAcknowledged.eventType else { return }
    lose(delivery, .unhandled)
    services.note("agent '\(spec.id)' has no handler for \(header.type) from '\(header.agent)'")
  }

  /// The handler of an event; nil where it is not for this agent, or there is none.
  private func entry(for input: Input, _ batch: inout Batch) -> Handlers<Kind>.Entry? {
    let names: RecordNames? = if case .record(let record) = input { record.names } else { nil }
    if let names, names === batch.names { return batch.entry }
    let header = input.header
    batch.names = names
    batch.entry = wants(header) ? entries[header.type] : nil
    return batch.entry
  }

  /// Handles events in a row whose names are those of the first and whose handler does not suspend, until an alert
  /// is to overtake them.
  ///
  /// - Returns: how many were handled, from the first on.
  private func handlePrompt(
    _ delivery: Delivery, until end: Timestamp, on agent: isolated Kind, _ batch: inout Batch
  ) -> Int {
    guard delivery.channel != .alert, let records = delivery.records,
      case .prompt(let take)? = entry(for: delivery.input, &batch)
    else { return 0 }
    let first = records[records.startIndex]
    let end = delivery.expiresAt.map { min($0, end) } ?? end
    batch.arrivals.removeAll(keepingCapacity: true)
    var turn: Turn?
    for record in records {
      let now = services.now()
      guard now < end, !mailbox.hasAlerts, record.sharesNames(with: first) else { break }
      batch.arrivals.append(now.since(record.time).wholeMicroseconds)
      let before = agent.state
      let current: Turn
      if isKnownUniquelyReferenced(&turn), let used = turn {
        used.begin(input: .record(record), at: now)
        current = used
      } else {
        current = Turn(host: self, input: .record(record), began: now)
        turn = current
      }
      do {
        try take(agent, .record(record), Context(turn: current))
        keep(current.end(), &batch)
      } catch {
        agent.state = before
        fail(current, error, &batch)
      }
    }
    let handledCount = batch.arrivals.count
    guard handledCount > 0 else { return 0 }
    let (arrivals, channel) = (batch.arrivals, delivery.channel)
    metrics.withLock { $0.delivered(arrivals, on: channel, hops: delivery.hops) }
    if let position = delivery.position {
      let last = Position(rawValue: position.rawValue + UInt64(handledCount - 1))
      batch.handled(channel, last, count: UInt64(handledCount))
    }
    return handledCount
  }

  /// Runs one call of the agent. Where it throws, its effects are discarded, its state is as before, and the
  /// failure is an event.
  private func turn(
    on agent: isolated Kind, input: Input?, attempt: Int = 1, _ batch: inout Batch,
    _ body: (isolated Kind, Context) async throws -> Void
  ) async -> Turn.Outcome {
    let before = agent.state
    let turn = Turn(host: self, input: input, attempt: attempt, began: services.now())
    do {
      try await body(agent, Context(turn: turn))
      let effects = turn.end()
      keep(effects, &batch)
      return effects?.isHeld ?? false ? .held : .returned
    } catch {
      agent.state = before
      fail(turn, error, &batch)
      return .threw
    }
  }

  private func keep(_ effects: Turn.Effects?, _ batch: inout Batch) {
    guard let effects else { return }
    batch.drafts += effects.drafts
    batch.finishes = batch.finishes || effects.finishes
    for delay in effects.wakes {
      if delay <= .zero {
        mailbox.wake()
      } else {
        services.scheduler.schedule(after: delay) { [mailbox] in mailbox.wake() }
      }
    }
  }

  /// Makes an event of a failure, the first time that it happens on an input.
  private func fail(_ turn: Turn, _ error: any Error, _ batch: inout Batch) {
    _ = turn.end()
    let input = turn.input?.header
    metrics.withLock { $0.failureCount += 1 }
    services.note("agent '\(spec.id)' failed\(input.map { " on \($0.type) \($0.id)" } ?? ""): \(error)")
    guard turn.attempt == 1 else { return }
    let failure = Turn(host: self, input: turn.input, began: services.now())
    let event = HandlerFailed(agent: spec.id, event: input?.id, error: String("\(error)".prefix(4096)))
    _ = try? failure.publish(event, to: nil, because: Context(turn: failure).cause)
    keep(failure.end(), &batch)
  }

  /// Whether one of the agent's subscriptions covers an event that was published to all subscribers.
  private func wants(_ header: RecordHeader) -> Bool { wants(header.addressee, header.type, header.subject) }

  private func wants(_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool {
    guard addressee == nil else { return addressee == spec.id }
    return subjects[type]?.contains { $0.matches(subject) } ?? false
  }

  /// How many of the events are for this agent.
  private func wantedCount(in delivery: Delivery) -> Int { delivery.count(where: wants) }

  /// Reads the next part of a channel's events from the log and handles those that are for this agent.
  ///
  /// - Returns: whether the agent can go on.
  private func catchUp(
    _ channel: Channel, after: Position, on agent: isolated Kind, _ batch: inout Batch
  ) async -> Bool {
    do {
      let entries = try services.log.read(after: after, limit: 512, byteLimit: 1 << 20)
      for entry in entries where entry.record.channel == channel && isForUs(entry.record.header) {
        let hops: UInt8? =
          switch entry.source {
          case .stated: UInt8(clamping: services.routes.distance(entry.record.agent, spec.id))
          case .received(let hops): hops
          }
        let delivery = Delivery(entry.record, position: entry.position, hops: hops)
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
    /// The names of the last event, and its handler where it was for this agent.
    var names: RecordNames?
    var entry: Handlers<Kind>.Entry?
    /// How long events of a row were on their way, in microseconds.
    var arrivals: [UInt64] = []
    var drafts: [Draft] = []
    var cursors: [Channel: Cursor] = [:]
    var moved: Set<Channel> = []
    var snapshot: [UInt8]?
    var finishes = false
    /// Alerts whose handlers have thrown; it outlives the commit.
    var again = AlertsAgain()

    mutating func handled(_ channel: Channel, _ position: Position, count: UInt64 = 1) {
      cursors[channel, default: .start].position = max(cursors[channel]?.position ?? .start, position)
      cursors[channel, default: .start].handledCount += count
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
    if batch.moved.contains(.alert) { logBatch.priority = .urgent }
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
        let records = try outbox.records(of: drafts, limits: services.limits)
        if let first = records.first(where: { $0.channel == .alert }) {
          services.holdAlerts(of: spec.id, from: first.sequence)
        }
        return zip(records, drafts).map { Stated(record: $0, event: $1.event) }
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
