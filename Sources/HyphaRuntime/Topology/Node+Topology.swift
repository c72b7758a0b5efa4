public import HyphaCore
import HyphaLog
public import HyphaTopology
import HyphaTransport
import Synchronization

/// The live topology on one node: what is counted is reported, what the observer decides is stated, and what has changed
/// is followed.
extension Node {
  // MARK: Life

  /// Finds the topology again that the log knows. Before anything runs.
  func restoreTopology() throws {
    guard desks.topology.isLive, try log.head() > .start else { return }
    let authors = Set(topology.nodes.map(\.id.author))
    let head = try log.head()
    let known = try TopologySnapshot.read(in: log).flatMap { $0.isOf(topology) ? $0 : nil }
    // What is of an earlier revision is passed over, wherever it lies: lanes have no order among each other.
    let first = Position(rawValue: known?.through ?? 0).next
    if let known { try desks.topology.resume(known) }
    desks.ambient.resume(known?.ambient)
    var seen = known?.through ?? 0
    if first <= head {
      try log.visit(first...head, .forward) { view in
        guard view.record.channel == .persistent else { return true }
        let record = try Record(view.record)
        guard authors.contains(record.agent) else { return true }
        seen = view.position.rawValue
        // What does not decode was passed over when it came, too.
        guard let event = desks.topology.whole(record) else { return true }
        _ = try? desks.topology.take(event)
        desks.ambient.take(event)
        return true
      }
    }
    desks.topology.state.withLock { state in
      (state.savedThrough, state.seenThrough) = (known?.through ?? 0, seen)
      _ = state.routeSwitch.learn(
        state.live.version, links: state.live.openings(topology), away: state.live.away, replacing: true)
      routes.learn(state.live)
      routes.sending = RouteSwitch.tree
    }
  }

  /// Begins to follow: the transport runs.
  func beginTopology() {
    guard desks.topology.isLive else { return }
    stateAnswers()
    follow()
  }

  // MARK: The log

  /// Takes note of an event that the log has taken; on the log's thread, in the order of the log.
  func observeTopology(_ record: Record, at position: Position) {
    guard desks.topology.isLive else { return }
    if record.type == AnswerShared.eventType { return observeAnswer(record) }
    let isAwaited = desks.topology.state.withLock { state in
      state.inbox.append((record, position))
      defer { state.isLookingAtInbox = true }
      return state.isLookingAtInbox
    }
    // An observer takes its time, and the log's thread has none.
    if !isAwaited { scheduler.schedule(after: .zero) { self.lookAtInbox() } }
  }

  private func lookAtInbox() {
    var hasChanged = false
    while true {
      let record = desks.topology.state.withLock { state -> Record? in
        guard !state.inbox.isEmpty else {
          state.isLookingAtInbox = false
          return nil
        }
        let (record, position) = state.inbox.removeFirst()
        state.seenThrough = position.rawValue
        return record
      }
      guard let record else { break }
      guard let event = desks.topology.whole(record) else { continue }
      desks.ambient.take(event)
      do {
        if let live = try desks.topology.take(event) {
          // Frames may carry it before this node sends by it.
          routes.learn(live)
          let openings = live.openings(topology)
          desks.topology.state.withLock {
            _ = $0.routeSwitch.learn(live.version, links: openings, away: live.away)
          }
          hasChanged = true
        }
      } catch {
        note(refusal: "\(record.type) of '\(record.agent)' cannot be read: \(error)")
      }
    }
    stateAnswers()
    if hasChanged { follow() }
  }

  /// States what the observer has decided, and what it has found.
  func stateAnswers() {
    for answer in desks.topology.takeAnswers() {
      let cause = Cause(event: answer.cause, correlation: answer.correlation)
      switch answer.content {
      case .changed(let event): state(own: event, because: cause)
      case .suggested(let event): state(own: event, because: cause)
      case .refused(let event): state(own: event, because: cause)
      case .superseded(let event):
        note(
          "the observer's seat was taken over by node '\(event.holder)' in term \(event.newerTerm): this node decides nothing more"
        )
        state(own: event, because: cause)
      }
    }
    stateAmbientAnswers()
    stateFindings()
  }

  private func stateFindings() {
    if let change = desks.topology.takeFindings(now: now()) { state(own: change, because: nil) }
  }

