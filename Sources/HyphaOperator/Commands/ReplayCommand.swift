import HyphaCore
import HyphaLog
import HyphaReplay

/// `hypha replay`: what was recorded, once more.
struct ReplayCommand: Command {
  static let configuration = CommandConfiguration(
    name: "replay", abstract: "Show what was recorded once more, in one order, at any pace.",
    discussion: """
      Merges the logs of all nodes: by the time that the events state, then by node; an event that stands in several logs \
      comes once, and never before its cause. One log comes in its own order. Nodes may run meanwhile. On a terminal, keys pause, step, \
      seek and change the speed; into a pipe it prints lines, with --json as JSON.

      --from and --to take a position of one node's log (--node), 'sequence:N' of every stream, or a time that the \
      events state; positions and sequences are included, the time of --to is not.
      """,
    examples: [
      "hypha replay --data data/incident-room --rate 4x",
      "hypha replay --data data/incident-room --type work.HandedOver --json",
      "hypha replay --data data/incident-room --node hq --from 100 --to 200",
      "hypha replay --data data/incident-room --follow --channel alert",
      "hypha replay --data data/incident-room --without 'hypha.>'",
    ])

  @OptionGroup var logs: LogsOptions
  @OptionGroup var options: FilterOptions
  @Option(help: "Begin here: a position, sequence:N or a time.", valueName: "place") var from: PlaceArgument?
  @Option(help: "End here: a position, sequence:N or a time.", valueName: "place") var to: PlaceArgument?
  @Option(help: "How fast: max, realtime, step, or times as fast as recorded.", valueName: "speed")
  var rate: RateArgument = .max
  @Option(help: "Wait no longer than this between two events.", valueName: "duration") var idleMax: Duration?
  @Option(help: "Stop after this many events.", valueName: "count") var limit: AtLeast<0>?
  @Flag(help: "Go on with what comes, until it is stopped or the time of --to has come.") var follow = false
  @Flag(help: "Print nothing but how many events there are, and how fast they were read.") var count = false
  @Flag(help: "Print as JSON lines.") var json = false

  mutating func validate() throws {
    try ReplayRange(from: from?.bound, to: to?.bound).confirmDirection()
    if count && (follow || rate.rate != .unlimited) {
      throw HyphaError(
        .usage, "--count reads what is there as fast as it can", remedy: "leave out --follow and --rate")
    }
    if rate.isStep && (json || !Terminal.current.isOutputTTY) {
      throw HyphaError(
        .usage, "--rate step waits for a key after each event", remedy: "use it on a terminal, without --json"
      )
    }
  }

  func run() async throws {
    let readers = try logs.open()
    let range = ReplayRange(from: from?.bound, to: to?.bound)
    var filter = options.filter
    filter.isForEventsAlone = true
    let wanted = filter
    func makeReplay(since time: Timestamp?) throws -> Replay {
      var filter = wanted
      if let time { filter.since = max(time, filter.since ?? .zero) }
      return try Replay(of: readers, filter: filter, range: range)
    }
    if count { return try await countAll(makeReplay(since: nil), nodeCount: readers.count) }
    let stop = StopSignal()
    let end: Timestamp? = if case .time(let time)? = range.to { time } else { nil }
    var session = try ReplaySession(
      pace: ReplayPace(rate: rate.rate, isPaused: rate.isStep, idleMax: idleMax), follows: follow, until: end,
      stop: stop, makeReplay: makeReplay)
    let limit = limit?.value ?? .max
    if json {
      try await printJSON(&session, limit)
    } else if Terminal.current.isOutputTTY, let keyboard = Keyboard() {
      try await LiveRegion.run { region in
        var view = ReplayView(
          region: region, style: Terminal.current.style(), isNodeShown: readers.count > 1)
        try await session.run(limit: limit, keyboard: keyboard, view: &view) { Terminal.current.width }
      }
    } else {
      let terminal = Terminal.current
      var lines = EntryLines(style: terminal.style(), isNodeShown: readers.count > 1)
      try await session.run(
        limit: limit,
        show: { replayed in
          let width = terminal.isOutputTTY ? terminal.width : nil
          for line in try lines.lines(replayed, width: width) { try Output.standard.writeLine(line) }
        },
        idle: { try Output.standard.flush() })
    }
    try Output.standard.flush()
    guard let signal = stop.signalNumber else { return }
    try Output.standardError.writeLine(
      "stopped after \(Human.count(session.shownCount, "event")) of \(Human.count(readers.count, "log"))")
    throw ExitStatus.stopped(by: signal)
  }

  private func printJSON(_ session: inout ReplaySession, _ limit: Int) async throws {
    var writer = EntryWriter(.own)
    func flush() throws {
      try Output.standard.write(bytes: writer.bytes)
      writer.removeAll()
    }
    let isPaced = rate.rate != .unlimited
    try await session.run(
      limit: limit,
      show: { replayed in
        writer.append(replayed.entry, of: replayed.node)
        if writer.bytes.count >= 65_536 { try flush() }
        if isPaced {
          try flush()
          try Output.standard.flush()
        }
      },
      idle: {
        try flush()
        try Output.standard.flush()
      })
    try flush()
  }

  private func countAll(_ replay: Replay, nodeCount: Int) async throws {
    var replay = replay
    let limit = limit?.value ?? .max
    try replay.look()
    let total = replay.leftCount
    var (eventCount, byteCount) = (0, 0)
    let begin = ContinuousClock.now
    try await LongWork.run { work in
      // A part at a time, so that a signal is heeded and progress is seen.
      var isDone = limit == 0
      while !isDone {
        var left = min(262_144, limit - eventCount)
        isDone = try replay.visit { replayed in
          eventCount += 1
          byteCount += replayed.entry.record.bytes.count
          left -= 1
          return left > 0
        }
        isDone = isDone || eventCount == limit
        guard !isDone else { return }
        try work.pass(
          "\(Human.count(total - min(replay.leftCount, total))) of \(Human.count(total)) entries",
          done: "\(Human.count(eventCount, "event")) of \(Human.count(nodeCount, "log"))")
      }
    }
    let duration = begin.duration(to: .now)
    var table = Table([
      .init("events"), .init("logs"), .init("size", key: "sizeBytes"), .init("took", key: "seconds"),
      .init("rate", key: "eventsPerSecond"),
    ])
    table.add([
      .integer(eventCount), .integer(nodeCount), .bytes(byteCount), .duration(duration),
      .rate(Double(eventCount) / max(duration / .seconds(1), 1e-9)),
    ])
    try table.write(as: json ? .jsonLines : .table)
  }
}
