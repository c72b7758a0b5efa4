import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What the log keeps of an agent: written after its handlers, read at its start.
extension AgentCell {
  // MARK: Restoring

  static func cursors(of agent: AgentID, in log: any LogReader) throws -> [Channel: Cursor] {
    var cursors: [Channel: Cursor] = [:]
    for channel in Channel.allCases where channel.isLogged {
      cursors[channel] = try log.cursor(CursorKey(agent: agent, channel: channel)) ?? .start
    }
    return cursors
  }

  /// Gives the agent what its log has kept of it.
  func restore(_ agent: isolated Kind, _ batch: inout Batch<Kind>) throws {
    batch.cursors = try Self.cursors(of: spec.id, in: services.log)
    let snapshot = try AgentSnapshot.read(of: spec.id, in: services.log)
    if let snapshot { batch.restore(snapshot.agenda) }
    if Kind.State.self != Stateless.self {
      var restoration =
        try restoring.withLock { $0.take() }
        ?? StateRestoration<Kind>(
          agent.state, from: snapshot, of: spec.id, in: services.log, epoch: outbox.withLock { $0.epoch })
      try restoration.read(services.log)
      let restored = restoration.restored
      agent.state = restored.state
      batch.savedState = restored.isSaved ? snapshot?.state : nil
      // What was read again is not to be read another time; and a prune must know from the beginning what to leave.
      if restored.replayedCount > 0 || snapshot == nil { batch.snapshots.want() }
    }
    try restoreCheckpoints(snapshot, of: agent, &batch)
    if !services.replicas.nodes.isEmpty {
      // Its replicas may be new, or have pruned what they had.
      batch.kept = KeptInputs(
        of: services.routes.node, owesState: batch.savedState != nil || batch.agenda.next != nil)
    }
    notePending(batch.agenda)
    arm(for: batch.agenda.next)
  }

  func prepareState() async -> StateTail? {
    // One that a process has ended in is restored by the agent itself, if at all.
    guard Kind.evolves.isUsed, !isBrokenAtStart else { return nil }
    slot?.begin(.start)
    defer { slot?.end() }
    let initial = await Kind().state
    // What hinders it is met again when the agent begins, and told there.
    let restoration = try? StateRestoration<Kind>(
      initial, from: AgentSnapshot.read(of: spec.id, in: services.log), of: spec.id, in: services.log,
      epoch: outbox.withLock { $0.epoch })
    restoring.withLock { $0 = restoration }
    return restoration?.tail
  }

  func restoreState(by entry: LogEntry) {
    slot?.begin(.start, entry.record.id)
    defer { slot?.end() }
    restoring.withLock { restoring in
      // What cannot be restored so is told of when the agent reads for itself.
      if (try? restoring?.take(entry)) != true { restoring = nil }
    }
  }

  func endRestoring(hasAll: Bool) {
    restoring.withLock { if hasAll { $0?.end() } else { $0 = nil } }
  }

  private func notePending(_ agenda: Agenda) {
    metrics.withLock { metrics in
      metrics.timerCount = agenda.timers.count
      metrics.retryCount = agenda.retries.count
    }
    mailbox.setHoldsPersistent(agenda.isFull)
  }

  // MARK: Committing

  /// Has what the handlers left committed, which goes on while the agent handles what comes next; before that, the commit
  /// before it comes to its end. So at most one is on its way. Where the agent's node has replicas, or the agent reaches outside
  /// of it, it waits for its commit.
  ///
  /// - Returns: whether the agent can go on. What cannot be committed whole is not committed at all.
  func commit(_ batch: inout Batch<Kind>, on agent: isolated Kind) async -> Bool {
    var logBatch = LogBatch()
    // Answers to alerts do not wait behind others' batches.
    if batch.moved.contains(.alert) { logBatch.priority = .urgent }
    for channel in batch.moved {
      logBatch.cursors[CursorKey(agent: spec.id, channel: channel)] = batch.cursors[channel]
    }
    let state: [UInt8]?
    do {
      state = try changedState(batch, on: agent)
    } catch {
      giveUp("has a state that cannot be encoded: \(error)")
      return false
    }
    let isEmpty = logBatch.isEmpty && state == nil && !batch.hasEffects
    let waiting = isEmpty ? batch.calls.filter(\.waits) : []
    var drafts = batch.drafts
    // The highest that any of them asks for; those that ask for nothing ask for what the topology file says.
    var level = drafts.map { $0.durability?.level ?? services.replicas.level }.max()
    let kept = batch.kept.take(silent: drafts)
    do {
      let isStateChanged = state != nil && state != batch.savedState
      if !isEmpty { drafts = try observed(batch, isStateChanged: isStateChanged) + drafts }
    } catch {
      giveUp("has taken what cannot be recorded: \(error)")
      return false
    }
    // What waits for replicas nobody is to see before: an alert of the next handler would show it.
    let isUrgent = batch.isUrgent || !services.replicas.nodes.isEmpty
    let done = Committed(
      answers: batch.answers, agenda: batch.isAgendaChanged ? batch.agenda : nil, crash: batch.crash,
      isFinished: batch.finishes)
    if !isEmpty { batch.checkpoints.handled(batch.inputCount) }
    batch.committed()
    batch.calls = waiting
    // What an answer says may come of what is still on its way.
    if !isEmpty || !done.isEmpty { guard await settle(&batch) else { return false } }
    guard !isEmpty else {
      take(done)
      return true
    }
    var stated: [Stated] = []
    do {
      // An event-sourced state follows from what came back.
      let changed = Kind.evolves.isUsed && done.agenda == nil ? nil : state
      let owed = kept.owesState(at: level, services.replicas) ? try currentState(batch, on: agent) : nil
      if let event = try keepWithReplicas(kept, changed ?? owed, drafts, batch) {
        drafts.append(event)
        level = level ?? kept.level(of: services.replicas)
        batch.kept.told(state: changed ?? owed, at: level)
      }
      stated = try number(drafts)
      if let state {
        logBatch.snapshots[spec.id] = try snapshot(state, batch.agenda).bytes
        batch.savedState = state
        batch.snapshots.saved()
      }
    } catch {
      // Names, versions and sizes were checked when the events were published.
      giveUp("cannot encode what it published: \(error)")
      return false
    }
    logBatch.appends = stated.map { .init($0.record) }
    mailbox.setCommitting(true)
    batch.commit = Task(executorPreference: services.executor) { [self, logBatch, stated, level] in
      let isCommitted = await commit(logBatch, stated, level: level)
      services.releaseAlerts(of: spec.id)
      if isCommitted { take(done) }
      mailbox.setCommitting(false)
      return isCommitted
    }
    return isUrgent ? await settle(&batch) : true
  }

