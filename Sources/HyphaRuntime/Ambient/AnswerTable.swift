import Foundation
import HyphaCore
import HyphaTopology

/// The copies of answers that one node has for its agents: of each question the newest. Pure.
///
/// Bounded: where there are too many, those go that came longest ago; who asks then asks the answerer.
struct AnswerTable: Sendable {
  private struct Question: Hashable {
    let answerer: AgentID
    let type: EventTypeName
    let json: Data
  }

  private struct Copy {
    let key: QuestionKey
    var answer: SharedAnswer
    /// When this node took it, on its own clock.
    var takenAt: Timestamp
    var byteCount: Int
  }

  /// The most copies, and the most bytes of what they ask and answer.
  struct Limits: Sendable {
    var count = 4_096
    var byteCount = 16 << 20
  }

  let limits: Limits
  private var copies: [Question: Copy] = [:]
  private(set) var byteCount = 0

  init(limits: Limits = Limits()) { self.limits = limits }

  var count: Int { copies.count }

  /// Takes a copy, unless it is older than the one that is known.
  mutating func take(_ event: AnswerShared, _ id: EventID, now: Timestamp) throws {
    let question = Question(
      answerer: event.answerer, type: event.type, json: try JSON.encode(event.question))
    let known = copies[question]
    if let source = known?.answer.source,
      LanePoint(epoch: source.epoch, sequence: source.number) >= event.version
    {
      return
    }
    let answer = SharedAnswer(
      event.answer,
      .init(event: id, epoch: event.epoch, number: event.number, answeredAt: event.answeredAt))
    let size = question.json.count + (try JSON.encode(event.answer).count)
    byteCount += size - (known?.byteCount ?? 0)
    copies[question] = Copy(
      key: QuestionKey(event.answerer, event.type, of: question.json), answer: answer, takenAt: now,
      byteCount: size)
    if copies.count > limits.count || byteCount > limits.byteCount { makeRoom() }
  }

  /// The answer to a question, where it is within a bound.
  ///
  /// Its age counts from when the answerer began to answer, on that one's clock, and is no less than the time since it came here,
  /// on this one's: a clock ahead does not make it younger than that.
  func find(
    _ answerer: AgentID, _ type: EventTypeName, _ json: Data, within bound: Duration, now: Timestamp
  ) -> SharedAnswer? {
    guard let copy = copies[Question(answerer: answerer, type: type, json: json)] else { return nil }
    let stated = Timestamp(rawValue: copy.answer.source.answeredAt)
    let age = max(.zero, now.since(stated), now.since(copy.takenAt))
    return age <= bound ? copy.answer.given(age: age) : nil
  }

  /// Forgets the copies of some questions.
  mutating func drop(where isGone: (QuestionKey) -> Bool) {
    for (question, copy) in copies where isGone(copy.key) {
      copies[question] = nil
      byteCount -= copy.byteCount
    }
  }

  /// Drops a sixteenth, so that this is not done for each one that comes.
  private mutating func makeRoom() {
    let (countMax, bytesMax) = (limits.count * 15 / 16, limits.byteCount / 16 * 15)
    for (question, copy) in copies.sorted(by: {
      ($0.value.takenAt, $0.value.key) < ($1.value.takenAt, $1.value.key)
    }) {
      guard copies.count > countMax || byteCount > bytesMax else { return }
      copies[question] = nil
      byteCount -= copy.byteCount
    }
  }
}
