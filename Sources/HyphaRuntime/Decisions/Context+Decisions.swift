public import HyphaCore
public import HyphaTopology

extension Context {
  /// Asks an approver for a decision. The request is committed with all other effects of the handler, and the answer comes as a
  /// ``DecisionTaken``, once, which the agent handles: now, after days, after any crash of either side.
  ///
  /// - Parameters:
  ///   - request: what is asked for; the approver reads it with ``DecisionReferred/request(as:)``.
  ///   - kind: what sort of thing it is about; 1 to 127 bytes.
  ///   - approver: who is to decide, of those that the topology file names under `delegation`. Default: the nearest of them above the
  ///     agent.
  ///   - role: the role in which the agent asks; default its kind.
  ///   - amount: how much it is about, in whatever unit the deployment counts.
  /// - Returns: the decision's id, which the answer has.
  /// - Throws: ``HyphaError/Code/undeclared`` where the agent's kind does not publish ``DecisionRequested``, or there is no such
  ///   approver; ``HyphaError/Code/usage`` for a kind or a role without or with too many bytes; what encoding the request throws.
  @discardableResult
  public func decide(
    _ request: some Encodable, kind: String, by approver: AgentID? = nil, role: String? = nil,
    amount: Int64 = 0
  ) async throws -> EventID {
    let (event, id) = try turn.decide(
      JSON.decode(JSONValue.self, from: JSON.encode(request)), kind: kind, by: approver, role: role,
      amount: amount)
    try turn.evolve(event, #isolation)
    return id
  }

  /// Grants a decision that was put before the agent; or says of one that was granted without it that it would have.
  ///
  /// A second answer to the same decision has no effect.
  ///
  /// - Throws: ``HyphaError/Code/undeclared`` where the agent's kind does not publish ``DecisionAnswered``.
  public func grant(_ referred: DecisionReferred, because reason: String? = nil) async throws {
    try await answer(referred, isGranted: true, reason)
  }

  /// Rejects a decision that was put before the agent; or says of one that was granted without it that it would have, which takes
  /// that grant back.
  ///
  /// - Throws: as ``grant(_:because:)`` does.
  public func reject(_ referred: DecisionReferred, because reason: String? = nil) async throws {
    try await answer(referred, isGranted: false, reason)
  }

  private func answer(_ referred: DecisionReferred, isGranted: Bool, _ reason: String?) async throws {
    try await publish(
      DecisionAnswered(decision: referred.decision, isGranted: isGranted, reason: reason), to: referred.desk)
  }

  /// Publishes an event of the bus on another authority than the agent's own.
  func publish<E: Event>(
    _ event: E, to addressee: AgentID?, authority: Authority?
  ) async throws {
    try turn.publish(event, to: addressee, authority: authority)
    try turn.evolve(event, #isolation)
  }
}

extension Turn {
  func publish(_ event: some Event, to addressee: AgentID?, authority: Authority?) throws {
    try publish(draft(of: event, to: addressee, because: cause, authority: authority))
  }

  func decide(
    _ request: JSONValue, kind: String, by approver: AgentID?, role: String?, amount: Int64
  ) throws -> (DecisionRequested, EventID) {
    let role = role ?? host.spec.kind
    let byteCountMax = DecisionRequested.nameByteCountMax
    guard (1...byteCountMax).contains(kind.utf8.count), role.utf8.count <= byteCountMax else {
      throw HyphaError(
        .usage, "agent '\(host.spec.id)' asks for a decision of the kind '\(kind)' in the role '\(role)'",
        remedy: "use 1 to \(byteCountMax) bytes")
    }
    let (approver, desk) = try host.declarations.desk(of: approver)
    _ = try host.checkPublish(DecisionRequested.self, to: desk)
    let new = host.newEvent(for: .output)
    let event = DecisionRequested(
      decision: new.0, requester: host.spec.id, approver: approver, kind: kind, role: role, amount: amount,
      request: request)
    let draft = try Draft(bus: event, to: desk, new, because: cause)
    try host.checkPayload(byteCount: draft.payload.count, of: draft.type)
    return (event, try publish(draft))
  }
}
