import HyphaCore
import HyphaTopology
import Synchronization

/// The effects of one call of one handler, held back until it has returned.
///
/// `@unchecked Sendable`: what is not under the lock changes in ``begin(input:at:)`` alone, while nobody else has the
/// object.
final class Turn: @unchecked Sendable {
  /// How a call ended.
  enum Outcome {
    case returned, held
    case threw(any Error)
  }

  /// What an agent's state makes of an event that the agent publishes; the actor is the caller's.
  typealias Evolve = @Sendable (any Event, EventTypeName, (any Actor)?) throws -> Void

  /// What a call leaves.
  struct Effects {
    var drafts: [Draft] = []
    var wakes: [Duration] = []
    var timers = TimerChanges()
    var finishes = false
    /// Whether the alert that was its input is to be answered later.
    var isHeld = false
    var askCount = 0
    var taken = Taken()
  }

  private struct State {
    var effects: Effects?
    var isOver = false
    /// The agent's timers when the call began.
    var timers: DueTable<Agenda.Timer>

    mutating func change<Value>(_ body: (inout Effects) -> Value) -> Value {
      var changed = effects.take() ?? Effects()
      defer { effects = changed }
      return body(&changed)
    }
  }

  let host: any AgentHost
  private(set) var input: Input?
  /// How often the handler was called with the input, this time included.
  private(set) var attempt: Int
  /// The question that the call answers.
  let asked: AskedFrame?
  private(set) var began: Timestamp
  private let evolution: Evolve?
  private let state: Mutex<State>

  /// - Parameter timers: those that the agent has.
  init(
    host: any AgentHost, input: Input?, attempt: Int = 1, asked: AskedFrame? = nil, began: Timestamp,
    timers: DueTable<Agenda.Timer> = DueTable(), evolution: Evolve? = nil
  ) {
    self.host = host
    self.input = input
    self.attempt = attempt
    self.asked = asked
    self.began = began
    self.evolution = evolution
    state = Mutex(State(timers: timers))
  }

  /// Begins another call. Only for who alone has the object: a handler may have kept its context.
  func begin(input: Input, at now: Timestamp, timers: DueTable<Agenda.Timer>) {
    self.input = input
    attempt = 1
    began = now
    state.withLock { state in
      // Most calls leave nothing, and the timers as they were.
      if state.effects != nil { state = State(timers: timers) } else { state.isOver = false }
    }
  }

  /// The input as the cause of what is published.
  var cause: Cause? { input?.cause }

  func publish<E: Event>(
    _ event: E, to addressee: AgentID?, because cause: Cause?, within: Duration? = nil,
    durability: Durability? = nil
  ) throws -> EventID {
    if let durability { try check(durability, E.channel, E.eventType) }
    if E.channel == .realtime {
      guard !state.withLock({ $0.isOver }) else { throw tooLate("publishes \(E.eventType)") }
      return try host.publishRealtime(event, to: addressee, because: cause)
    }
    var draft = try draft(of: event, to: addressee, because: cause)
    if E.channel == .alert, let within {
      try check(within: within, of: draft.type)
      draft.within = within
    }
    draft.durability = durability
    return try publish(draft)
  }

  /// Stages an event of a logged channel, or lets it leave where it does not wait for the commit.
  @discardableResult
  func publish(_ draft: Draft) throws -> EventID {
    let leaves = draft.channel.leavesBeforeCommit
    guard stage(leaves ? nil : draft) else { throw tooLate("publishes \(draft.type)") }
    guard leaves else { return draft.id }
    try host.publishNow(draft)
    state.withLock { state in
      state.change { effects in
        effects.taken.firstAlert = effects.taken.firstAlert ?? draft.time
        effects.taken.alertCount += 1
      }
    }
    return draft.id
  }

  private func check(within: Duration, of type: EventTypeName) throws {
    guard AlertSettings.range.contains(within) else {
      throw HyphaError(
        .usage, "agent '\(host.spec.id)' publishes \(type) to be answered within \(within)",
        remedy: "give 1 ms to 7 days")
    }
  }

