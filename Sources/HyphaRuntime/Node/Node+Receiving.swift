public import HyphaCore
import HyphaLog
import HyphaTopology
public import HyphaTransport
import Synchronization

/// What comes in from other nodes.
extension Node: TransportReceiver {
  public func linksChanged(_ channel: Channel, plan: UInt32, missing: Set<AgentID>) {
    guard let rejoin else { return takeLinks(channel, plan: plan, missing: missing) }
    rejoin.links.withLock { links in
      if links == nil {
        takeLinks(channel, plan: plan, missing: missing)
      } else {
        links?[channel] = (plan, missing)
      }
    }
  }

  func takeLinks(_ channel: Channel, plan: UInt32, missing: Set<AgentID>) {
    // Agents do not wait for replicas' links: what these miss they fetch.
    let missing = missing.filter { topology.agent($0) != nil }
    if missing.isEmpty { channelOpened(channel) }
    followLinks(channel, plan: plan, missing: missing)
  }

  public func refused(_ reason: String) { note(reason) }

  public func received(alone frame: InboundFrame) -> Bool {
    AgentExecutor.shared.lends { received([frame]) }
  }

  public func runAgents() { AgentExecutor.shared.runLent() }

  public func reclaimAgents() { AgentExecutor.shared.reclaim() }

  public func received(_ frames: [InboundFrame]) {
    // Nothing of it is lost: what is logged is fetched when the node works.
    guard !isRejoining else { return }
    var last: NodeID?
    let byteCount = frames.reduce(0) { $1.channel == .persistent ? $0 + $1.bytes.count : $0 }
    if byteCount > 0 {
      let elapsed = Duration.microseconds(Int64(clamping: now().microseconds))
      repair.withLock { $0.live(byteCount: byteCount, now: elapsed) }
    }
    receivedFrameCounts.withLock { counts in
      // Mostly all are one neighbour's: one look-up for each stretch of the same one's.
      var begin = frames.startIndex
      while begin < frames.endIndex {
        let from = frames[begin].from
        let end = frames[begin...].firstIndex { $0.from != from } ?? frames.endIndex
        counts[from, default: 0] += UInt64(end - begin)
        begin = end
      }
    }
    for inbound in frames {
      if inbound.from != last { heard(inbound.from) }
      last = inbound.from
      guard !server.refuses(inbound.from) else {
        state.withLock { $0.unfitFrameCount += 1 }
        continue
      }
      do {
        guard let box = couriers[inbound.channel] else { continue }
        let frame = try box.names.withLock {
          try Frame(
            decoding: inbound.bytes, limits: limits, versionMax: routes.peers.frameVersionMax, names: &$0)
        }
        try observe(frame.records)
        act(on: inbound.channel) { $0.receive(frame, from: inbound.from, now: now()) }
      } catch {
        note(refusal: "node '\(inbound.from)' sent what is no frame: \(error)")
      }
    }
  }

  public func received(requests: [PeerMessage]) {
    guard !isRejoining else { return receivedWhileRejoining(requests: requests) }
    for request in requests {
      do {
        let message = try ControlMessage(decoding: request.bytes, limits: limits)
        switch message {
        case .goodbye:
          routes.peers.forget(request.node)
          heardGoodbye(of: request.node)
        case .progress(let ready, let sending):
          heard(request.node)
          // Versions of another revision are others by the same numbers.
          let isAlike = server.isAlike(request.node)
          heard(request.node, isAlike ? .init(ready: ready, sending: sending) : .tree, tellsTerm: isAlike)
        // It comes again and again, as long as its node lives.
        case .sync: heard(request.node, isHeartbeat: true)
        case .copied(let origin, _, _, let heads):
          heard(request.node)
          if origin == configuration.node { acknowledged(heads, by: request.node) }
        default: heard(request.node)
        }
        let answer: ControlMessage? =
          if case .incarnation(let incarnation) = message {
            heard(incarnation, from: request.node)
          } else {
            server.answer(message, from: request.node) { noteRefused($0, to: request.node) }
          }
        guard let answer else { continue }
        if case .refused(let kind, let reason) = answer, kind != .greetFirst, tells(kind, of: request.node) {
          noteRefused(reason, to: request.node)
        }
        transport.reply(answer.encoded(), to: request.node)
      } catch {
        note(refusal: "node '\(request.node)' asked what is no question: \(error)")
        transport.reply(ControlMessage.refused(.other, reason: "\(error)").encoded(), to: request.node)
      }
    }
  }

  private func noteRefused(_ reason: String, to node: NodeID) {
    note(refusal: "node '\(node)' was refused: \(reason.shown())")
  }

