import HyphaCore
public import HyphaRuntime
import Synchronization

/// Somebody whom the agent under test asks, or addresses events to, with answers that the test gives.
///
/// ```swift
/// let test = try AgentTest(
///   Account.self, standIns: ["treasury": StandIn().answer(Rate.self) { $0.balance < 1000 ? 10 : 5 }])
/// ```
///
/// A stand-in takes all events that are for it, and answers their alerts by that. A question for which it has no script ends in an
/// error that says so.
public struct StandIn: Sendable {
  /// Answers the question as the `number`th of its type, from 0; nil for no answer.
  typealias Answerer = @Sendable (_ question: AnyQuestion, _ number: Int) throws -> (any Codable & Sendable)?

  private(set) var answerers: [EventTypeName: Answerer] = [:]

  /// Somebody who takes events, and knows no answers.
  public init() {}

  /// Answers questions of a type; a second script for the same type replaces the first.
  ///
  /// - Parameter answer: gives the answer; what it throws is the answer as an error, ``HyphaError/Code/askFailed`` for the asker.
  public func answer<Q: Question>(
    _ type: Q.Type, _ answer: @escaping @Sendable (_ question: Q) throws -> Q.Answer
  )
    -> StandIn
  {
    adding(Q.self) { question, _ in try answer(question.decoded(as: Q.self)) }
  }

  /// Answers questions of a type with these, one after the other, and with the last of them from then on.
  public func answer<Q: Question>(_ type: Q.Type, with first: Q.Answer, _ others: Q.Answer...) -> StandIn {
    let answers = [first] + others
    return adding(Q.self) { _, number in answers[min(number, answers.count - 1)] }
  }

  /// Leaves questions of a type without an answer: the asker's time runs out, ``HyphaError/Code/askExpired``.
  public func ignore<Q: Question>(_ type: Q.Type) -> StandIn { adding(Q.self) { _, _ in nil } }

  private func adding<Q: Question>(_ type: Q.Type, _ answerer: @escaping Answerer) -> StandIn {
    var standIn = self
    standIn.answerers[Q.questionType] = answerer
    return standIn
  }
}

/// What the stand-ins of one test are to answer, and what they were asked.
///
/// Agents are made by their nodes, so a stand-in finds its script by a number in its settings.
final class StandInScripts: Sendable {
  private struct State {
    var asked: [(question: AnyQuestion, of: AgentID)] = []
    var numbers: [EventTypeName: [AgentID: Int]] = [:]
  }

  private struct All {
    var scripts: [Int: StandInScripts] = [:]
    var nextID = 1
  }
  private static let all = Mutex(All())

  let id: Int
  private let standIns: [AgentID: StandIn]
  private let state = Mutex(State())

  /// Scripts that stand-ins find, until they are forgotten.
  init(_ standIns: [AgentID: StandIn]) {
    self.standIns = standIns
    id = Self.all.withLock { all in
      defer { all.nextID += 1 }
      return all.nextID
    }
    Self.all.withLock { $0.scripts[id] = self }
  }

  static func find(_ id: Int) -> StandInScripts? { all.withLock { $0.scripts[id] } }

  func forget() { Self.all.withLock { $0.scripts[id] = nil } }

  /// The questions that were asked so far, the oldest first.
  var asked: [(question: AnyQuestion, of: AgentID)] { state.withLock { $0.asked } }

  /// What a stand-in answers.
  func answer(_ question: AnyQuestion, of agent: AgentID) throws -> (any Codable & Sendable)? {
    let number = state.withLock { state in
      state.asked.append((question, agent))
      defer { state.numbers[question.type, default: [:]][agent, default: 0] += 1 }
      return state.numbers[question.type]?[agent] ?? 0
    }
    guard let answerer = standIns[agent]?.answerers[question.type] else {
      throw HyphaError(
        .undeclared, "the stand-in '\(agent)' has no answer to \(question.type)",
        remedy: "add .answer(\(question.type).self) { … } to it")
    }
    return try answerer(question, number)
  }
}

/// A stand-in on its node, for tests of one kind of agent: it handles whatever that may publish.
actor StandInAgent<Tested: Agent>: Agent {
  static var kind: String { "hypha-test-stand-in" }
  static var settingNames: Set<String> { ["scripts"] }
  static var handles: Handlers<StandInAgent> {
    Tested.publishes.reduce(Handlers(StandInAgent.self)) { taking($1, $0) }.answerOthers {
      _, question, context in
      let settings = try context.settings(Settings.self)
      return try StandInScripts.find(settings.scripts)?.answer(question, of: context.agent)
    }
  }

  struct Settings: Decodable { var scripts: Int }

  private static func taking<E: Event>(_ type: E.Type, _ handlers: Handlers<StandInAgent>) -> Handlers<
    StandInAgent
  > {
    handlers.on(E.self) { _, _, _ in }
  }
}
