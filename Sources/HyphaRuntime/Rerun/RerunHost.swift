import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// The bus as an agent sees it while it is run again: what it takes comes from the record, and what it publishes goes nowhere.
final class RerunHost: AgentHost {
  let declarations: Declarations
  var spec: AgentSpec { declarations.spec }
  let handlerDeadline: Duration
  private let state: Mutex<State>

  /// What one call is given, and what it did that its effects do not say.
  struct State {
    var call: ObservedCall
    /// The ids and times of what the call stated when it was recorded, in order.
    var recorded: [(id: EventID, time: Timestamp)] = []
    var outputCount = 0
    var timerCount = 0
    var randomCount = 0
    var clockCount = 0
    var readCount = 0
    var random: SeededGenerator
    var newest: Timestamp
    var alerts: [Draft] = []
    /// What it took that it had not taken when it was recorded.
    var unrecorded: [String] = []
    var stopActions: [@Sendable () -> Void] = []
  }

  init(_ declarations: Declarations, handlerDeadline: Duration) {
    self.declarations = declarations
    self.handlerDeadline = handlerDeadline
    state = Mutex(
      State(call: ObservedCall(.wake), random: SeededGenerator(seed: 0), newest: .zero))
  }

  /// Prepares a call.
  ///
  /// - Parameter seed: what is drawn follows from it, where the record has no more.
  func begin(
    _ call: ObservedCall, recorded: [(id: EventID, time: Timestamp)], at time: Timestamp, seed: EventID
  ) {
    state.withLock { state in
      state = State(
        call: call, recorded: recorded,
        random: SeededGenerator(seed: seed.high ^ seed.low, name: spec.id.text),
        newest: time, stopActions: state.stopActions)
    }
  }

  /// The alerts that the call has published, and what it took that it had not before.
  func end() -> (alerts: [Draft], unrecorded: [String]) { state.withLock { ($0.alerts, $0.unrecorded) } }

  /// Lets what the agent has started outside of the bus come to its end.
  func stop() {
    let actions = state.withLock { state in
      defer { state.stopActions = [] }
      return state.stopActions
    }
    for action in actions { action() }
  }

  // MARK: What handlers take

  func newEvent(for purpose: NewEvent) -> (EventID, Timestamp) {
    state.withLock { state in
      switch purpose {
      case .output:
        state.outputCount += 1
        if state.outputCount <= state.recorded.count {
          let recorded = state.recorded[state.outputCount - 1]
          state.newest = recorded.time
          return recorded
        }
      case .timer:
        state.timerCount += 1
        if let timers = state.call.timers, state.timerCount <= timers.count {
          return (timers[state.timerCount - 1].id, state.newest)
        }
      case .bus: break
      }
      state.newest = Timestamp(rawValue: state.newest.rawValue + 1)
      return (EventID(time: state.newest, random: state.random.next()), state.newest)
    }
  }

  func random() -> UInt64 {
    state.withLock { state in
      state.randomCount += 1
      if let drawn = state.call.random, state.randomCount <= drawn.count {
        return drawn[state.randomCount - 1]
      }
      if state.randomCount == (state.call.random?.count ?? 0) + 1 {
        state.unrecorded.append("draws more at random than when it was recorded")
      }
      return state.random.next()
    }
  }

  /// The bus's clock stands still.
  func now() -> Timestamp { .zero }

  func reading() -> Timestamp {
    state.withLock { state in
      state.clockCount += 1
      if let read = state.call.clock, state.clockCount <= read.count {
        return Timestamp(rawValue: read[state.clockCount - 1])
      }
      return state.newest
    }
  }

  func read(_ query: SharedQuery) throws -> [SharedItem] {
    state.withLock { state in
      state.readCount += 1
      guard state.readCount <= state.call.values.count else {
        state.unrecorded.append("reads \(query.type), and did not when it was recorded")
        return []
      }
      let found = state.call.values[state.readCount - 1]
      if let other = found.first(where: { !query.allows($0) }) {
        state.unrecorded.append(
          "reads \(query.type), and read \(other.type) of '\(other.agent)' about \(other.subject) when it was recorded"
        )
        return []
      }
      return found.map { SharedItem($0, at: .start) }
    }
  }

  func checkAsk(_ type: EventTypeName, of agent: AgentID) throws {}

  func answer(to ask: Ask, _ question: some Question) async throws -> Answered.Outcome {
    let known = state.withLock { state -> ObservedAnswer? in
      let known = state.call.answers?.first { $0.number == ask.number }
      if known == nil {
        state.unrecorded.append("asks '\(ask.agent)' \(ask.type), and did not when it was recorded")
      }
      return known
    }
    guard let known else {
      throw HyphaError(
        .askFailed, "the record has no answer of '\(ask.agent)' to question \(ask.number)",
        remedy: "nobody is there to answer when an agent is run again")
    }
    return try known.outcome()
  }

  // MARK: What they publish

  func publishNow(_ draft: Draft) throws { state.withLock { $0.alerts.append(draft) } }

  func publishRealtime<E: Event>(_ event: E, to addressee: AgentID?, because cause: Cause?) throws -> EventID
  {
    let type = try checkPublish(E.self, to: addressee)
    try checkSubject(event.subject, of: type)
    return newEvent(for: .bus).0
  }

  func report(_ name: String, _ value: Int64) {}
  func begin(_ ledger: DecisionLedger) {}
  var waker: @Sendable () -> Void { {} }

  func whenNodeStops(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.stopActions.append(body) }
  }
}
