import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What the node counts of losses, and what of that its log keeps.
extension Node {
  /// What the node has counted, over all runs of its log.
  public func losses() -> NodeLosses {
    var losses = NodeLosses(node: routes.node)
    let runners = state.withLock { $0.runners }.sorted { $0.key < $1.key }.map(\.value)
    losses.agents = ownAgents.map(\.id)
    (losses.losses, losses.sent) = ledger.counted
    losses.arrived = couriers[.realtime]?.courier.withLock { $0.arrived } ?? []
    let status = status()
    for channel in Channel.allCases {
      let counts = status.channels[channel.description] ?? NodeStatus.ChannelStatus()
      losses.channels[channel.description] =
        channel.isLogged
        ? .init(published: counts.statedPairCount, delivered: counts.handledPairCount)
        : .init(
          events: counts.publishedCount, published: counts.publishedPairCount,
          delivered: counts.deliveredCount,
          waiting: runners.reduce(0) { $0 + UInt64($1.waitingRealtimeCount) }, latency: counts.latency)
    }
    if let earlier = state.withLock({ $0.earlierLosses }) { losses.add(earlier: earlier) }
    return losses
  }

  /// Takes note that events do not come to one of this node's agents: those of them that it wants.
  func lost(_ delivery: Delivery, for agent: AgentID, _ cause: LossCause) {
    let lane = delivery.lane
    let count = delivery.count { routes.wants(agent, by: lane.agent, addressee: $0, type: $1, subject: $2) }
    ledger.lost(lane, for: agent, cause, isAtHome: routes.node(of: agent) == routes.node, count: count)
  }

  /// Takes note that events of one lane do not come to one of this node's agents, or of those behind it: those of them
  /// that it wants.
  func lost(_ records: [Record], for agent: AgentID, _ cause: LossCause) {
    guard let lane = records.first?.lane else { return }
    let count = records[...].count {
      routes.wants(agent, by: lane.agent, addressee: $0, type: $1, subject: $2)
    }
    ledger.lost(lane, for: agent, cause, isAtHome: routes.node(of: agent) == routes.node, count: count)
  }

  /// Sends frames; a realtime event that finds no room is lost for all whom it would have reached.
  func transmit(_ frames: [OutboundFrame]) { drop(transport.send(frames), .queueFull) }

  /// Takes note that frames do not leave: each of their realtime events is lost for all whom it would have reached.
  func drop(_ frames: [OutboundFrame], _ cause: LossCause) {
    for frame in frames where !frame.channel.isLogged {
      guard let dropped = try? Frame(decoding: frame.bytes, limits: limits), let first = dropped.records.first
      else { continue }
      for agent in routes.reached(first.lane, by: dropped.via, dropped.topologyVersion) {
        lost(dropped.records, for: agent, cause)
      }
    }
  }

  // MARK: Saving

  /// How often the counts are saved where they have changed.
  private static let saveInterval = Duration.seconds(10)

  /// Says what was lost, and lets the log keep the counts, now and then.
  func lookAfterLosses() {
    let now = now()
    stateLosses(now: now)
    saveLosses(now: now)
  }

  /// Lets the log keep the counts where that is due.
  private func saveLosses(now: Timestamp) {
    let isDue = state.withLock { state in
      guard now.since(state.lossesSavedAt) >= Self.saveInterval else { return false }
      state.lossesSavedAt = now
      return true
    }
    if isDue, let batch = lossBatch() { log.submit(batch) { _ in } }
  }

  /// Ends the counting: what waits for agents that have stopped is lost, and the log keeps all of it.
  func endLosses(_ runners: [any AgentRunner]) async {
    for runner in runners {
      for delivery in runner.mailbox.takeRealtime() { lost(delivery, for: runner.spec.id, .stopped) }
    }
    stateLosses()
    await settleOwn()
    // Also where it was submitted before: whoever stops the node waits until the log has it.
    guard let batch = lossBatch(isForced: true) else { return }
    // A node that is killed meanwhile waits for nothing.
    try? await commitOnce(batch, [], alreadySent: true)
  }

  /// What the log is to keep from the start on, when nothing is counted yet: that what comes is not saved so far.
  func openLosses() throws -> [UInt8] {
    var losses = NodeLosses(node: routes.node)
    if let earlier = state.withLock({ $0.earlierLosses }) { losses.add(earlier: earlier) }
    for channel in Channel.allCases where channel.isLogged { losses.channels[channel.description] = nil }
    return Array(try JSON.encode(losses))
  }

  /// What the log is to keep; nil where it has it, or is about to, unless `isForced`: then it is the last. How far the logged channels have come,
  /// the log says itself.
  private func lossBatch(isForced: Bool = false) -> LogBatch? {
    var losses = losses()
    if isForced { losses.isFinal = true }
    for channel in Channel.allCases where channel.isLogged { losses.channels[channel.description] = nil }
    let change = losses.changeMark
    let isChanged = state.withLock { state in
      defer { state.lossesSaved = change }
      return state.lossesSaved != change
    }
    guard isChanged || isForced, let bytes = try? JSON.encode(losses) else { return nil }
    return LogBatch(snapshots: [LossReading.owner: Array(bytes)])
  }
}

extension NodeLosses {
  /// Grows with everything that a restart should know of.
  fileprivate var changeMark: UInt64 {
    let realtime = channels[Channel.realtime.description] ?? Totals()
    return losses.reduce(0) { $0 + $1.count } + arrived.reduce(0) { $0 + $1.count } + realtime.published
      + realtime.delivered
  }
}
