public import HyphaCore

/// The losses of a deployment: what its nodes have counted, held against each other.
///
/// Of what an author's node has sent on a path and the subscriber's node has not got, what nodes on the way say that they have
/// dropped is theirs; the rest was lost on a link. Where an event came by another way after all, it is no loss. Where the
/// subscriber's node was killed, nobody knows of the rest whether it came.
public struct LossTable: Sendable {
  /// Events of one path that were lost for one reason.
  public struct Row: Sendable, Hashable {
    public var path: LanePath
    public var cause: LossCause
    /// The node that has dropped them; for ``LossCause/link`` the one where they did not arrive.
    public var node: NodeID
    public var count: UInt64
  }

  /// Realtime events of one path between two nodes.
  public struct Passage: Sendable, Hashable {
    public var path: LanePath
    /// How many the author's node has sent.
    public var sent: UInt64
    /// How many have come to the subscriber's node, whatever became of them there.
    public var arrived: UInt64
  }

  /// One channel, each event counted once for each agent that it is for.
  public struct ChannelRow: Sendable, Hashable {
    public var channel: Channel
    ///
    /// Where an author's node was killed, `published` is what the others know of at least.
    public var published, delivered, lost, waiting: UInt64
    /// Events, each once, where those of the channel are in no log; nil elsewhere, and where no node has counted them.
    public var events: UInt64?
    /// From publication to the handler, in microseconds; nil likewise.
    public var latency: Histogram?
    /// What nobody can account for: a node that is killed takes its counts of the last 10 s with it,
    /// but for those of the logged channels, which are in the log.
    public var unknown: UInt64 { published - min(published, delivered + lost + waiting) }
  }

  /// The losses, the greatest first.
  public private(set) var rows: [Row] = []
  /// What went from node to node, whether it was lost or not, in the paths' order; of nodes that were killed, what they had saved.
  public private(set) var passages: [Passage] = []
  /// All channels.
  public private(set) var channels: [ChannelRow] = []

  /// The table of these nodes' counts, best taken at one moment.
  public init(_ nodes: [NodeLosses]) {
    let homes = Dictionary(
      nodes.flatMap { node in node.agents.map { ($0, node.node) } }, uniquingKeysWith: { first, _ in first })
    let interrupted = Set(nodes.filter { ($0.interruptionCount ?? 0) > 0 }.map(\.node))
    var onTheWay: [LanePath: [Row]] = [:]
    for node in nodes {
      for loss in node.losses {
        let row = Row(path: loss.path, cause: loss.cause, node: node.node, count: loss.count)
        // What is refused has not arrived. An agent that was moved is not at home any more where this was counted.
        let isAtHome = loss.isAtHome ?? (homes[loss.path.subscriber] == node.node)
        if isAtHome && loss.cause != .refused {
          rows.append(row)
        } else {
          onTheWay[loss.path, default: []].append(row)
        }
      }
    }
    let arrived = Self.sum(nodes.flatMap(\.arrived))
    let sent = Self.sum(nodes.flatMap(\.sent))
    for path in Set(sent.keys).union(onTheWay.keys) {
      // What never left is known for certain; what is counted on the way may have come twice.
      let known = (onTheWay[path] ?? []).sorted {
        ($0.cause != .rateLimited ? 1 : 0, $0.cause.rawValue, $0.node)
          < ($1.cause != .rateLimited ? 1 : 0, $1.cause.rawValue, $1.node)
      }
      // Where the author's node has not reported, those on the way are believed.
      var missing = known.reduce(0) { $0 + $1.count }
      if homes[path.from] != nil {
        let (all, here) = (sent[path] ?? 0, arrived[path] ?? 0)
        missing = all - min(all, here)
      }
      for var row in known {
        row.count = min(row.count, missing)
        missing -= row.count
        if row.count > 0 { rows.append(row) }
      }
      if missing > 0, let home = homes[path.subscriber], !interrupted.contains(home) {
        rows.append(Row(path: path, cause: .link, node: home, count: missing))
      }
    }
    rows.sort { Self.order($0) < Self.order($1) }
    passages = Set(sent.keys).union(arrived.keys).map {
      Passage(path: $0, sent: sent[$0] ?? 0, arrived: arrived[$0] ?? 0)
    }
    passages.sort { Self.order($0.path) < Self.order($1.path) }
    channels = Channel.allCases.map { channelRow($0, nodes, isWhole: interrupted.isEmpty) }
  }

  private func channelRow(_ channel: Channel, _ nodes: [NodeLosses], isWhole: Bool) -> ChannelRow {
    let totals = nodes.compactMap { $0.channels[channel.description] }
    let mine = rows.filter { $0.path.channel == channel.description }
    let lost = mine.reduce(0) { $0 + $1.count }
    var published = totals.reduce(0) { $0 + $1.published }
    var delivered = totals.reduce(0) { $0 + $1.delivered }
    var waiting = totals.reduce(0) { $0 + $1.waiting }
    if channel.isLogged {
      // What had no handler counts as done with there; and the log keeps what is not.
      delivered -= min(delivered, lost)
      waiting = published - min(published, delivered + lost)
    } else if !isWhole {
      published = max(published, delivered + lost + waiting)
    }
    var row = ChannelRow(
      channel: channel, published: published, delivered: delivered, lost: lost, waiting: waiting)
    let counts = totals.compactMap(\.events)
    if !counts.isEmpty { row.events = counts.reduce(0, +) }
    for latency in totals.compactMap(\.latency) {
      row.latency = row.latency ?? Histogram()
      row.latency?.add(latency)
    }
    return row
  }

  private static func sum(_ passages: [NodeLosses.Passage]) -> [LanePath: UInt64] {
    Dictionary(passages.map { ($0.path, $0.count) }, uniquingKeysWith: +)
  }

  private static func order(_ row: Row) -> (UInt64, String, String, String, String, String) {
    let (subscriber, from, lane) = order(row.path)
    return (.max - row.count, subscriber, from, lane, row.cause.rawValue, row.node.text)
  }

  private static func order(_ path: LanePath) -> (String, String, String) {
    (path.subscriber.text, path.from.text, "\(path.channel)\(path.target)")
  }
}
