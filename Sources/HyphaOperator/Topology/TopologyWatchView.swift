import HyphaCore
import HyphaRuntime
import HyphaTopology

/// The page that `hypha topology watch` draws: what there is, who relays how much, what is found, and what has changed.
struct TopologyWatchView {
  private let topology: Topology
  private let style: Style
  /// When how many events had been observed, a second ago and more.
  private var earlier: (at: Duration, count: Int)?
  private var rate = 0.0

  /// The most supervisors that are listed.
  private static let relayCountMax = 6
  private static let findingCountMax = 5
  private static let branchCountMax = 4

  init(_ topology: Topology, style: Style) { (self.topology, self.style) = (topology, style) }

  /// The page, cut to a terminal's size.
  mutating func lines(_ reading: TopologyReading, now: Duration, width: Int, height: Int) -> [String] {
    var lines = header(reading, now)
    let relays = relays(reading, width)
    if !relays.isEmpty { lines += [""] + relays }
    let branches = reading.live.attachments
    if !branches.isEmpty {
      lines += [""] + branches.prefix(Self.branchCountMax).map { style.yellow(AttachmentText.text($0)) }
      if branches.count > Self.branchCountMax {
        lines.append(style.dim("and \(branches.count - Self.branchCountMax) more: hypha topology show"))
      }
    }
    let findings = FindingText.lines(reading)
    if !findings.isEmpty {
      lines += ["", style.bold("found")]
      lines += findings.prefix(Self.findingCountMax).map { style.yellow("\($0.kind): \($0.text)") }
      if findings.count > Self.findingCountMax {
        lines.append(style.dim("and \(findings.count - Self.findingCountMax) more: hypha topology findings"))
      }
    }
    // The newest last, as in a log, and as many as there is room for.
    let room = max(1, height - lines.count - 3)
    var changes: [String] = []
    for entry in reading.entries.reversed() where changes.count < room {
      changes.insert(contentsOf: Self.lines(entry, topology, style), at: 0)
    }
    lines += ["", style.bold("changes")]
    lines += changes.isEmpty ? [style.dim("none yet")] : Array(changes.suffix(room))
    lines.append(style.dim("q quit"))
    return lines.map { truncated($0, to: width) }
  }

  private mutating func header(_ reading: TopologyReading, _ now: Duration) -> [String] {
    let count = reading.observedCount
    if let before = earlier {
      if now - before.at >= .seconds(1) {
        rate = Double(count - before.count) / ((now - before.at) / .seconds(1))
        earlier = (now, count)
      }
    } else {
      earlier = (now, count)
    }
    let live = reading.live
    let frozen = live.isFrozen ? style.yellow("  frozen") : ""
    let time = reading.reportedAt == .zero ? "no report yet" : "reported at \(Self.time(reading.reportedAt))"
    return [
      style.bold(topology.name)
        + "  version \(SeatTerm.text(live.version))  \(Human.count(live.links.count)) links  "
        + "\(Human.count(topology.agents.count)) agents  mode \(topology.observer.mode.rawValue)" + frozen,
      style.dim("\(Human.count(count)) events observed, \(Human.rate(rate)), \(time)"),
    ]
  }

  /// Who relays most, by the newest reports.
  private func relays(_ reading: TopologyReading, _ width: Int) -> [String] {
    let found = Set(
      reading.findings.keys.filter { $0.kind == .bottleneck }.map(\.agent))
    var all: [(relay: LoadReported.Relay, rate: Double)] = []
    for report in reading.loads.values {
      let perSecond = 1000 / Double(max(report.milliseconds, 1))
      for relay in report.relays { all.append((relay, Double(relay.events) * perSecond)) }
    }
    all = all.filter { $0.rate > 0 || $0.relay.inbox > 0 || found.contains($0.relay.agent) }
    all.sort { $0.rate == $1.rate ? $0.relay.agent < $1.relay.agent : $0.rate > $1.rate }
    guard let most = all.first else { return [] }
    var table = Table([
      .init("supervisor"), .init("relays", alignment: .right), .init("inbox", alignment: .right), .init(""),
    ])
    let barWidth = max(10, min(40, width - 50))
    for (relay, rate) in all.prefix(Self.relayCountMax) {
      let filled = most.rate > 0 ? Int(rate / most.rate * Double(barWidth)) : 0
      table.add([
        .string(relay.agent.text, found.contains(relay.agent) ? .red : .plain), .rate(rate),
        .integer(relay.inbox), .string(String(repeating: "█", count: filled), .cyan),
      ])
    }
    return table.lines(width: width, style: style)
  }

  // MARK: Changes

  /// The time of day.
  static func time(_ time: Timestamp) -> String { String(time.text.dropFirst(11).prefix(8)) }

  /// What an entry of the log says, a line each.
  static func lines(_ entry: TopologyReading.Entry, _ topology: Topology, _ style: Style) -> [String] {
    let time = style.dim(time(entry.time))
    func lines(_ change: LinkChange, _ prefix: String) -> [String] {
      // Who asked for it stands in a line of its own.
      let reason = change.rule.map(ChangeText.rule)
      let why = style.dim(reason ?? ChangeText.reason(change))
      var lines: [String] = []
      if let end = change.promoted {
        lines.append("\(time)  \(prefix)\(style.green("+ \(end.link)"))  \(why)")
      }
      for end in change.retired {
        let displaced = change.promoted.map { style.dim("\($0.link) took its place") }
        lines.append("\(time)  \(prefix)\(style.red("− \(end.link)"))  \(displaced ?? why)")
      }
      return lines.isEmpty ? ["\(time)  \(prefix)\(reason ?? "nothing")"] : lines
    }
    switch entry.content {
    case .changed(let event):
      let begun = event.begun.map {
        "\(time)  \(style.yellow("node '\($0.node)' has the seat"))  \(style.dim(ChangeText.reason($0)))"
      }
      let branches = AttachmentText.changes(event.attachments, topology).map { what, why in
        "\(time)  \(style.yellow(what))  \(style.dim(why))"
      }
      return (begun.map { [$0] } ?? []) + branches + event.changes.flatMap { lines($0, "") }
    case .superseded(let event): return ["\(time)  \(style.yellow(ChangeText.text(event)))"]
    case .suggested(let event): return event.changes.flatMap { lines($0, "suggested: ") }
    case .asked(let event):
      let note = event.note.map { ": \($0)" } ?? ""
      return ["\(time)  \(entry.authority.principal) asks: \(ChangeText.rule(event.rule))\(style.dim(note))"]
    case .refused(let event):
      return ["\(time)  \(style.red("refused: \(ChangeText.rule(event.rule))"))  \(style.dim(event.reason))"]
    case .questions(let content):
      return QuestionRows.rows(content).map { "\(time)  \($0.what)  \(style.dim($0.why))" }
    case .askedQuestions(let event):
      let note = event.note.map { ": \($0)" } ?? ""
      return [
        "\(time)  \(entry.authority.principal) asks: \(QuestionText.rule(event.rule))\(style.dim(note))"
      ]
    case .found(let event):
      return event.ended.map {
        "\(time)  \(style.green("over: \($0.kind.rawValue) \(FindingText.topic($0))"))"
      }
        + event.began.map { "\(time)  \(style.yellow("\($0.topic.kind.rawValue): \(FindingText.text($0))"))" }
    }
  }
}
