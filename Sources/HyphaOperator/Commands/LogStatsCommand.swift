import HyphaCore
import HyphaLog
import HyphaReplay

/// `hypha log stats`: what logs add up to.
struct LogStatsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "stats", abstract: "Add up what logs hold: rates, sizes, top talkers, latencies, losses, gaps.",
    discussion: """
      'commit' is the time from an event's statement until its own node's log had it, 'travel' until another node's log \
      had it, by the nodes' clocks; what was imported has neither, nor what a node took of the past because an agent was moved to it. Of several \
      logs, a pair's event counts once, where it was stated. Realtime events are in no log unless they are recorded: their row is \
      what the nodes have counted, with the time from publication to the handler. Losses are what the nodes have counted, whatever is \
      filtered, as 'hypha losses' shows them one by one. Counts of the top are exact up to 4,096 different ones; beyond that, '≤' marks those \
      that may be lower. Memory does not grow with the log.
      """,
    examples: [
      "hypha log stats data/incident-room", "hypha log stats data/incident-room/hq --top 20",
      "hypha log stats data/incident-room --json",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @OptionGroup var options: FilterOptions
  @Option(help: "How many of the most frequent to show.", valueName: "count") var top: AtLeast<1> = 8
  @Flag(help: "Print as one line of JSON.") var json = false

  func run() async throws {
    let readers = try DataPlaces.logs(in: data).map { try Program.require().readLog($0) }
    var statistics = LogStatistics(
      isOfSeveralLogs: readers.count > 1, history: try HistoryWatch(over: readers))
    var gaps: [(node: NodeID, gap: LogGap)] = []
    try await LongWork.run { work in
      for reader in readers {
        var replay = try Replay(of: [reader], filter: options.filter)
        try replay.look()
        let total = replay.leftCount
        var isDone = false
        while !isDone {
          var left = 65_536
          isDone = try replay.visit { replayed in
            statistics.add(replayed.entry, of: replayed.node)
            left -= 1
            return left > 0
          }
          let done = total - min(replay.leftCount, total)
          try work.pass(
            "\(reader.identity.node): \(Human.count(done)) of \(Human.count(total)) entries",
            done: "\(Human.count(statistics.entryCount)) entries; nothing was printed")
        }
        gaps += try reader.gaps().map { (reader.identity.node, $0) }
      }
    }
    let losses = LossSums(try await DeploymentLosses.read(data))
    if json {
      return try Output.standard.writeLine(
        JSON.text(StatisticsJSON(statistics, top.value, logCount: readers.count, gaps, losses)))
    }
    try write(statistics, logCount: readers.count, gaps, losses)
  }

  private func write(
    _ statistics: LogStatistics, logCount: Int, _ gaps: [(node: NodeID, gap: LogGap)], _ losses: LossSums
  ) throws {
    let (style, top) = (Terminal.current.style(), top.value)
    let seconds = statistics.times.map { $0.upperBound.since($0.lowerBound) / .seconds(1) } ?? 0
    let all = statistics.entryCount + statistics.backgroundCount
    let mean = all == 0 ? 0 : statistics.byteCount / all
    try Output.standard.writeLine(
      "\(Human.count(statistics.entryCount)) entries in \(logCount) \(logCount == 1 ? "log" : "logs"), "
        + "\(Human.bytes(statistics.byteCount)) of records, \(Human.bytes(mean)) on average, "
        + "\(Human.bytes(statistics.byteCountMax)) at most")
    if statistics.backgroundCount > 0 {
      try Output.standard.writeLine(
        "and \(Human.count(statistics.backgroundCount)) that are no events, but what imported files have beside them"
      )
    }
    if let times = statistics.times {
      try Output.standard.writeLine(
        "from \(times.lowerBound.text.prefix(19)) to \(times.upperBound.text.prefix(19)), "
          + (seconds > 0 ? Human.rate(Double(statistics.entryCount) / seconds) : "all at once"))
    }
    var channels = Table([
      .init("channel"), .init("stated", alignment: .right), .init("received", alignment: .right),
      .init("size", alignment: .right), .init("commit p50", alignment: .right),
      .init("p99", alignment: .right),
      .init("travel p50", alignment: .right), .init("p99", key: "p99Travel", alignment: .right),
      .init("most", alignment: .right),
    ])
    for channel in Channel.allCases {
      let figures = statistics.channels[Int(channel.rawValue)]
      // Its row says what was recorded; what there was is in one of its own.
      if channel == .realtime, losses.realtime != nil, figures.statedCount + figures.receivedCount == 0 {
        continue
      }
      func cell(_ histogram: MicrosecondHistogram, _ share: Double) -> Table.Cell {
        histogram.percentile(share).map { .duration(.microseconds(Int64($0))) } ?? .none
      }
      channels.add([
        .string(channel.description), .integer(Int(figures.statedCount)),
        .integer(Int(figures.receivedCount)),
        .bytes(Int(figures.byteCount)), cell(figures.commit, 0.5), cell(figures.commit, 0.99),
        cell(figures.travel, 0.5), cell(figures.travel, 0.99), cell(figures.travel, 1),
      ])
    }
    try Output.standard.writeLine()
    try channels.write()
    try losses.writeRealtime()
    try writeTop(
      "type", statistics.types.top(top, by: <).map { ($0.key, $0.count, $0.error) }, statistics, style)
    try writeTop(
      "from → to", counts: "events",
      statistics.pairs.top(top, by: { ($0.agent, $0.target) < ($1.agent, $1.target) })
        .map { ("\($0.key.agent) → \($0.key.target)", $0.count, $0.error) }, statistics, style)
    try writeTop(
      "stream", statistics.streams.top(top, by: <).map { ($0.key, $0.count, $0.error) }, statistics, style)
    try Output.standard.writeLine()
    try losses.write()
    try Output.standard.writeLine()
    if gaps.isEmpty { return try Output.standard.writeLine("no gaps: nothing was pruned or lost") }
    for (node, gap) in gaps {
      let range = "positions \(gap.range.lowerBound) to \(gap.range.upperBound)"
      switch gap.kind {
      case .pruned: try Output.standard.writeLine("\(node): \(range) were pruned")
      case .quarantined(let reason):
        try Output.standard.writeLine(style.red("\(node): \(range) were damaged: \(printable(reason))"))
      }
    }
  }

  private func writeTop(
    _ title: String, counts: String = "entries", _ hits: [(name: String, count: UInt64, error: UInt64)],
    _ statistics: LogStatistics,
    _ style: Style
  ) throws {
    guard !hits.isEmpty else { return }
    var table = Table([.init(title), .init(counts, alignment: .right), .init("share", alignment: .right)])
    for hit in hits {
      let share = Double(hit.count) * 100 / Double(max(statistics.entryCount, 1))
      table.add([
        .string(hit.name), hit.error > 0 ? .string("≤ " + Human.count(hit.count)) : .integer(Int(hit.count)),
        .double(share, unit: "%"),
      ])
    }
    try Output.standard.writeLine()
    try table.write()
  }
}
