import Foundation
public import HyphaCore
public import HyphaTopology
import Synchronization

/// A copy of an answer to a question that is *ambient*, for the agents of one node that ask it.
///
/// Stated by the answerer's node under its own name, addressed to that of the node whose agents ask, once the effects of the
/// answer are committed; caused by the question.
public struct AnswerShared: Event {
  public static let eventType: EventTypeName = "hypha.AnswerShared"

  /// Who has answered, and what.
  public var answerer: AgentID
  public var type: EventTypeName
  public var question: JSONValue
  public var answer: JSONValue
  /// The answer's version: the answerer's epoch, and a number that grows with the copies of it in that.
  public var epoch, number: UInt64
  /// When the answerer began to answer, on its node's clock, as a ``Timestamp``.
  public var answeredAt: UInt64

  public var subject: Subject { Subject(slug: "hypha.answer.\(type)") }

  /// The answer's version.
  public var version: LanePoint { LanePoint(epoch: epoch, sequence: number) }
  /// The question as the observer knows it.
  public var key: QuestionKey? {
    (try? JSON.encode(question)).map { QuestionKey(answerer, type, of: $0) }
  }

  /// The most bytes of a question and its answer that are copied.
  static let byteCountMax = 16 << 10
}

/// An answer that was taken from a copy, and where that is from.
final class SharedAnswer: Sendable {
  /// What is recorded of it.
  struct Source: Codable, Sendable, Hashable {
    /// The ``AnswerShared``.
    var event: EventID
    var epoch, number: UInt64
    var answeredAt: UInt64
    /// How old it was when it was given.
    var ageMicroseconds: UInt64?
  }

  let value: JSONValue
  let source: Source
  /// The answer itself, once it was decoded.
  private let decoded: Mutex<(any Codable & Sendable)?>

  init(_ value: JSONValue, _ source: Source, decoded: (any Codable & Sendable)? = nil) {
    (self.value, self.source) = (value, source)
    self.decoded = Mutex(decoded)
  }

  /// The answer; it is decoded once for all who take it.
  func answer<Answer: Codable & Sendable>(as type: Answer.Type) throws -> Answer {
    if let known = decoded.withLock({ $0 as? Answer }) { return known }
    let answer = try JSON.decode(Answer.self, from: JSON.encode(value))
    decoded.withLock { $0 = answer }
    return answer
  }

  /// The same, as it was given at some age.
  func given(age: Duration) -> SharedAnswer {
    var source = source
    source.ageMicroseconds = age.wholeMicroseconds
    return SharedAnswer(value, source, decoded: decoded.withLock { $0 })
  }
}
