import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha topology watch`: links that come and go, and what is found, as it happens.
struct TopologyWatchCommand: Command {
  static let configuration = CommandConfiguration(
    name: "watch", abstract: "Watch links come and go, and what the observer finds.",
    discussion: """
      Follows the log of the observer's node, whether it runs yet or not. On a terminal a page is drawn anew four times \
      a second, and q ends it; elsewhere each change and each finding is a line, first those that the log has, then \
      those that come, and every two seconds in which events were observed a line says how many, until a signal ends it.
      """,
    examples: ["hypha topology watch topologies/incident-room.yaml"])

  @OptionGroup var deployment: LiveTopologyOptions

  /// How often the log is looked at.
  private static let interval = Duration.milliseconds(250)
  /// How often somebody who is not at a terminal is told how many events were observed.
  private static let lineInterval = Duration.seconds(2)

  func run() async throws {
    let (topology, log) = try deployment.followed()
    let stop = StopSignal()
    // The observer need not decide once more: what it has decided is in the log.
    let reading = try TopologyReading(log, of: topology, withSeat: false)
    if Terminal.current.isOutputTTY, let keyboard = Keyboard() {
      try await draw(topology, log, reading, keyboard, stop)
    } else {
      try await writeLines(topology, log, reading, stop)
    }
    if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
  }

  private func draw(
    _ topology: Topology, _ log: any LogReader, _ first: TopologyReading, _ keyboard: Keyboard,
    _ stop: StopSignal
  ) async throws {
    var reading = first
    var view = TopologyWatchView(topology, style: Terminal.current.style())
    let clock = SuspendingClock()
    let begin = clock.now
    try await LiveRegion.run { region in
      while !stop.isRaised {
        try reading.readOn(log)
        let (width, height) = (Terminal.current.width, Terminal.current.height)
        try region.draw(view.lines(reading, now: clock.now - begin, width: width, height: height - 1))
        // Keys are looked at more often than the log.
        for _ in 0..<10 {
          let keys = keyboard.pressed()
          if keys.contains(.character("q")) { return }
          if keys.contains(.resumed) { region.forgetDrawn() }
          if stop.isRaised { return }
          try await clock.sleep(for: Self.interval / 10)
        }
      }
    }
  }

  private func writeLines(
    _ topology: Topology, _ log: any LogReader, _ first: TopologyReading, _ stop: StopSignal
  ) async throws {
    var reading = first
    var (shownCount, observedCount) = (0, 0)
    let clock = SuspendingClock()
    var toldAt = clock.now - Self.lineInterval
    while !stop.isRaised {
      try reading.readOn(log)
      for entry in reading.entries.dropFirst(shownCount) {
        for line in TopologyWatchView.lines(entry, topology, .plain) { try Output.standard.writeLine(line) }
      }
      shownCount = reading.entries.count
      if reading.observedCount != observedCount, clock.now - toldAt >= Self.lineInterval {
        observedCount = reading.observedCount
        toldAt = clock.now
        try Output.standard.writeLine(
          "\(TopologyWatchView.time(reading.reportedAt))  \(Human.count(observedCount)) events observed, "
            + "\(reading.live.links.count) links, version \(SeatTerm.text(reading.live.version)), \(reading.findings.count) findings"
        )
      }
      try Output.standard.flush()
      try await clock.sleep(for: Self.interval)
    }
  }
}
