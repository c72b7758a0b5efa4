public import HyphaCore
public import HyphaLog
public import HyphaTopology
import HyphaTransport
import Synchronization

/// Agents that move between nodes: ordered, handed over, begun anew.
extension Node {
  // MARK: Life

  /// A topology with agents where a node's log says that they belong.
  ///
  /// - Throws: what reading the log throws.
  public static func placed(_ topology: Topology, by log: any EventLog) throws -> Topology {
    try MoveReading(log).placing(topology)
  }

  /// Calls `body` once, when the node has learned that it must start anew to go on: agents were moved, or one that was
  /// moved here can begin. Whoever runs the node lets it stop (``stop(isReplaced:)``) and starts another one on the same log.
  /// On any thread.
  public func whenReplaced(_ body: @escaping @Sendable () -> Void) {
    let isDue = desks.moves.state.withLock { state in
      if !state.isReplaced { state.whenReplaced = body }
      return state.isReplaced
    }
    if isDue { body() }
  }

  /// Whether the node waits to be started anew, or for moves.
  var openMoveCount: Int {
    desks.moves.state.withLock { state in
      let isOpen = routes.node == topology.moveSeat
      // Who comes later does not learn that agents have arrived on nodes which have left.
      let openCount =
        isOpen
        ? state.reading.moves.newest.count {
          $0.stage != .arrived && !topology.isRetired($0.order.agent) && topology.agent($0.order.agent) != nil
            && !topology.hasLeft($0.order.to)
        } : 0
      // One that begins anew has its activations to state.
      let isBeginning = !state.isBegun && !state.reading.moves.moves.isEmpty
      return openCount + state.reading.unanswered.count + state.reading.unansweredRevisions.count
        + (state.isReplaced || isBeginning || isRejoining ? 1 : 0)
        + desks.moves.moving.arriving.count + (routes.node == topology.moveSeat ? topology.leaves.count : 0)
    }
  }

  func replace() {
    let body = desks.moves.state.withLock { state -> (@Sendable () -> Void)? in
      state.isReplaced = true
      return state.whenReplaced.take()
    }
    body?()
  }

  /// Goes on with what a restart has interrupted. The transport runs.
  func beginMoves() {
    seekMissing()
    answerMoves()
    answerRevisions()
    beginLeaving()
  }

  // MARK: Orders

  /// Asks for an agent to be moved, on an operator's authority. When the call returns the wish is on its way into the log;
  /// the answer, ``AgentMoved`` or ``MoveRefused``, is an event that has this one as its cause.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where the topology has no such agent or node.
  public func move(_ agent: AgentID, to node: NodeID, by principal: AgentID, note: String?) throws -> EventID
  {
    guard topology.agent(agent) != nil else {
      throw HyphaError(
        .usage, "the deployment '\(topology.name)' has no agent '\(agent)'",
        remedy: "give the id as the topology file has it")
    }
    guard topology.node(node) != nil, !topology.isLeaving(node) else {
      throw HyphaError(
        .usage, "the deployment '\(topology.name)' has no node '\(node)', or it leaves",
        remedy: "use one of \(topology.stayingNodes.map(\.id.text).joined(separator: ", "))")
    }
    let authority = Authority(principal: principal, grant: "operator", policyVersion: topology.version)
    return state(own: MoveAsked(agent: agent, to: node, note: note), because: nil, authority: authority)
  }

  /// Takes note of an event that the log has taken and a node has stated; on the log's thread, in the order of the log.
  func observeMove(_ record: Record, at position: Position, isStated: Bool) {
    guard MoveEvents.all.contains(record.type) else { return }
    let news: MoveReading.News?
    do {
      news = try desks.moves.state.withLock { state in
        let news = try state.reading.take(record, at: position, isStated: isStated)
        let open = Set(state.reading.unanswered.map(\.cause.event))
        state.given.formIntersection(open)
        state.ordered.removeAll { order in
          state.reading.moves.moves.contains { $0.order.move == order.move }
        }
        // From now on this node is not done.
        switch news {
        case .moved?, .revised?: state.isReplaced = true
        default: break
        }
        return news
      }
    } catch {
      return note(refusal: "\(record.type) of '\(record.agent)' cannot be read: \(error)")
    }
    switch news {
    // Not on the log's thread: what follows reads the log, or stops this node.
    case .moved, .revised: scheduler.schedule(after: .zero) { self.replace() }
    case .asked:
      scheduler.schedule(after: .zero) {
        self.answerMoves()
        self.answerRevisions()
      }
    case .handedOver: scheduler.schedule(after: .zero) { self.beginToTake() }
    case .leaving: scheduler.schedule(after: .zero) { self.beginToRelease() }
    case .other, nil:
      if record.type == AgentArrived.eventType, let event = try? AgentArrived.decode(record) {
        routes.arrived(event)
        if routes.node(of: event.agent) != routes.node { forgetCopies(of: event.agent) }
      }
    }
  }

