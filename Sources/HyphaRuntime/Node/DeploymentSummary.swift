public import HyphaCore

/// The reports of a deployment's nodes as one.
public struct DeploymentSummary: Sendable, Codable {
  /// The nodes that have reported, and are here.
  public var nodes: [NodeStatus]
  /// What was last known of nodes that are not here now. It counts, and while there is any that has not left the deployment is not
  /// complete.
  public var absent: [NodeStatus] = []

  /// What is known of all nodes.
  public var all: [NodeStatus] { nodes + absent }

  /// The summary of these reports.
  public init(_ nodes: [NodeStatus]) { self.nodes = nodes }

  /// Whether every worker has finished, every event on a logged channel is handled by all whom it is for and at all
  /// replicas, and no alert waits for an answer.
  public var isComplete: Bool {
    absent.allSatisfy { $0.hasLeft ?? false } && workerCount > 0 && finishedCount == workerCount
      && nodes.allSatisfy { $0.backlog == 0 && $0.behindLaneCount == 0 && $0.openAlertCount == 0 }
      && nodes.allSatisfy { $0.replication?.isCaughtUp ?? true }
      && isAllHandled(.persistent)
      && (nodes.contains(where: \.hasRestarted) ? isAllTold : isAllHandled(.alert))
  }

  private func isAllHandled(_ channel: Channel) -> Bool {
    let total = self.channel(channel)
    return total.statedPairCount == total.handledPairCount
  }

  /// Whether every node knows of all that is for its agents. After a crash alerts cannot be counted: some may
  /// have been handled that their origin has lost.
  private var isAllTold: Bool {
    let told = Dictionary(nodes.map { ($0.node.text, $0.toldThrough) }, uniquingKeysWith: { $1 })
    return nodes.allSatisfy { origin in
      origin.newestPositions.allSatisfy { told[$0.key]?[origin.node.text] ?? 0 >= $0.value }
    }
  }

  /// Agents that have something to finish.
  public var workerCount: Int { all.reduce(0) { $0 + $1.workerCount } }
  /// Agents that have finished.
  public var finishedCount: Int { all.reduce(0) { $0 + $1.finishedCount } }
  /// Events of the logged channels, once for each agent that they are for.
  public var statedPairCount: UInt64 { total(\.statedPairCount) }
  /// How many of them are handled.
  public var handledPairCount: UInt64 { total(\.handledPairCount) }

  private func total(_ count: KeyPath<NodeStatus.ChannelStatus, UInt64>) -> UInt64 {
    all.reduce(0) { $0 + $1.channels.values.reduce(0) { $0 + $1[keyPath: count] } }
  }

  /// One channel over all nodes.
  public func channel(_ channel: Channel) -> NodeStatus.ChannelStatus {
    var total = NodeStatus.ChannelStatus()
    for status in all.compactMap({ $0.channels[channel.description] }) { total.add(status) }
    return total
  }

  /// How many events of a channel agents have taken, once for each: on the logged ones as their logs have it, over all runs.
  public func deliveredCount(_ channel: Channel) -> UInt64 {
    let counts = self.channel(channel)
    return channel.isLogged ? counts.handledPairCount : counts.deliveredCount
  }

  /// What agents reported under each name, added up.
  public var gauges: [String: Int64] {
    all.reduce(into: [:]) { $0.merge($1.gauges, uniquingKeysWith: +) }
  }

  /// A node that others have missed.
  public struct Missed: Sendable, Hashable, Codable {
    public var node: NodeID
    /// How many times it was suspected, and taken for down, by all others together.
    public var suspicionCount, downCount: UInt64
    /// Who has missed it.
    public var by: [NodeID]
    /// Who takes it for suspected or down now.
    public var missedNowBy: [NodeID]
  }

  /// The nodes that others have missed, by name.
  public var missed: [Missed] {
    var missed: [String: Missed] = [:]
    for status in all {
      for (name, peer) in status.peers where peer.suspicionCount + peer.downCount > 0 {
        guard let node = try? NodeID(name) else { continue }
        var entry =
          missed[name] ?? Missed(node: node, suspicionCount: 0, downCount: 0, by: [], missedNowBy: [])
        entry.suspicionCount += peer.suspicionCount
        entry.downCount += peer.downCount
        entry.by.append(status.node)
        if peer.isMissed { entry.missedNowBy.append(status.node) }
        missed[name] = entry
      }
    }
    return missed.values.sorted { $0.node < $1.node }
  }

  /// Events relayed, by supervisor.
  public var relayed: [String: UInt64] {
    all.reduce(into: [:]) { $0.merge($1.relayed, uniquingKeysWith: +) }
  }
}

extension NodeStatus.ChannelStatus {
  /// Adds another node's, or another run's, figures.
  public mutating func add(_ other: NodeStatus.ChannelStatus) {
    publishedCount += other.publishedCount
    publishedPairCount += other.publishedPairCount
    statedCount += other.statedCount
    statedPairCount += other.statedPairCount
    handledPairCount += other.handledPairCount
    latency.add(other.latency)
    hops.add(other.hops)
    waitingCount += other.waitingCount
    counts.merge(other.counts, uniquingKeysWith: +)
  }

  /// Events that agents have taken.
  public var deliveredCount: UInt64 { latency.count }

  /// Of all nodes together: realtime events that left their author's node and are neither delivered, nor waiting, nor known
  /// to be dropped: lost on a link, or under way.
  public var lostOnLinkCount: UInt64 {
    let known = LossCause.allCases.reduce(waitingCount) { $0 + (counts[$1.rawValue] ?? 0) }
    return undeliveredCount - min(undeliveredCount, known)
  }

  /// Realtime events that did not reach an agent that they were for, whatever the cause. On the other
  /// channels what is not delivered yet is not lost, so the figure means nothing there.
  public var undeliveredCount: UInt64 { publishedPairCount - min(publishedPairCount, deliveredCount) }
}
