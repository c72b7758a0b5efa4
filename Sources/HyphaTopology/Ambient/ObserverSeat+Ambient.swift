public import HyphaCore

/// Questions beside links: the seat's node decides about both, in the same terms.
extension ObserverSeat {
  /// Tells the machine for questions who has the seat.
  ///
  /// - Parameter cause: what it has learned that from.
  public mutating func syncAmbient(cause: EventID = .none) {
    ambient.sync(term: term, isActive: isActive, isFrozen: live.isFrozen, cause: cause)
  }

  /// The pending answers about questions that the log was not given yet.
  public mutating func takeAmbientAnswers() -> [AmbientSeat.Answer] { isActive ? ambient.takeDue() : [] }

  /// Takes a report of questions.
  public mutating func take(_ report: QuestionsReported, _ id: EventID, correlation: EventID) {
    ambient.take(report, id, correlation: correlation)
    takeAudiences(report.audiences ?? [], from: report.node)
  }

  /// Takes note that a report of another sort has come.
  public mutating func tickAmbient(from node: NodeID) {
    ambient.tick()
    takeAudiences([], from: node)
  }

  private mutating func takeAudiences(_ audiences: [QuestionsReported.Audience], from node: NodeID) {
    let numbers = numbers
    findings.take(audiences, from: node) { numbers[$0] != nil }
  }

  /// Takes what an operator asked for.
  public mutating func take(_ asked: QuestionRuleAsked, _ id: EventID, correlation: EventID) {
    ambient.take(asked, id, correlation: correlation)
  }

  /// Takes note of what the log has about questions.
  public mutating func confirm(_ event: QuestionsChanged, cause: EventID) {
    ambient.confirm(event, cause: cause)
  }

  /// The same of suggestions.
  public mutating func confirm(_ event: QuestionsSuggested, cause: EventID) {
    ambient.confirm(event, cause: cause)
  }

  /// The same of a refusal.
  public mutating func confirm(_ event: QuestionRuleRefused, cause: EventID) {
    ambient.confirm(event, cause: cause)
  }
}
