import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime

/// How events are written one by one.
enum LineFormat: String, CaseIterable, ExpressibleByArgument {
  /// A line for people.
  case lines
  /// A JSON object in each line, as `hypha replay --json` has it.
  case json
}

/// `hypha watch`: what happens now, across a deployment.
struct WatchCommand: Command {
  static let configuration = CommandConfiguration(
    name: "watch", abstract: "Show events as they come, across a deployment.",
    discussion: """
      Follows the logs of all nodes, from another process and without asking the nodes: each event comes once, when the \
      first log has it, and none before its cause. On a terminal as lines, into a pipe as JSON lines; --format chooses. It \
      goes on until it is stopped, by Ctrl-C or --limit, and then says what it did on standard error.

      The pattern is for subjects: '*' is one token, a last '>' the rest. Realtime events are in the logs only where \
      somebody has asked for it.
      """,
    examples: [
      "hypha watch --data data/incident-room", "hypha watch 'case.>' --type work.HandedOver",
      "hypha watch --channel alert --back 10m", "hypha watch --format json --limit 1",
    ])

  @Argument(help: "The subjects to show.") var pattern: Pattern = .everything
  @OptionGroup var logs: LogsOptions
  @Option(help: "Only these event types.", valueName: "type") var type: [EventTypeName] = []
  @Option(
    help: "No events of types that match, such as 'hypha.>' for what the bus states.", valueName: "pattern")
  var without: [Pattern] = []
  @Option(help: "Only events of this channel.") var channel: Channel?
  @Option(help: "Only events that this agent states.", valueName: "agent") var from: AgentID?
  @Option(help: "Begin with what was stated this long ago.", valueName: "duration") var back: Duration?
  @Option(help: "How to print; default lines on a terminal, else json.") var format: LineFormat?
  @Option(help: "Stop after this many events.", valueName: "count") var limit: AtLeast<0>?

  func run() async throws {
    let readers = try logs.open()
    let stop = StopSignal()
    var filter = EntryFilter()
    filter.subject = pattern == .everything ? nil : pattern
    filter.types = Set(type)
    filter.excludedTypes = Set(without)
    filter.channel = channel
    filter.streams = from.map { [EntryFilter.StreamSelection(agent: $0)] } ?? []
    let now = SystemScheduler().microseconds()
    let since = back.map { back -> ReplayRange.Bound in
      let microseconds = UInt64(max(0, back / .microseconds(1)))
      return .time(Timestamp(microseconds: now - min(now, microseconds)))
    }
    var session = try ReplaySession(
      pace: ReplayPace(rate: .unlimited), follows: true, stop: stop,
      makeReplay: { _ in try Replay(of: readers, filter: filter, range: ReplayRange(from: since ?? .end)) })
    let isOnTerminal = Terminal.current.isOutputTTY
    switch format ?? (isOnTerminal ? .lines : .json) {
    case .lines: try await showLines(&session, isNodeShown: readers.count > 1)
    case .json: try await showJSON(&session)
    }
    try Output.standard.flush()
    let (count, logCount) = (session.shownCount, readers.count)
    try Output.standardError.writeLine(
      "watched \(logCount) \(logCount == 1 ? "log" : "logs") for \(Human.duration(session.elapsed)): "
        + "\(Human.count(count)) \(count == 1 ? "event" : "events")")
    if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
  }

  private func showLines(_ session: inout ReplaySession, isNodeShown: Bool) async throws {
    let terminal = Terminal.current
    var lines = EntryLines(style: terminal.style(), isNodeShown: isNodeShown)
    try await session.run(
      limit: limit?.value ?? .max,
      show: { replayed in
        let width = terminal.isOutputTTY ? terminal.width : nil
        for line in try lines.lines(replayed, width: width) { try Output.standard.writeLine(line) }
      },
      idle: { try Output.standard.flush() })
  }

  private func showJSON(_ session: inout ReplaySession) async throws {
    var writer = EntryWriter(.own)
    func flush() throws {
      try Output.standard.write(bytes: writer.bytes)
      writer.removeAll()
    }
    try await session.run(
      limit: limit?.value ?? .max,
      show: { replayed in
        writer.append(replayed.entry, of: replayed.node)
        if writer.bytes.count >= 65_536 { try flush() }
      },
      idle: {
        try flush()
        try Output.standard.flush()
      })
    try flush()
  }
}
