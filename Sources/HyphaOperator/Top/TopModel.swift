import HyphaCore
import HyphaRuntime
import HyphaTopology

/// What `hypha top` shows, from two readings: sums, rates and lags. Pure.
struct TopModel {
  struct NodeRow {
    let node: NodeID
    let state: String
    var agentCount: Int?
    /// Events that wait in mailboxes, are being handled, or are on their way into the log.
    var queueCount: Int?
    /// A second.
    var publishedRate, handledRate, logRate: Double?
    /// Positions of other nodes' logs that hold something for this one and that it has not heard of.
    var lag: UInt64?
    /// Lanes that are known to be incomplete.
    var behindCount: Int?
    /// Events that it has dropped since it started.
    var lostCount: UInt64?
    var linkCount: Int?
    var failureCount: UInt64?
    var openAlertCount: Int?
    let head: UInt64
  }

  struct ChannelRow {
    let channel: Channel
    var publishedRate, handledRate: Double?
    let publishedCount: UInt64
    /// From publication to the handler, since the nodes started, in microseconds; nil where nothing was measured.
    let p50, p99: UInt64?
    let lostCount: UInt64
  }

  struct AgentRow {
    let agent: AgentID
    let node: NodeID
    var statedRate, handledRate: Double?
    let statedCount, handledCount: UInt64
  }

  /// What goes from one node to another.
  struct LinkRow {
    let from, to: NodeID
    /// What the receiving node takes the sending one for.
    let state: String
    /// Frames a second, since the last reading.
    var rate: Double?
    /// Positions of the sending node's log that hold something for the other one and that it has not heard of.
    let queue: UInt64?
    /// How long the receiving node has not heard the other one.
    let silence: Duration
    let isMissed: Bool
  }

  let nodes: [NodeRow]
  /// The links that something went over or waits for, what is wrong first.
  let links: [LinkRow]
  let channels: [ChannelRow]
  let agents: [AgentRow]
  /// The newest version of the topology that a node knows.
  let version: UInt32?

  /// Whether any node runs, or may.
  var isRunning: Bool { nodes.contains { $0.state == "runs" || $0.state == "silent" } }

  /// The model of what was read last, with rates since what was read before it, if anything was.
  init(_ now: TopReading, since before: TopReading?) {
    let seconds = before.map { (now.time - $0.time) / .seconds(1) } ?? 0
    func rate(_ new: UInt64, _ old: UInt64?) -> Double? {
      // A node that has started again counts from nothing.
      guard let old, seconds > 0 else { return nil }
      return new >= old ? Double(new - old) / seconds : Double(new) / seconds
    }
    let former = Dictionary((before?.nodes ?? []).map { ($0.node, $0) }, uniquingKeysWith: { $1 })
    let statuses = now.nodes.compactMap(\.status)
    version = statuses.compactMap(\.topologyVersion).max()
    nodes = now.nodes.map { reading in
      let old = former[reading.node]
      var row = NodeRow(node: reading.node, state: Self.state(reading), head: reading.head)
      row.logRate = rate(reading.head, old?.head)
      guard let status = reading.status else { return row }
      row.agentCount = status.agentCount
      row.queueCount = status.backlog
      row.publishedRate = rate(Self.published(status), old?.status.map(Self.published))
      row.handledRate = rate(Self.handled(status), old?.status.map(Self.handled))
      row.lag = Self.lag(of: status, behind: statuses)
      row.behindCount = status.behindLaneCount
      row.lostCount = Channel.allCases.reduce(0) { $0 + Self.lost(status, $1) }
      row.linkCount = status.linkCount
      row.failureCount = status.failureCount
      row.openAlertCount = status.openAlertCount
      return row
    }
    links = Self.links(statuses, former, rate)
    channels = Channel.allCases.map { channel in
      let (name, old) = (channel.description, before?.nodes.compactMap(\.status))
      func sum(_ statuses: [NodeStatus], _ value: (NodeStatus.ChannelStatus) -> UInt64) -> UInt64 {
        statuses.reduce(0) { $0 + ($1.channels[name].map(value) ?? 0) }
      }
      var latency = Histogram()
      for status in statuses { if let one = status.channels[name]?.latency { latency.add(one) } }
      let published = sum(statuses, \.publishedCount)
      return ChannelRow(
        channel: channel, publishedRate: rate(published, old.map { sum($0, \.publishedCount) }),
        handledRate: rate(sum(statuses, \.latency.count), old.map { sum($0, \.latency.count) }),
        publishedCount: published, p50: latency.count > 0 ? latency.percentile(0.5) : nil,
        p99: latency.count > 0 ? latency.percentile(0.99) : nil,
        lostCount: statuses.reduce(0) { $0 + Self.lost($1, channel) })
    }
    let left = Self.left(now.nodes)
    // Of an agent that has come since then, another node's log had it all.
    let old = Self.counts(before?.nodes ?? [])
    agents = now.nodes.flatMap { reading in
      reading.agents.compactMap { agent, counts in
        if left[agent]?.contains(reading.node) == true { return nil }
        return AgentRow(
          agent: agent, node: reading.node,
          statedRate: rate(counts.statedCount, before.map { _ in old[agent]?.statedCount ?? 0 }),
          handledRate: rate(counts.handledCount, before.map { _ in old[agent]?.handledCount ?? 0 }),
          statedCount: counts.statedCount, handledCount: counts.handledCount)
      }
    }
  }

