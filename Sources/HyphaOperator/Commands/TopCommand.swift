import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha top`: what a deployment does now.
struct TopCommand: Command {
  static let configuration = CommandConfiguration(
    name: "top", abstract: "Show what a deployment does now: nodes, agents, queues, rates, lag, losses.",
    discussion: """
      Asks each node through the socket in its data directory, and reads the logs, once a second or as --every says. On a \
      terminal it refreshes in place: left and right choose the column by which agents are sorted, 'r' turns the order around, \
      up, down, PgUp and PgDn scroll, Tab lists links or nodes in place of agents, space pauses, 'q' ends. Without a terminal, or \
      with --once, it reads twice and prints once, and fails where what it reads of a log is damaged: its heads and cursors, and \
      no events, which 'log verify' reads.

      'queue' are events that wait in mailboxes, are being handled, or are on their way into the log; 'publ', 'hand' and \
      'log' what agents publish and handle and the log takes, a second; 'lag' positions of other nodes' logs with \
      something for this node that it has not heard of; 'gaps' lanes that are known to be incomplete; 'lost' what was \
      dropped, 'fail' how often handlers threw, since the node started; 'open' alerts that wait for an answer. p50 and p99 \
      are from publication to the handler. Agents are counted from the logs, over all runs, on the node where they are, without what \
      the bus states in their names to all or to nobody. A link is what one node gets from \
      another: what it takes that one for, the frames that come, the positions of its log that it has not heard of, and \
      for how long it has not heard it.
      """,
    examples: ["hypha top data/incident-room", "hypha top data/incident-room --once --json"])

  @Argument(help: "A deployment's data directory, or a node's.", completion: .directory) var data: String
  @Option(help: "How often to read.", valueName: "duration") var every: Duration = .seconds(1)
  @Flag(help: "Print once, for scripts.") var once = false
  @Flag(help: "Print once, as one line of JSON.") var json = false

  mutating func validate() throws {
    guard every >= .milliseconds(100), every <= .seconds(3600) else {
      throw HyphaError(.usage, "--every is \(Human.duration(every))", remedy: "give 100 ms to an hour")
    }
  }

  func run() async throws {
    let read = try Program.require().readLog
    let logs = try DataPlaces.logs(in: data).map { try TopReading.Source($0, read) }
    let stop = StopSignal()
    let view = TopView(name: data, style: Terminal.current.style())
    let clock = SuspendingClock()
    let begin = clock.now
    if once || json || !Terminal.current.isOutputTTY {
      let first = try await TopReading.read(logs, at: clock.now - begin)
      try await pause(every, stop, clock)
      if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
      let now = try await TopReading.read(logs, at: clock.now - begin)
      let model = TopModel(now, since: first)
      try json ? printJSON(model, view) : printOnce(model, view)
      for damage in now.damages.dropFirst() { try Output.standardError.writeLine("\(damage)") }
      if let damage = now.damages.first { throw damage }
      return
    }
    try await refresh(logs, view, stop, clock)
  }

  private func printOnce(_ model: TopModel, _ view: TopView) throws {
    let width = Terminal.current.isOutputTTY ? Terminal.current.width : nil
    for line in view.lines(model, .init(), width: width, height: nil, status: nil) {
      try Output.standard.writeLine(line)
    }
  }

  private func printJSON(_ model: TopModel, _ view: TopView) throws {
    func array(_ table: Table) -> String { "[\(table.rows.map(table.jsonObject).joined(separator: ","))]" }
    let agents = model.sortedAgents(by: .agent, isReversed: false)
    let version = model.version.map { "\($0)" } ?? "null"
    try Output.standard.writeLine(
      "{\"agents\":\(array(view.agents(agents, nil))),"
        + "\"channels\":\(model.isRunning ? array(view.channels(model)) : "[]"),"
        + "\"isRunning\":\(model.isRunning),\"links\":\(array(view.links(model))),"
        + "\"nodes\":\(array(view.nodes(model))),\"topologyVersion\":\(version)}")
  }

  /// Draws again and again until somebody has enough.
  private func refresh(
    _ logs: [TopReading.Source], _ view: TopView, _ stop: StopSignal,
    _ clock: SuspendingClock
  ) async throws {
    let begin = clock.now
    let keyboard = Keyboard()
    var settings = TopView.Settings()
    var (before, now): (TopReading?, TopReading?)
    var due = clock.now
    var readCount = 0
    try await LiveRegion.run(isFullScreen: true) { region in
      var isQuitting = false
      while !stop.isRaised, !isQuitting {
        var (isChanged, scrolled, pages) = (false, 0, 0)
        for key in keyboard?.pressed() ?? [] {
          isChanged = true
          switch key {
          case .character("q"): isQuitting = true
          case .character(" "), .character("p"): settings.isPaused.toggle()
          case .character("r"): settings.isReversed.toggle()
          case .right: settings.column = settings.column.next
          case .resumed: region.forgetDrawn()
          case .left: settings.column = settings.column.previous
          case .down: scrolled += 1
          case .up: scrolled -= 1
          case .pageDown: pages += 1
          case .pageUp: pages -= 1
          case .home: scrolled = -settings.passedCount
          case .character("\t"): (settings.list, settings.passedCount) = (settings.list.next, 0)
          default: break
          }
        }
        if clock.now >= due, !settings.isPaused {
          before = now
          now = try await TopReading.read(logs, at: clock.now - begin)
          due = clock.now + (before == nil ? min(every, .milliseconds(300)) : every)
          readCount += 1
          isChanged = true
        }
        if isChanged, let now {
          let (width, height) = (Terminal.current.width, Terminal.current.height - 1)
          let model = TopModel(now, since: before)
          let scroll = view.scroll(model, settings, width: width, height: height)
          settings.passedCount = min(
            max(0, settings.passedCount + scrolled + pages * scroll.page), scroll.max)
          try region.draw(view.lines(model, settings, width: width, height: height, status: TopView.keys))
        }
        if !isQuitting { try await clock.sleep(for: .milliseconds(50)) }
      }
    }
    try Output.standard.writeLine(
      "\(data): looked \(Human.count(readCount)) \(readCount == 1 ? "time" : "times") in \(Human.duration(clock.now - begin))"
    )
    if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
  }

  private func pause(_ duration: Duration, _ stop: StopSignal, _ clock: SuspendingClock) async throws {
    let end = clock.now + duration
    while clock.now < end, !stop.isRaised {
      try await clock.sleep(for: min(end - clock.now, .milliseconds(50)))
    }
  }
}
