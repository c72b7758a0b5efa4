import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// Calls of the agent, and what becomes of those that throw.
extension AgentCell {
  /// Handles one event.
  func handle(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch<Kind>) async {
    defer {
      // What is handed out again was noted the first time.
      if let position = delivery.position, !delivery.isAgain, !batch.isAbandoned {
        batch.handled(delivery.channel, position)
      }
    }
    if delivery.isQuestion { return await answer(delivery, on: agent, &batch) }
    let (input, now) = (delivery.input, services.now())
    // One that is given again was not done with.
    if let handledBefore, !delivery.isAgain, handledBefore.contains(input.id) { return }
    if !delivery.isAgain, isPassed(delivery) { return }
    guard !isExpired(delivery, at: now) else { return }
    guard let entry = entry(for: input, &batch) else { return noteUnhandled(delivery, at: now) }
    if !delivery.isAgain { metrics.withLock { $0.delivered(delivery, at: now) } }
    let outcome: Turn.Outcome
    switch entry {
    case _ where isBroken(delivery): outcome = fail(delivery, on: agent, &batch)
    case .suspending(let take):
      outcome = await turn(on: agent, .delivery(delivery), &batch) { try await take($0, input, $1) }
    case .prompt(let take):
      outcome = await turn(on: agent, .delivery(delivery), &batch) { try take($0, input, $1) }
    }
    guard !batch.isAbandoned else { return }
    if case .threw = outcome {} else { batch.kept.handled(input.header, delivery.channel) }
    if delivery.channel == .alert {
      noteAnswer(outcome, to: delivery, &batch)
    } else if case .threw(let error) = outcome {
      noteFailure(error, on: delivery, &batch)
    }
  }

  /// Whether the first event of a delivery is of a lane that was for the agent before, and was handled then.
  private func isPassed(_ delivery: Delivery) -> Bool {
    guard let handledElsewhere, delivery.channel.isLogged else { return false }
    let header = delivery.input.header
    return handledElsewhere.has(header.id, at: header.point, of: delivery.lane)
  }

