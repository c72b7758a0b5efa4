import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// What a run comes to on one page, gathered in one pass over its logs, in memory that does not grow with the number of events:
/// about 10 MiB, and the names of agents, up to ``agentCountMax``. Pure.
struct RunReport {
  /// What was counted of one node's log.
  struct LogFigures {
    var statedCount: UInt64 = 0
    var receivedCount: UInt64 = 0
  }

  /// The most names of agents that are known apart; events between others are in the sums alone.
  static let agentCountMax = 65_536
  /// The same for types.
  static let typeCountMax = 4_096
  /// The most pairs that are followed while events are counted.
  static let pairCountMax = 4_096

  private(set) var steps = TimeSteps()
  private(set) var channels = Array(repeating: ReportChannel(), count: Channel.allCases.count)
  private(set) var logs: [NodeID: LogFigures] = [:]
  /// The first and the last time that an event states, in microseconds; nil where there was none.
  private(set) var times: ClosedRange<UInt64>?
  private(set) var agents = NameTable(capacity: RunReport.agentCountMax)
  private(set) var types = NameTable(capacity: RunReport.typeCountMax)
  private(set) var typeCounts: [UInt64] = []
  /// The node on which each agent has stated events, that of its newest move where it was moved.
  private(set) var homes: [Int: NodeID] = [:]
  /// The wishes for moves that were refused.
  private var refusedMoves: Set<EventID> = []
  /// Events for so many that no pair of them was counted, as nodes have reported it.
  private(set) var broadcastCount: UInt64 = 0
  /// Events of the logs by sender and target, and what nodes have reported to the observer, on all channels.
  private(set) var logged = PairTraffic(capacity: RunReport.pairCountMax)
  private(set) var reported = PairTraffic(capacity: RunReport.pairCountMax)
  /// Events of agents or types for whose names there was no room.
  private(set) var namelessCount: UInt64 = 0
  private(set) var undecodedCount = 0
  /// Entries that state no time: they are in no sum.
  private(set) var undatedCount: UInt64 = 0
  private(set) var incidents = ReportIncidents()
  private(set) var links: ReportLinks
  private(set) var alerts = ReportAlerts()
  private var parts = EventParts()
  private let history: HistoryWatch
  /// What of the time is cut out.
  let pauses: TimePauses
  /// When each node has reported last.
  private var reportedAt: [NodeID: UInt64] = [:]

  /// A report of nothing yet, on a deployment with this outline.
  ///
  /// - Parameters:
  ///   - history: what of its logs is of the past.
  ///   - pauses: those of the times of its events.
  init(
    _ outline: DeploymentOutline?, history: HistoryWatch = HistoryWatch(), pauses: TimePauses = TimePauses()
  ) {
    (self.history, self.pauses) = (history, pauses)
    links = outline.map { ReportLinks(version: $0.version, pins: $0.pins) } ?? ReportLinks()
  }

  /// Adds an entry.
  ///
  /// - Parameter isCopy: whether its event has appeared in another log before.
  mutating func add(_ replayed: ReplayedEntry, isCopy: Bool) {
    let (entry, record) = (replayed.entry, replayed.entry.record)
    let isHistory = history.isHistory(entry, of: replayed.node)
    let time = record.time.microseconds
    let channel = Int(record.channel.rawValue)
    // What an imported file has beside its events is no part of what happened.
    guard !record.contentType.isBackground else {
      logs[replayed.node, default: LogFigures()].receivedCount += 1
      return
    }
    // What was imported without a time is at no step.
    guard time > 0 else {
      undatedCount += 1
      return
    }
    let step = step(of: time)
    let delay = entry.appendedAt.microseconds
    let microseconds = delay > time ? delay - time : 0
    if entry.source == .stated {
      logs[replayed.node, default: LogFigures()].statedCount += 1
      channels[channel].commit.add(microseconds, at: step)
    } else {
      logs[replayed.node, default: LogFigures()].receivedCount += 1
      // Of what was imported nobody knows how long it took.
      if !entry.source.isImported, !isHistory { channels[channel].travel.add(microseconds, at: step) }
    }
    guard !isCopy else { return channels[channel].copyCount += 1 }
    channels[channel].addEvent(at: step, byteCount: record.bytes.count)
    times = min(times?.lowerBound ?? time, time)...max(times?.upperBound ?? time, time)
    let (agent, type) = (agents.place(of: record.agent), types.place(of: record.type))
    if let type {
      if type == typeCounts.count { typeCounts.append(0) }
      typeCounts[type] += 1
    }
    if let agent, homes[agent] == nil, entry.source == .stated { homes[agent] = replayed.node }
    let isOwn = record.type.starts(with: Self.ownPrefix)
    if isOwn { takeOwn(record, time) } else { count(record, agent, type, step) }
    if record.channel == .alert { takeAlert(record, isOwn: isOwn, time, channel) }
  }

  /// How many events there were.
  var eventCount: UInt64 { channels.reduce(0) { $0 + $1.eventCount } }