  private func commit(_ logBatch: LogBatch, _ stated: [Stated], level: Int?) async -> Bool {
    do {
      try await services.commit(logBatch, stated, of: spec.id, level: level)
      services.decisions.committed(stated, by: spec)
      return true
    } catch {
      giveUp("cannot commit what it did: \(error)")
      return false
    }
  }

  /// Waits for the commit that is on its way, if any.
  ///
  /// - Returns: whether the agent can go on.
  func settle(_ batch: inout Batch<Kind>) async -> Bool { await batch.commit.take()?.value ?? true }

  /// Does what was to wait for a commit.
  private func take(_ done: Committed) {
    if let crash = done.crash { slot?.settle(crash) }
    send(done.answers)
    if let agenda = done.agenda {
      notePending(agenda)
      arm(for: agenda.next)
    }
    if done.isFinished { metrics.withLock { $0.isFinished = true } }
  }

  /// The state as it is when a commit begins; none but the agenda's where there is none.
  private func currentState(_ batch: Batch<Kind>, on agent: isolated Kind) throws -> [UInt8]? {
    guard Kind.State.self != Stateless.self else { return [] }
    // The one that was saved last may be older than what the agent has published since.
    return Kind.evolves.isUsed ? Array(try JSON.encode(agent.state)) : batch.savedState
  }

  /// The state as it is to be saved now; nil where it need not be.
  private func changedState(_ batch: Batch<Kind>, on agent: isolated Kind) throws -> [UInt8]? {
    guard Kind.State.self != Stateless.self else { return batch.isAgendaChanged ? [] : nil }
    // An event-sourced state follows from what is committed anyway.
    guard !Kind.evolves.isUsed || batch.snapshots.isDue || batch.isAgendaChanged else { return nil }
    let state = Array(try JSON.encode(agent.state))
    return state != batch.savedState || batch.snapshots.isDue || batch.isAgendaChanged ? state : nil
  }

  func snapshot(_ state: [UInt8], _ agenda: Agenda) throws -> AgentSnapshot {
    guard Kind.evolves.isUsed else {
      return AgentSnapshot(state: state, stateVersion: Kind.stateVersion, agenda: agenda)
    }
    // What the agent states after this batch comes behind what the log has now.
    let after = try services.log.head()
    let point = outbox.withLock { $0.end(of: .persistent) }
    return AgentSnapshot(
      state: state, stateVersion: Kind.stateVersion, agenda: agenda,
      coverage: .init(point: point, after: after))
  }

  func number(_ drafts: [Draft]) throws -> [Stated] {
    try outbox.withLock { outbox in
      let records = try outbox.records(of: drafts, limits: services.limits)
      if let first = records.first(where: { $0.channel == .alert }) {
        services.holdAlerts(of: spec.id, from: first.sequence)
      }
      return zip(records, drafts).map { Stated(record: $0, event: $1.event) }
    }
  }
}

/// What waits for a commit to be done.
private struct Committed: Sendable {
  var answers: [(Asker, Answered.Outcome)]
  /// The agenda, where it has changed.
  var agenda: Agenda?
  /// What a call was for that is counted as failed then; nil for none.
  var crash: CallPurpose?
  var isFinished: Bool

  var isEmpty: Bool { answers.isEmpty && agenda == nil && crash == nil && !isFinished }
}
