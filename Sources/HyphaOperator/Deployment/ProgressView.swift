import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Shows how a run is getting on: a block redrawn in place on a terminal, a line every two seconds elsewhere.
struct ProgressView {
  private let topology: Topology
  private let region: LiveRegion
  private let style: Style
  private var lastLineAt = Duration.zero
  private var lastRates: (at: Duration, counts: [Channel: UInt64], rates: [Channel: Double])?

  /// How often a plain line is printed.
  static let lineInterval = Duration.seconds(2)

  init(_ topology: Topology, region: LiveRegion, style: Style) {
    self.topology = topology
    self.region = region
    self.style = style
  }

  mutating func update(_ summary: DeploymentSummary, at elapsed: Duration) throws {
    let rates = rates(summary, at: elapsed)
    if region.isActive {
      try region.draw(block(summary, elapsed, rates))
    } else if elapsed - lastLineAt >= Self.lineInterval {
      lastLineAt = elapsed
      try Output.standard.writeLine(line(summary, elapsed))
      try Output.standard.flush()
    }
  }

  private func line(_ summary: DeploymentSummary, _ elapsed: Duration) -> String {
    let channels = Channel.allCases.map { channel in
      "\(channel) \(Human.count(summary.deliveredCount(channel))) delivered"
    }
    let nodes = "\(summary.nodes.count)/\(self.nodes(summary).count) nodes"
    let workers = "\(summary.finishedCount)/\(summary.workerCount) workers done"
    return ([Self.clock(elapsed), nodes] + channels + [workers]).joined(separator: "  ")
  }

  private func block(_ summary: DeploymentSummary, _ elapsed: Duration, _ rates: [Channel: Double])
    -> [String]
  {
    var lines = [
      style.bold(topology.name) + "  " + style.dim("\(topology.agents.count) agents  \(Self.clock(elapsed))")
    ]
    lines.append(contentsOf: Self.bars(summary, style))
    var channels = Table([
      .init("channel"), .init("delivered", alignment: .right), .init("per second", alignment: .right),
      .init("p50", alignment: .right), .init("p99", alignment: .right),
    ])
    for channel in Channel.allCases {
      let counts = summary.channel(channel)
      channels.add([
        .string(channel.description), .integer(Int(summary.deliveredCount(channel))),
        .rate(rates[channel] ?? 0),
        counts.deliveredCount == 0 ? .none : .duration(.microseconds(Int64(counts.latency.percentile(0.5)))),
        counts.deliveredCount == 0 ? .none : .duration(.microseconds(Int64(counts.latency.percentile(0.99)))),
      ])
    }
    lines += [""] + channels.lines(style: style)
    var nodes = Table([
      .init("node"), .init("agents", alignment: .right), .init("waiting", alignment: .right),
      .init("behind", alignment: .right), .init("log", alignment: .right), .init("state"),
    ])
    let missed = Dictionary(
      uniqueKeysWithValues: summary.missed.filter { !$0.missedNowBy.isEmpty }.map { entry in
        (entry.node, entry.missedNowBy.map(\.text).joined(separator: ", "))
      })
    for node in self.nodes(summary) {
      guard let status = summary.nodes.first(where: { $0.node == node }) else {
        nodes.add([.string(node.text), .none, .none, .none, .none, .string("not here", .yellow)])
        continue
      }
      nodes.add([
        .string(node.text), .integer(status.agentCount), .integer(status.backlog),
        .integer(status.behindLaneCount), .integer(Int(status.logHead)),
        missed[node].map { .string("missed by \($0)", .yellow) }
          ?? status.notes.last.map { .string($0, .yellow) } ?? .string("up", .green),
      ])
    }
    return lines + [""] + nodes.lines(style: style)
  }

  /// The nodes of the newest file that was applied, or of the one that the run began with.
  private func nodes(_ summary: DeploymentSummary) -> [NodeID] {
    summary.nodes.max { $0.revision ?? 1 < $1.revision ?? 1 }?.nodes ?? topology.nodes.map(\.id)
  }

  /// A bar for work that has a known end.
  private static func bars(_ summary: DeploymentSummary, _ style: Style) -> [String] {
    let gauges = summary.gauges
    guard let total = gauges["hand-overs recorded"], total > 0 else { return [] }
    let done = gauges["hand-overs delivered"] ?? 0
    let width = 40
    let filled = Int(done) * width / Int(total)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: max(0, width - filled))
    return ["hand-overs " + style.green(bar) + " \(Human.count(done)) of \(Human.count(total))"]
  }

  /// Deliveries per second on each channel, over the last half second or more.
  private mutating func rates(_ summary: DeploymentSummary, at elapsed: Duration) -> [Channel: Double] {
    let counts = Dictionary(
      uniqueKeysWithValues: Channel.allCases.map { ($0, summary.channel($0).deliveredCount) })
    guard let last = lastRates else {
      lastRates = (elapsed, counts, [:])
      return [:]
    }
    let span = Double((elapsed - last.at).wholeMicroseconds) / 1e6
    guard span >= 0.5 else { return last.rates }
    let rates = counts.mapValues { $0 }.reduce(into: [Channel: Double]()) { rates, entry in
      let before = last.counts[entry.key] ?? 0
      rates[entry.key] = Double(entry.value - min(before, entry.value)) / span
    }
    lastRates = (elapsed, counts, rates)
    return rates
  }

  static func clock(_ elapsed: Duration) -> String {
    let seconds = elapsed.components.seconds
    let two = { (value: Int64) in value < 10 ? "0\(value)" : "\(value)" }
    return "\(two(seconds / 60)):\(two(seconds % 60))"
  }
}
