import HyphaCore
import HyphaRuntime
import HyphaTopology

/// The end of a run in figures: for people, or as one JSON object.
struct SummaryReport: Encodable {
  /// One channel's figures.
  struct ChannelRow: Encodable {
    let channel: String
    /// Events, and the same once for each agent that they are for.
    let published, forAgents: UInt64
    let delivered: UInt64
    /// What a run that was stopped has left to the next one, which the log keeps; 0 on the realtime channel.
    let waiting: UInt64
    let lost: UInt64
    /// Realtime events that nobody can account for, where a node was killed: they are gone with it or on a link.
    let unknown: UInt64
    let hopsMean: Double
    let hopsMax: UInt64
    let latencyP50Microseconds, latencyP99Microseconds: UInt64
    /// Causes of losses and repairs.
    let counts: [String: UInt64]
  }

  let name: String
  let isComplete: Bool
  let seconds: Double
  let nodes: Int
  let nodeNames: [String]
  let agents: Int
  let restarts: Int
  let channels: [ChannelRow]
  let relayed: [String: UInt64]
  let gauges: [String: Int64]
  let failures: UInt64
  let framesDropped: UInt64
  let refusedPeers: UInt64
  let refusedMessages: UInt64
  /// Nodes that others have missed.
  let missed: [DeploymentSummary.Missed]
  let uncheckedEvents: UInt64
  let contradictedLanes: Int
  /// The version of the topology at the end, and its direct links; nil where it is not observed.
  let topologyVersion: UInt32?
  let links: Int?
  /// What the run cost before it had links, and in the last quarter of its events; nil where it had none.
  let beforeLinks, lastQuarter: RewireEffect.Stretch?
  let notes: [String]
  let data: String?

  /// - Parameters:
  ///   - losses: what nodes have counted over all runs, the realtime channel above all; nil takes what they have reported in
  ///     this one.
  ///   - earlier: the same when the run began. With this run's reports on top it says more than `losses` where nodes were killed,
  ///     which have not saved their newest counts.
  init(
    _ topology: Topology, _ summary: DeploymentSummary, _ losses: LossTable? = nil,
    since earlier: LossTable? = nil,
    elapsed: Duration, isComplete: Bool, restarts: Int, data: String?,
    effect: (before: RewireEffect.Stretch, last: RewireEffect.Stretch)? = nil
  ) {
    name = topology.name
    self.isComplete = isComplete
    seconds = Double(elapsed.wholeMicroseconds) / 1e6
    nodes = topology.nodes.count
    nodeNames = topology.nodes.map(\.id.text)
    agents = topology.agents.count
    self.restarts = restarts
    channels = Channel.allCases.map { channel in
      if channel == .realtime {
        if restarts > 0 { return ChannelRow(summary.channel(channel), since: earlier) }
        if let losses, let row = ChannelRow(losses, summary.channel(channel)) { return row }
      }
      let counts = summary.channel(channel)
      // On a logged channel the logs tell what is not delivered, whatever happened to the processes.
      let open =
        channel.isLogged
        ? counts.statedPairCount - min(counts.statedPairCount, counts.handledPairCount)
        : counts.undeliveredCount
      let isKept = channel.isLogged && !isComplete
      return ChannelRow(
        channel: channel.description,
        published: channel.isLogged ? counts.statedCount : counts.publishedCount,
        forAgents: channel.isLogged ? counts.statedPairCount : counts.publishedPairCount,
        delivered: channel.isLogged ? counts.handledPairCount : counts.deliveredCount,
        waiting: isKept ? open : 0, lost: isKept ? 0 : open,
        unknown: 0, hopsMean: counts.hops.mean, hopsMax: counts.hops.max,
        latencyP50Microseconds: counts.latency.percentile(0.5),
        latencyP99Microseconds: counts.latency.percentile(0.99),
        counts: channel.isLogged || !isComplete
          ? counts.counts
          : counts.counts.merging([LossCause.link.rawValue: counts.lostOnLinkCount].filter { $0.value > 0 }) {
            $1
          })
    }
    relayed = summary.relayed
    gauges = summary.gauges
    framesDropped = summary.all.reduce(0) { $0 + $1.framesDropped }
    refusedPeers = summary.all.reduce(0) { $0 + $1.refusedPeerCount }
    refusedMessages = summary.all.reduce(0) { $0 + $1.refusedMessageCount }
    uncheckedEvents = summary.all.reduce(0) { $0 + $1.uncheckedEventCount }
    contradictedLanes = summary.all.reduce(0) { $0 + $1.contradictedLaneCount }
    failures = summary.all.reduce(0) { $0 + $1.failureCount }
    let newest = summary.all.max { $0.topologyVersion ?? 0 < $1.topologyVersion ?? 0 }
    topologyVersion = newest?.topologyVersion
    links = topologyVersion == nil ? nil : newest?.linkCount
    (beforeLinks, lastQuarter) = (effect?.before, effect?.last)
    missed = summary.missed
    notes = summary.all.flatMap { status in status.notes.map { "[\(status.node)] \($0)" } }
    self.data = data
  }