  /// Answers what operators have asked for, on the node that orders moves.
  func answerMoves() {
    guard mayOrder else { return }
    while true {
      let next = desks.moves.state.withLock { state -> (cause: Cause, answer: AgentMoves.Answer)? in
        guard !state.isRevised,
          let (asked, cause) = state.reading.unanswered.first(where: { !state.given.contains($0.cause.event) }
          )
        else { return nil }
        state.given.insert(cause.event)
        // Those on their way into the log count as well.
        var moves = state.reading.moves
        for order in state.ordered { moves.take(order, at: .zero) }
        let answer = moves.answer(to: asked, in: topology)
        if case .moved(let order) = answer { state.ordered.append(order) }
        return (cause, answer)
      }
      switch next?.answer {
      case .moved(let order)?: state(own: order, because: next?.cause)
      case .refused(let refusal)?: state(own: refusal, because: next?.cause)
      case nil: return
      }
    }
  }

  // MARK: Arriving

  /// What agents had that arrive has come: takes what the log lacks of it.
  private func beginToTake() {
    desks.moves.state.withLock { state in
      for move in state.reading.arriving where desks.moves.moving.arriving[move.order.agent] != nil {
        guard state.missing[move.order.agent] == nil, let handover = state.reading.handover(move.order)
        else { continue }
        let agent = move.order.agent
        // What other agents of this node have stated or taken is there already.
        state.missing[agent] = handover.goals { routes.isFor(agent, $0) }
          .filter { ((try? log.laneHead($0.key))??.point ?? .start) < $0.value }
      }
    }
    seekMissing()
  }

  /// Has couriers fetch what agents that arrive lack.
  private func seekMissing() {
    let missing = desks.moves.state.withLock { $0.missing }
    for (agent, lanes) in missing {
      guard let from = desks.moves.moving.arriving[agent] else { continue }
      routes.setGoals(lanes, at: from)
      for (lane, point) in lanes.sorted(by: { "\($0.key)" < "\($1.key)" }) {
        couriers[lane.channel]?.courier.withLock { $0.announce(lane, point, by: from, now: now()) }
      }
    }
    lookAfterMoves()
  }

  /// Looks whether an agent that arrives has all that it had, again and again.
  func lookAfterMoves() {
    guard !desks.moves.moving.arriving.isEmpty else { return }
    let hasAll = desks.moves.state.withLock { state -> Bool in
      guard !state.isReplaced else { return false }
      var hasAll = false
      for (agent, lanes) in state.missing {
        // A lane that cannot be read now is looked at again.
        let open = lanes.filter { ((try? log.laneHead($0.key))??.point ?? .start) < $0.value }
        state.missing[agent] = open
        hasAll = hasAll || open.isEmpty
      }
      return hasAll
    }
    if hasAll { replace() }
  }

  /// The agents that work on this node, or will from this start on.
  var ownAgents: [AgentSpec] {
    topology.agents(on: configuration.node).filter { !routes.isArriving($0.id) }
  }

  // MARK: At the start

  /// What is committed with the first activation of an agent that was moved here.
  struct Adoption {
    var cursors: [CursorKey: Cursor] = [:]
    var snapshot: [UInt8]?
    var epoch: UInt64
    var committed: [String: UInt64]
    /// Whether what it did here before the node's disk was lost has come back.
    var hasReturned = false
  }

  /// Where an agent goes on that was handed over to this node, whose log has all that it had.
  func adoption(of agent: AgentID, _ heads: LogHeads) throws -> Adoption? {
    guard let handover = desks.moves.adopted[agent]?.handover else { return nil }
    let handled = handover.allHandled
    var lanes: [Lane: LanePoint] = [:]
    for (lane, head) in heads.lanes where routes.plan(of: lane).local.contains(agent) {
      lanes[lane] = routes.isOwnJudgement(lane) ? head.point : handled[lane] ?? .start
    }
    var adoption = Adoption(epoch: handover.epoch, committed: handover.committed)
    for channel in Channel.allCases where channel.isLogged {
      adoption.cursors[CursorKey(agent: agent, channel: channel)] = try Handover.cursor(
        channel, in: log, heads, handled: lanes)
    }
    // What it did here before the disk was lost, and has come back, came after.
    adoption.hasReturned = heads.streams.keys.contains { $0.agent == agent && $0.epoch > handover.epoch }
    var since = KeptAgents.Reading()
    if adoption.hasReturned { try since.take(of: agent, (handover.epoch + 1)...(.max), in: log) }
    adoption.snapshot = try handover.snapshot(
      in: log, after: KeptAgents(since).snapshots[agent],
      besides: handledBefore.inputs[agent] ?? [])
    return adoption
  }

