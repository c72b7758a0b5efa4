import HyphaApp

/// What a traveller asks for.
struct Travel: Codable {
  var number: Int
  var cost: Int64
}

/// Asks for `count` trips, every few milliseconds, and is done when all are decided.
actor Traveller: Agent {
  static let settingNames: Set<String> = ["count", "every", "dear"]
  static let publishes: [any Event.Type] = [DecisionRequested.self]
  static let handles = Handlers(Traveller.self)
    .on(DecisionTaken.self) { try $0.take($1, in: $2) }
  static let finishes = true

  struct Settings: Decodable {
    var count: Int
    /// Milliseconds.
    var every: Int64
    /// From which trip on they are too dear.
    var dear: Int?
  }
  struct State: Codable {
    var next = 0
    var granted: [EventID] = []
    var rejected: [EventID] = []
    /// Those of the granted that the director was not asked about before.
    var delegatedCount = 0
  }
  var state = State()

  func start(in context: Context) async throws { try await ask(in: context) }
  func wake(in context: Context) async throws { try await ask(in: context) }

  private func ask(in context: Context) async throws {
    let settings = try context.settings(Settings.self)
    guard state.next < settings.count else { return finish(settings, in: context) }
    let isDear = settings.dear.map { state.next >= $0 } ?? false
    let travel = Travel(number: state.next, cost: isDear ? 9000 : 100)
    try await context.decide(travel, kind: "travel", amount: Int64(state.next % 2) * 1000)
    state.next += 1
    context.wake(after: .milliseconds(settings.every))
  }

  private func take(_ taken: DecisionTaken, in context: Context) throws {
    if taken.isGranted { state.granted.append(taken.decision) } else { state.rejected.append(taken.decision) }
    if taken.grant != nil { state.delegatedCount += 1 }
    finish(try context.settings(Settings.self), in: context)
  }

  private func finish(_ settings: Settings, in context: Context) {
    if state.granted.count + state.rejected.count >= settings.count { context.finish() }
  }
}

/// Grants all that costs less than 5,000.
actor Director: Agent {
  static let publishes: [any Event.Type] = [DecisionAnswered.self]
  static let handles = Handlers(Director.self)
    .on(DecisionReferred.self) { director, referred, context in
      if try referred.request(as: Travel.self).cost < 5000 {
        try await context.grant(referred)
      } else {
        try await context.reject(referred, because: "too dear")
      }
    }
    .on(DecisionsDelegated.self) { director, told, _ in
      director.state.told += told.counts.reduce(0) { $0 + $1.count }
    }
    .on(EventDeadLettered.self) { _, _, _ in }

  struct State: Codable { var told = 0 }
  var state = State()
}
