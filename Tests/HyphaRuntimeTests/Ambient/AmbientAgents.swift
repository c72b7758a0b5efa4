import HyphaCore
import HyphaTopology

@testable import HyphaRuntime

/// What is the state of a topic? Topic 3 is answered with an effect.
struct WhatIs: Question {
  typealias Answer = Int
  var topic: Int
}

/// The same, of which nobody may be given a copy.
struct WhatIsOnlyForYou: Question {
  typealias Answer = Int
  var topic: Int
}

/// A topic has another state from now on.
struct Turned: Event, Hashable {
  static let eventType: EventTypeName = "test.Turned"
  var topic, value: Int
}

/// What an agent has heard of a topic.
struct Heard: Event, Hashable {
  static let eventType: EventTypeName = "test.Heard"
  var topic: Int
  /// Nil where there was no answer.
  var value: Int?
  /// When it began to ask, as a ``Timestamp``, and how old the answer might be.
  var began: UInt64
  var maxAgeMilliseconds: Int?
}

/// How often an agent has done what it does since its start, where it is not to do that for ever.
struct Rounds {
  private struct Settings: Decodable { var rounds: Int? }
  private var count = 0

  mutating func goesOn(_ context: Context) throws -> Bool {
    count += 1
    return try count <= context.settings(Settings.self).rounds ?? .max
  }
}

/// Keeps topics: 0 stays as it is, 1 turns every three seconds or so, 2 all the time.
actor Oracle: Agent {
  static let handles = Handlers(Oracle.self)
    .answer(WhatIs.self, mayBeShared: true) { agent, question, context in
      if question.topic == 3 { try await context.publish(Turned(topic: 3, value: -1)) }
      return agent.state.values[question.topic]
    }
    .answer(WhatIsOnlyForYou.self) { agent, question, _ in agent.state.values[question.topic] }
  static let publishes: [any Event.Type] = [Turned.self]

  static let settingNames: Set<String> = ["rounds"]

  struct State: Codable, Equatable { var values = [0, 0, 0, 0] }
  var state = State()
  private var rounds = Rounds()

  func start(in context: Context) { context.wake(after: .milliseconds(10)) }

  func wake(in context: Context) async throws {
    guard try rounds.goesOn(context) else { return }
    for topic in [1, 2] where topic == 2 || context.random() % 60 == 0 {
      state.values[topic] += 1
      try await context.publish(Turned(topic: topic, value: state.values[topic]))
    }
    context.wake(after: .milliseconds(50))
  }
}

/// Asks again and again.
actor Curious: Agent {
  static let publishes: [any Event.Type] = [Heard.self]
  static let settingNames: Set<String> = ["rounds"]
  private var rounds = Rounds()

  func start(in context: Context) { context.wake(after: .milliseconds(10)) }

  func wake(in context: Context) async throws {
    guard try rounds.goesOn(context) else { return }
    context.wake(after: .milliseconds(Int64(20 + context.random() % 60)))
    let bounds = [nil, 100, 1_000, 1_000, 1_000, 4_000]
    let bound = bounds[Int(context.random() % 6)]
    var heard = Heard(
      topic: [0, 0, 1, 1, 1, 2, 3][Int(context.random() % 7)], began: context.now.rawValue,
      maxAgeMilliseconds: bound)
    do {
      let maxAge = bound.map { Duration.milliseconds($0) }
      heard.value =
        context.random() % 10 == 0
        ? try await context.ask(
          "oracle", WhatIsOnlyForYou(topic: heard.topic), within: .seconds(1), maxAge: maxAge)
        : try await context.ask("oracle", WhatIs(topic: heard.topic), within: .seconds(1), maxAge: maxAge)
    } catch let error as HyphaError where error.code == .askExpired {}
    try await context.publish(heard)
  }
}
