import HyphaCore

/// What `hypha top` looks like: the deployment in a line, its channels, its nodes, and one list that has the rest of the lines and is
/// scrolled: of agents, links or nodes.
struct TopView {
  /// What is listed.
  enum List: Int, CaseIterable, Sendable {
    case agents, links, nodes

    var next: List { List(rawValue: (rawValue + 1) % Self.allCases.count) ?? .agents }
  }

  /// What the keys have set.
  struct Settings: Sendable {
    var column = TopModel.Column.handled
    var isReversed = false
    var isPaused = false
    var list = List.agents
    /// How many rows of the list are passed over; no more than leave it full.
    var passedCount = 0
  }

  let name: String
  let style: Style

  /// The keys, as the last line names them.
  static let keys = "←→ sort  r reverse  ↑↓ scroll  Tab list  space pause  q quit"

  /// All of it as lines of at most `width` columns; of the list as many rows as `height` leaves, at least one.
  func lines(_ model: TopModel, _ settings: Settings, width: Int?, height: Int?, status: String?) -> [String]
  {
    var lines = above(model, settings, width: width, height: height)
    if let height {
      let (list, count) = (list(model, settings), room(lines.count, height))
      let passedCount = min(max(0, settings.passedCount), max(0, list.rows.count - count))
      let shown = passedCount..<min(list.rows.count, passedCount + count)
      lines += list.part(shown).lines(width: width, style: style)
      if let status {
        let place =
          shown.count < list.rows.count
          ? "\(settings.list) \(shown.lowerBound + 1)–\(shown.upperBound) of \(Human.count(list.rows.count))  "
          : ""
        lines.append(style.dim(place + status))
      }
    } else {
      if !model.links.isEmpty { lines += links(model).lines(width: width, style: style) + [""] }
      lines += list(model, settings).lines(width: width, style: style)
    }
    return lines.map { line in width.map { truncated(line, to: $0) } ?? line }
  }

  /// How many rows of the list can be passed over, and how many are shown at a time.
  func scroll(_ model: TopModel, _ settings: Settings, width: Int, height: Int) -> (max: Int, page: Int) {
    let page = room(above(model, settings, width: width, height: height).count, height)
    return (max(0, list(model, settings).rows.count - page), page)
  }

  /// The rows that there is room for, between the titles of the list and the last line.
  private func room(_ aboveCount: Int, _ height: Int) -> Int { max(1, height - aboveCount - 2) }

  private func above(_ model: TopModel, _ settings: Settings, width: Int?, height: Int?) -> [String] {
    var lines = [head(model, settings)]
    if model.isRunning {
      lines += channels(model).lines(width: width, style: style)
    } else {
      lines.append("No node runs. This is what the logs keep; 'log stats' and 'losses' add it up by channel.")
    }
    lines.append("")
    if height == nil || settings.list != .nodes {
      let nodes = nodes(model)
      // The list has the most of it.
      let count = height.map { max(2, $0 / 4) } ?? .max
      let shown = nodes.rows.count > count ? count - 1 : nodes.rows.count
      lines += nodes.part(0..<shown).lines(width: width, style: style)
      if shown < nodes.rows.count {
        lines.append(style.dim("and \(Human.count(nodes.rows.count - shown)) more nodes; Tab lists them"))
      }
      lines.append("")
    }
    return lines
  }

  private func list(_ model: TopModel, _ settings: Settings) -> Table {
    switch settings.list {
    case .agents: agents(model.sortedAgents(by: settings.column, isReversed: settings.isReversed), settings)
    case .links: links(model)
    case .nodes: nodes(model)
    }
  }

  private func head(_ model: TopModel, _ settings: Settings) -> String {
    let running = model.nodes.count { $0.state == "runs" }
    let damaged = model.nodes.count { $0.state == "damaged" }
    var parts = [style.bold(printable(name))]
    if !model.isRunning { parts.append(style.yellow("stopped")) }
    parts.append(
      (running == model.nodes.count ? style.green : style.yellow)("\(running)/\(model.nodes.count) nodes"))
    if damaged > 0 { parts.append(style.red("\(damaged) \(damaged == 1 ? "log" : "logs") damaged")) }
    parts.append("\(Human.count(model.agents.count)) agents")
    if let version = model.version {
      let links = model.nodes.compactMap(\.linkCount).max() ?? 0
      parts.append("\(links) direct \(links == 1 ? "link" : "links"), version \(version)")
    }
    if settings.isPaused { parts.append(style.yellow("⏸ paused")) }
    return parts.joined(separator: "   ")
  }

