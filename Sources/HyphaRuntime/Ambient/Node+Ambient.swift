public import HyphaCore
import HyphaLog
public import HyphaTopology
import Synchronization

/// Ambient questions on one node: what its agents ask and answer is reported, and copies of answers are stated and taken.
extension Node {
  var ambient: AmbientDesk { desks.ambient }

  func state(_ answer: AnswerShared, to nodes: [NodeID], because cause: Cause) {
    for node in nodes { state(own: answer, to: node.author, because: cause) }
  }

  /// Takes a copy of an answer that the log has just got.
  func observeAnswer(_ record: Record) {
    guard record.addressee == routes.author, let event = try? AnswerShared.decode(record),
      routes.node(of: event.answerer)?.author == record.agent
    else { return }
    do {
      try desks.ambient.take(event, record.id, now: now())
    } catch {
      note(refusal: "a copy of an answer of '\(event.answerer)' cannot be kept: \(error)")
    }
  }

  /// States what was asked since the last report.
  func reportQuestions() {
    let (lines, audiences) = (desks.ambient.meter.lines(), desks.ambient.audiences.report())
    guard !lines.isEmpty || !audiences.isEmpty else { return }
    let report = QuestionsReported(
      node: configuration.node, questions: lines, audiences: audiences.isEmpty ? nil : audiences)
    state(own: report, because: nil)
  }

  /// States what the seat has decided about questions.
  func stateAmbientAnswers() {
    for answer in desks.topology.takeAmbientAnswers() {
      let cause = Cause(event: answer.cause, correlation: answer.correlation)
      switch answer.content {
      case .changed(let event): state(own: event, because: cause)
      case .suggested(let event): state(own: event, because: cause)
      case .refused(let event): state(own: event, because: cause)
      }
    }
  }

  /// Asks the observer for something about questions; as ``ask(_:by:note:)`` does about links.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where nobody observes this deployment.
  public func ask(_ rule: QuestionRule, by principal: AgentID, note: String?) throws -> EventID {
    guard topology.observer.node != nil else { throw Self.unobserved(topology) }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    return state(own: QuestionRuleAsked(rule: rule, note: note), because: nil, authority: authority)
  }

  private static func unobserved(_ topology: Topology) -> HyphaError {
    HyphaError(
      .usage, "nobody observes the deployment '\(topology.name)'",
      remedy: "give the observer a seat in the topology file: 'observer: {node: NAME}'")
  }
}

extension TopologyDesk {
  /// The seat's answers about questions that the log was not given yet.
  func takeAmbientAnswers() -> [AmbientSeat.Answer] {
    seat.withLock { seat in
      guard state.withLock({ $0.maySpeak }) else { return [] }
      return seat?.takeAmbientAnswers() ?? []
    }
  }
}

extension ObserverSeat {
  /// Takes note of what a log has of questions; in the order of the log, after what it has of links.
  mutating func takeQuestions(_ record: Record) throws {
    let header = record.header
    syncAmbient(cause: header.id)
    switch header.type {
    case FlowReported.eventType: tickAmbient(from: try FlowReported.decode(record).node)
    case QuestionsReported.eventType:
      take(try QuestionsReported.decode(record), header.id, correlation: header.correlation)
    case QuestionRuleAsked.eventType:
      take(try QuestionRuleAsked.decode(record), header.id, correlation: header.correlation)
    case QuestionsChanged.eventType:
      confirm(try QuestionsChanged.decode(record), cause: header.causation)
    case QuestionsSuggested.eventType:
      confirm(try QuestionsSuggested.decode(record), cause: header.causation)
    case QuestionRuleRefused.eventType:
      confirm(try QuestionRuleRefused.decode(record), cause: header.causation)
    default: break
    }
  }
}
