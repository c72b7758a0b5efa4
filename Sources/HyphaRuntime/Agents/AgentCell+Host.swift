import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What contexts, operators and the node ask of an agent.
extension AgentCell {
  // MARK: Contexts

  func newEvent() -> (EventID, Timestamp) { services.newEvent() }
  func random() -> UInt64 { services.random() }
  func report(_ name: String, _ value: Int64) { metrics.withLock { $0.gauges[name] = value } }
  func handles(_ type: EventTypeName) -> Bool { Kind.handles.entries[type] != nil }

  func checkPublish<E: Event>(_ type: E.Type, to addressee: AgentID?) throws -> EventTypeName {
    guard let name = allowed[ObjectIdentifier(type)] else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(E.eventType), which it does not declare",
        remedy:
          "add it to the kind's publishes, and to the agent's in the topology file where that narrows it")
    }
    guard E.schemaVersion > 0 else {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' publishes \(name) with schema version 0", remedy: "count from 1")
    }
    if let addressee, services.routes.node(of: addressee) == nil {
      throw HyphaError(
        .undeclared, "agent '\(spec.id)' addresses \(name) to '\(addressee)', which does not exist",
        remedy: "add that agent to the topology file")
    }
    return name
  }

  func checkPayload(byteCount: Int, of type: EventTypeName) throws {
    guard byteCount <= services.limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "agent '\(spec.id)' publishes \(type) with a payload of \(byteCount) bytes",
        remedy: "keep it to \(services.limits.payloadByteCountMax)")
    }
  }

  func publishNow(_ draft: Draft) throws {
    // Numbering and handing over stay under one lock, so that a lane leaves in its order.
    try outbox.withLock { outbox in
      if draft.channel == .alert {
        try services.checkRoomForAlert(of: spec.id)
        if let within = draft.within {
          let deadline = try Draft.deadline(within, of: draft, services.newEvent())
          let record = try Record(outbox.number(deadline), payload: deadline.payload, limits: services.limits)
          services.publishAlert(Stated(record: record, event: deadline.event))
        }
        let record = try Record(outbox.number(draft), payload: draft.payload, limits: services.limits)
        services.publishAlert(Stated(record: record, event: draft.event))
      } else {
        try services.publishRealtime(outbox.number(draft), draft)
      }
    }
  }

  // MARK: The node

  func state(_ draft: Draft) throws { try publishNow(draft) }

  func snapshotMetrics() -> AgentMetrics { metrics.withLock { $0 } }

  var waitingRealtimeCount: Int {
    // What goes from one to the other meanwhile counts twice, or for a moment not at all.
    let queued = mailbox.realtimeCount { wants($0.header) }
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
    guard await commit(&batch, on: agent) else {
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
    let position = Position(rawValue: letter.failure.position)
    let entry = try services.log.entry(at: position)
    guard resolution == .discarded || entry != nil else {
      throw HyphaError(
        .failed, "event \(event) is not in the log any more",
        remedy: "discard the dead letter, or restore a backup")
    }
    if resolution == .requeued {
      batch.change {
        $0.retries.insert(.init(id: event, dueAt: services.now(), position: position, attempt: 1))
      }
    }
    batch.state(
      DeadLetterResolved(agent: spec.id, event: event, resolution: resolution, note: note), to: nil,
      services.newEvent(), entry?.record.header, authority: authority)
  }
}
