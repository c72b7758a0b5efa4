import HyphaCore
import HyphaTopology
import HyphaTransport
import Synchronization

/// What contexts ask for.
extension AgentCell {
  func newEvent(for purpose: NewEvent) -> (EventID, Timestamp) { services.newEvent() }
  func now() -> Timestamp { services.now() }
  func reading() -> Timestamp { services.now() }
  func random() -> UInt64 { services.random() }
  func read(_ query: SharedQuery) throws -> [SharedItem] {
    services.readShared(query) { declarations.readsValue($0) }
  }
  func report(_ name: String, _ value: Int64) { metrics.withLock { $0.gauges[name] = value } }
  func begin(_ ledger: DecisionLedger) { services.decisions.begin(spec.id, with: ledger) }
  var handlerDeadline: Duration { supervision.handlerDeadline }
  var waker: @Sendable () -> Void { { [weak mailbox] in mailbox?.wake() } }

  func whenNodeStops(_ body: @escaping @Sendable () -> Void) {
    if stopActions.withLock({ $0.add(body) }) { body() }
  }

  func publishNow(_ draft: Draft) throws {
    // Numbering and handing over stay under one lock, so that a lane leaves in its order.
    try outbox.withLock { outbox in
      try services.checkRoomForAlert(of: spec.id)
      if let within = draft.within {
        let deadline = try Draft.deadline(within, of: draft, services.newEvent())
        let record = try Record(outbox.number(deadline), payload: deadline.payload, limits: services.limits)
        services.publishAlert(Stated(record: record, event: deadline.event))
      }
      let record = try Record(outbox.number(draft), payload: draft.payload, limits: services.limits)
      services.publishAlert(Stated(record: record, event: draft.event))
    }
  }

  func publishRealtime<E: Event>(
    _ event: E, to addressee: AgentID?, because cause: Cause?
  ) throws -> EventID {
    try sendRealtime(event, to: addressee, because: cause, isLimited: true)
  }

  /// Sends a realtime event; the bus's own questions and answers are not limited.
  func sendRealtime<E: Event>(
    _ event: E, to addressee: AgentID?, because cause: Cause?, isLimited: Bool = false
  ) throws -> EventID {
    try outbox.withLock { outbox in
      let key = RealtimeLane.Key(event: ObjectIdentifier(E.self), addressee: addressee)
      let lane: RealtimeLane
      if let known = outbox.realtimeLane(key), known.isCurrent(services.routes) {
        lane = known
      } else {
        let type = try checkPublish(E.self, to: addressee)
        let target: LaneTarget = addressee.map(LaneTarget.addressee) ?? .type(type)
        let name = Lane(agent: spec.id, channel: .realtime, target: target)
        lane = RealtimeLane(
          E.self, key, name, type: type, slot: outbox.slot(of: name), routes: services.routes,
          local: services.localTargets(of: name), sent: services.sentCounter(of: name),
          flow: services.flowCounter(of: name), relayCounts: services.relayCounts,
          onEnd: { [weak services] in services?.drop($0, .expired) })
        outbox.add(lane)
      }
      return try publish(event, on: lane, to: addressee, because: cause, isLimited: isLimited, &outbox)
    }
  }

  /// Publishes a realtime event under the outbox's lock, so that a lane leaves in its order.
  private func publish<E: Event>(
    _ event: E, on lane: RealtimeLane, to addressee: AgentID?, because cause: Cause?, isLimited: Bool,
    _ outbox: inout Outbox
  ) throws -> EventID {
    let subject = event.subject
    let front = try lane.front(of: subject, to: addressee, outbox) {
      try checkSubject(subject, of: lane.type)
    }
    if !lane.links.isEmpty {
      outbox.scratch.removeAll(keepingCapacity: true)
      try event.encode(into: &outbox.scratch)
      try checkPayload(byteCount: outbox.scratch.count, of: lane.type)
    }
    // Only now: an event that cannot leave is taken nowhere.
    let (id, time) = services.newEvent()
    if isLimited, !outbox.mayPublish(services.scheduler) {
      services.limited(lane, subject)
      return id
    }
    let (sequence, previous) = outbox.next(on: .realtime, slot: lane.slot)
    let numbers = RecordTemplate.Numbers(
      id: id, time: time, sequence: sequence, previous: previous, causation: cause?.event ?? .none,
      correlation: cause.correlation(of: id))
    services.countRealtime(pairCount: lane.plan.destinationCount(of: subject))
    for relay in lane.relays { relay.value.wrappingAdd(1, ordering: .relaxed) }
    lane.flow?.add(1)
    if !lane.local.isEmpty {
      services.deliver(
        event, numbers, of: front, to: lane.local)
    }
    lane.sent?.add(subject)
    if !lane.links.isEmpty { try send(numbers, subject: subject, on: lane, to: addressee, &outbox) }
    return id
  }

  /// Adds the encoded event to the run of its lane that waits, or begins one.
  private func send(
    _ numbers: RecordTemplate.Numbers, subject: Subject, on lane: RealtimeLane, to addressee: AgentID?,
    _ outbox: inout Outbox
  ) throws {
    let template: RecordTemplate
    if let known = lane.template, known.names.subject == subject {
      template = known
    } else {
      template = try outbox.template(
        of: lane, subject: subject, to: addressee, limits: services.limits)
      lane.template = template
    }
    func add(to run: OutboundRun) throws -> Bool {
      try outbox.scratch.withUnsafeBytes { try run.append(template, numbers, payload: $0) }
    }
    if let run = outbox.openRun(of: lane), try add(to: run) { return }
    let run = OutboundRun(
      channel: .realtime, links: lane.links,
      expiry: .init(
        time: Timestamp(microseconds: numbers.time.microseconds + lane.timeToLive.wholeMicroseconds),
        clock: services.scheduler, onEnd: lane.onEnd))
    _ = try add(to: run)
    outbox.begin(run, of: lane)
    services.send(run)
  }
}
