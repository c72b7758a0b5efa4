import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// The question that a call answers.
struct AskedFrame: Sendable {
  let key: String
  let path: [AgentID]
  let dueAt: Timestamp
}

/// Questions that the agent asks, and those that it answers.
extension AgentCell {
  typealias Waiter = CheckedContinuation<Answered.Outcome, any Error>

  // MARK: Asking

  func checkAsk(_ type: EventTypeName, of agent: AgentID) throws {
    let isDeclared = asks.withLock { $0.declared.contains(.init(agent: agent, type: type)) }
    if !isDeclared { try checkDeclared(type, of: agent) }
    if let asker = mailbox.asker(among: [agent]) {
      throw HyphaError.askCycle([spec.id, asker, spec.id])
    }
  }

  private func checkDeclared(_ type: EventTypeName, of agent: AgentID) throws {
    let what = "agent '\(spec.id)' asks '\(agent)' \(type)"
    guard let other = services.routes.topology.agent(agent) else {
      throw HyphaError(
        .undeclared, "\(what), which does not exist", remedy: "add that agent to the topology file")
    }
    guard services.answers(other.kind, type) else {
      throw HyphaError(
        .undeclared, "\(what), whose kind '\(other.kind)' does not answer that",
        remedy: "add .answer(\(type).self) { … } to its handles")
    }
    asks.withLock { $0.noteDeclared(.init(agent: agent, type: type)) }
  }