  private func check(_ durability: Durability, _ channel: Channel, _ type: EventTypeName) throws {
    let what = "agent '\(host.spec.id)' publishes \(type) to be on \(durability.level) replicas"
    guard channel == .persistent || durability.level == 0 else {
      throw HyphaError(
        .usage, "\(what), on the \(channel) channel, which waits for none", remedy: "leave the durability out"
      )
    }
    guard (0...host.declarations.replicaCount).contains(durability.level) else {
      throw HyphaError(
        .usage, "\(what), and node '\(host.spec.node)' has \(host.declarations.replicaCount)",
        remedy: "name replicas of that node in the topology file, or ask for fewer")
    }
  }

  /// Publishes an event of a type that the program does not know.
  func publish(_ event: RawEvent, to addressee: AgentID?, within: Duration? = nil) throws -> EventID {
    try host.checkPublish(event, to: addressee)
    try host.checkSubject(event.subject, of: event.type)
    try host.checkPayload(byteCount: event.payload.count, of: event.type)
    if event.channel == .alert, let within { try check(within: within, of: event.type) }
    let (id, time) = host.newEvent(for: .output)
    return try publish(
      Draft(
        event: nil, addressee: addressee, id: id, time: time, channel: event.channel, type: event.type,
        schemaVersion: event.schemaVersion, subject: event.subject, contentType: event.contentType,
        causation: cause?.event ?? .none, correlation: cause.correlation(of: id),
        within: event.channel == .alert ? within : nil, payload: event.payload))
  }

  func evolve<E: Event>(_ event: E, _ actor: (any Actor)?) throws {
    if let evolution { try evolution(event, E.eventType, actor) }
  }

  /// The longest delay of a timer.
  static var delayMax: Duration { .seconds(100 * 365 * 86400) }

  func schedule<E: Event>(_ event: E, after delay: Duration, because cause: Cause?) throws -> EventID {
    let what = "agent '\(host.spec.id)' schedules \(E.eventType)"
    guard host.handles(E.eventType) else {
      throw HyphaError(
        .undeclared, "\(what), which it does not handle", remedy: "add a handler of that type to its handles")
    }
    guard E.channel == .persistent else {
      throw HyphaError(
        .usage, "\(what), which is of the channel \(E.channel)",
        remedy: "schedule an event of the persistent channel")
    }
    guard delay >= .zero, delay <= Self.delayMax else {
      throw HyphaError(.usage, "\(what) after \(delay)", remedy: "give 0 to 100 years")
    }
    var payload: [UInt8] = []
    try event.encode(into: &payload)
    try host.checkPayload(byteCount: payload.count, of: E.eventType)
    let subject = event.subject
    guard subject.text.utf8.count <= Subject.byteCountMax else {
      throw HyphaError(
        .tooLarge, "\(what) with a subject of \(subject.text.utf8.count) bytes",
        remedy: "keep it to \(Subject.byteCountMax), or let Subject(_:) check it")
    }
    let (id, time) = host.newEvent(for: .timer)
    let timer = Agenda.Timer(
      id: id, dueAt: time.adding(delay.wholeMicroseconds), type: E.eventType, schemaVersion: E.schemaVersion,
      subject: subject, contentType: E.contentType, causation: cause?.event ?? .none,
      correlation: cause.map(\.correlation).flatMap { $0 == .none ? nil : $0 } ?? .none, payload: payload)
    let hasRoom = try effect("schedules \(E.eventType)") { effects, timers in
      guard effects.timers.set(timer, beside: timers) else { return false }
      effects.taken.delays.append(delay.wholeMicroseconds)
      return true
    }
    guard hasRoom else {
      throw HyphaError(
        .tooLarge, "\(what), and has \(Agenda.timerCountMax) timers set",
        remedy: "set fewer, or cancel some; one timer can stand for many things that the state remembers")
    }
    return id
  }

