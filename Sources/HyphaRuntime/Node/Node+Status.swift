import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

extension Node {
  /// What the node reports of itself.
  public func status() -> NodeStatus {
    var status = NodeStatus(node: configuration.node)
    let (runners, published, pairs, notes, relayed) = state.withLock { state in
      (
        Array(state.runners.values), state.publishedCounts, state.publishedPairCounts, state.notes,
        state.relayCounts
      )
    }
    let realtime = (
      realtimeCount.load(ordering: .relaxed), realtimePairCount.load(ordering: .relaxed)
    )
    let cursors = (try? log.cursors()) ?? [:]
    let left = statedPairCounts(ofLeft: topology)
    for channel in Channel.allCases {
      var counts = NodeStatus.ChannelStatus()
      counts.publishedCount = published[channel] ?? 0
      counts.publishedPairCount = pairs[channel] ?? 0
      if channel == .realtime { (counts.publishedCount, counts.publishedPairCount) = realtime }
      counts.statedCount = server.statedCount(channel)
      counts.statedPairCount = server.statedPairCount(channel) + (left[channel] ?? 0)
      counts.handledPairCount = cursors.reduce(0) { sum, cursor in
        cursor.key.channel == channel ? sum + cursor.value.handledCount : sum
      }
      if let (courier, behindCount) = couriers[channel]?.courier.withLock({ ($0.counters, $0.behindCount) }) {
        counts.counts = [
          "duplicate": courier.duplicateCount, "early": courier.parkedCount,
          "repaired": courier.repairedCount, "from copies": courier.copiedCount,
          "dropped for room": courier.overflowCount, "refused": courier.refusedCount,
        ].filter { $0.value > 0 }
        for (agent, count) in courier.relayed { status.relayed[agent.text, default: 0] += count }
        status.behindLaneCount += behindCount
      }
      for (cause, count) in ledger.totals(channel) where cause != .refused {
        counts.counts[cause.rawValue] = count
      }
      status.channels[channel.description] = counts
    }
    for (agent, count) in relayed {
      status.relayed[agent.text, default: 0] += count.value.load(ordering: .relaxed)
    }
    let (told, untakenCount) = state.withLock { state in
      status.hasRestarted = state.hasRestarted
      state.reportCount += 1
      status.reportNumber = state.reportCount
      return (state.client.toldThrough, state.untakenCount)
    }
    for (node, position) in told { status.toldThrough[node.text] = position }
    for (node, position) in server.newestPositions { status.newestPositions[node.text] = position }
    (status.openAlertCount, status.unansweredAlertCount) = desk.state.withLock {
      ($0.tracker.waitingCount, $0.tracker.givenUpCount)
    }
    status.replication = replicationStatus
    if desks.topology.isLive {
      let live = desks.topology.state.withLock { $0.live }
      (status.topologyVersion, status.sendingVersion) = (live.version, routes.sending)
      status.linkCount = live.links.count
    }
    status.peers = peerStatus
    status.isSuperseded = superseded.map { _ in true }
    if topology.revision > 1 {
      (status.revision, status.nodes) = (topology.revision, topology.stayingNodes.map(\.id))
      if hasLeft { status.hasLeft = true }
    }
    status.backlog =
      openMoveCount + untakenCount + alerts.openCount + desks.own.openCount
      + desks.oversight.openCount(now: now())
    for runner in runners { add(runner, to: &status) }
    let counters = transport.counters
    status.framesDropped = counters.framesDropped
    status.refusedPeerCount = counters.peersRefused
    status.refusedMessageCount = counters.messagesRefused + state.withLock { $0.unfitFrameCount }
    (status.uncheckedEventCount, status.contradictedLaneCount) = auditor?.counts ?? (0, 0)
    status.logHead = (try? log.head().rawValue) ?? 0
    status.notes = notes
    return status
  }

  private func add(_ runner: any AgentRunner, to status: inout NodeStatus) {
    let metrics = runner.snapshotMetrics()
    status.agentCount += 1
    status.backlog += runner.mailbox.backlog + metrics.timerCount + metrics.retryCount
    status.channels[Channel.realtime.description]?.waitingCount += UInt64(runner.waitingRealtimeCount)
    status.failureCount += metrics.failureCount
    if metrics.isWorker { status.workerCount += 1 }
    if metrics.isWorker && metrics.isBroken { status.brokenWorkers.append(runner.spec.id.text) }
    if metrics.isWorker && metrics.isFinished { status.finishedCount += 1 }
    for (name, value) in metrics.gauges { status.gauges[name, default: 0] += value }
    for (channel, latency) in metrics.latency {
      status.channels[channel.description]?.latency.add(latency)
    }
    for (channel, hops) in metrics.hops { status.channels[channel.description]?.hops.add(hops) }
  }
}
