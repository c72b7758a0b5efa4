package import HyphaCore
package import HyphaLog
import HyphaTopology
import Synchronization

/// What a test does with a deployment beside letting time pass.
extension SimulatedDeployment {
  /// States an event in the name of an agent, as if one of its handlers had published it, and returns its id.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where the agent's node does not run; what encoding the event throws.
  @discardableResult
  package func publish<E: Event>(_ event: E, from agent: AgentID, to addressee: AgentID?) throws -> EventID {
    let (node, runner) = try runner(of: agent)
    let (id, time) = node.newEvent()
    var payload: [UInt8] = []
    if E.channel.isLogged { try event.encode(into: &payload) }
    if E.channel == .realtime {
      let header = RecordHeader(
        id: id, time: time, channel: .realtime, agent: agent, epoch: 1, sequence: time.rawValue,
        previous: .start,
        addressee: addressee, type: E.eventType, schemaVersion: E.schemaVersion, subject: event.subject,
        contentType: E.contentType, correlation: id, authority: Authority(principal: agent))
      node.deliver(
        event, RecordTemplate.Numbers(header), of: ValueFront(header, timeToLive: E.timeToLive),
        to: node.localTargets(of: header.lane))
      return id
    }
    let draft = Draft(
      event: event, addressee: addressee, id: id, time: time, channel: E.channel, type: E.eventType,
      schemaVersion: E.schemaVersion, subject: event.subject, contentType: E.contentType, causation: .none,
      correlation: id, payload: payload)
    if E.channel == .alert {
      try runner.state(draft)
    } else {
      try loop.run {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
          let order = AgentOrder(wish: .state([draft])) {
            continuation.resume(with: $0.mapError { $0 as any Error })
          }
          if !runner.mailbox.order(order) { order.refuse() }
        }
      }
    }
    return id
  }

  /// Asks an agent in the name of another, and returns the answer.
  package func ask<Q: Question>(
    _ agent: AgentID, _ question: Q, from asker: AgentID, within: Duration
  ) throws -> Q.Answer {
    let (node, runner) = try runner(of: asker)
    let (id, _) = node.newEvent()
    let ask = Ask(
      id: id, agent: agent, type: Q.questionType, number: 1, within: within, granted: within,
      dueAt: node.now().adding(within.wholeMicroseconds), key: "\(id)/1", path: [asker], cause: nil)
    return try loop.run {
      try await runner.answer(to: ask, question).answer(as: Q.Answer.self, from: agent)
    }
  }

  /// Lets time pass until no agent has anything in hand or before it, timers and retries aside.
  ///
  /// - Returns: whether that came to pass within `limit` of simulated time.
  package func settle(limit: Duration) -> Bool {
    loop.run(until: { self.isSettled }, limit: limit)
  }

  private var isSettled: Bool {
    nodes.allSatisfy { node in
      node.alerts.openCount == 0
        && node.state.withLock {
          $0.untakenCount == 0 && $0.runners.values.allSatisfy { $0.mailbox.backlog == 0 }
        }
    }
  }

  private func runner(of agent: AgentID) throws -> (Node, any AgentRunner) {
    for node in nodes {
      if let runner = node.state.withLock({ $0.runners[agent] }) { return (node, runner) }
    }
    throw HyphaError(.usage, "no running node has an agent '\(agent)'", remedy: "start its node first")
  }

  /// The state of an agent as a restart would find it.
  package func state<Kind: Agent>(of agent: AgentID, _ kind: Kind.Type, in log: any LogReader) throws
    -> Kind.State
  {
    let fresh = Kind()
    let initial = try loop.run { await fresh.state }
    let newest = try log.streamHeads().keys.lazy.filter { $0.agent == agent }.map(\.epoch).max() ?? 0
    return try StateRestoration<Kind>.restore(
      initial, from: AgentSnapshot.read(of: agent, in: log), of: agent, in: log, epoch: newest + 1
    ).state
  }
}

extension SimulatedDeployment {
  /// How many timers of an agent are pending.
  package func timerCount(of agent: AgentID, in log: any LogReader) throws -> Int {
    try AgentSnapshot.read(of: agent, in: log)?.agenda.timers.count ?? 0
  }
}
