import HyphaCore
import HyphaRuntime
import HyphaTopology

/// What is asked for.
struct Trip: Codable, Equatable {
  var number: Int
  /// Whether the judge is to reject it.
  var isBad = false
}

/// Asks for decisions again and again, and takes note of the answers.
actor Asker: Agent {
  static let kind = "asker"
  static let settingNames: Set<String> = ["count", "every", "bad", "by"]
  static let publishes: [any Event.Type] = [DecisionRequested.self]
  static let handles = Handlers(Asker.self)
    .on(DecisionTaken.self) { agent, taken, _ in agent.state.taken.append(taken) }
    .on(Trip.Wanted.self) { agent, wanted, context in
      try await context.decide(wanted.trip, kind: "trip", amount: wanted.amount)
    }

  struct Settings: Decodable {
    var count: Int?
    /// Milliseconds.
    var every: Int64?
    /// The numbers from which on trips are bad.
    var bad: Int?
    var by: AgentID?
  }
  struct State: Codable {
    var asked: [EventID] = []
    var taken: [DecisionTaken] = []
  }
  var state = State()

  func start(in context: Context) async throws { context.wake(after: .milliseconds(5)) }

  func wake(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard state.asked.count < settings.count ?? 0 else { return }
    context.wake(after: .milliseconds(settings.every ?? 5))
    let number = state.asked.count + 1
    state.asked.append(
      try await context.decide(
        Trip(number: number, isBad: settings.bad.map { number >= $0 } ?? false), kind: "trip",
        by: settings.by, amount: Int64(number % 3) * 100))
  }
}

extension Trip {
  /// Has an asker ask.
  struct Wanted: Event {
    static let eventType: EventTypeName = "test.TripWanted"
    var trip: Trip
    var amount: Int64 = 0
  }
}

/// Decides: at once, or some time after, and about some of them twice.
actor Judge: Agent {
  static let kind = "judge"
  static let settingNames: Set<String> = ["after", "twice", "ignores"]
  static let publishes: [any Event.Type] = [DecisionAnswered.self]
  static let handles = Handlers(Judge.self)
    .on(DecisionReferred.self) { try await $0.take($1, in: $2) }
    .on(DecisionsDelegated.self) { agent, told, _ in agent.state.told += told.counts.map(\.count) }
    .on(Ripe.self) { agent, ripe, context in
      agent.state.laterCount += 1
      try await agent.answer(ripe.referred, in: context)
    }
    .on(EventDeadLettered.self) { _, _, _ in }

  struct Ripe: Event {
    static let eventType: EventTypeName = "test.Ripe"
    var referred: DecisionReferred
  }
  struct Settings: Decodable {
    /// Milliseconds.
    var after: Int64?
    var twice: Bool?
    /// Whether audits are never answered.
    var ignores: Bool?
  }
  struct State: Codable {
    var told: [Int] = []
    var auditCount = 0
    var laterCount = 0
  }
  var state = State()

  private func take(_ referred: DecisionReferred, in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    if referred.isAudit {
      state.auditCount += 1
      if settings.ignores == true { return }
    }
    let number = try referred.request(as: Trip.self).number
    if let after = settings.after, number.isMultiple(of: 3) {
      try context.schedule(Ripe(referred: referred), after: .milliseconds(after))
    } else {
      try await answer(referred, in: context)
    }
    if settings.twice == true, number.isMultiple(of: 5) { try await answer(referred, in: context) }
  }

  private func answer(_ referred: DecisionReferred, in context: Context) async throws {
    if try referred.request(as: Trip.self).isBad {
      try await context.reject(referred, because: "too far")
    } else {
      try await context.grant(referred)
    }
  }
}
