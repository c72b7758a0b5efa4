import Foundation
import HyphaCore

/// A question on its way: a realtime event to the agent that is asked.
struct Asked: Event {
  static let eventType: EventTypeName = "hypha.Asked"
  static let channel = Channel.realtime

  private enum Body: Sendable {
    case value(any Question)
    case json(JSONValue)
  }

  /// How long a question may be waited for. A frame's remaining time goes to 71 minutes.
  static let durations: ClosedRange<Duration> = .milliseconds(1)...(.seconds(3600))
  /// The longest of these, for every question; its own time is ``within``.
  static let timeToLive = durations.upperBound

  /// The question's id: an answer names it.
  let ask: EventID
  /// How long its asker waits, from its time on.
  let within: Duration
  /// The question's type.
  let type: EventTypeName
  /// The id of the asker's input and the number of the question in its handling.
  let key: String
  /// Those who wait for the answer, directly or through each other, the asker last.
  let path: [AgentID]
  /// How old an answer the asker would have taken from a copy; nil for none but a fresh one.
  let maxAge: Duration?
  private let body: Body

  init(
    _ question: some Question, ask: EventID, type: EventTypeName, key: String, path: [AgentID],
    within: Duration, maxAge: Duration? = nil
  ) {
    self.maxAge = maxAge
    (self.ask, self.within, self.type, self.key, self.path) = (ask, within, type, key, path)
    body = .value(question)
  }

  var subject: Subject { Subject(slug: "hypha.ask.\(type)") }

  /// The question itself.
  func question<Q: Question>(as type: Q.Type) throws -> Q {
    switch body {
    case .value(let question as Q): return question
    case .value(let other): return try JSON.decode(Q.self, from: JSON.encode(other))
    case .json(let value): return try JSON.decode(Q.self, from: JSON.encode(value))
    }
  }

  /// The same as JSON.
  func json() throws -> Data {
    switch body {
    case .value(let question): try JSON.encode(question)
    case .json(let value): try JSON.encode(value)
    }
  }

  private enum CodingKeys: CodingKey {
    case ask, withinMicroseconds, type, key, path, maxAgeMicroseconds, question
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    ask = try container.decode(EventID.self, forKey: .ask)
    within = .microseconds(try container.decode(Int64.self, forKey: .withinMicroseconds))
    type = try container.decode(EventTypeName.self, forKey: .type)
    key = try container.decode(String.self, forKey: .key)
    path = try container.decode([AgentID].self, forKey: .path)
    maxAge = try container.decodeIfPresent(Int64.self, forKey: .maxAgeMicroseconds).map { .microseconds($0) }
    body = .json(try container.decode(JSONValue.self, forKey: .question))
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ask, forKey: .ask)
    try container.encode(within.wholeMicroseconds, forKey: .withinMicroseconds)
    try container.encode(type, forKey: .type)
    try container.encode(key, forKey: .key)
    try container.encode(path, forKey: .path)
    try container.encodeIfPresent(maxAge?.wholeMicroseconds, forKey: .maxAgeMicroseconds)
    switch body {
    case .value(let question): try question.encode(to: container.superEncoder(forKey: .question))
    case .json(let value): try container.encode(value, forKey: .question)
    }
  }
}

/// An answer on its way: a realtime event to the asker.
struct Answered: Event {
  static let eventType: EventTypeName = "hypha.Answered"
  static let channel = Channel.realtime
  static let timeToLive = Duration.seconds(60)

  /// What a question came to.
  enum Outcome: Sendable {
    case value(any Codable & Sendable)
    case json(JSONValue)
    /// From a copy of an earlier answer.
    case shared(SharedAnswer)
    /// What the agent that was asked threw.
    case failed(String)
    /// Those who would wait for each other.
    case cycle([AgentID])

    /// The answer itself.
    func answer<Answer: Codable & Sendable>(as type: Answer.Type, from agent: AgentID) throws -> Answer {
      switch self {
      case .value(let value as Answer): return value
      case .value(let other): return try JSON.decode(Answer.self, from: JSON.encode(other))
      case .json(let value): return try JSON.decode(Answer.self, from: JSON.encode(value))
      case .shared(let answer): return try answer.answer(as: Answer.self)
      case .failed(let error):
        throw HyphaError(
          .askFailed, "agent '\(agent)' could not answer", remedy: "see what it threw", cause: error)
      case .cycle(let agents): throw HyphaError.askCycle(agents)
      }
    }
  }

  /// The question.
  let ask: EventID
  let outcome: Outcome

  init(ask: EventID, _ outcome: Outcome) { (self.ask, self.outcome) = (ask, outcome) }

  var subject: Subject { Subject(slug: Self.eventType.text) }

  private enum CodingKeys: CodingKey { case ask, answer, error, cycle, copy }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    ask = try container.decode(EventID.self, forKey: .ask)
    if let error = try container.decodeIfPresent(String.self, forKey: .error) {
      outcome = .failed(error)
    } else if let agents = try container.decodeIfPresent([AgentID].self, forKey: .cycle) {
      outcome = .cycle(agents)
    } else {
      let value = try container.decode(JSONValue.self, forKey: .answer)
      let source = try container.decodeIfPresent(SharedAnswer.Source.self, forKey: .copy)
      outcome = source.map { .shared(SharedAnswer(value, $0)) } ?? .json(value)
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ask, forKey: .ask)
    switch outcome {
    case .value(let value): try value.encode(to: container.superEncoder(forKey: .answer))
    case .json(let value): try container.encode(value, forKey: .answer)
    case .shared(let answer):
      try container.encode(answer.value, forKey: .answer)
      try container.encode(answer.source, forKey: .copy)
    case .failed(let error): try container.encode(error, forKey: .error)
    case .cycle(let agents): try container.encode(agents, forKey: .cycle)
    }
  }
}

extension HyphaError {
  static func askExpired(_ ask: Ask, by agent: AgentID) -> HyphaError {
    let isCurtailed = ask.granted < ask.within
    return HyphaError(
      .askExpired,
      "agent '\(agent)' has waited \(ask.granted) for '\(ask.agent)' to answer \(ask.type)"
        + (isCurtailed ? ", all that the question that it answers itself has left of \(ask.within)" : ""),
      remedy: (isCurtailed ? "give the first question longer" : "ask with a longer 'within'")
        + ", or see with 'hypha agents explain' what '\(ask.agent)' is at")
  }

  static func askCycle(_ agents: [AgentID]) -> HyphaError {
    HyphaError(
      .askCycle,
      "the agents \(agents.map { "'\($0)'" }.joined(separator: " → ")) would wait for each other's answers",
      remedy: "let one of them publish an event instead of asking, or answer without asking back")
  }
}