  func channels(_ model: TopModel) -> Table {
    var table = Table([
      .init("channel"), .init("published", key: "publishedPerSecond", alignment: .right),
      .init("handled", key: "handledPerSecond", alignment: .right),
      .init("all", key: "published", alignment: .right), .init("p50", key: "p50Seconds", alignment: .right),
      .init("p99", key: "p99Seconds", alignment: .right), .init("lost", alignment: .right),
    ])
    for row in model.channels {
      func latency(_ microseconds: UInt64?) -> Table.Cell {
        microseconds.map { .duration(.microseconds(Int64(clamping: $0))) } ?? .none
      }
      table.add([
        .string(row.channel.description), .rate(ifKnown: row.publishedRate),
        .rate(ifKnown: row.handledRate), .integer(Int(clamping: row.publishedCount)), latency(row.p50),
        latency(row.p99), Self.alarming(row.lostCount),
      ])
    }
    return table
  }

  func nodes(_ model: TopModel) -> Table {
    var table = Table([
      .init("node"), .init("is", key: "state"), .init("agents", alignment: .right),
      .init("queue", alignment: .right), .init("publ/s", key: "publishedPerSecond", alignment: .right),
      .init("hand/s", key: "handledPerSecond", alignment: .right),
      .init("log/s", key: "logEntriesPerSecond", alignment: .right), .init("lag", alignment: .right),
      .init("gaps", key: "behindLanes", alignment: .right), .init("lost", alignment: .right),
      .init("fail", key: "failures", alignment: .right),
      .init("open", key: "openAlerts", alignment: .right),
    ])
    for row in model.nodes {
      func number(_ count: (some BinaryInteger)?) -> Table.Cell {
        count.map { .integer(Int(clamping: $0)) } ?? .none
      }
      table.add([
        .string(row.node.text), .string(row.state, Self.paint(row.state)),
        number(row.agentCount), number(row.queueCount), .bare(row.publishedRate),
        .bare(row.handledRate), .bare(row.logRate), Self.alarming(row.lag, .yellow),
        Self.alarming(row.behindCount, .yellow), Self.alarming(row.lostCount),
        Self.alarming(row.failureCount),
        Self.alarming(row.openAlertCount, .yellow),
      ])
    }
    return table
  }

  func links(_ model: TopModel) -> Table {
    var table = Table([
      .init("link", key: "from"), .init("", key: "to"), .init("is", key: "state"),
      .init("frames/s", key: "framesPerSecond", alignment: .right),
      .init("queue", alignment: .right), .init("silent", key: "silentSeconds", alignment: .right),
    ])
    for row in model.links {
      table.add([
        .string(row.from.text), .string(row.to.text), .string(row.state, Self.paint(row.state)),
        .bare(row.rate), Self.alarming(row.queue, .yellow), .duration(row.silence),
      ])
    }
    return table
  }

  private static func paint(_ state: String) -> Style.Paint {
    switch state {
    case "runs", "up": .green
    case "damaged", "down": .red
    default: .yellow
    }
  }

  func agents(_ rows: some Sequence<TopModel.AgentRow>, _ settings: Settings?) -> Table {
    let titles = ["agent", "node", "stated", "handled", "all stated", "all handled"]
    let keys = ["agent", "node", "statedPerSecond", "handledPerSecond", "stated", "handled"]
    var table = Table(
      TopModel.Column.allCases.map { column in
        let mark = settings?.column == column ? (settings?.isReversed == true ? "▲" : "▼") : ""
        return .init(
          titles[column.rawValue] + mark, key: keys[column.rawValue],
          alignment: column.rawValue > 1 ? .right : .left)
      })
    for row in rows {
      table.add([
        .string(row.agent.text), .string(row.node.text), .rate(ifKnown: row.statedRate),
        .rate(ifKnown: row.handledRate), .integer(Int(clamping: row.statedCount)),
        .integer(Int(clamping: row.handledCount)),
      ])
    }
    return table
  }

  /// A count that should be 0.
  private static func alarming(_ count: (some BinaryInteger)?, _ paint: Style.Paint = .red) -> Table.Cell {
    guard let count else { return .none }
    return count == 0 ? .integer(0) : .count(Int(clamping: count), paint)
  }
}

extension Table.Cell {
  /// A rate whose column says that it is one.
  fileprivate static func bare(_ perSecond: Double?) -> Table.Cell {
    perSecond.map { .double($0, digits: $0 < 99.95 ? 1 : 0) } ?? .none
  }

  /// A rate, or nothing where there is none yet.
  fileprivate static func rate(ifKnown perSecond: Double?) -> Table.Cell {
    perSecond.map { .rate($0) } ?? .none
  }
}