  public func received(answers: [PeerMessage]) {
    if let rejoin, rejoin.isOpen { return receivedWhileRejoining(answers: answers, rejoin) }
    for answer in answers {
      do {
        try take(ControlMessage(decoding: answer.bytes, limits: limits), from: answer.node)
      } catch {
        note(refusal: "node '\(answer.node)' answered what is no answer: \(error)")
      }
    }
  }

  private func take(_ answer: ControlMessage, from node: NodeID) throws {
    heard(node, isAnswer: true)
    switch answer {
    case .welcome(_, _, _, let version):
      let isAdded = state.withLock { state in
        state.client.welcomed(by: node, under: version)
        guard state.mayBeAdded, node == topology.moveSeat || routes.node == topology.moveSeat else {
          return false
        }
        state.mayBeAdded = false
        return version > topology.version
      }
      if isAdded { couriers[.persistent]?.courier.withLock { $0.join() } }
      learnOrders(byVersion: version)
      heard(node)
    case .refused(.greetFirst, _):
      if state.withLock({ $0.client.mustGreet(node) }) { heardOfRestart(of: node) }
    case .refused(let kind, let reason):
      if kind == .unauthorized, desks.moves.state.withLock({ $0.recall.refused(by: node) }) { return }
      if tells(kind, of: node) { note(refusal: "node '\(node)' refuses: \(reason.shown())") }
    case .heads(let log, let through, let heads):
      let hasAdopted = state.withLock { $0.client.wasGreeted(by: node, under: topology.version) }
      for head in heads {
        guard routes.isSource(node, of: head.lane) else {
          // It was, until the agent worked elsewhere.
          if routes.hasBeen(head.lane.agent, on: node) { continue }
          note(refusal: "node '\(node)' told of a lane of '\(head.lane.agent)', which is not placed there")
          continue
        }
        couriers[head.lane.channel]?.courier.withLock {
          $0.announce(head.lane, head.point, by: node, hasAdopted: hasAdopted, now: now())
        }
      }
      // Only now: who has been told of a lane and lacks some of it must not pass for one who has it all.
      state.withLock { state in
        // One that comes before the welcome was asked for by a node that ran here before: this one lacks what came earlier.
        guard state.client.isGreeted(by: node) else { return }
        state.client.told(
          by: node, log: log, through: through, isFull: heads.count == ControlMessage.headCountMax)
      }
    case .copied(let origin, let log, let through, let heads):
      try takeCopies(of: origin, heads, by: node)
      state.withLock { state in
        state.client.told(
          by: node, copiesOf: origin, log: log, through: through,
          isFull: heads.count == ControlMessage.headCountMax)
      }
    case .records(let lane, let after, let records):
      if take(recalled: records, of: lane, after: after, from: node) { return }
      if lane.channel == .persistent {
        repair.withLock { $0.answered(byteCount: records.reduce(0) { $0 + $1.byteCount }) }
      }
      try observe(records)
      act(on: lane.channel) {
        $0.receive(answer: records, of: lane, after: after, from: node, now: now())
      }
      askAndFetch()
    case .vouched(let voucher): try takeVoucher(voucher, from: node)
    case .incarnation(let newer): told(newer, by: node)
    case .hello, .sync, .fetch, .vouch, .copies, .goodbye, .progress:
      note(refusal: "node '\(node)' answered with a question")
    }
  }

  /// Learns how far a node has got with the lanes of another.
  private func takeCopies(of origin: NodeID, _ heads: [ControlMessage.LaneEnd], by node: NodeID) throws {
    guard state.withLock({ $0.client.hasAsked(node, forCopiesOf: origin) }) else {
      // A node that ran here before may have asked, and all are asked of who has left.
      guard !topology.hasLeft(origin) else { return }
      return note(refusal: "node '\(node)' told of copies of '\(origin)', for which it was not asked")
    }
    if origin == configuration.node { return acknowledged(heads, by: node) }
    for head in heads {
      let isTold =
        couriers[head.lane.channel]?.courier.withLock { courier in
          guard routes.node(of: head.lane.agent) == origin, courier.isHolder(node, of: head.lane) else {
            return false
          }
          courier.announce(head.lane, head.point, by: node, now: now())
          return true
        } ?? false
      if !isTold {
        note(refusal: "node '\(node)' told of a lane of '\(head.lane.agent)', of which it is to have no copy")
      }
    }
  }

