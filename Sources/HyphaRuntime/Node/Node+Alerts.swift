public import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// The alerts of a node's agents, followed until they are answered, and what of that the log keeps.
final class AlertDesk: Sendable {
  struct State {
    var tracker: AlertTracker
    /// What the newest snapshot covers, and when it was made.
    var savedChangeCount: UInt64 = 0
    var savedThrough: UInt64 = 0
    var savedAt = Timestamp.zero
    var isSaving = false
  }

  let state: Mutex<State>
  /// The position up to which every entry was observed. Written on the log's thread.
  let observedThrough = Atomic<UInt64>(0)

  /// How often the open alerts are saved where they have changed: what a restart has to read again.
  static let saveInterval = Duration.seconds(10)
  /// After how many new entries of the log they are saved even where they have not.
  static let saveEntryCount: UInt64 = 65_536
  /// The most alerts that are sent again in one go; the rest waits for its next turn.
  static let redeliveryCountMax = 64
  /// How long after a start nothing is escalated: answers may be on their way.
  static let startGrace = Duration.seconds(5)

  init(_ tracker: AlertTracker) { state = Mutex(State(tracker: tracker)) }
}

extension Node {
  // MARK: Life

  /// Finds the open alerts of earlier runs again, and returns them as the log is to keep them.
  ///
  /// - Complexity: reads the entries since the newest snapshot; see ``AlertDesk/saveInterval``.
  func restoreAlerts() throws -> [UInt8] {
    var tracker = desk.state.withLock { $0.tracker }
    // With an agent that begins here come alerts of its that no snapshot of this log has.
    var newcomers = Set(desks.moves.adopted.keys)
    if try RejoinRecord.read(in: log)?.event != nil { newcomers.formUnion(ownAgents.map(\.id)) }
    let head = try AlertReading.fold(
      log, from: newcomers.isEmpty ? AlertReading.snapshot(in: log) : nil, newcomers: newcomers,
      into: &tracker)
    let now = statedTime()
    tracker.extend(
      until: now.adding(min(topology.alerts.deadline, AlertDesk.startGrace).wholeMicroseconds))
    let kept = try JSON.encode(tracker.snapshot(through: head))
    desk.state.withLock { state in
      state.tracker = tracker
      state.savedThrough = head.rawValue
      state.savedChangeCount = tracker.changeCount
      state.savedAt = now
    }
    desk.observedThrough.store(head.rawValue, ordering: .releasing)
    return Array(kept)
  }

  var topology: Topology { configuration.topology }
  var alertSettings: AlertSettings { topology.alerts }

  /// Takes note of alert-channel events that the log has taken, the one of index 0 at position `first`; on the log's
  /// thread, in the order of the log.
  func observeAlerts(_ records: ArraySlice<Record>, from first: Position, isStated: Bool) {
    desk.state.withLock { state in
      for (index, record) in zip(records.indices, records) {
        let position = Position(rawValue: first.rawValue + UInt64(index))
        state.tracker.observe(record, at: position, isStated: isStated)
      }
    }
  }

  /// Takes note that all of a commit was observed; on the log's thread.
  func observed(_ receipt: CommitReceipt) {
    desk.observedThrough.store(receipt.last.rawValue, ordering: .releasing)
  }

  /// Does what open alerts ask for.
  func lookAfterAlerts() {
    let now = statedTime()
    let actions = desk.state.withLock { $0.tracker.due(now: now) }
    var redeliveryCount = 0
    for action in actions {
      switch action {
      case .redeliver(let position, let holders):
        redeliveryCount += 1
        if redeliveryCount <= AlertDesk.redeliveryCountMax { redeliver(position, to: holders) }
      case .escalate(let event, let supervisor, let correlation):
        state(event, by: event.agent, to: supervisor, of: event.alert, correlation)
      case .giveUp(let event, let correlation):
        state(event, by: event.agent, to: nil, of: event.alert, correlation)
      }
    }
    saveAlerts(now: now)
  }

  private func redeliver(_ position: UInt64, to holders: [AgentID]) {
    // An agent of this node has it in its mailbox, or its handler has thrown and is run again there.
    guard holders.contains(where: { routes.node(of: $0) != routes.node }) else { return }
    do {
      guard let entry = try log.entry(at: Position(rawValue: position)) else { return }
      send([entry.record])
    } catch {
      note(error)
    }
  }

  private func state(
    _ event: some Event, by agent: AgentID, to addressee: AgentID?, of alert: EventID, _ correlation: EventID
  ) {
    do {
      guard let runner = state.withLock({ $0.runners[agent] }) else { return }
      try runner.state(
        Draft(
          bus: event, to: addressee, newEvent(), because: Cause(event: alert, correlation: correlation)))
    } catch {
      note(error)
      let now = statedTime()
      desk.state.withLock { $0.tracker.failed(alert, now: now) }
    }
  }

  // MARK: Saving

  /// Lets the log keep the open alerts now and then.
  private func saveAlerts(now: Timestamp) {
    // Read first: the tracker may know more, and observes that again after a restart.
    let through = desk.observedThrough.load(ordering: .acquiring)
    let snapshot = desk.state.withLock { state -> AlertTracker.Snapshot? in
      let isOld = now.since(state.savedAt) >= AlertDesk.saveInterval
      let isChanged = state.savedChangeCount != state.tracker.changeCount
      let isFar = through - state.savedThrough >= AlertDesk.saveEntryCount
      guard !state.isSaving, isOld && isChanged || isFar else { return nil }
      state.savedAt = now
      state.isSaving = true
      state.savedChangeCount = state.tracker.changeCount
      state.savedThrough = through
      return state.tracker.snapshot(through: Position(rawValue: through))
    }
    guard let snapshot, let bytes = try? JSON.encode(snapshot) else { return }
    // What fails is tried again with the next change.
    log.submit(LogBatch(snapshots: [AlertTracker.owner: Array(bytes)])) { _ in
      self.desk.state.withLock { $0.isSaving = false }
    }
  }

  // MARK: By hand

  /// The alerts of this node's agents that nobody has answered yet, the oldest first.
  public var openAlerts: [OpenAlert] {
    desk.state.withLock { $0.tracker.open.values.sorted { $0.position < $1.position } }
  }

  /// The open alert of this id, if it is one of an agent of this node.
  public func openAlert(_ id: EventID) -> OpenAlert? { desk.state.withLock { $0.tracker.open[id] } }

  /// Answers an alert on an operator's authority, for all whom it still waits for.
  ///
  /// The acknowledgement is an event of the agent that stated the alert. When the call returns it is on its way into the
  /// log; when it is there, ``openAlert(_:)`` is nil.
  ///
  /// - Returns: the alert as it was.
  /// - Throws: ``HyphaError/Code/usage`` where no agent of this node has an open alert of this id;
  ///   ``HyphaError/Code/logFull``.
  public func acknowledgeAlert(_ id: EventID, by principal: AgentID, note: String?) throws -> OpenAlert {
    guard let alert = openAlert(id), let runner = state.withLock({ $0.runners[alert.agent] }) else {
      throw HyphaError(
        .usage, "node '\(routes.node)' has no open alert \(id)",
        remedy: "list the open ones with 'hypha alerts list'; it may have been answered meanwhile")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    try runner.state(
      Draft(
        bus: AlertAcknowledged(by: principal, note: note), to: nil, newEvent(),
        because: Cause(event: id, correlation: alert.correlation), authority: authority))
    return alert
  }
}
