public import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// Looking after agents that fail.
extension Node {
  /// How often handlers that run are looked at.
  static var handlerLookInterval: Duration { .seconds(1) }

  func answers(_ kind: String, _ type: EventTypeName) -> Bool { configuration.kinds.answers(kind, type) }

  func keeper(of agent: AgentID, _ type: EventTypeName) -> AgentID? {
    var supervisor = topology.agent(agent)?.reportsTo
    while let id = supervisor {
      let spec = topology.agent(id)
      if let spec, let declared = configuration.kinds.declaration(spec.kind),
        declared.handles.contains(type)
          || declared.isOpen && spec.subscribes.contains(where: { $0.type == type })
      {
        return id
      }
      supervisor = spec?.reportsTo
    }
    return nil
  }

  /// Reports handlers that have run longer than they should.
  func lookAfterHandlers() {
    let now = now()
    let runners = state.withLock { state -> [any AgentRunner] in
      guard now.since(state.handlersLookedAt) >= Self.handlerLookInterval else { return [] }
      state.handlersLookedAt = now
      return state.runnerOrder
    }
    for runner in runners {
      guard let call = runner.takeOverdue(now: now) else { continue }
      report(call, of: runner, now: now)
    }
  }

  private func report(_ call: RunningCall, of runner: any AgentRunner, now: Timestamp) {
    let agent = runner.spec.id
    let what = call.input.map { "its handler of \($0.type) \($0.id)" } ?? "its start or wake"
    note("agent '\(agent)' is stuck: \(what) has not returned for \(now.since(call.began))")
    let event = HandlerOverdue(
      agent: agent, event: call.input?.id, type: call.input?.type,
      runningMicroseconds: now.since(call.began).wholeMicroseconds)
    do {
      try runner.state(
        Draft(
          bus: event, to: keeper(of: agent, HandlerOverdue.eventType), newEvent(),
          because: call.input.map { Cause(event: $0.id, correlation: $0.correlation) }))
    } catch {
      note(error)
    }
  }

  // MARK: By hand

  /// Settles a dead letter of an agent of this node, on an operator's authority.
  ///
  /// When the call returns, that is committed.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where the agent is not on this node, or the event is no open dead letter of it;
  ///   ``HyphaError/Code/failed`` where the agent cannot take the order.
  public func resolveDeadLetter(
    _ event: EventID, of agent: AgentID, _ resolution: DeadLetterResolved.Resolution, by principal: AgentID,
    note: String?
  ) async throws {
    guard let runner = state.withLock({ $0.runners[agent] }) else {
      throw HyphaError(
        .usage, "node '\(routes.node)' has no agent '\(agent)'",
        remedy: "ask the node that the topology places it on")
    }
    if let reason = runner.snapshotMetrics().brokenBecause {
      throw HyphaError(
        .failed, "agent '\(agent)' \(reason)", remedy: "mend it and start its node again; then ask again")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let order = AgentOrder(
        wish: .resolve(event: event, resolution, note: note), authority: authority,
        done: { continuation.resume(with: $0.mapError { $0 as any Error }) })
      guard !runner.mailbox.order(order) else { return }
      continuation.resume(
        throwing: HyphaError(
          .failed, "agent '\(agent)' has \(Mailbox.orderCountMax) orders before it, or its node stops",
          remedy: "ask again"))
    }
  }
}
