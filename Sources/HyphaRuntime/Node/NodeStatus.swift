public import HyphaCore

/// What a node reports of itself, for progress displays and summaries.
public struct NodeStatus: Sendable, Codable {
  /// The events of one channel.
  public struct ChannelStatus: Sendable, Codable {
    /// Events that agents of this node have published since it started.
    public var publishedCount: UInt64 = 0
    /// The same, once for each agent that an event is for.
    public var publishedPairCount: UInt64 = 0
    /// From publication to the beginning of the addressee's handler, in microseconds, for events that agents
    /// of this node have taken since it started.
    public var latency = Histogram()
    /// Tree edges crossed, for the same events; those fetched from their origin crossed none and are left out.
    public var hops = Histogram()
    /// On a logged channel: events for someone that agents of this node have stated, over all runs of this log.
    public var statedCount: UInt64 = 0
    /// On a logged channel: events that agents of this node have stated, once for each agent that they are for,
    /// over all runs of this log.
    public var statedPairCount: UInt64 = 0
    /// On a logged channel: events that agents of this node have handled, over all runs of this log.
    public var handledPairCount: UInt64 = 0
    /// On the realtime channel: events in the inboxes and hands of agents of this node.
    public var waitingCount: UInt64 = 0
    /// Why events of this channel were dropped (``LossCause``), fetched or taken twice, by cause.
    public var counts: [String: UInt64] = [:]

    /// Nothing yet.
    public init() {}
  }

  /// What a node takes another one for.
  public struct PeerStatus: Sendable, Hashable, Codable {
    /// `unknown`, `up`, `suspected`, `down` or `left`.
    public var standing: String
    /// How long it was not heard, in microseconds in which this node was awake.
    public var silentMicroseconds: UInt64
    /// How many times it was suspected, and taken for down, since this node started.
    public var suspicionCount, downCount: UInt64
    /// Frames that came from it since this node started; nil where a node of an older version says nothing of it.
    public var receivedFrameCount: UInt64?

    /// Whether the node is silent, and nobody knows why.
    public var isMissed: Bool { standing == "suspected" || standing == "down" }
  }

  /// How far the replicas of a node are.
  public struct ReplicationStatus: Sendable, Hashable, Codable {
    /// How many of them must have an event before it leaves.
    public var level: Int
    /// How many lanes of the node's agents each has not got to their ends, by node.
    public var behindLaneCounts: [String: Int]
    /// How many groups of events are held back.
    public var heldCount: Int
    /// How many have left in doubt since the node started.
    public var inDoubtCount: UInt64
    /// The replicas that a node with an empty log has had no answer of yet; nil where it asks none, or not any more.
    public var awaited: [String]?

    /// Whether all replicas are known to have everything.
    public var isCaughtUp: Bool { heldCount == 0 && behindLaneCounts.values.allSatisfy { $0 == 0 } }
  }

  /// The node.
  public var node: NodeID
  /// By the channel's name.
  public var channels: [String: ChannelStatus] = [:]
  /// Whether agents of this node have worked before, in a run that may have ended in a crash.
  public var hasRestarted = false
  /// The position of the newest event for agents of each other node, by node.
  public var newestPositions: [String: UInt64] = [:]
  /// How far into each other node's log this one knows what there is for its agents, by node.
  public var toldThrough: [String: UInt64] = [:]
  /// How many events wait in mailboxes, are being handled, or are on their way into the log.
  public var backlog = 0
  /// Alerts of this node's agents that wait for an answer.
  public var openAlertCount = 0
  /// Alerts of this node's agents that nobody has answered in time, up to the root.
  public var unansweredAlertCount = 0
  /// What this node takes the others for, by node.
  public var peers: [String: PeerStatus] = [:]
  /// How far its replicas are; nil where it has none.
  public var replication: ReplicationStatus?
  /// The version of the topology that the node knows, and how many direct links it has; the one that it sends by, 0 for the
  /// plain tree.
  public var topologyVersion, sendingVersion: UInt32?
  public var linkCount = 0
  /// Lanes that are known to be incomplete.
  public var behindLaneCount = 0
  /// The position of the newest entry of the node's log.
  public var logHead: UInt64 = 0
  /// Agents on this node.
  public var agentCount = 0
  /// Agents that have something to finish, and those that have finished it.
  public var workerCount = 0
  /// Agents that have finished.
  public var finishedCount = 0
  /// Agents that have something to finish and have given up: their deployment cannot come to its end.
  public var brokenWorkers: [String] = []
  /// Whether another process runs the node that began later, so that this one stops; nil for no.
  public var isSuperseded: Bool?
  /// The revision of the topology file that the node runs under and the nodes of that; nil under the file that the deployment began
  /// with.
  public var revision: UInt32?
  public var nodes: [NodeID]?
  /// Whether the node has left the deployment, so that its process ends; nil for no.
  public var hasLeft: Bool?
  /// How many reports came before this one, since the node started.
  public var reportNumber: UInt64 = 0
  /// Frames that were dropped before the network because a queue was full; logged events among them are fetched.
  public var framesDropped: UInt64 = 0
  /// Connections and subscriptions of others that were refused, and handshakes that failed.
  public var refusedPeerCount: UInt64 = 0
  /// Messages that were dropped unread: of a node that sends too many questions, or that follows another topology.
  public var refusedMessageCount: UInt64 = 0
  /// Events that were taken from relays since the start and that their origins have not confirmed yet.
  public var uncheckedEventCount: UInt64 = 0
  /// Lanes of which relays have brought what their origins did not state.
  public var contradictedLaneCount = 0
  /// Handlers that threw.
  public var failureCount: UInt64 = 0
  /// Events relayed, by supervisor.
  public var relayed: [String: UInt64] = [:]
  /// What agents reported under a name, added up.
  public var gauges: [String: Int64] = [:]
  /// What the operator should know, the oldest first; at most 100.
  public var notes: [String] = []

  /// An empty status.
  public init(node: NodeID) { self.node = node }
}
