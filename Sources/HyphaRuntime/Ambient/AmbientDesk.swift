import Foundation
import HyphaCore
import HyphaTopology
import Synchronization

/// What one node knows of ambient questions: which they are, the copies of answers that it has, and who has copies of its own
/// agents' answers.
final class AmbientDesk: Sendable {
  fileprivate struct State {
    var view = AmbientView()
    var promoted: Set<QuestionKey> = []
    /// Who is given each fresh answer.
    var audiences: [QuestionKey: Set<NodeID>] = [:]
    /// Whom agents here may be spared to ask what.
    var types: Set<Target> = []
    var table = AnswerTable()
    var leases = AnswerLeases()
  }

  fileprivate struct Target: Hashable {
    let answerer: AgentID
    let type: EventTypeName
  }

  /// Whether anybody observes.
  let isUsed: Bool
  let meter = QuestionMeter()
  let audiences = AudienceMeter()
  private let nodes: Set<NodeID>
  private let state = Mutex(State())

  init(_ topology: Topology) {
    isUsed = topology.observer.node != nil
    nodes = Set(topology.nodes.map(\.id))
  }

  // MARK: The log

  /// What is ambient, as far as the log was looked at.
  var view: AmbientView { state.withLock { $0.view } }

  /// Goes on from what was known at a snapshot.
  func resume(_ view: AmbientView?) {
    if let view { state.withLock { $0.adopt(view) } }
  }

  /// Takes note of what the log has of the topology.
  func take(_ record: Record) {
    guard record.type == QuestionsChanged.eventType, let event = try? QuestionsChanged.decode(record) else {
      return
    }
    state.withLock { state in
      var view = state.view
      if view.apply(event) { state.adopt(view) }
    }
  }

  /// Takes a copy of an answer that the log has.
  func take(_ event: AnswerShared, _ id: EventID, now: Timestamp) throws {
    try state.withLock { try $0.table.take(event, id, now: now) }
  }

  // MARK: Asking

  /// The answer to a question from a copy that is within the asker's bound; nil where the answerer is to be asked.
  func answer(to ask: Ask, _ question: some Question, now: Timestamp) -> Answered.Outcome? {
    guard isUsed, let bound = ask.maxAge,
      state.withLock({ $0.types.contains(Target(answerer: ask.agent, type: ask.type)) }),
      let json = try? JSON.encode(question)
    else { return nil }
    let key = QuestionKey(ask.agent, ask.type, of: json)
    let found = state.withLock { state in
      // What is not ambient has no copies that are kept up.
      state.promoted.contains(key)
        ? state.table.find(ask.agent, ask.type, json, within: bound, now: now) : nil
    }
    guard let found else { return nil }
    meter.answeredLocally(key)
    return .shared(found)
  }

  // MARK: Answering

  func isPromoted(_ key: QuestionKey) -> Bool { state.withLock { $0.promoted.contains(key) } }

  /// Who is to have a copy of an answer, and its number.
  ///
  /// - Parameter silent: nodes of which nothing is heard: nobody asks in their stead.
  func tell(_ answer: AnswerToShare, askedFrom node: NodeID, silent: Set<NodeID>, now: Timestamp) -> (
    nodes: [NodeID], number: UInt64
  ) {
    let told = state.withLock { state -> (nodes: [NodeID], number: UInt64) in
      guard state.promoted.contains(answer.key) else { return ([], 0) }
      let nodes = state.leases.tell(
        answer.key, answer: QuestionKey.hash(answer.answer), askedFrom: node, bound: answer.bound,
        audience: state.audiences[answer.key, default: []].intersection(self.nodes).subtracting(silent),
        now: now)
      return (nodes, nodes.isEmpty ? 0 : state.leases.number(of: answer.key.answerer))
    }
    if !told.nodes.isEmpty { meter.stated(answer.key, copies: told.nodes.count) }
    return told
  }
}

extension AmbientDesk.State {
  fileprivate mutating func adopt(_ view: AmbientView) {
    let before = promoted
    self.view = view
    promoted = Set(view.promoted.map(\.key))
    audiences = view.promoted.reduce(into: [:]) { $0[$1.key] = $1.audience.map(Set.init) }
    types = Set(promoted.map { .init(answerer: $0.answerer, type: $0.type) })
    let gone = before.subtracting(promoted)
    guard !gone.isEmpty else { return }
    table.drop { gone.contains($0) }
    leases.drop { gone.contains($0) }
  }
}

/// An answer that others may be given a copy of, once its effects are committed.
struct AnswerToShare: Sendable {
  let key: QuestionKey
  let question: Data
  let answer: Data
  /// When the answerer began to answer.
  let answeredAt: Timestamp
  /// How old an answer the asker would have taken.
  let bound: Duration?
}