  /// Asks and fetches what is due.
  func askAndFetch() {
    let now = now()
    let silent = silentNodes
    for (node, question) in state.withLock({ $0.client.due(now: now, silent: silent) }) {
      transport.request(question.encoded(), of: node)
    }
    for channel in Channel.allCases where channel.isRepaired {
      guard let box = couriers[channel] else { continue }
      let fetches = box.courier.withLock { courier in
        repair.withLock { courier.fetchesDue(now: now, silent: silent, pace: &$0) }
      }
      for (node, lane, after) in fetches where !topology.hasLeft(node) {
        transport.request(ControlMessage.fetch(lane: lane, after: after).encoded(), of: node)
      }
    }
  }

  /// Moves this node's clock past the events' times.
  private func observe(_ records: [Record]) throws {
    guard var newest = records.last?.time else { return }
    if !records.isWholeRun { for record in records { newest = max(newest, record.time) } }
    let physical = scheduler.microseconds()
    try state.withLock { try $0.clock.observe(newest, physical: physical) }
  }

  /// Lets a channel's courier decide, and does it. What is taken is submitted to the log under the courier's
  /// lock, so that the log gets each lane in its order.
  private func act(on channel: Channel, _ decide: (inout Courier) -> Courier.Actions) {
    guard let box = couriers[channel] else { return }
    let actions = box.courier.withLock { courier in
      let actions = decide(&courier)
      if channel.isLogged && !actions.taken.isEmpty { submit(actions.taken, box) }
      return actions
    }
    for loss in actions.losses { lost(loss.records, for: loss.agent, loss.cause) }
    if !actions.forwards.isEmpty { transmit(actions.forwards) }
    if !channel.isLogged { for taken in actions.taken { deliver(taken, at: nil) } }
    for refusal in actions.refusals { note(refusal: refusal) }
    for (lane, fork) in actions.forks { note("fork in lane \(lane): \(fork)") }
  }

  private func submit(_ taken: [Courier.Taken], _ box: CourierBox) {
    let count = taken.reduce(0) { $0 + $1.records.count }
    var batch = LogBatch(priority: taken[0].lane.channel == .alert ? .urgent : .intake)
    batch.appends.reserveCapacity(count)
    for taken in taken {
      let source = EntrySource.received(hops: taken.hops.least ?? 1)
      for record in taken.records { batch.appends.append(.init(record, source: source)) }
    }
    state.withLock { $0.untakenCount += count }
    auditor?.submitted(taken)
    log.submit(batch) { result in
      switch result {
      case .success(let receipt):
        self.auditor?.took(taken, from: receipt.first)
        self.acknowledge(taken)
        // Whoever is given what came with it is to read it.
        if self.desks.shared.isUsed { self.share(taken, from: receipt.first) }
        var position = receipt.first
        for taken in taken {
          self.deliver(taken, at: position)
          position = Position(rawValue: position.rawValue + UInt64(taken.records.count))
        }
        self.observed(receipt)
        self.state.withLock { $0.untakenCount -= count }
      case .failure(let error):
        self.auditor?.failed(taken)
        self.note(error)
        // A log that is closed says so at once, while this thread has the courier locked.
        self.scheduler.schedule(after: .zero) {
          self.fallBack(taken, box)
          self.state.withLock { $0.untakenCount -= count }
        }
      }
    }
  }

  /// What could not be appended was not received: its lanes go back to what the log has and fetch the rest
  /// later.
  private func fallBack(_ taken: [Courier.Taken], _ box: CourierBox) {
    var heads: [Lane: LanePoint] = [:]
    for lane in Set(taken.map(\.lane)) {
      heads[lane] = (try? log.laneHead(lane))?.point ?? .start
    }
    box.courier.withLock { $0.reset(heads, now: now(), pause: .seconds(1)) }
  }

  /// Delivers what was taken, from a position of the log on, to those of this node that it is for.
  private func deliver(_ taken: Courier.Taken, at first: Position?) {
    let plan = routes.plan(of: taken.lane)
    if taken.lane.channel == .alert, !plan.local.isEmpty, let first {
      observeAlerts(taken.records[...], from: first, isStated: false)
    }
    if plan.isForNode, let first {
      for (index, record) in taken.records.enumerated() {
        let position = Position(rawValue: first.rawValue + UInt64(index))
        observeTopology(record, at: position)
        observeMove(record, at: position, isStated: false)
      }
    }
    for agent in plan.local {
      // An event that was fetched did not come through the tree.
      let hops =
        taken.isRepair
        ? nil : taken.hops[agent] ?? UInt8(clamping: routes.distance(taken.lane.agent, agent))
      offer(
        Delivery(taken.records[...], position: first, hops: hops, expiresAt: taken.expiresAt), to: agent)
    }
  }
}
