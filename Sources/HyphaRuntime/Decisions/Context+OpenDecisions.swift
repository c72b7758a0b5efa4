public import HyphaCore
import HyphaTopology

/// Decisions of agents of open kinds, whose requests are values that the program does not know.
extension Context {
  /// Asks an approver for a decision, as ``decide(_:kind:by:role:amount:)`` does. Any thread, until the handler returns.
  ///
  /// - Throws: ``HyphaError/Code/undeclared`` where the topology file does not let the agent publish ``DecisionRequested``, or there is no
  ///   such approver; ``HyphaError/Code/usage`` for a kind or a role without or with too many bytes.
  public func decide(
    raw request: JSONValue, kind: String, by approver: AgentID? = nil, role: String? = nil, amount: Int64 = 0
  ) throws -> EventID {
    try turn.decide(request, kind: kind, by: approver, role: role, amount: amount).1
  }

  /// Answers a decision that was put before the agent, which is an approver: grants or rejects it, or says of one that was granted
  /// without it whether it would have. Any thread, until the handler returns.
  ///
  /// - Throws: ``HyphaError/Code/undeclared`` where the topology file does not let the agent publish ``DecisionAnswered``, or names it as
  ///   no approver.
  public func answer(_ decision: EventID, isGranted: Bool, because reason: String? = nil) throws {
    let desk = DeskPolicy.desk(of: turn.host.spec.id)
    try turn.publish(
      DecisionAnswered(decision: decision, isGranted: isGranted, reason: reason), to: desk, authority: nil)
  }
}
