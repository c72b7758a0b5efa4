import HyphaCore

/// One call of an agent that is made again.
enum RerunCall<Kind: Agent>: Sendable {
  case start, wake
  case handle(Handlers<Kind>.Entry, Record, attempt: Int)
  case answer(Handlers<Kind>.AnswerEntry, Record, Asked, AskedFrame)

  var input: Record? {
    switch self {
    case .start, .wake: nil
    case .handle(_, let record, _), .answer(_, let record, _, _): record
    }
  }

  /// What a call came to.
  struct Result: Sendable {
    /// What it published, without what the bus says for it.
    var drafts: [Draft] = []
    var timers = TimerChanges()
    /// How long the timers are to run, in microseconds.
    var delays: [UInt64] = []
    var threw: String?
    var unrecorded: [String] = []
  }

  /// Makes the call. Where it throws, its effects are discarded and the state is as before, besides alerts.
  func perform(
    on agent: isolated Kind, _ host: RerunHost, began: Timestamp, timers: DueTable<Agenda.Timer>
  ) async -> Result {
    let before = agent.state
    let attempt = if case .handle(_, _, let attempt) = self { attempt } else { 1 }
    let frame = if case .answer(_, _, _, let frame) = self { Optional(frame) } else { nil as AskedFrame? }
    let turn = Turn(
      host: host, input: input.map { .record($0) }, attempt: attempt, asked: frame, began: began,
      timers: timers, evolution: AgentCell<Kind>.evolution(of: agent))
    var result = Result()
    do {
      try await make(on: agent, Context(turn: turn))
      if let effects = turn.end() {
        result.drafts = effects.drafts
        result.timers = effects.timers
        result.delays = effects.taken.delays
      }
    } catch {
      _ = turn.end()
      agent.state = before
      result.threw = AgentCell<Kind>.text(error)
    }
    let (alerts, unrecorded) = host.end()
    result.drafts = (result.drafts + alerts).filter { !SystemEvents.all.contains($0.type) }
      .sorted { $0.time < $1.time }
    result.unrecorded = unrecorded
    return result
  }

  private func make(on agent: isolated Kind, _ context: Context) async throws {
    switch self {
    case .start: try await agent.start(in: context)
    case .wake: try await agent.wake(in: context)
    case .handle(.suspending(let take), let record, _): try await take(agent, .record(record), context)
    case .handle(.prompt(let take), let record, _): try take(agent, .record(record), context)
    case .answer(let entry, _, let asked, _): _ = try await entry.call(agent, asked, context)
    }
  }
}
