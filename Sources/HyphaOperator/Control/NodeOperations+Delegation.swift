import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What operators rule about delegations.
extension NodeOperations {
  /// Asks for something about an approver's delegations.
  struct DelegationRule: Codable, Sendable {
    var approver: AgentID
    var rule: DelegationRuled
  }

  /// What came of it; nothing where the desk is on another node, or has not answered in time.
  struct DelegationOutcome: Codable, Sendable {
    var changes: [DelegationChanged] = []
    var refusal: String?
  }

  func ruleDelegation(_ request: OperatorRequest) async throws -> JSONValue {
    let wanted = try Self.parameters(DelegationRule.self, of: request)
    try Self.checkNote(wanted.rule.note)
    let before = try log.head()
    let asked = try current.node.rule(wanted.rule, of: wanted.approver, by: request.by)
    guard current.node.hasDesk(of: wanted.approver) else { return try Self.value(DelegationOutcome()) }
    let end = ContinuousClock.now + Self.patience
    while ContinuousClock.now < end {
      let outcome = try delegationOutcome(of: asked, after: before)
      if outcome.refusal != nil || !outcome.changes.isEmpty { return try Self.value(outcome) }
      try await Task.sleep(for: .milliseconds(20), clock: .suspending)
    }
    return try Self.value(DelegationOutcome())
  }

  /// All changes of one rule are in one commit.
  private func delegationOutcome(of asked: EventID, after position: Position) throws -> DelegationOutcome {
    var outcome = DelegationOutcome()
    let head = try log.head()
    guard position < head else { return outcome }
    try log.visit(position.next...head, .forward) { view in
      guard view.record.causation == asked else { return true }
      let record = try Record(view.record)
      switch record.type {
      case DelegationChanged.eventType: outcome.changes.append(try DelegationChanged.decode(record))
      case DelegationRefused.eventType: outcome.refusal = try DelegationRefused.decode(record).reason
      default: break
      }
      return true
    }
    return outcome
  }
}
