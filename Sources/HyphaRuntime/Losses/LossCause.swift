public import HyphaCore

/// Why an event did not come to an agent that it was for.
public enum LossCause: String, Sendable, Hashable, Codable, CaseIterable {
  /// Its time to live was over.
  case expired
  /// A newer one of its subject had come before it.
  case superseded
  /// A newer one of its subject took its place in a full inbox.
  case replaced
  /// It was the oldest in a full inbox.
  case inboxFull = "inbox full"
  /// Its agent sends more realtime events than the topology file allows.
  case rateLimited = "rate limited"
  /// The queue before a link was full, or there was no link.
  case queueFull = "queue full"
  /// It came from a node that may not send it, or that follows another topology.
  case refused
  /// The agent has no handler for it.
  case unhandled = "no handler"
  /// The agent's node stopped first, or the agent was on its way to it from another one.
  case stopped
  /// It left its author's node and did not arrive: a link, or a node on the way, was down or overloaded. While nodes run,
  /// it may be under way.
  case link = "lost on a link"
}

/// One lane's way to one of the agents that it is for.
public struct LanePath: Sendable, Hashable, Codable {
  /// The agent that the events are for.
  public var subscriber: AgentID
  /// The agent that they come from.
  public var from: AgentID
  /// The name of the lane's channel.
  public var channel: String
  /// The lane's target: `@agent` or `#type`.
  public var target: String

  init(_ lane: Lane, to subscriber: AgentID) {
    self.subscriber = subscriber
    from = lane.agent
    channel = lane.channel.description
    target = lane.target.description
  }
}

/// What one node has counted of losses, over all runs of its log; ``LossTable`` makes the deployment's of several.
public struct NodeLosses: Sendable, Codable {
  /// Events of one path that this node has dropped, for one reason.
  public struct Loss: Sendable, Hashable, Codable {
    public var path: LanePath
    public var cause: LossCause
    public var count: UInt64
    /// Whether the agent that they were for was on this node, so that they had arrived; nil in counts of older versions.
    public var isAtHome: Bool?
  }

  /// Events of one path.
  public struct Passage: Sendable, Hashable, Codable {
    public var path: LanePath
    public var count: UInt64
  }

  /// One channel, each event counted once for each agent that it is for.
  public struct Totals: Sendable, Hashable, Codable {
    /// Events that agents of this node have published; each once, of what is in no log.
    public var events: UInt64?
    /// The same, once for each agent that an event is for.
    public var published: UInt64 = 0
    /// Events that handlers of agents of this node were called with; on a logged channel, that they are done with.
    public var delivered: UInt64 = 0
    /// Realtime events in the inboxes and hands of agents of this node.
    public var waiting: UInt64 = 0
    /// From publication to the handler, in microseconds, of what was delivered and is in no log.
    public var latency: Histogram?
  }

  /// The node.
  public var node: NodeID
  /// Its agents.
  public var agents: [AgentID] = []
  /// What it has dropped.
  public var losses: [Loss] = []
  /// Realtime events that its agents have published for agents of other nodes.
  public var sent: [Passage] = []
  /// Realtime events that have come from other nodes for agents of this one, each once.
  public var arrived: [Passage] = []
  /// By the channel's name.
  public var channels: [String: Totals] = [:]
  /// How often the node's process has ended without saving its counts, and taken up to 10 s of them with it; nil for never.
  public var interruptionCount: UInt64?
  /// Whether they were saved when the node stopped, so that nothing was counted after them; nil for not.
  public var isFinal: Bool?

  /// Nothing counted yet.
  public init(node: NodeID) { self.node = node }

  /// Whether there is anything that a restart should know of.
  var isEmpty: Bool { losses.isEmpty && sent.isEmpty && arrived.isEmpty && channels.isEmpty }

  /// Adds what earlier runs had counted on the realtime channel, and what they had dropped on any; what logged channels have
  /// published and delivered is in the log itself.
  mutating func add(earlier: NodeLosses) {
    interruptionCount = earlier.interruptionCount
    func sum<Key: Hashable, Row>(_ rows: [Row], _ key: KeyPath<Row, Key>, _ count: KeyPath<Row, UInt64>)
      -> [Key: UInt64]
    {
      Dictionary(rows.map { ($0[keyPath: key], $0[keyPath: count]) }, uniquingKeysWith: +)
    }
    sent = sum(sent + earlier.sent, \.path, \.count).map { Passage(path: $0, count: $1) }
    arrived = sum(arrived + earlier.arrived, \.path, \.count).map { Passage(path: $0, count: $1) }
    var counts: [Loss: UInt64] = [:]
    for var loss in losses + earlier.losses {
      let count = loss.count
      loss.count = 0
      counts[loss, default: 0] += count
    }
    losses = counts.map { Loss(path: $0.path, cause: $0.cause, count: $1, isAtHome: $0.isAtHome) }
    let realtime = Channel.realtime.description
    guard let before = earlier.channels[realtime] else { return }
    var now = channels[realtime] ?? Totals()
    now.published += before.published
    now.delivered += before.delivered
    now.events = (now.events ?? 0) + (before.events ?? 0)
    if let latency = before.latency {
      now.latency = now.latency ?? Histogram()
      now.latency?.add(latency)
    }
    channels[realtime] = now
  }
}