  /// Handles events in a row whose names are those of the first and whose handler does not suspend, until an alert
  /// is to overtake them, or a handler throws.
  ///
  /// - Returns: how many were handled, from the first on.
  func handlePrompt(
    _ delivery: Delivery, until end: Timestamp, on agent: isolated Kind, _ batch: inout Batch<Kind>
  ) -> Int {
    guard delivery.channel != .alert, !delivery.isAgain, !isPassed(delivery),
      case .prompt(let take)? = entry(for: delivery.input, &batch)
    else { return 0 }
    let broken = brokenEvent
    let end = delivery.expiresAt.map { min($0, end) } ?? end
    batch.arrivals.removeAll(keepingCapacity: true)
    var turn: Turn?
    var failure: (any Error)?
    let purpose: CallPurpose = delivery.channel == .persistent ? .persistent : .realtime
    slot?.begin(purpose, delivery.input.id)
    defer {
      call.withLock { $0 = nil }
      slot?.end()
    }
    batch.hasRun = true
    let start = services.now()
    call.withLock { $0 = RunningCall(delivery, began: start) }
    for index in 0..<delivery.alikeCount {
      let (input, now) = (delivery.input(at: index), services.now())
      guard now < end, !mailbox.hasAlerts, broken.map({ $0 != input.id }) ?? true,
        !(handledBefore?.contains(input.id) ?? false)
      else { break }
      batch.arrivals.append(now.since(input.time).wholeMicroseconds)
      let before = agent.state
      let current: Turn
      if isKnownUniquelyReferenced(&turn), let used = turn {
        used.begin(input: input, at: now, timers: batch.agenda.timers)
        current = used
      } else {
        current = begin(input, at: now, on: agent, batch)
        turn = current
      }
      call.withLock { $0?.next(index, began: now) }
      slot?.next(purpose, input.id)
      do {
        try take(agent, input, Context(turn: current))
        let effects = current.end()
        observe(current, effects, delivery, at: batch.arrivals.count - 1, &batch)
        keep(effects, &batch)
        batch.kept.handled(input.header, delivery.channel)
      } catch {
        let effects = current.end()
        discard(current, error, before, on: agent, &batch)
        observe(current, effects, delivery, at: batch.arrivals.count - 1, threw: error, &batch)
        failure = error
        break
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
    if let failure {
      var rest = delivery
      rest.drop(first: handledCount - 1)
      noteFailure(failure, on: rest.takeFirst(1), &batch)
    }
    return handledCount
  }

  /// Handles the alerts that are in hand and those that have come meanwhile, before all else and in their order, and
  /// commits their answers at once, or on the way where that takes long.
  ///
  /// - Returns: whether the agent can go on.
  func takeAlerts(on agent: isolated Kind, _ batch: inout Batch<Kind>, _ hand: inout Hand) async -> Bool {
    for alert in mailbox.takeAlerts(upTo: Self.batchLimit) { hand.alerts.append(alert) }
    guard !hand.alerts.isEmpty, !batch.isSpoilt else { return true }
    var end = services.now().advanced(by: Self.alertsDuration)
    while !batch.isSpoilt, let alert = hand.alerts.takeEvent() {
      if services.now() >= end {
        guard await commit(&batch, on: agent) else { return false }
        end = services.now().advanced(by: Self.alertsDuration)
      }
      await handle(alert, on: agent, &batch)
      if batch.isUrgent { guard await commit(&batch, on: agent) else { return false } }
    }
    return await commit(&batch, on: agent)
  }

  /// Whether a delivery's time to live is over; then it is counted.
  private func isExpired(_ delivery: Delivery, at now: Timestamp) -> Bool {
    guard let end = delivery.expiresAt, end <= now else { return false }
    lose(delivery, .expired)
    return true
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
  private func noteUnhandled(_ delivery: Delivery, at now: Timestamp) {
    let header = delivery.header
    // Answers to an agent's alerts are the bus's; an agent may look at them.
    guard wants(header), header.type != AlertAcknowledged.eventType else { return }
    // A value has come where it is read.
    if declarations.reads(header.type) { return metrics.withLock { $0.delivered(delivery, at: now) } }
    lose(delivery, .unhandled)
    services.note("agent '\(spec.id)' has no handler for \(header.type) from '\(header.agent)'")
  }

  /// The handler of an event; nil where it is not for this agent, or there is none.
  private func entry(for input: Input, _ batch: inout Batch<Kind>) -> Handlers<Kind>.Entry? {
    let names = input.names
    if names === batch.names { return batch.entry }
    let header = input.header
    batch.names = names
    batch.entry = wants(header) ? entries[header.type] : nil
    return batch.entry
  }

  /// Acknowledges an alert whose handler has returned; lets one whose handler threw run again.
  private func noteAnswer(_ answer: Turn.Outcome, to delivery: Delivery, _ batch: inout Batch<Kind>) {
    let header = delivery.header
    if case .threw(let error) = answer, delivery.attempt == 1 { note(error, on: header, &batch) }
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
      again.isAgain = true
      services.scheduler.schedule(after: wait) { [mailbox, again] in mailbox.offerAgain(again) }
    }
  }

  /// Takes note that a handler has thrown on an event of another channel than alert's.
  private func noteFailure(_ error: any Error, on delivery: Delivery, _ batch: inout Batch<Kind>) {
    if delivery.channel == .persistent {
      retryLater(delivery, after: error, &batch)
    } else {
      note(error, on: delivery.header, &batch)
    }
  }

  /// Puts a persistent event on the agenda again, or aside, as the retry policy has it.
  private func retryLater(_ delivery: Delivery, after error: any Error, _ batch: inout Batch<Kind>) {
    let header = delivery.header
    guard let position = delivery.position else { return }
    let wait =
      Kind.isPermanent(error)
      ? nil : supervision.retry.wait(afterAttempt: delivery.attempt, random: services.random())
    note(error, on: header, attempt: delivery.attempt, retryAfter: wait, &batch)
    guard let wait else {
      let letter = EventDeadLettered(
        agent: spec.id, event: header.id, type: header.type, from: header.agent, position: position.rawValue,
        attempts: delivery.attempt, error: Self.text(error))
      return batch.state(
        letter, to: services.keeper(of: spec.id, EventDeadLettered.eventType), services.newEvent(), header)
    }
    batch.change { agenda in
      agenda.retries.insert(
        .init(
          id: header.id, dueAt: services.now().adding(wait.wholeMicroseconds), position: position,
          attempt: delivery.attempt + 1))
    }
  }

  /// States that a call has thrown.
  func note(
    _ error: any Error, on input: RecordHeader?, attempt: Int? = nil, retryAfter: Duration? = nil,
    _ batch: inout Batch<Kind>
  ) {
    guard !batch.isAbandoned else { return }
    let event = HandlerFailed(
      agent: spec.id, event: input?.id, error: Self.text(error), attempt: attempt,
      retryAfterMicroseconds: retryAfter?.wholeMicroseconds)
    batch.state(event, to: nil, services.newEvent(), input)
  }

  static func text(_ error: any Error) -> String { String("\(error)".prefix(4096)) }

  /// Runs one call of the agent. Where it throws, its effects are discarded and its state is as before.
  func turn(
    on agent: isolated Kind, _ source: CallSource, _ batch: inout Batch<Kind>,
    _ body: (isolated Kind, Context) async throws -> Void
  ) async -> Turn.Outcome {
    let before = agent.state
    batch.hasRun = true
    let (input, attempt) = (source.delivery?.input, source.delivery?.attempt ?? 1)
    let turn = begin(input, attempt: attempt, asked: source.asked, at: services.now(), on: agent, batch)
    call.withLock { $0 = RunningCall(source.delivery, began: turn.began) }
    slot?.begin(source.purpose, input?.id ?? .none)
    defer {
      call.withLock { $0 = nil }
      slot?.end()
    }
    do {
      try await body(agent, Context(turn: turn))
      if source.purpose.isLifecycle { slot?.settle(source.purpose) }
      let effects = turn.end()
      observe(turn, effects, source, &batch)
      keep(effects, &batch)
      return effects?.isHeld ?? false ? .held : .returned
    } catch {
      let effects = turn.end()
      discard(turn, error, before, on: agent, &batch)
      if !batch.isAbandoned { observe(turn, effects, source, threw: error, &batch) }
      return .threw(error)
    }
  }

  func begin(
    _ input: Input?, attempt: Int = 1, asked: AskedFrame? = nil, at now: Timestamp, on agent: isolated Kind,
    _ batch: Batch<Kind>
  ) -> Turn {
    Turn(
      host: self, input: input, attempt: attempt, asked: asked, began: now,
      timers: batch.agenda.timers,
      evolution: evolves ? Self.evolution(of: agent) : nil)
  }

  private func keep(_ effects: Turn.Effects?, _ batch: inout Batch<Kind>) {
    guard let effects else { return }
    batch.take(effects)
    noteAudiences(effects.drafts)
    for delay in effects.wakes {
      if delay <= .zero {
        mailbox.wake()
      } else {
        services.scheduler.schedule(after: delay) { [mailbox] in mailbox.wake() }
      }
    }
  }

  /// Leaves nothing of a call that has thrown.
  func discard(
    _ turn: Turn, _ error: any Error, _ before: Kind.State, on agent: isolated Kind,
    _ batch: inout Batch<Kind>
  ) {
    agent.state = before
    if error is NodeStops, asks.withLock({ $0.isStopped }) {
      (batch.isSpoilt, batch.isAbandoned) = (true, true)
      return
    }
    batch.isSpoilt = batch.isSpoilt || supervision.strategy != .resume
    metrics.withLock { $0.failureCount += 1 }
    let input = turn.input?.header
    services.note("agent '\(spec.id)' failed\(input.map { " on \($0.type) \($0.id)" } ?? ""): \(error)")
  }

  /// What the state of an agent makes of what the agent publishes; nil where it does not follow from that.
  static func evolution(of agent: Kind) -> Turn.Evolve? {
    guard Kind.evolves.isUsed else { return nil }
    return { event, type, actor in
      guard let rule = Kind.evolves.rules[type] else { return }
      guard actor === agent else {
        throw HyphaError(
          .agentFailed, "\(type) is published from outside of the agent whose state evolves by it",
          remedy: "publish it in a method of the agent, not in a detached task or another actor")
      }
      try agent.assumeIsolated { try rule.apply(&$0.state, event) }
    }
  }

  // MARK: What is due

  /// Lets timers fire, and gives events again whose time has come.
  ///
  /// - Returns: whether the agent can go on.
  func doWhatIsDue(
    on agent: isolated Kind, _ batch: inout Batch<Kind>, _ hand: inout Hand
  ) async -> Bool {
    alarm.withLock { $0 = nil }
    let now = services.now()
    while let timer = batch.change({ $0.timers.takeDue(now: now) }) {
      let fired = Draft(firing: timer, to: spec.id, services.newEvent())
      observe(timer, fired.time, &batch)
      batch.drafts.append(fired)
    }
    var count = 0
    while !batch.isSpoilt, count < Self.batchLimit, let retry = batch.change({ $0.retries.takeDue(now: now) })
    {
      count += 1
      await tryAgain(retry, on: agent, &batch)
      if batch.isUrgent { guard await commit(&batch, on: agent) else { return false } }
      guard await takeAlerts(on: agent, &batch, &hand) else { return false }
    }
    arm(for: batch.agenda.next)
    return true
  }

  /// Gives the agent an event once more.
  func tryAgain(_ retry: Agenda.Retry, on agent: isolated Kind, _ batch: inout Batch<Kind>) async {
    do {
      guard let entry = try services.log.entry(at: retry.position) else {
        services.note("agent '\(spec.id)' cannot try \(retry.id) again: the log does not have it any more")
        return
      }
      var delivery = delivery(of: entry)
      delivery.attempt = retry.attempt
      delivery.isAgain = true
      await handle(delivery, on: agent, &batch)
      if batch.isAbandoned { batch.change { $0.retries.insert(retry) } }
    } catch {
      services.note("agent '\(spec.id)' cannot read what it is to try again: \(error)")
      batch.change { agenda in
        var later = retry
        later.dueAt = services.now().adding(1_000_000)
        agenda.retries.insert(later)
      }
    }
  }

  /// Wakes the agent when the next thing on its agenda is due.
  func arm(for next: Timestamp?) {
    guard let next else { return }
    let isSooner = alarm.withLock { alarm in
      if let alarm, alarm <= next { return false }
      alarm = next
      return true
    }
    guard isSooner else { return }
    services.scheduler.schedule(after: max(.zero, next.since(services.now()))) { [weak mailbox] in
      mailbox?.due()
    }
  }
}

extension Draft {
  /// The event that a timer states when it fires.
  init(firing timer: Agenda.Timer, to agent: AgentID, _ new: (id: EventID, time: Timestamp)) {
    self.init(
      event: nil, addressee: agent, id: new.id, time: new.time, channel: .persistent, type: timer.type,
      schemaVersion: timer.schemaVersion, subject: timer.subject, contentType: timer.contentType,
      causation: timer.causation, correlation: timer.correlation == .none ? new.id : timer.correlation,
      payload: timer.payload)
  }
}