  /// What agents have stated and handled, by the logs that have most of it.
  private static func counts(_ nodes: [TopReading.NodeReading]) -> [AgentID: TopReading.AgentCounts] {
    nodes.reduce(into: [:]) { counts, node in
      counts.merge(node.agents) { one, other in
        .init(
          statedCount: max(one.statedCount, other.statedCount),
          handledCount: max(one.handledCount, other.handledCount))
      }
    }
  }

  /// The nodes that agents were on and have left for others: these have in their logs all that the agents have stated and handled.
  private static func left(_ nodes: [TopReading.NodeReading]) -> [AgentID: Set<NodeID>] {
    var moves = AgentMoves()
    for node in nodes { moves.merge(node.moves) }
    var left: [AgentID: Set<NodeID>] = [:]
    for move in moves.moves where move.stage == .arrived {
      left[move.order.agent, default: []].insert(move.order.from)
      left[move.order.agent]?.remove(move.order.to)
    }
    return left
  }

  private static func links(
    _ statuses: [NodeStatus], _ former: [NodeID: TopReading.NodeReading],
    _ rate: (UInt64, UInt64?) -> Double?
  ) -> [LinkRow] {
    let byNode = Dictionary(statuses.map { ($0.node.text, $0) }, uniquingKeysWith: { $1 })
    let rows = statuses.flatMap { receiver in
      receiver.peers.compactMap { name, peer -> LinkRow? in
        let sender = byNode[name]
        let queue = sender.flatMap { waiting(from: $0, to: receiver) }
        let count = peer.receivedFrameCount ?? 0
        guard count > 0 || queue ?? 0 > 0, let from = try? NodeID(name) else { return nil }
        let old = former[receiver.node]?.status?.peers[name].map { $0.receivedFrameCount ?? 0 }
        return LinkRow(
          from: from, to: receiver.node, state: peer.standing, rate: rate(count, old), queue: queue,
          silence: .microseconds(Int64(clamping: peer.silentMicroseconds)), isMissed: peer.isMissed)
      }
    }
    return rows.sorted {
      ($0.isMissed ? 0 : 1, $0.from, $0.to) < ($1.isMissed ? 0 : 1, $1.from, $1.to)
    }
  }

  private static func state(_ reading: TopReading.NodeReading) -> String {
    if reading.damage != nil { return "damaged" }
    if reading.status != nil { return "runs" }
    return reading.problem == nil ? "stopped" : "silent"
  }

  private static func published(_ status: NodeStatus) -> UInt64 {
    status.channels.values.reduce(0) { $0 + $1.publishedCount }
  }

  private static func handled(_ status: NodeStatus) -> UInt64 {
    status.channels.values.reduce(0) { $0 + $1.latency.count }
  }

  /// What was dropped on a channel; what a courier parks, repairs or has twice is none of it.
  private static func lost(_ status: NodeStatus, _ channel: Channel) -> UInt64 {
    let counts = status.channels[channel.description]?.counts ?? [:]
    return counts.reduce(0) { sum, count in
      guard let cause = LossCause(rawValue: count.key), cause != .refused else { return sum }
      return sum + count.value
    }
  }

  private static func lag(of status: NodeStatus, behind others: [NodeStatus]) -> UInt64 {
    others.reduce(0) { sum, other in
      other.node == status.node ? sum : sum + (waiting(from: other, to: status) ?? 0)
    }
  }

  /// Positions of one node's log that hold something for another one that has not heard of it; nil where there never was anything.
  private static func waiting(from sender: NodeStatus, to receiver: NodeStatus) -> UInt64? {
    sender.newestPositions[receiver.node.text].map { newest in
      newest - min(newest, receiver.toldThrough[sender.node.text] ?? 0)
    }
  }
}

// MARK: Sorting

extension TopModel {
  /// What agents may be sorted by, in the order of their columns.
  enum Column: Int, CaseIterable, Sendable {
    case agent, node, stated, handled, allStated, allHandled

    var next: Column { Column(rawValue: (rawValue + 1) % Self.allCases.count) ?? .agent }
    var previous: Column {
      Column(rawValue: (rawValue + Self.allCases.count - 1) % Self.allCases.count) ?? .agent
    }
  }

  /// The agents by a column: names from the first, numbers from the greatest, unless `isReversed`; equals by name.
  func sortedAgents(by column: Column, isReversed: Bool) -> [AgentRow] {
    func precedes(_ left: AgentRow, _ right: AgentRow) -> Bool? {
      func greater<Value: Comparable>(_ left: Value, _ right: Value) -> Bool? {
        left == right ? nil : left > right
      }
      return switch column {
      case .agent: greater(right.agent, left.agent)
      case .node: greater(right.node, left.node)
      case .stated: greater(left.statedRate ?? -1, right.statedRate ?? -1)
      case .handled: greater(left.handledRate ?? -1, right.handledRate ?? -1)
      case .allStated: greater(left.statedCount, right.statedCount)
      case .allHandled: greater(left.handledCount, right.handledCount)
      }
    }
    return agents.sorted { left, right in
      guard let first = precedes(left, right) else { return left.agent < right.agent }
      return first != isReversed
    }
  }
}
