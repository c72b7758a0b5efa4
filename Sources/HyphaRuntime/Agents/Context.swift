public import HyphaCore
import HyphaTopology
import Synchronization

/// What an agent sees of the bus while one of its handlers runs.
///
/// A context belongs to one call of one handler; used after that call has returned it throws. Time and
/// randomness come from here, so that a run can be repeated.
public struct Context: Sendable {
  let turn: Turn

  /// The agent itself.
  public var agent: AgentID { turn.host.spec.id }
  /// The agent's supervisor; nil at the root.
  public var supervisor: AgentID? { turn.host.spec.reportsTo }
  /// When the call began, on the node's clock.
  public var now: Timestamp { turn.readNow() }
  /// The event that is being handled; nil in `start` and `wake`.
  public var event: RecordHeader? { turn.input?.header }

  /// How many times the handler was called with this event, this time included. More than 1 for an alert or a persistent event on
  /// which it has thrown before; such an event comes later than others of its lane that were stated after it.
  public var attempt: Int { turn.attempt }

  /// The event that is being handled, as the cause of what an agent publishes later; nil in `start` and `wake`.
  public var cause: Cause? { turn.cause }

  /// Publishes an event to one agent, or to all that subscribe to its type.
  ///
  /// On the persistent channel the event is staged: it is committed with all other effects of the handler
  /// once that has returned, and discarded when it throws. Alerts and realtime events leave at once.
  ///
  /// - Parameter cause: what the event answers, where that is not the event being handled: an agent that acts
  ///   later keeps ``Context/cause`` until then.
  /// - Parameter within: how soon each agent that an alert is for is to answer, from the alert's time on, before its supervisor
  ///   is told; 1 ms to 7 days. Default: the topology file's `alerts: deadline`. Other channels ignore it.
  /// - Parameter durability: what a persistent event must have reached before it leaves the node. The handler does not wait
  ///   for it: the agent does, with its next handler, and all that the handler published leaves at the highest level that any of it
  ///   asks for. Default: what the topology file says of the node (`replicated`).
  /// - Parameter isolation: the agent that publishes: leave it out. An event that the agent's state evolves by changes the
  ///   state before the call returns.
  /// - Returns: the event's id.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that the kind or the topology file does not
  ///   declare, or an addressee that does not exist; ``HyphaError/Code/tooLarge``; what the event's own
  ///   `encode(into:)` throws.
  @discardableResult
  public func publish<E: Event>(
    _ event: E, to addressee: AgentID? = nil, because cause: Cause? = nil, within: Duration? = nil,
    durability: Durability? = nil, isolation: isolated (any Actor)? = #isolation
  ) async throws -> EventID {
    let id = try turn.publish(
      event, to: addressee, because: cause ?? self.cause, within: within, durability: durability)
    try turn.evolve(event, E.eventType, isolation)
    return id
  }

  /// Lets the agent get an event from itself when `delay` is over: a durable timer.
  ///
  /// It is set once the handler has returned, in the commit of its other effects, and forgotten when that throws. When its time
  /// has come the event is stated, to this agent, in the commit that removes the timer; so it fires once, whatever crashes, and
  /// late where the node did not run. While it is pending, the deployment is not complete.
  ///
  /// - Parameters:
  ///   - event: of the persistent channel, and of a type that the agent handles. It need not be declared as published.
  ///   - delay: up to 100 years; measured from this call on the node's clock.
  /// - Returns: the timer, for ``cancel(_:)``.
  /// - Throws: ``HyphaError/Code/undeclared`` for a type that the agent does not handle; ``HyphaError/Code/usage`` for another
  ///   channel or a delay out of range; ``HyphaError/Code/tooLarge`` beyond 4,096 timers of the agent.
  @discardableResult
  public func schedule<E: Event>(_ event: E, after delay: Duration) throws -> EventID {
    try turn.schedule(event, after: delay, because: cause)
  }

  /// Forgets a timer of this agent, once the handler has returned. One that has fired or is not known is ignored.
  public func cancel(_ timer: EventID) throws { try turn.cancel(timer) }

  /// Lets ``Agent/wake(in:)`` run about `delay` from now. It is forgotten when the node stops; ask again in
  /// `start`.
  public func wake(after delay: Duration) { turn.wake(after: delay) }

  /// The agent's settings from the topology file.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that names the agent and the setting.
  public func settings<Settings: Decodable>(_ type: Settings.Type) throws -> Settings {
    do {
      return try turn.host.spec.settings.decoded(as: Settings.self)
    } catch let error as HyphaError {
      throw HyphaError(
        .invalidTopology, "the settings of agent '\(agent)' do not fit its kind '\(turn.host.spec.kind)'",
        remedy: error.remedy, cause: error.cause)
    }
  }

  /// 64 random bits from the node's seeded generator.
  public func random() -> UInt64 { turn.draw() }

  /// Reports a number for status and summaries, where the numbers of one name are added up over all agents.
  public func report(_ name: String, _ value: Int64) { turn.host.report(name, value) }

  /// Declares that the agent has done what it was started for, once this call's effects are committed. A deployment of which all workers have
  /// finished, and in which nothing is on its way, ends by itself.
  public func finish() { turn.finish() }
}

