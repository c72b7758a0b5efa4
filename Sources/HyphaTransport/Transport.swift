public import HyphaCore

/// What carries frames and control messages between the nodes of a deployment.
///
/// Frames may be lost, doubled and delayed; the receiving side puts that right (``LaneReceiver``). Control
/// messages between two nodes arrive in order or, when a node or its network fails, not at all.
public protocol Transport: AnyObject, Sendable {
  /// Opens the node's endpoints and its links, and begins to call `receiver`.
  ///
  /// - Throws: ``HyphaError/Code/addressInUse`` and ``HyphaError/Code/transportFailed``, naming the endpoint.
  func start(_ receiver: any TransportReceiver) throws

  /// Hands frames to their channel's thread, in order, and returns at once. The queue before that thread is
  /// bounded; what exceeds it is dropped, counted in ``counters``, and returned.
  @discardableResult
  func send(_ frames: [OutboundFrame]) -> [OutboundFrame]

  /// Changes the links of a transport that runs: opens what `plan` has and it has not, closes what `plan` has not, and
  /// leaves the rest as it is. Returns at once; ``TransportReceiver/linksChanged(_:plan:missing:)`` says for each channel
  /// when that is done. Of `plan` only ``LinkPlan/number``, ``LinkPlan/incoming`` and ``LinkPlan/outgoing`` may differ from
  /// that of the start.
  func update(_ plan: LinkPlan)

  /// Hands a run to its channel's thread and returns at once; more may be added to it until that thread takes it. The
  /// bound is that of frames: what exceeds it is closed, dropped, counted, and returned as frames.
  @discardableResult
  func send(_ run: OutboundRun) -> [OutboundFrame]

  /// Sends a control message to `node`, which may answer it.
  func request(_ message: [UInt8], of node: NodeID)

  /// Answers a control message of `node`.
  func reply(_ message: [UInt8], to node: NodeID)

  /// What was sent, received and dropped so far.
  var counters: TransportCounters { get }

  /// Sends what waits, for a moment at most, and closes every socket. Nothing is received afterwards.
  func stop()
}

extension Transport {
  /// Takes the run at once: for transports that have no thread of their own.
  @discardableResult
  public func send(_ run: OutboundRun) -> [OutboundFrame] { send(run.take() ?? []) }
}

/// What a transport calls. Calls of one channel come one after the other, those of different channels may
/// come at the same time; all must return soon.
public protocol TransportReceiver: AnyObject, Sendable {
  /// Frames of one channel arrived, in order per link. Their bytes are unchecked.
  func received(_ frames: [InboundFrame])
  /// A frame of the alert or realtime channel arrived alone. Returns whether ``runAgents()`` is to be called soon, on this thread.
  func received(alone frame: InboundFrame) -> Bool
  /// Runs the agents that such a frame has woken. Calls of others may come meanwhile, for it may take long.
  func runAgents()
  /// A call of ``runAgents()`` has taken long: what it has not begun is to be run elsewhere.
  func reclaimAgents()
  /// Control messages arrived that may be answered with ``Transport/reply(_:to:)``.
  func received(requests: [PeerMessage])
  /// Answers to this node's control messages arrived.
  func received(answers: [PeerMessage])
  /// The links of `channel` are now those of the plan with number `plan`; what the plan sends for the agents in `missing`
  /// is not taken yet, or any more, by their nodes. Called after the start, and whenever either has changed: a neighbour was lost,
  /// has come back, or takes other frames now.
  func linksChanged(_ channel: Channel, plan: UInt32, missing: Set<AgentID>)
  /// Somebody was refused, for a reason that an operator should know. Told once, and not without end
  /// (``RefusalLog``); ``TransportCounters/peersRefused`` has them all. May come from several threads at once. Also told at the
  /// start: where the node does not listen, of the addresses that it was to.
  func refused(_ reason: String)
}

extension TransportReceiver {
  /// Does nothing.
  public func refused(_ reason: String) {}
  /// Takes it as any other.
  public func received(alone frame: InboundFrame) -> Bool {
    received([frame])
    return false
  }
  /// Does nothing.
  public func runAgents() {}
  /// Does nothing.
  public func reclaimAgents() {}
}

