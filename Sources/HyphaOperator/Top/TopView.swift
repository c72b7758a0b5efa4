import HyphaCore

/// What `hypha top` looks like: the deployment in a line, its channels, its nodes, and as many agents as there is room for.
struct TopView {
  /// What the keys have set.
  struct Settings: Sendable {
    var column = TopModel.Column.handled
    var isReversed = false
    var isPaused = false
  }

  let name: String
  let style: Style

  /// All of it as lines of at most `width` columns; agents as many as `height` leaves, at least one.
  func lines(_ model: TopModel, _ settings: Settings, width: Int?, height: Int?, status: String?) -> [String]
  {
    var lines = [head(model, settings)]
    lines += channels(model).lines(width: width, style: style)
    lines.append("")
    lines += nodes(model).lines(width: width, style: style)
    lines.append("")
    let footerCount = status == nil ? 0 : 1
    let room = height.map { max(1, $0 - lines.count - 1 - footerCount) } ?? .max
    let agents = model.sortedAgents(by: settings.column, isReversed: settings.isReversed)
    lines += self.agents(agents.prefix(room), settings).lines(width: width, style: style)
    if let status { lines.append(style.dim(status)) }
    return lines.map { line in width.map { truncated(line, to: $0) } ?? line }
  }

  private func head(_ model: TopModel, _ settings: Settings) -> String {
    let running = model.nodes.count { $0.state == "runs" }
    var parts = [
      style.bold(printable(name)),
      (running == model.nodes.count ? style.green : style.yellow)("\(running)/\(model.nodes.count) nodes"),
      "\(Human.count(model.agents.count)) agents",
    ]
    if let version = model.version {
      let links = model.nodes.compactMap(\.linkCount).max() ?? 0
      parts.append("\(links) \(links == 1 ? "link" : "links"), version \(version)")
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
        .string(row.node.text), .string(row.state, row.state == "runs" ? .green : .yellow),
        number(row.agentCount), number(row.queueCount), .bare(row.publishedRate),
        .bare(row.handledRate), .bare(row.logRate), Self.alarming(row.lag, .yellow),
        Self.alarming(row.behindCount, .yellow), Self.alarming(row.lostCount),
        Self.alarming(row.failureCount),
        Self.alarming(row.openAlertCount, .yellow),
      ])
    }
    return table
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