/// The event that another one answers, and the conversation that both belong to.
public struct Cause: Hashable, Sendable, Codable {
  /// The event itself.
  public var event: EventID
  /// The event that began the conversation.
  public var correlation: EventID

  /// No cause: the event begins a conversation of its own.
  public static let nothing = Cause(event: .none, correlation: .none)

  /// A cause by its parts.
  public init(event: EventID, correlation: EventID) {
    self.event = event
    self.correlation = correlation
  }
}

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
    var timers: [Agenda.Timer] = []
    var cancelled: [EventID] = []
    var finishes = false
    /// Whether the alert that was its input is to be answered later.
    var isHeld = false
    var askCount = 0
    var taken = Taken()
  }

  private struct State {
    var effects: Effects?
    var isOver = false

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
  private var timerRoom: Int
  private let evolution: Evolve?
  private let state = Mutex(State())

  /// - Parameter timerRoom: how many timers may be set.
  init(
    host: any AgentHost, input: Input?, attempt: Int = 1, asked: AskedFrame? = nil, began: Timestamp,
    timerRoom: Int = 0,
    evolution: Evolve? = nil
  ) {
    self.host = host
    self.input = input
    self.attempt = attempt
    self.asked = asked
    self.began = began
    self.timerRoom = timerRoom
    self.evolution = evolution
  }

  /// Begins another call. Only for who alone has the object: a handler may have kept its context.
  func begin(input: Input, at now: Timestamp, timerRoom: Int) {
    self.input = input
    self.timerRoom = timerRoom
    attempt = 1
    began = now
    state.withLock { $0 = State() }
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
  private func publish(_ draft: Draft) throws -> EventID {
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

  func evolve(_ event: any Event, _ type: EventTypeName, _ actor: (any Actor)?) throws {
    try evolution?(event, type, actor)
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
    let hasRoom = try effect("schedules \(E.eventType)") { [timerRoom] effects in
      guard effects.timers.count - effects.cancelled.count < timerRoom else { return false }
      effects.timers.append(timer)
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
  func ask<Q: Question>(_ agent: AgentID, _ question: Q, number: Int, within: Duration) throws -> Ask {
    let path = (asked?.path ?? []) + [host.spec.id]
    try host.checkAsk(Q.questionType, of: agent)
    if let cycle = AskTable<Void>.cycle(path, asking: agent) { throw HyphaError.askCycle(cycle) }
    guard Asked.durations.contains(within) else {
      throw HyphaError(
        .usage, "agent '\(host.spec.id)' asks '\(agent)' \(Q.questionType) within \(within)",
        remedy: "give 1 ms to 1 h")
    }
    let (id, _) = host.newEvent(for: .bus)
    let now = host.now()
    // Whoever is asked, and asks on, has no longer than those who wait for it.
    let dueAt = min(now.adding(within.wholeMicroseconds), asked?.dueAt ?? Timestamp(rawValue: .max))
    guard dueAt > now else {
      throw HyphaError(
        .askExpired,
        "agent '\(host.spec.id)' asks '\(agent)' when the time of the question that it answers is over",
        remedy: "give the first question longer")
    }
    return Ask(
      id: id, number: number, dueAt: dueAt, key: "\(cause?.event ?? .none)/\(number)", path: path,
      cause: cause)
  }

  /// The number of another question of this call, from 1.
  func nextAsk(of agent: AgentID) throws -> Int {
    try effect("asks '\(agent)'") { effects in
      effects.askCount += 1
      return effects.askCount
    }
  }

  func cancel(_ timer: EventID) throws { try effect("cancels a timer") { $0.cancelled.append(timer) } }

  /// Changes what is left when the call has returned.
  private func effect<Value: Sendable>(_ what: String, _ change: (inout Effects) -> Value) throws -> Value {
    let value = state.withLock { state in state.isOver ? nil : state.change(change) }
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
      return state.effects
    }
  }

  private func draft<E: Event>(of event: E, to addressee: AgentID?, because cause: Cause?) throws -> Draft {
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
      correlation: cause.correlation(of: id), payload: payload)
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
  func answer(to ask: Ask, of agent: AgentID, _ question: some Question) async throws -> Answered.Outcome
  /// Publishes an alert.
  func publishNow(_ draft: Draft) throws
  func publishRealtime<E: Event>(_ event: E, to addressee: AgentID?, because cause: Cause?) throws -> EventID
  func report(_ name: String, _ value: Int64)
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

extension JSONValue {
  /// The value that this one spells.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that names the member.
  public func decoded<Value: Decodable>(as type: Value.Type) throws -> Value {
    do {
      return try JSON.decode(Value.self, from: JSON.encode(self))
    } catch let error as DecodingError {
      throw HyphaError(
        .invalidTopology, "the settings do not fit", remedy: "correct them in the topology file",
        cause: error.brief)
    }
  }
}

extension DecodingError {
  /// The key and the reason in a few words.
  var brief: String {
    let context: Context
    switch self {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .dataCorrupted(let found):
      context = found
    case .keyNotFound(let key, let found):
      return "'\(key.stringValue)' is missing" + (found.codingPath.isEmpty ? "" : " in \(Self.path(found))")
    @unknown default:
      return "\(self)"
    }
    return "'\(Self.path(context))': \(context.debugDescription)"
  }

  private static func path(_ context: Context) -> String {
    context.codingPath.map(\.stringValue).joined(separator: ".")
  }
}