/// The links that one node needs, as the topology has them.
public struct LinkPlan: Sendable, Hashable {
  /// The node itself.
  public var node: NodeID
  /// Where every node of the deployment has its sockets, this one included. Control messages may go to each.
  public var addresses: [NodeID: NodeAddress]
  /// The nodes whose frames this one takes, and the agents for which it takes them.
  public var incoming: [NodeID: [AgentID]]
  /// The nodes that take frames of this one, and the agents for which they do.
  public var outgoing: [NodeID: [AgentID]]
  /// The node of each agent whose frames may ever go over a link: it alone may ask for them, of whatever node. Those of
  /// ``outgoing`` need not be here.
  public var places: [AgentID: NodeID] = [:]
  /// Which plan of the node it is.
  public var number: UInt32 = 0
  /// Where the node itself listens, where that is another address than the one that others connect to.
  public var listen: NodeAddress?
  /// Where it listens besides, since others may still look for it there. An address that this machine has no more, or that is in use,
  /// is told (``TransportReceiver/refused(_:)``) and passed over; so is the node's own where this machine has not got that, and has one of these.
  public var former: [NodeAddress] = []
  /// The keys of TCP links; nil where they are plain.
  public var security: LinkSecurity?
  /// Whether plain TCP links may leave this machine.
  public var allowsPlain: Bool

  /// A plan by its parts.
  public init(
    node: NodeID, addresses: [NodeID: NodeAddress], incoming: [NodeID: [AgentID]],
    outgoing: [NodeID: [AgentID]], listen: NodeAddress? = nil, security: LinkSecurity? = nil,
    allowsPlain: Bool = false
  ) {
    self.node = node
    self.addresses = addresses
    self.incoming = incoming
    self.outgoing = outgoing
    self.listen = listen
    self.security = security
    self.allowsPlain = allowsPlain
  }

  /// The node that may ask for the frames of each topic.
  package var takers: [[UInt8]: NodeID] {
    var takers: [[UInt8]: NodeID] = [:]
    for (agent, node) in places { takers[Frame.topicPrefix(via: agent)] = node }
    for (node, agents) in outgoing {
      for agent in agents { takers[Frame.topicPrefix(via: agent)] = node }
    }
    return takers
  }
}

/// A frame on its way out.
public struct OutboundFrame: Sendable {
  /// The next node.
  public var node: NodeID
  /// The channel whose sockets carry it.
  public var channel: Channel
  /// The encoded frame.
  public var bytes: [UInt8]

  /// A frame for `node`.
  public init(node: NodeID, channel: Channel, bytes: [UInt8]) {
    self.node = node
    self.channel = channel
    self.bytes = bytes
  }
}

/// A frame that arrived, as it came.
public struct InboundFrame: Sendable {
  /// The neighbour that sent it.
  public var from: NodeID
  /// The channel whose sockets carried it.
  public var channel: Channel
  /// The frame, unchecked.
  public var bytes: [UInt8]

  /// A frame from `from`.
  public init(from: NodeID, channel: Channel, bytes: [UInt8]) {
    self.from = from
    self.channel = channel
    self.bytes = bytes
  }
}

/// A control message and the node at its other end.
public struct PeerMessage: Sendable {
  /// The other node.
  public var node: NodeID
  /// The message, unchecked where it arrived.
  public var bytes: [UInt8]

  /// A message from or to `node`.
  public init(node: NodeID, bytes: [UInt8]) {
    self.node = node
    self.bytes = bytes
  }
}

/// What a transport has done so far.
public struct TransportCounters: Sendable, Hashable {
  /// Frames handed to the network.
  public var framesSent: UInt64 = 0
  /// Frames taken from the network.
  public var framesReceived: UInt64 = 0
  /// Frames dropped before the network because a queue was full.
  public var framesDropped: UInt64 = 0
  /// Control messages dropped because a queue was full or the peer was not there.
  public var messagesDropped: UInt64 = 0
  /// Connections and subscriptions that were refused, and handshakes that failed.
  public var peersRefused: UInt64 = 0
  /// Control messages that were refused because their node sends too many.
  public var messagesRefused: UInt64 = 0

  /// Nothing yet.
  public init() {}
}