  /// Says that agents which were moved here work here, by their epochs; where the node has replicas, once these have all of them.
  func arrivals(_ epochs: [AgentID: UInt64]) throws -> [Stated] {
    let orders = desks.moves.adopted.mapValues(\.order).merging(desks.moves.untold) { $1 }
    let events = orders.values.sorted { $0.move < $1.move }.compactMap { order in
      epochs[order.agent].map {
        AgentArrived(move: order.move, agent: order.agent, node: configuration.node, epoch: $0)
      }
    }
    guard replication == nil else {
      desks.moves.state.withLock { $0.arrivals = events }
      return []
    }
    return try events.map { try stateAtStart($0, to: nil, of: $0.move) }
  }

  /// Hands over the agents that were moved away, as the log has them: nothing of them runs here any more.
  func handOver(_ heads: LogHeads) throws -> LogBatch {
    var batch = LogBatch()
    for move in desks.moves.leaving {
      let agent = move.order.agent
      guard desks.moves.keptDeparture(move.order) == nil else { continue }
      let own = heads.lanes.filter { $0.key.agent == agent && $0.key.channel.isLogged }.mapValues(\.point)
      let known = (desks.moves.brought[agent]?.allHandled ?? [:])
        .merging(revision.kept(of: agent)) { max($0, $1) }
      var handover = try Handover.of(
        agent, in: log, heads, stated: desks.moves.ownLanes(of: agent, own),
        elsewhere: known
      ) { revision.wasFor(agent, $0) ?? routes.isFor(agent, $0) }
      handover.add(known) { routes.isFor(agent, $0) }
      handover.retries += try owedRetries(of: agent)
      if handledBefore.inputs[agent] != nil { handover.hasReturned = true }
      // It keeps no place here, which would hold back every prune, and no state.
      for channel in Channel.allCases where channel.isLogged {
        batch.cursors[CursorKey(agent: agent, channel: channel)] = Cursor(
          position: heads.position, handledCount: 0)
      }
      batch.snapshots[agent] = []
      if replication != nil {
        let kept = try keptDeparture(move.order, handover)
        for stated in kept { handover.end(with: stated.record) }
        desks.moves.state.withLock { $0.kept[move.order.move] = handover }
        batch.appends += kept.map { .init($0.record) }
        continue
      }
      for part in AgentHandedOver.parts(of: Array(try JSON.encode(handover)), move: move.order) {
        let stated = try stateAtStart(part, to: move.order.to.author, of: move.order.move)
        batch.appends.append(.init(stated.record))
      }
    }
    return batch
  }

  /// What an agent that has come back from replicas was to be given again when it had come here, and has not met since.
  private func owedRetries(of agent: AgentID) throws -> [Handover.Retry] {
    try (desks.moves.owed[agent] ?? []).filter { retry in
      guard let lane = retry.place.lane, handledBefore.inputs[agent]?.contains(retry.id) != true else {
        return false
      }
      let place = try log.cursor(CursorKey(agent: agent, channel: lane.channel))?.position ?? .start
      return try log.position(of: retry.place.point, in: lane).map { $0 > place } ?? true
    }
  }

  /// An event under the node's own name that is committed with the activations.
  private func stateAtStart(_ event: some Event, to addressee: AgentID?, of move: UInt32) throws -> Stated {
    let cause = desks.moves.state.withLock { $0.reading.orders[move] }
    let draft = try Draft(bus: event, to: addressee, newEvent(), because: cause)
    return try desks.own.state.withLock { state in
      guard let header = state.outbox?.number(draft) else {
        throw HyphaError(.failed, "node '\(routes.node)' states \(draft.type) before it starts")
      }
      return Stated(record: try Record(header, payload: draft.payload, limits: limits), event: event)
    }
  }

  /// Whether an agent of this node has handled an entry of the log on another one.
  func wasHandledElsewhere(_ entry: LogEntry, by agent: AgentID) -> Bool {
    guard let handled = elsewhere[agent], entry.position < handled.position else { return false }
    let record = entry.record
    return routes.isOwnJudgement(record.lane)
      || handled.has(record.header.id, at: record.point, of: record.lane)
  }

  func handledElsewhere(by agent: AgentID) -> HandledElsewhere? { elsewhere[agent] }
}