  /// Asks the observer for something, on an operator's authority. When the call returns the event is on its way into the
  /// log; the answer is an event that has this one as its cause.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where nobody observes this deployment.
  public func ask(_ rule: LinkRule, by principal: AgentID, note: String?) throws -> EventID {
    guard topology.observer.node != nil else {
      throw HyphaError(
        .usage, "nobody observes the deployment '\(topology.name)'",
        remedy: "give the observer a seat in the topology file: 'observer: {node: NAME}'")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    return state(own: RuleAsked(rule: rule, note: note), because: nil, authority: authority)
  }

  // MARK: Routes

  /// Opens and closes links as the known versions need, and tells the others how far this node is.
  private func follow() {
    let plan = desks.topology.state.withLock { state -> LinkPlan? in
      let links = state.routeSwitch.links
      guard links != state.planned || state.plan.through != state.routeSwitch.newest else { return nil }
      state.planned = links
      state.plan = (state.plan.number + 1, state.routeSwitch.newest)
      var plan = Self.linkPlan(of: configuration.node, in: topology, links: links)
      plan.number = state.plan.number
      return plan
    }
    if let plan { transport.update(plan) }
    step(now: now())
  }

  /// Takes note of what has become of the links.
  func followLinks(_ channel: Channel, plan: UInt32, missing: Set<AgentID>) {
    guard desks.topology.isLive else { return }
    desks.topology.state.withLock { state in
      state.channels[channel] = (plan, missing)
      let all = Channel.allCases.compactMap { state.channels[$0] }
      guard all.count == Channel.allCases.count, all.allSatisfy({ $0.plan == state.plan.number }) else {
        return
      }
      state.routeSwitch.linksChanged(
        through: state.plan.through, missing: all.reduce(into: []) { $0.formUnion($1.missing) })
    }
    step(now: now())
  }

  /// Takes note of how far a node is.
  ///
  /// - Parameter tellsTerm: whether it follows that the node knows of no later term of the seat: not where it has yet to greet, as
  ///   after a restart of this one.
  func heard(_ node: NodeID, _ progress: RouteSwitch.Progress, tellsTerm: Bool) {
    guard desks.topology.isLive, topology.node(node) != nil, !topology.hasLeft(node),
      node != configuration.node
    else { return }
    let now = now()
    desks.topology.state.withLock { $0.routeSwitch.heard(node, progress, now: now) }
    if tellsTerm { heardSeat(node, progress) }
    step(now: now)
  }

  /// Looks after reports and routes, again and again.
  func lookAfterTopology() {
    guard desks.topology.isLive else { return }
    let now = now()
    step(now: now)
    lookAfterSeat(now: now)
    lookAfterBranches()
    saveTopology(now: now)
    let isDue = desks.topology.state.withLock { state in
      guard now.since(state.reportedAt) >= TopologyDesk.reportInterval else { return false }
      state.reportedAt = now
      return true
    }
    guard isDue, topology.observer.node != nil else { return }
    if let report = desks.topology.meter.report(by: configuration.node) { state(own: report, because: nil) }
    reportLoad(now: now)
    reportQuestions()
    reportDecisions()
  }

  /// Lets the log keep now and then what a restart would have to read again; a prune spares what is behind it.
  private func saveTopology(now: Timestamp) {
    // Read first: what is in the inbox may be newer, and is read again after a restart.
    let observed = desk.observedThrough.load(ordering: .acquiring)
    let isBusy = desks.topology.state.withLock { $0.isSaving || $0.isLookingAtInbox }
    guard !isBusy else { return }
    // What the seat knows and the place up to which it knows it go together.
    let snapshot = desks.topology.seat.withLock { seat in
      desks.topology.state.withLock { state -> TopologySnapshot? in
        guard !state.isSaving, !state.isLookingAtInbox else { return nil }
        let through = max(observed, state.seenThrough)
        let isOld = now.since(state.savedAt) >= TopologyDesk.saveInterval
        let isChanged = state.seenThrough > state.savedThrough
        let isFar = through >= state.savedThrough + TopologyDesk.saveEntryCount
        guard isOld && isChanged || isFar else { return nil }
        (state.isSaving, state.savedAt, state.savedThrough) = (true, now, through)
        return TopologySnapshot(
          through: through, live: state.live, seat: seat?.snapshot, ambient: desks.ambient.view,
          revision: topology.revision, parts: state.parts)
      }
    }
    guard let snapshot else { return }
    guard let bytes = try? JSON.encode(snapshot) else {
      // What cannot be encoded is read again after a restart.
      return desks.topology.state.withLock { $0.isSaving = false }
    }
    log.submit(LogBatch(snapshots: [TopologySnapshot.owner: Array(bytes)])) { _ in
      self.desks.topology.state.withLock { $0.isSaving = false }
    }
  }

  /// Switches where that is due, and says so.
  private func step(now: Timestamp) {
    typealias Outcome = (said: RouteSwitch.Progress?, isSwitched: Bool, isForgotten: Bool)
    let (said, isSwitched, isForgotten) = desks.topology.state.withLock { state -> Outcome in
      let (isSwitched, isForgotten) = state.routeSwitch.tick(now: now)
      if isSwitched { routes.sending = state.routeSwitch.sending }
      if isForgotten { routes.forget(allBut: state.routeSwitch.known) }
      let progress = state.routeSwitch.progress(now: now)
      let isNews = progress != state.said || now.since(state.saidAt) >= TopologyDesk.progressInterval
      if isNews { (state.said, state.saidAt) = (progress, now) }
      return (isNews ? progress : nil, isSwitched, isForgotten)
    }
    // Agents may wait for it.
    if isSwitched { proceed(giveUp: false) }
    if let said {
      let message = ControlMessage.progress(ready: said.ready, sending: said.sending).encoded()
      for node in topology.presentNodes.map(\.id) where node != configuration.node {
        transport.request(message, of: node)
      }
    }
    if isForgotten { follow() }
  }
}
