import Foundation
import HyphaCore
import HyphaTopology
import Synchronization

/// Answers that are counted, and of which others may be given copies.
extension AgentCell {
  /// Takes note of an answer of a kind that may be shared.
  ///
  /// - Returns: the answer, where copies of it may be of use once its effects are committed.
  func noteAnswer(
    _ asked: Asked, _ answer: any Codable & Sendable, began: Timestamp, isPure: Bool
  ) -> AnswerToShare? {
    let ambient = services.ambient
    guard ambient.isUsed, let question = try? asked.json(), let answer = try? JSON.encode(answer) else {
      return nil
    }
    let key = QuestionKey(spec.id, asked.type, of: question)
    let fits = question.count + answer.count <= AnswerShared.byteCountMax
    ambient.meter.answered(
      key, sample: { String(decoding: question.prefix(QuestionMeter.sampleByteCountMax), as: UTF8.self) },
      answer: isPure && fits ? QuestionKey.hash(answer) : nil, at: began, bound: asked.maxAge)
    guard isPure else {
      services.note(
        "agent '\(spec.id)' has answered \(asked.type), which its kind lets others have from copies, with effects: nobody gets a copy of such an answer"
      )
      return nil
    }
    guard fits, ambient.isPromoted(key) else { return nil }
    return AnswerToShare(
      key: key, question: question, answer: answer, answeredAt: began, bound: asked.maxAge)
  }

  /// Takes note of the same events to several agents, each by itself.
  func noteAudiences(_ drafts: [Draft]) {
    guard drafts.count >= AudienceMeter.memberCounts.lowerBound, services.ambient.isUsed else { return }
    var start = 0
    while start < drafts.count {
      var (end, members) = (start, Set<AgentID>())
      while end < drafts.count, let addressee = drafts[end].addressee, drafts[end].type == drafts[start].type,
        drafts[end].payload == drafts[start].payload
      {
        members.insert(addressee)
        end += 1
      }
      services.ambient.audiences.told(members, drafts[start].type, by: spec.id)
      start = max(end, start + 1)
    }
  }

  /// Lets those have copies of an answer who are to, now that its effects are committed.
  func share(_ answer: AnswerToShare, with asker: Asker) {
    guard let node = services.routes.node(of: asker.agent) else { return }
    let (nodes, number) = services.ambient.tell(
      answer, askedFrom: node, silent: services.silentNodes, now: services.now())
    guard !nodes.isEmpty, let question = try? JSON.decode(JSONValue.self, from: answer.question),
      let value = try? JSON.decode(JSONValue.self, from: answer.answer)
    else { return }
    let event = AnswerShared(
      answerer: spec.id, type: answer.key.type, question: question, answer: value,
      epoch: outbox.withLock { $0.epoch }, number: number, answeredAt: answer.answeredAt.rawValue)
    services.state(event, to: nodes, because: asker.cause)
  }
}
