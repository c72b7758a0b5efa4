public import HyphaCore

/// Something that one agent asks another, with the type of its answer.
///
/// ```swift
/// struct Price: Question {
///   typealias Answer = Int
///   var article: String
/// }
///
/// actor Shop: Agent {
///   static let handles = Handlers(Shop.self).answer(Price.self) { shop, price, _ in shop.price(of: price.article) }
///   …
/// }
///
/// let price = try await context.ask("shop", Price(article: "pen"), within: .seconds(2))
/// ```
public protocol Question: Codable, Sendable {
  /// What the answer is.
  associatedtype Answer: Codable & Sendable
  /// The stable name, the same in every version of a program. Default: the Swift type's own name.
  static var questionType: EventTypeName { get }
}

extension Question {
  public static var questionType: EventTypeName { EventTypeName(of: Self.self) }
}

extension Handlers {
  /// A function that answers a question on the agent itself.
  public typealias Answerer<Q: Question> =
    @Sendable (_ agent: isolated Kind, _ question: Q, _ context: Context) async throws -> Q.Answer

  struct AnswerEntry: Sendable {
    /// Returns nil for no answer at all.
    let call: @Sendable (isolated Kind, Asked, Context) async throws -> (any Codable & Sendable)?
    /// Whether others may be given copies of its answers.
    var mayBeShared = false
  }

  /// Adds how the agent answers one type of question; a second one of the same type replaces the first.
  ///
  /// The function runs like a handler: alone, with its effects committed before the answer leaves. What it throws is the
  /// answer then, as an error, and its effects are discarded. The same question may come twice, where an asker tries its own
  /// input again: ``Context/questionKey`` is the same then.
  ///
  /// - Parameter mayBeShared: whether askers that state how old an answer may be (``Context/ask(_:_:within:maxAge:)``) may be given an
  ///   earlier answer to the same question, whoever has asked it. Say so only where an answer follows from the question and the
  ///   agent's state, is the same for whoever asks, and has no effects: the bus cannot see that. An answer whose function published a
  ///   logged event or set a timer is never given again, and the operator is told. Default: no.
  public func answer<Q: Question>(
    _ type: Q.Type, mayBeShared: Bool = false, _ answerer: @escaping Answerer<Q>
  ) -> Handlers {
    var handlers = self
    handlers.answers[Q.questionType] = AnswerEntry(
      call: { agent, asked, context in try await answerer(agent, asked.question(as: Q.self), context) },
      mayBeShared: mayBeShared)
    return handlers
  }
}

extension Handlers {
  /// Adds what answers the questions that have no answerer of their own; where it returns nil the asker waits in vain.
  package func answerOthers(
    _ answerer:
      @escaping @Sendable (_ agent: isolated Kind, _ question: AnyQuestion, _ context: Context) async throws
      -> (any Codable & Sendable)?
  ) -> Handlers {
    var handlers = self
    handlers.otherAnswers = AnswerEntry { agent, asked, context in
      try await answerer(agent, AnyQuestion(asked: asked), context)
    }
    return handlers
  }

  func answer(to type: EventTypeName) -> AnswerEntry? { answers[type] ?? otherAnswers }
}

/// A question of some type.
package struct AnyQuestion: Sendable {
  fileprivate let asked: Asked

  /// Its type.
  package var type: EventTypeName { asked.type }
  /// Who asks.
  package var asker: AgentID? { asked.path.last }

  /// The question itself.
  package func decoded<Q: Question>(as type: Q.Type) throws -> Q { try asked.question(as: Q.self) }
}

extension Context {
  /// Asks an agent, and waits for its answer. The handler that asks goes on waiting; no other one of the agent runs meanwhile.
  ///
  /// A question is not logged: it comes at most once, and a lost one ends in ``HyphaError/Code/askExpired``. An agent that
  /// answers a question and asks on has no longer than is left of the first one's time. Questions in a circle, which would wait
  /// for each other, are refused by the names of those in it.
  ///
  /// - Parameters:
  ///   - agent: any other agent of the deployment whose kind answers such questions.
  ///   - within: how long to wait, 1 ms to 1 h. Default: 10 s.
  ///   - maxAge: how old an earlier answer to the same question may be for it to do, 0 or more, where the question is *ambient*
  ///     (docs/agents.md#ambient-questions): it is taken from this node then, without a message. Nil asks the agent itself. Its age
  ///     counts from when the agent began to answer, on that one's clock, and is no less than the time since it came here, on this
  ///     one's. Default: nil.
  /// - Throws: ``HyphaError/Code/askExpired``; ``HyphaError/Code/askCycle``; ``HyphaError/Code/askFailed`` with what the other
  ///   agent threw; ``HyphaError/Code/undeclared`` where it does not exist or does not answer such questions;
  ///   ``HyphaError/Code/usage`` for a time or an age out of range; `CancellationError` in a task that was cancelled.
  public func ask<Q: Question>(
    _ agent: AgentID, _ question: Q, within: Duration = .seconds(10), maxAge: Duration? = nil
  ) async throws -> Q.Answer {
    let number = try turn.nextAsk(of: agent)
    let outcome: Answered.Outcome
    do {
      let ask = try turn.ask(agent, question, number: number, within: within, maxAge: maxAge)
      outcome = try await turn.host.answer(to: ask, question)
    } catch {
      turn.took(ObservedAnswer(number: number, failure: .init(error)))
      throw error
    }
    turn.took(ObservedAnswer(number: number, answered: Answered(ask: .none, outcome)))
    return try outcome.answer(as: Q.Answer.self, from: agent)
  }

  /// What is left of the time of the question that is being answered; nil where none is.
  public var remaining: Duration? {
    turn.asked.map { max(.zero, $0.dueAt.since(turn.readClock())) }
  }

  /// The same whenever an asker's handler asks the same anew, after a failure or a crash; nil where no question is being
  /// answered. An answer that has effects keeps it, to have them once.
  public var questionKey: String? { turn.asked?.key }
}