  /// Checks a question, and gives it what it needs to leave.
  func ask<Q: Question>(
    _ agent: AgentID, _ question: Q, number: Int, within: Duration, maxAge: Duration? = nil
  )
    throws -> Ask
  {
    let path = (asked?.path ?? []) + [host.spec.id]
    // First what follows from the question alone: run again, there is nobody else to refuse it but the record.
    if let cycle = AskTable<Void>.cycle(path, asking: agent) { throw HyphaError.askCycle(cycle) }
    guard Asked.durations.contains(within) else {
      throw HyphaError(
        .usage, "agent '\(host.spec.id)' asks '\(agent)' \(Q.questionType) within \(within)",
        remedy: "give 1 ms to 1 h")
    }
    guard maxAge.map({ $0 >= .zero }) ?? true else {
      throw HyphaError(
        .usage, "agent '\(host.spec.id)' asks '\(agent)' \(Q.questionType) with a maxAge below 0",
        remedy: "give 0 or more, or nil to ask the agent itself")
    }
    try host.checkAsk(Q.questionType, of: agent)
    let (id, _) = host.newEvent(for: .bus)
    let now = host.now()
    // Whoever is asked, and asks on, has no longer than those who wait for it.
    let end = asked?.dueAt ?? Timestamp(rawValue: .max)
    guard end > now else {
      throw HyphaError(
        .askExpired,
        "agent '\(host.spec.id)' asks '\(agent)' \(Q.questionType) within \(within), \(now.since(end)) after the time "
          + "of the question that it answers itself was over",
        remedy: "give the first question longer")
    }
    let dueAt = min(now.adding(within.wholeMicroseconds), end)
    return Ask(
      id: id, agent: agent, type: Q.questionType, number: number, within: within,
      granted: min(within, dueAt.since(now)), dueAt: dueAt, key: "\(cause?.event ?? .none)/\(number)",
      path: path,
      cause: cause, maxAge: maxAge)
  }

  /// The number of another question of this call, from 1.
  func nextAsk(of agent: AgentID) throws -> Int {
    try effect("asks '\(agent)'") { effects, _ in
      effects.askCount += 1
      return effects.askCount
    }
  }

  func cancel(_ timer: EventID) throws {
    try effect("cancels a timer") { effects, timers in effects.timers.cancel(timer, of: timers) }
  }

  /// Changes what is left when the call has returned, in view of the timers that the agent had when it began.
  private func effect<Value: Sendable>(
    _ what: String, _ change: (inout Effects, DueTable<Agenda.Timer>) -> Value
  ) throws -> Value {
    let value = state.withLock { state -> Value? in
      guard !state.isOver else { return nil }
      let timers = state.timers
      return state.change { change(&$0, timers) }
    }
    guard let value else { throw tooLate(what) }
    return value
  }

  /// Adds a draft to what is committed when the call has returned. Returns false where it has.
  private func stage(_ draft: Draft?) -> Bool {
    state.withLock { state in
      if !state.isOver, let draft { state.change { $0.drafts.append(draft) } }
      return !state.isOver
    }
  }

  private func tooLate(_ what: String) -> HyphaError {
    HyphaError(
      .agentFailed, "agent '\(host.spec.id)' \(what) after its handler has returned",
      remedy: "await everything that a handler starts before it returns")
  }

  // MARK: What no log has

  /// When the call began, for the handler to see.
  func readNow() -> Timestamp {
    state.withLock { state in state.change { $0.taken.readsNow = true } }
    return began
  }

  /// What the clock shows, for the handler to see.
  func readClock() -> Timestamp {
    let now = host.reading()
    take { $0.clock.append(now.rawValue) }
    return now
  }

  func draw() -> UInt64 {
    let value = host.random()
    take { $0.random.append(value) }
    return value
  }

  func took(_ answer: ObservedAnswer) { take { $0.answers.append(answer) } }

