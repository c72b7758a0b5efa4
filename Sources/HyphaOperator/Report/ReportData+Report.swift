import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

extension ReportData {
  /// What a report needs beside what was counted.
  struct Sources {
    let name, command: String
    let madeAt: Timestamp
    let outline: DeploymentOutline?
    /// Whether the outline is that of a file that was given.
    let isOutlineGiven: Bool
    let losses: [NodeLosses]
    let logs: [LogData]
  }

  /// The page's data; ``RunReport`` has seen all events by now.
  init(_ report: RunReport, _ sources: Sources) {
    let (start, width) = (report.steps.start, report.steps.width)
    func relative(_ time: UInt64) -> Int64 { Int64(report.pauses.folded(time)) - Int64(start) }
    let graph = ReportGraph(report, sources.outline)
    name = sources.name
    program = "hypha \(HyphaVersion.text)"
    made = sources.madeAt.text
    command = sources.command
    // A run without events is one step of nothing.
    time = Time(
      start: start, width: width, count: max(report.steps.count, 1),
      first: report.times.map { relative($0.lowerBound) } ?? 0,
      last: report.times.map { relative($0.upperBound) } ?? 0,
      pauses: report.pauses.pauses.map { .init(at: relative($0.begin), cut: $0.cut) })
    events = report.channels.reduce(0) { $0 + $1.eventCount }
    copies = report.channels.reduce(0) { $0 + $1.copyCount }
    entries = events + copies
    agentCount = graph.agentCount
    channels = Channel.allCases.map { channel in
      ChannelData(channel, report.channels[Int(channel.rawValue)], stepCount: max(report.steps.count, 1))
    }
    heatRows = ReportChannel.Latency.rowBounds
    let ranked = zip(report.types.names, report.typeCounts).sorted {
      $0.1 != $1.1 ? $0.1 > $1.1 : $0.0 < $1.0
    }
    types = ranked.prefix(Self.typeCountMax).map { TypeCount(name: $0.0, events: $0.1) }
    (nodes, agents, pairs) = (graph.nodes, graph.agents, graph.pairs)
    tree = sources.outline == nil ? "none" : sources.isOutlineGiven ? "file" : "log"
    traffic = graph.isReported ? "reported" : "logged"
    links = report.links.intervals.map { interval in
      LinkData(
        one: interval.link.one.text, other: interval.link.other.text, from: relative(interval.from),
        to: interval.to.map(relative), version: interval.version, pinned: interval.isPinned)
    }
    versions = report.links.versions.map {
      VersionData(version: $0.version, at: relative($0.time), links: $0.linkCount)
    }
    changes = report.links.changes.map { ChangeData($0, at: relative($0.time)) }
    rulings = report.links.rulings.map {
      RulingData(at: relative($0.time), by: $0.by, what: $0.what, note: $0.note)
    }
    incidents = report.incidents.incidents.map {
      IncidentData(at: relative($0.time), kind: $0.kind, agent: $0.agent, text: $0.text)
    }
    counts = Counts(report)
    losses = LossData(sources.losses)
    logs = sources.logs
    let kinds = report.incidents.counts.keys
    leftOut = LeftOut(
      agents: graph.leftOutAgentCount, changes: report.links.leftOutCount,
      pairEvents: graph.leftOutEventCount, broadcasts: report.broadcastCount,
      types: events - types.reduce(0) { $0 + $1.events }, names: report.namelessCount,
      undated: report.undatedCount,
      undecoded: report.undecodedCount + report.incidents.undecodedCount,
      incidents: Dictionary(
        uniqueKeysWithValues: kinds.map { ($0, report.incidents.leftOutCount(of: $0)) }
      ).filter { $0.value > 0 })
  }

  /// The most types that are listed.
  private static let typeCountMax = 200
}

extension ReportData.ChannelData {
  init(_ channel: Channel, _ figures: ReportChannel, stepCount: Int) {
    name = channel.description
    (events, bytes) = (figures.eventCount, figures.byteCount)
    series = Array(figures.counts.prefix(stepCount))
    commit = .init(figures.commit.histogram)
    travel = .init(figures.travel.histogram)
    answer = .init(figures.answer)
    let shown = figures.travel.histogram.count > 0 ? figures.travel : figures.commit
    heatOf = figures.travel.histogram.count > 0 ? "travel" : "commit"
    let rowCount = ReportChannel.Latency.rowCount
    heat = shown.heat.enumerated().flatMap { place, count in
      count > 0 ? [place / rowCount, place % rowCount, Int(count)] : []
    }
  }
}

extension ReportData.ChangeData {
  fileprivate init(_ change: ReportLinks.Change, at time: Int64) {
    at = time
    version = change.version
    cause = change.change.cause.rawValue
    made = change.change.promoted.map { [$0.link.one.text, $0.link.other.text] }
    gone = change.change.retired.map { [$0.link.one.text, $0.link.other.text] }
    (credit, threshold) = (change.change.credit, change.change.threshold)
    ledger = change.change.ledgerAfter
  }
}

extension ReportData.Counts {
  fileprivate init(_ report: RunReport) {
    let counts = report.incidents.counts
    (alerts, answered) = (report.alerts.statedCount, report.alerts.answeredCount)
    (answers, busAnswers) = (report.alerts.answerCount, report.alerts.busAnswerCount)
    strayAnswers = report.alerts.strayAnswerCount
    escalated = counts["alert escalated"] ?? 0
    unanswered = counts["alert unanswered"] ?? 0
    deadLetters = counts["dead letter"] ?? 0
    settled = report.incidents.settledCount
    failures = counts["handler threw"] ?? 0
    overdue = counts["handler overdue"] ?? 0
    stopped = counts["agent stopped"] ?? 0
    restarts = counts["node restarted"] ?? 0
  }
}

extension ReportData.Percentiles {
  /// Nil where nothing was measured.
  fileprivate init?(_ histogram: Histogram) {
    guard histogram.count > 0 else { return nil }
    (count, max) = (histogram.count, histogram.max)
    (p50, p90, p99) = (
      histogram.percentile(0.5), histogram.percentile(0.9), histogram.percentile(0.99)
    )
  }
}

extension ReportData.LossData {
  /// The most rows that are listed.
  private static let rowCountMax = 500

  fileprivate init(_ losses: [NodeLosses]) {
    let table = LossTable(losses)
    channels =
      losses.isEmpty
      ? []
      : table.channels.map {
        ChannelRow(
          channel: $0.channel.description, forAgents: $0.published, delivered: $0.delivered, lost: $0.lost,
          waiting: $0.waiting, unknown: $0.unknown, published: $0.events,
          handled: $0.latency.flatMap { ReportData.Percentiles($0) })
      }
    rows = table.rows.prefix(Self.rowCountMax).map {
      Row(
        agent: $0.path.subscriber.text, from: $0.path.from.text, channel: $0.path.channel,
        lane: $0.path.target, cause: $0.cause.rawValue, at: $0.node.text, count: $0.count)
    }
    more = max(0, table.rows.count - Self.rowCountMax)
  }
}