  /// What the bus itself states is of types that begin so.
  private static let ownPrefix = Array("hypha.".utf8)
  /// Nodes state it under names that begin so.
  private static let authorPrefix = Array("hypha.node.".utf8)

  private mutating func step(of time: UInt64) -> Int {
    let (step, change) = steps.place(pauses.folded(time))
    guard let change else { return step }
    for index in channels.indices { channels[index].regroup(change) }
    logged.regroup(change)
    reported.regroup(change)
    return step
  }

  private mutating func count(_ record: RecordView, _ agent: Int?, _ type: Int?, _ step: Int) {
    let isType = record.addressee.isEmpty
    guard let agent, let target = isType ? type : agents.place(of: record.addressee) else {
      namelessCount += 1
      return
    }
    logged.add(.init(from: Int32(agent), to: Int32(target), isType: isType), at: step)
  }

  private mutating func takeAlert(_ record: RecordView, isOwn: Bool, _ time: UInt64, _ channel: Int) {
    if isOwn, record.type.elementsEqual(Self.acknowledged) {
      if let took = alerts.answer(record.causation, at: time) { channels[channel].answer.add(took) }
    } else if !isOwn || !Self.wantsNoAnswer.contains(where: { record.type.elementsEqual($0) }) {
      let origin = isOwn && record.type.elementsEqual(Self.escalated) ? record.causation : nil
      alerts.state(record.id, at: time, isOwn: isOwn, origin: origin)
    }
  }

  private static let (acknowledged, escalated) = (
    Array("hypha.AlertAcknowledged".utf8), Array("hypha.AlertEscalated".utf8)
  )
  private static let wantsNoAnswer = ["hypha.AlertUnanswered", "hypha.AlertDeadlineSet"].map {
    Array($0.utf8)
  }

  /// Shows a decision beside the changes of the topology.
  private mutating func note(
    _ what: String, by principal: some Sequence<UInt8>, at time: UInt64, _ reason: String?
  ) {
    links.note(
      .init(
        time: time, by: String(decoding: Array(principal), as: UTF8.self), what: what,
        note: Self.short(reason)))
  }

  private mutating func takeOwn(_ view: RecordView, _ time: UInt64) {
    let type = String(decoding: view.type, as: UTF8.self)
    guard view.agent.starts(with: Self.authorPrefix) else { return incidents.take(type, view) }
    do {
      guard let record = parts.take(try Record(view)) else { return }
      switch type {
      case FlowReported.eventType.text: takeFlows(try FlowReported.decode(record), time)
      case LinksChanged.eventType.text: links.apply(try LinksChanged.decode(record), at: time)
      case RuleAsked.eventType.text:
        let asked = try RuleAsked.decode(record)
        note(ChangeText.rule(asked.rule), by: view.principal, at: time, asked.note)
      case RuleRefused.eventType.text:
        let refused = try RuleRefused.decode(record)
        note("\(ChangeText.rule(refused.rule)): refused", by: "the observer".utf8, at: time, refused.reason)
      case MoveAsked.eventType.text:
        let asked = try MoveAsked.decode(record)
        note("move \(asked.agent) to \(asked.to)", by: view.principal, at: time, asked.note)
      case MoveRefused.eventType.text:
        let refused = try MoveRefused.decode(record)
        // Who orders in the place of another says it again.
        guard refusedMoves.insert(view.causation).inserted else { return }
        note(
          "move \(refused.agent) to \(refused.to): refused", by: view.agent, at: time, refused.reason)
      case AgentArrived.eventType.text:
        let arrived = try AgentArrived.decode(record)
        if let agent = agents.place(of: arrived.agent.text) { homes[agent] = arrived.node }
        note("\(arrived.agent) works on \(arrived.node)", by: arrived.node.text.utf8, at: time, nil)
      default: break
      }
    } catch {
      undecodedCount += 1
    }
  }

  /// As much of a text of a log's as a page has room for.
  private static func short(_ text: String?) -> String? { text.map { String($0.prefix(300)) } }

  /// How long a node's first report is taken to reach back, in microseconds.
  private static let reportInterval: UInt64 = 1_000_000

  /// A report is on what has gone since the node's last one: on average that was halfway.
  private mutating func takeFlows(_ report: FlowReported, _ time: UInt64) {
    broadcastCount += report.broadcastCount
    let before = min(reportedAt[report.node] ?? time - min(time, Self.reportInterval), time)
    // Nobody but the deployment's nodes reports: a bound for logs that say otherwise.
    if reportedAt.count < Self.typeCountMax { reportedAt[report.node] = time }
    let middle = max(before + (time - before) / 2, times?.lowerBound ?? 0)
    let step = step(of: middle)
    for flow in report.pairs {
      guard let from = agents.place(of: flow.from.text), let to = agents.place(of: flow.to.text) else {
        namelessCount += UInt64(flow.count)
        continue
      }
      reported.add(.init(from: Int32(from), to: Int32(to)), at: step, count: UInt32(flow.count))
    }
  }
}
