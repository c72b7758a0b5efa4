import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What operators and the node ask of an agent.
extension AgentCell {
  // MARK: The node

  func state(_ draft: Draft) throws { try publishNow(draft) }

  func snapshotMetrics() -> AgentMetrics { metrics.withLock { $0 } }

  var usualWaitMicroseconds: UInt64 { metrics.withLock { $0.usualWaitMicroseconds } }

  var waitingRealtimeCount: Int {
    // What goes from one to the other meanwhile counts twice, or for a moment not at all.
    let queued = mailbox.realtimeCount { wantedCount(in: $0) }
    return queued + metrics.withLock { $0.inHandCount }
  }

  var runningCall: RunningCall? { call.withLock { $0 } }

  func takeOverdue(now: Timestamp) -> RunningCall? {
    call.withLock { call in
      guard let running = call, !running.isTold, now.since(running.began) >= supervision.handlerDeadline
      else {
        return nil
      }
      call?.isTold = true
      return running
    }
  }

  // MARK: Operators

  /// Does what an operator wants, in a commit of its own.
  ///
  /// - Returns: whether the agent can go on.
  func carryOut(_ order: AgentOrder, on agent: isolated Kind, _ batch: inout Batch<Kind>) async -> Bool {
    do {
      switch order.wish {
      case .state(let drafts): batch.drafts += drafts
      case .resolve(let event, let resolution, let note):
        try resolve(event, resolution, note, order.authority, &batch)
      }
    } catch {
      order.done(
        .failure(error as? HyphaError ?? HyphaError(.failed, "the order failed", cause: "\(error)")))
      return true
    }
    guard await commit(&batch, on: agent), await settle(&batch) else {
      order.refuse()
      return false
    }
    order.done(.success(()))
    return true
  }

  private func resolve(
    _ event: EventID, _ resolution: DeadLetterResolved.Resolution, _ note: String?, _ authority: Authority?,
    _ batch: inout Batch<Kind>
  ) throws {
    // Only here, between two commits of the agent: of two operators one comes first.
    guard
      let letter = try DeadLetter.open(in: services.log, of: spec.id).first(where: {
        $0.failure.event == event
      })
    else {
      throw HyphaError(
        .usage, "agent '\(spec.id)' has no dead letter \(event)",
        remedy: "list the open ones with 'hypha dead-letters list'; it may have been settled meanwhile")
    }
    let entry = try letter.entry(in: services.log)
    guard resolution == .discarded || entry != nil else {
      throw HyphaError(
        .failed, "event \(event) is not in the log any more",
        remedy: "discard the dead letter, or restore a backup")
    }
    if resolution == .requeued, let position = entry?.position {
      batch.change {
        $0.retries.insert(.init(id: event, dueAt: services.now(), position: position, attempt: 1))
      }
    }
    batch.state(
      DeadLetterResolved(agent: spec.id, event: event, resolution: resolution, note: note), to: nil,
      services.newEvent(), entry?.record.header, authority: authority)
  }
}