  /// The report as lines for a person; `command` is how the program is called.
  func lines(command: String, style: Style) -> [String] {
    let waiting = isComplete ? [] : ["waiting"]
    let hasUnknown = channels.contains { $0.unknown > 0 }
    let names =
      ["published", "for agents", "delivered"] + waiting + ["lost"] + (hasUnknown ? ["unknown"] : [])
      + ["hops", "p50", "p99"]
    var table = Table([.init("channel")] + names.map { .init($0, alignment: .right) })
    for row in channels {
      let hasLatency = row.latencyP99Microseconds > 0
      let waiting = isComplete ? [] : [row.waiting]
      let counts =
        [row.published, row.forAgents, row.delivered] + waiting + [row.lost]
        + (hasUnknown ? [row.unknown] : [])
      let measures: [Table.Cell] = [
        hasLatency ? .double(row.hopsMean) : .none,
        hasLatency ? .duration(.microseconds(Int64(row.latencyP50Microseconds))) : .none,
        hasLatency ? .duration(.microseconds(Int64(row.latencyP99Microseconds))) : .none,
      ]
      table.add([.string(row.channel)] + counts.map { .integer(Int($0)) } + measures)
    }
    let state = isComplete ? style.green("complete") : style.yellow("stopped before its end")
    var lines = [
      "\(style.bold(name)): \(state) after \(Human.decimal(seconds, digits: 1)) s; \(nodes) nodes, "
        + "\(Human.count(agents)) agents" + (restarts > 0 ? ", \(Human.count(restarts, "restart"))" : ""), "",
    ]
    lines += table.lines(style: style)
    lines += [""] + details(style)
    if let data {
      lines += [
        "", "The log is in \(data). Look into it:",
        "  \(command) log info \(data)", "  \(command) log cat \(data)/\(nodeNames.first ?? "") --limit 20",
        "  \(command) log verify \(data)",
      ]
    }
    return lines
  }

  private static func text(_ stretch: RewireEffect.Stretch) -> String {
    let latency = Duration.microseconds(Int64(clamping: stretch.latencyP50Microseconds))
    return "\(Human.count(stretch.events, "event")), \(Human.decimal(stretch.hops, digits: 2)) hops and "
      + "\(Human.decimal(stretch.relayed, digits: 2)) relays each, p50 \(Human.duration(latency))"
  }

