import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// Calls of the agent, and what becomes of those that throw.
extension AgentCell {
  func handle(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch<Kind>) async {
    let header = delivery.header
    defer {
      // What is handed out again was noted the first time.
      if let position = delivery.position, !delivery.isAgain { batch.handled(header.channel, position) }
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
    if !delivery.isAgain {
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
    switch (header.channel, answer) {
    case (.alert, _): noteAnswer(answer, to: delivery, &batch)
    case (.persistent, .threw(let error)): retryLater(delivery, after: error, &batch)
    case (.realtime, .threw(let error)): note(error, on: header, &batch)
    default: break
    }
  }

  /// Lets alerts that have come meanwhile overtake what is in hand, and commits them at once.
  ///
  /// - Returns: whether the agent can go on.
  func takeAlerts(
    on agent: isolated Kind, _ batch: inout Batch<Kind>, _ hand: inout Queue<Delivery>
  ) async -> Bool {
    let alerts = mailbox.takeAlerts(upTo: Self.batchLimit)
    guard !alerts.isEmpty else { return true }
    for (index, alert) in alerts.enumerated() {
      if batch.isSpoilt {
        hand.prepend(alerts[index...])
        break
      }
      await handle(alert, on: agent, &batch)
    }
    return await commit(&batch, on: agent)
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
    let event = HandlerFailed(
      agent: spec.id, event: input?.id, error: Self.text(error), attempt: attempt,
      retryAfterMicroseconds: retryAfter?.wholeMicroseconds)
    batch.state(event, to: nil, services.newEvent(), input)
  }

  private static func text(_ error: any Error) -> String { String("\(error)".prefix(4096)) }

  /// Runs one call of the agent. Where it throws, its effects are discarded and its state is as before.
  ///
  /// - Parameter attempt: how often it was called on the same input, this time included.
  func turn(
    on agent: isolated Kind, input: RecordHeader?, attempt: Int = 1, _ batch: inout Batch<Kind>,
    _ body: (isolated Kind, Context) async throws -> Void
  ) async -> Turn.Outcome {
    let before = agent.state
    let turn = Turn(
      host: self, input: input, attempt: attempt, began: services.now(),
      timerRoom: Agenda.timerCountMax - batch.agenda.timers.count, evolution: Self.evolution(of: agent))
    call.withLock { $0 = RunningCall(input: input, began: turn.began) }
    defer { call.withLock { $0 = nil } }
    do {
      try await body(agent, Context(turn: turn))
      let effects = turn.end()
      batch.take(effects)
      for delay in effects.wakes { services.scheduler.schedule(after: delay) { [mailbox] in mailbox.wake() } }
      return effects.isHeld ? .held : .returned
    } catch {
      _ = turn.end()
      agent.state = before
      batch.isSpoilt = batch.isSpoilt || supervision.strategy != .resume
      metrics.withLock { $0.failureCount += 1 }
      services.note("agent '\(spec.id)' failed\(input.map { " on \($0.type) \($0.id)" } ?? ""): \(error)")
      return .threw(error)
    }
  }

  /// What the state of an agent makes of what the agent publishes; nil where it does not follow from that.
  private static func evolution(of agent: Kind) -> Turn.Evolve? {
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
    on agent: isolated Kind, _ batch: inout Batch<Kind>, _ hand: inout Queue<Delivery>
  ) async -> Bool {
    alarm.withLock { $0 = nil }
    let now = services.now()
    while let timer = batch.change({ $0.timers.takeDue(now: now) }) {
      batch.drafts.append(Draft(firing: timer, to: spec.id, services.newEvent()))
    }
    var count = 0
    while !batch.isSpoilt, count < Self.batchLimit, let retry = batch.change({ $0.retries.takeDue(now: now) })
    {
      count += 1
      do {
        guard let entry = try services.log.entry(at: retry.position) else {
          services.note("agent '\(spec.id)' cannot try \(retry.id) again: the log does not have it any more")
          continue
        }
        var delivery = delivery(of: entry)
        delivery.attempt = retry.attempt
        delivery.isAgain = true
        await handle(delivery, on: agent, &batch)
      } catch {
        services.note("agent '\(spec.id)' cannot read what it is to try again: \(error)")
        batch.change { agenda in
          var later = retry
          later.dueAt = now.adding(1_000_000)
          agenda.retries.insert(later)
        }
      }
      guard await takeAlerts(on: agent, &batch, &hand) else { return false }
    }
    arm(for: batch.agenda.next)
    return true
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
  fileprivate init(firing timer: Agenda.Timer, to agent: AgentID, _ new: (id: EventID, time: Timestamp)) {
    self.init(
      event: nil, addressee: agent, id: new.id, time: new.time, channel: .persistent, type: timer.type,
      schemaVersion: timer.schemaVersion, subject: timer.subject, contentType: timer.contentType,
      causation: timer.causation, correlation: timer.correlation == .none ? new.id : timer.correlation,
      timeToLive: nil, payload: timer.payload)
  }
}
