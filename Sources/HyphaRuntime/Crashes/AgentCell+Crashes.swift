import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What becomes of an agent in a call of which the process before this one ended.
extension AgentCell {
  /// Whether it is one of those that the agent begins with.
  var isBrokenAtStart: Bool { broken.withLock { $0?.purpose.isLifecycle ?? false } }

  /// Whether it is the one with this delivery.
  func isBroken(_ delivery: Delivery) -> Bool { brokenEvent == delivery.input.id }

  /// The event of a call that is still to count as failed; nil for none.
  var brokenEvent: EventID? { broken.withLock { $0.flatMap { $0.purpose.isLifecycle ? nil : $0.event } } }

  /// Has a call count as failed that a trap has ended, without making it again: the retry policy says when that is.
  func fail(_ delivery: Delivery, on agent: isolated Kind, _ batch: inout Batch<Kind>) -> Turn.Outcome {
    guard let call = broken.withLock({ $0.take() }) else { return .returned }
    batch.crash = call.purpose
    let error = CallEndedProcess(call: call)
    let turn = begin(delivery.input, attempt: delivery.attempt, at: services.now(), on: agent, batch)
    let effects = turn.end()
    discard(turn, error, agent.state, on: agent, &batch)
    observe(turn, effects, .delivery(delivery), threw: error, &batch)
    // What it did before it trapped is not known: it cannot be made again.
    if !batch.calls.isEmpty { batch.calls[batch.calls.count - 1].call.isCut = true }
    return .threw(error)
  }

  /// Waits before a start that processes have ended in, as before one that has thrown, or lets the agent stand still where
  /// there were too many.
  ///
  /// - Returns: whether the agent may begin.
  func rest(_ budget: inout RestartBudget) async -> Bool {
    guard let call = broken.withLock({ $0 }), call.purpose.isLifecycle else { return true }
    var wait: Duration? = .zero
    for _ in 0..<min(call.count, supervision.restartCountMax + 1) {
      wait = budget.take(now: services.now(), random: services.random())
    }
    guard let wait, supervision.strategy != .stop else {
      // The next start of the node tries it again: it may be another program.
      slot?.settle(call.purpose)
      standStill("does not work: \(CallEndedProcess(call: call))")
      return false
    }
    return await mailbox.rest(for: wait, services.scheduler)
  }

  /// States, before the agent begins again, that its start or its wake has ended a process.
  ///
  /// - Returns: whether the agent can go on.
  func noteBrokenStart(on agent: isolated Kind, _ batch: inout Batch<Kind>) async -> Bool {
    let call = broken.withLock { broken in
      broken?.purpose.isLifecycle == true ? broken.take() : nil
    }
    guard let call else { return true }
    let error = CallEndedProcess(call: call)
    metrics.withLock { $0.failureCount += 1 }
    services.note("agent '\(spec.id)' failed: \(error)")
    note(error, on: nil, &batch)
    // In the log before it begins again: it may end this process, too.
    guard await commit(&batch, on: agent) else { return false }
    return await settle(&batch)
  }

  /// Has a further attempt that a process has ended in count as failed, before the agent handles anything else: that may end this
  /// process, too, and one such call is kept for each agent.
  ///
  /// - Returns: whether the agent can go on.
  func noteBrokenRetry(on agent: isolated Kind, _ batch: inout Batch<Kind>) async -> Bool {
    guard let event = brokenEvent, let retry = batch.change({ $0.retries.remove(event) }) else { return true }
    await tryAgain(retry, on: agent, &batch)
    return await commit(&batch, on: agent)
  }
}