  private func details(_ style: Style) -> [String] {
    var lines: [String] = []
    if let recorded = gauges["hand-overs recorded"] {
      let delivered = gauges["hand-overs delivered"] ?? 0
      let wrong = ["doubled", "out of order", "not recorded"].map { cause in
        "\(Human.count(gauges["hand-overs \(cause)"] ?? 0)) \(cause)"
      }
      lines.append(
        "hand-overs: \(Human.count(recorded)) recorded, \(Human.count(delivered)) delivered once, "
          + "\(Human.count(recorded - delivered)) missing, \(wrong.joined(separator: ", "))")
    }
    let others = gauges.filter {
      !$0.key.hasPrefix("hand-overs") && !$0.key.hasPrefix("hypha.") && $0.key != "generated"
    }
    if !others.isEmpty {
      lines.append(
        others.sorted { $0.key < $1.key }.map { "\($0.key): \(Human.count($0.value))" }.joined(
          separator: ", "))
    }
    let busiest = relayed.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(5)
    if !busiest.isEmpty {
      lines.append(
        "relayed by supervisors: "
          + busiest.map { "\($0.key) \(Human.count($0.value))" }.joined(separator: ", "))
    }
    if let links, let topologyVersion {
      lines.append("topology: \(Human.count(links)) direct links, version \(topologyVersion)")
    }
    if let beforeLinks, let lastQuarter {
      lines.append("  before the first link: \(Self.text(beforeLinks))")
      lines.append("  the last quarter:      \(Self.text(lastQuarter))")
    }
    for row in channels where !row.counts.isEmpty {
      let causes = row.counts.sorted { $0.key < $1.key }.map { "\($0.key) \(Human.count($0.value))" }
      lines.append(style.dim("\(row.channel): \(causes.joined(separator: ", "))"))
    }
    if framesDropped > 0 {
      lines.append(style.dim("\(Human.count(framesDropped)) frames dropped before the network"))
    }
    if refusedPeers + refusedMessages > 0 {
      lines.append(
        style.yellow(
          "refused: \(Human.count(refusedPeers)) peers and handshakes, \(Human.count(refusedMessages)) messages"
        ))
    }
    for entry in missed {
      let counts = [(entry.suspicionCount, "suspected"), (entry.downCount, "taken for down")]
        .filter { $0.0 > 0 }.map { "\($0.1) \($0.0 == 1 ? "once" : "\(Human.count($0.0)) times")" }
        .joined(separator: ", ")
      let names = entry.by.map { "'\($0)'" }.joined(separator: ", ")
      lines.append(
        style.yellow("node '\(entry.node)' was \(counts) by \(names); the logs have hypha.NodeSuspected"))
    }
    if contradictedLanes > 0 {
      lines.append(
        style.red("\(contradictedLanes) lanes were changed on their way; the notes say which and what to do"))
    }
    if failures > 0 {
      lines.append(style.red("\(Human.count(failures, "failed call")); the log has hypha.HandlerFailed"))
    }
    lines += notes.map(style.yellow)
    return lines
  }
}

extension SummaryReport.ChannelRow {
  /// The realtime channel, of nodes some of which were killed: what these had counted last goes up to a moment before, so what was
  /// sent and what has arrived cannot be held against each other. What no node says that it has lost is unknown.
  fileprivate init(_ status: NodeStatus.ChannelStatus, since earlier: LossTable?) {
    let before = earlier?.channels.first { $0.channel == .realtime }
    let delivered = status.deliveredCount + (before?.delivered ?? 0)
    let published = max(status.publishedPairCount + (before?.published ?? 0), delivered + status.waitingCount)
    var counts = status.counts
    for loss in earlier?.rows ?? [] where loss.path.channel == Channel.realtime.description {
      counts[loss.cause.rawValue, default: 0] += loss.count
    }
    let open = published - delivered - status.waitingCount
    let lost = min(open, LossCause.allCases.reduce(0) { $0 + (counts[$1.rawValue] ?? 0) })
    var latency = status.latency
    if let former = before?.latency { latency.add(former) }
    self.init(
      channel: Channel.realtime.description, published: status.publishedCount + (before?.events ?? 0),
      forAgents: published, delivered: delivered, waiting: status.waitingCount, lost: lost,
      unknown: open - lost, hopsMean: status.hops.mean, hopsMax: status.hops.max,
      latencyP50Microseconds: latency.percentile(0.5), latencyP99Microseconds: latency.percentile(0.99),
      counts: counts)
  }

  /// The realtime channel, as `hypha losses` and `hypha log stats` have it; nil where no node has counted.
  fileprivate init?(_ losses: LossTable, _ status: NodeStatus.ChannelStatus) {
    guard let row = losses.channels.first(where: { $0.channel == .realtime }), let events = row.events else {
      return nil
    }
    let latency = row.latency ?? status.latency
    // What is done twice is counted by those that report; what is lost, by all.
    var counts = status.counts.filter { LossCause(rawValue: $0.key) == nil }
    for loss in losses.rows where loss.path.channel == row.channel.description {
      counts[loss.cause.rawValue, default: 0] += loss.count
    }
    self.init(
      channel: row.channel.description, published: events, forAgents: row.published,
      delivered: row.delivered, waiting: row.waiting, lost: row.lost, unknown: row.unknown,
      hopsMean: status.hops.mean, hopsMax: status.hops.max,
      latencyP50Microseconds: latency.percentile(0.5), latencyP99Microseconds: latency.percentile(0.99),
      counts: counts)
  }
}