  /// Takes note of what a read of shared values found.
  func took(_ values: [Record]) throws {
    try effect("reads shared values") { effects, _ in
      if effects.taken.hasRoom() { effects.taken.read(values) }
    }
  }

  private func take(_ change: (inout Taken) -> Void) {
    state.withLock { state in
      state.change { effects in
        if effects.taken.hasRoom() { change(&effects.taken) }
      }
    }
  }

  // MARK: Effects

  func wake(after delay: Duration) { state.withLock { $0.change { $0.wakes.append(delay) } } }

  func finish() { state.withLock { $0.change { $0.finishes = true } } }

  func hold() -> HeldAlert? {
    guard let header = input?.header, header.channel == .alert,
      !AlertEvents.notAnswered.contains(header.type)
    else { return nil }
    state.withLock { $0.change { $0.isHeld = true } }
    return HeldAlert(header)
  }

  func acknowledge(_ alert: HeldAlert) throws {
    guard stage(.acknowledgement(of: alert, host.newEvent(for: .bus))) else {
      throw tooLate("acknowledges an alert")
    }
  }

  /// Ends the call and hands over what is to be committed; nil where there is nothing, as in most calls.
  func end() -> Effects? {
    state.withLock { state in
      state.isOver = true
      guard let effects = state.effects else { return nil }
      // Whoever changes them now need not copy them.
      state.timers = DueTable()
      return effects
    }
  }

  func draft<E: Event>(
    of event: E, to addressee: AgentID?, because cause: Cause?, authority: Authority? = nil
  ) throws -> Draft {
    let type = try host.checkPublish(E.self, to: addressee)
    let subject = event.subject
    try host.checkSubject(subject, of: type)
    var payload: [UInt8] = []
    try event.encode(into: &payload)
    try host.checkPayload(byteCount: payload.count, of: type)
    let (id, time) = host.newEvent(for: .output)
    return Draft(
      event: event, addressee: addressee, id: id, time: time, channel: E.channel, type: type,
      schemaVersion: E.schemaVersion, subject: subject, contentType: E.contentType,
      causation: cause?.event ?? .none,
      correlation: cause.correlation(of: id), authority: authority, payload: payload)
  }
}

extension Cause? {
  /// The conversation that an event with this cause belongs to: its own, where it began one.
  func correlation(of id: EventID) -> EventID {
    guard let self, self.correlation != .none else { return id }
    return self.correlation
  }
}

/// What a ``Turn`` needs of the agent and the node around it.
protocol AgentHost: AnyObject, Sendable {
  var spec: AgentSpec { get }
  /// The id of something new, and its time.
  func newEvent(for purpose: NewEvent) -> (EventID, Timestamp)
  func random() -> UInt64
  var declarations: Declarations { get }
  /// What the clock shows.
  func now() -> Timestamp
  /// The same, for a handler to see.
  func reading() -> Timestamp
  /// Throws where an agent cannot be asked a question.
  func checkAsk(_ type: EventTypeName, of agent: AgentID) throws
  /// Asks, and waits.
  func answer(to ask: Ask, _ question: some Question) async throws -> Answered.Outcome
  /// Shared values, as they are now.
  func read(_ query: SharedQuery) throws -> [SharedItem]
  /// Publishes an alert.
  func publishNow(_ draft: Draft) throws
  func publishRealtime<E: Event>(_ event: E, to addressee: AgentID?, because cause: Cause?) throws -> EventID
  func report(_ name: String, _ value: Int64)
  /// Says what a desk knows that begins.
  func begin(_ ledger: DecisionLedger)
  var handlerDeadline: Duration { get }
  /// Wakes the agent, on any thread.
  var waker: @Sendable () -> Void { get }
  /// Calls `body` when the node stops, at once where it does already.
  func whenNodeStops(_ body: @escaping @Sendable () -> Void)
}

/// What an id is for.
enum NewEvent: Sendable {
  /// A persistent event or an alert of a handler's.
  case output
  case timer
  /// What the bus says for the handler, which never sees the id.
  case bus
}