  func answer(to ask: Ask, _ question: some Question) async throws -> Answered.Outcome {
    let now = services.now()
    if let known = services.ambient.answer(to: ask, question, now: now) { return known }
    let event = Asked(
      question, ask: ask.id, type: ask.type, key: ask.key, path: ask.path, within: ask.dueAt.since(now),
      maxAge: ask.maxAge)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (waiter: Waiter) in
        guard begin(ask, waiter) else { return }
        do {
          _ = try sendRealtime(event, to: ask.agent, because: ask.cause)
        } catch {
          asks.withLock { $0.table.end(ask.id) }?.resume(throwing: error)
        }
      }
    } onCancel: {
      asks.withLock { $0.table.end(ask.id) }?.resume(throwing: CancellationError())
    }
  }

  private func begin(_ ask: Ask, _ waiter: Waiter) -> Bool {
    let isStopped = asks.withLock { asks in
      if !asks.isStopped { asks.table.begin(ask, waiter) }
      return asks.isStopped
    }
    if isStopped {
      waiter.resume(throwing: NodeStops())
      return false
    }
    if Task.isCancelled {
      asks.withLock { $0.table.end(ask.id) }?.resume(throwing: CancellationError())
      return false
    }
    watchAsks()
    return true
  }

  /// Ends questions whose time is over: one timer for all of them.
  private func watchAsks() {
    let wait = asks.withLock { asks -> Duration? in
      guard let next = asks.table.next, asks.watchedUntil.map({ next < $0 }) ?? true else { return nil }
      asks.watchedUntil = next
      return max(.zero, next.since(services.now()))
    }
    guard let wait else { return }
    services.scheduler.schedule(after: wait) { [weak self] in self?.expireAsks() }
  }

  private func expireAsks() {
    let now = services.now()
    let expired = asks.withLock { asks in
      asks.watchedUntil = nil
      return asks.table.expire(now: now)
    }
    for (ask, waiter) in expired { waiter.resume(throwing: HyphaError.askExpired(ask, by: spec.id)) }
    watchAsks()
  }

  func stop() {
    mailbox.stop()
    let waiters = asks.withLock { asks in
      asks.isStopped = true
      return asks.table.endAll()
    }
    for waiter in waiters { waiter.resume(throwing: NodeStops()) }
    let actions = stopActions.withLock { $0.stop() }
    for action in actions { action() }
  }

  var awaited: [AgentID] { asks.withLock { $0.table.awaited } }

  // MARK: What comes in

  /// Takes an answer to one of the agent's questions. It does not wait in the mailbox: the handler that asked runs.
  func take(answer delivery: Delivery) {
    metrics.withLock { metrics in
      metrics.takenRealtimeCount += 1
      metrics.delivered(delivery, at: services.now())
    }
    do {
      let answer: Answered
      switch delivery.input {
      case .value(let run, let index):
        guard let run = run.typed(Answered.self) else { return }
        answer = run.values[index]
      case .record(let record): answer = try Answered.decode(record)
      }
      // One that is late is nobody's.
      asks.withLock { $0.table.end(answer.ask, by: delivery.header.agent) }?.resume(returning: answer.outcome)
    } catch {
      services.note("agent '\(spec.id)' got an answer from '\(delivery.header.agent)' that does not decode")
    }
  }

  /// Refuses a question whose asker the agent waits for itself. Returns whether it has.
  func refuses(question delivery: Delivery) -> Bool {
    guard let asked = try? asked(delivery),
      let cycle = asks.withLock({ $0.table.cycle(of: spec.id, askedBy: asked.path) })
    else { return false }
    metrics.withLock { metrics in
      metrics.takenRealtimeCount += 1
      metrics.delivered(delivery, at: services.now())
    }
    // Later: the asker's outbox is locked while it hands its question over.
    let asker = Asker(asked, delivery.header)
    services.scheduler.schedule(after: .zero) { [weak self] in self?.answer(asker, .cycle(cycle)) }
    return true
  }

  func asked(_ delivery: Delivery) throws -> Asked? {
    switch delivery.input {
    case .value(let run, let index): run.typed(Asked.self)?.values[index]
    case .record(let record): try Asked.decode(record)
    }
  }

  // MARK: Answering

  /// Answers a question; the answer leaves with the next commit.
  func answer(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch<Kind>) async {
    let (header, now) = (delivery.header, services.now())
    metrics.withLock { $0.delivered(delivery, at: now) }
    guard let asked = try? asked(delivery) else {
      return services.note("agent '\(spec.id)' was asked by '\(header.agent)' what does not decode")
    }
    // Events of this type are worth delivering for so long that the question's own time is over first.
    let left = Asked.timeToLive - asked.within
    let dueAt =
      delivery.expiresAt.map { Timestamp(microseconds: $0.microseconds - left.wholeMicroseconds) } ?? now
    // Nobody waits any more.
    guard dueAt > now else { return }
    var asker = Asker(asked, header)
    guard let entry = Kind.handles.answer(to: asked.type) else {
      return batch.answers.append((asker, .failed("it does not answer such questions")))
    }
    let frame = AskedFrame(key: asked.key, path: asked.path, dueAt: dueAt)
    var answer: (any Codable & Sendable)?
    let outcome = await turn(on: agent, .question(delivery, frame), &batch) { agent, context in
      answer = try await entry.call(agent, asked, context)
    }
    switch (outcome, answer) {
    case (.threw(let error), _):
      note(error, on: header, &batch)
      batch.answers.append((asker, .failed(String("\(error)".prefix(4096)))))
    case (_, let answer?):
      if entry.mayBeShared {
        asker.sharing = noteAnswer(asked, answer, began: now, isPure: batch.isAnswerPure)
      }
      batch.answers.append((asker, .value(answer)))
    default: break
    }
  }

  /// Lets answers leave whose effects are committed.
  func send(_ answers: [(Asker, Answered.Outcome)]) {
    for (asker, outcome) in answers { answer(asker, outcome) }
  }

  private func answer(_ asker: Asker, _ outcome: Answered.Outcome) {
    if let sharing = asker.sharing { share(sharing, with: asker) }
    do {
      _ = try sendRealtime(Answered(ask: asker.ask, outcome), to: asker.agent, because: asker.cause)
    } catch {
      services.note("agent '\(spec.id)' cannot answer '\(asker.agent)': \(error)")
    }
  }
}

/// Where an answer goes.
struct Asker: Sendable {
  let ask: EventID
  let agent: AgentID
  let cause: Cause
  /// The answer, where others may be given copies of it.
  var sharing: AnswerToShare?

  init(_ asked: Asked, _ header: RecordHeader) {
    ask = asked.ask
    agent = header.agent
    cause = Cause(event: header.id, correlation: header.correlation)
  }
}

/// The questions of an agent that wait.
struct OpenAsks: Sendable {
  var table = AskTable<CheckedContinuation<Answered.Outcome, any Error>>()
  /// When the timer fires that looks at them.
  var watchedUntil: Timestamp?
  var isStopped = false
  /// Whom the agent may ask what, as far as that was looked up.
  private(set) var declared: Set<Declared> = []

  struct Declared: Hashable {
    let agent: AgentID
    let type: EventTypeName
  }

  mutating func noteDeclared(_ declared: Declared) {
    if self.declared.count >= 256 { self.declared = [] }
    self.declared.insert(declared)
  }
}
