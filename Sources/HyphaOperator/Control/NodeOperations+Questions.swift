import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What operators ask the observer about questions.
extension NodeOperations {
  struct AboutQuestion: Codable, Sendable {
    var rule: QuestionRule
    var note: String?
  }

  /// What came of it; neither where the observer has not answered in time.
  struct QuestionOutcome: Codable, Sendable {
    var version: UInt32?
    var changes: [QuestionChange] = []
    var refusal: String?
  }

  func askQuestion(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(AboutQuestion.self, of: request)
    try Self.checkNote(wanted.note)
    let before = try log.head()
    let asked = try node.ask(wanted.rule, by: request.by, note: wanted.note)
    let end = ContinuousClock.now + Self.patience
    while ContinuousClock.now < end {
      if let outcome = try questionOutcome(of: asked, after: before) { return try Self.value(outcome) }
      try await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    return try Self.value(QuestionOutcome())
  }

  private func questionOutcome(of asked: EventID, after position: Position) throws -> QuestionOutcome? {
    let head = try log.head()
    guard position < head else { return nil }
    var outcome: QuestionOutcome?
    var parts = EventParts()
    try log.visit(position.next...head, .forward) { view in
      guard view.record.causation == asked, let record = parts.take(try Record(view.record)) else {
        return true
      }
      switch record.type {
      case QuestionsChanged.eventType:
        let event = try QuestionsChanged.decode(record)
        outcome = QuestionOutcome(version: event.version, changes: event.changes)
      case QuestionRuleRefused.eventType:
        outcome = QuestionOutcome(refusal: try QuestionRuleRefused.decode(record).reason)
      default: break
      }
      return outcome == nil
    }
    return outcome
  }
}
