internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// The sockets of one channel on its thread: the XPUB that its neighbours subscribe to, and a SUB to the
/// XPUB of each neighbour whose frames this node takes.
///
/// One SUB for each neighbour, because a SUB does not say which of its peers a message came from.
final class ChannelSockets {
  let channel: Channel
  private let publisher: Listener
  private let opener: SocketOpener
  private var subscribers: [Subscriber]
  private var outgoing: Set<NodeID>
  private var openings: LinkOpenings
  /// The number of the plan that the links are those of.
  private(set) var planNumber: UInt32
  /// Whether peers have proved who they are, so that a subscription is looked at before it counts.
  private let checksSubscriptions: Bool

  /// What is taken of one neighbour.
  private struct Subscriber {
    /// What its connection subscribes to, whenever it is opened.
    final class Topics {
      var agents: Set<AgentID>
      init(_ agents: [AgentID]) { self.agents = Set(agents) }
    }

    let node: NodeID
    let connection: Connection
    private let topics: Topics

    init(_ node: NodeID, _ agents: [AgentID], _ channel: Channel, _ opener: SocketOpener) throws {
      let topics = Topics(agents)
      self.node = node
      self.topics = topics
      connection = try opener.connected(ZMQ_SUB, to: node, .channel(channel)) { socket in
        // What a SUB sends are its subscriptions; all of them must fit when it connects again.
        let countMax = 2 * max(topics.agents.count, opener.plan.places.count)
        try socket.set(ZMQ_SNDHWM, max(opener.options.highWaterMark, countMax))
        try socket.set(ZMQ_LINGER, 0)
        for agent in topics.agents { try socket.set(ZMQ_SUBSCRIBE, Frame.topicPrefix(via: agent)) }
      }
    }

    func change(to agents: [AgentID]) throws {
      let (present, wanted) = (topics.agents, Set(agents))
      topics.agents = wanted
      for agent in present.subtracting(wanted) {
        try connection.socket.set(ZMQ_UNSUBSCRIBE, Frame.topicPrefix(via: agent))
      }
      for agent in wanted.subtracting(present) {
        try connection.socket.set(ZMQ_SUBSCRIBE, Frame.topicPrefix(via: agent))
      }
    }
  }

  init(_ channel: Channel, _ opener: SocketOpener) throws {
    self.channel = channel
    self.opener = opener
    let plan = opener.plan
    planNumber = plan.number
    outgoing = Set(plan.outgoing.keys)
    openings = LinkOpenings(plan)
    let checksSubscriptions = opener.ownSecurity != nil
    self.checksSubscriptions = checksSubscriptions
    publisher = try opener.bound(ZMQ_XPUB, .channel(channel)) { socket in
      try socket.set(ZMQ_XPUB_VERBOSER, 1)
      // Then a subscription counts only once it is repeated here.
      if checksSubscriptions { try socket.set(ZMQ_XPUB_MANUAL, 1) }
    }
    subscribers = try plan.incoming.sorted { $0.key < $1.key }.map { node, agents in
      try Subscriber(node, agents, channel, opener)
    }
  }

  /// Takes another plan. Returns the connections that are new and those that are no more, and why one could not be made.
  func change(to plan: LinkPlan) -> (opened: [Connection], closed: [Connection], failures: [String]) {
    var (opened, closed, failures): ([Connection], [Connection], [String]) = ([], [], [])
    planNumber = plan.number
    outgoing = Set(plan.outgoing.keys)
    openings.change(to: plan)
    subscribers.removeAll { subscriber in
      guard plan.incoming[subscriber.node] == nil else { return false }
      closed.append(subscriber.connection)
      return true
    }
    for (node, agents) in plan.incoming.sorted(by: { $0.key < $1.key }) {
      do {
        if let known = subscribers.first(where: { $0.node == node }) {
          try known.change(to: agents)
        } else {
          let subscriber = try Subscriber(node, agents, channel, opener)
          subscribers.append(subscriber)
          opened.append(subscriber.connection)
        }
      } catch {
        failures.append("no \(channel) link from node '\(node)': \(error)")
      }
    }
    return (opened, closed, failures)
  }

  /// The sockets to wait for, besides those of the connections.
  var sockets: [Socket] { publisher.sockets }

  /// Why peers were refused since the last call.
  func takeRefusals() -> [String] { publisher.takeRefusals() }

  var connections: [Connection] { subscribers.map(\.connection) }

  /// The agents whose frames nobody takes.
  var missing: Set<AgentID> { openings.missing }

  /// Sends a frame to those who subscribe to its topic. Returns false where no link leads to its node.
  func send(_ frame: [UInt8], to node: NodeID) -> Bool {
    // An XPUB does not wait: a peer whose queue is full goes without, and sees a gap.
    outgoing.contains(node) && publisher.socket.send(frame) == .sent
  }

  /// Takes what arrived, at most `countMax` messages a socket.
  func receive(upTo countMax: Int) -> (frames: [InboundFrame], changed: Bool, refusals: [String]) {
    var (changed, refusals): (Bool, [String]) = (false, [])
    if publisher.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = publisher.socket.receiveNamed(partCountMax: 1) else { break }
        if let refusal = apply(message.parts[0], of: message.user) {
          refusals.append(refusal)
        } else if openings.receive(message.parts[0]) {
          changed = true
        }
      }
    }
    var frames: [InboundFrame] = []
    for subscriber in subscribers where subscriber.connection.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = subscriber.connection.socket.receive() else { break }
        // A frame has one part; what has more is none.
        guard message.parts.second == nil else { continue }
        frames.append(InboundFrame(from: subscriber.node, channel: channel, bytes: message.parts.first))
      }
    }
    return (frames, changed, refusals)
  }

  /// Has a subscription count, or its end, where peers have to prove who they are. Returns why it may not.
  ///
  /// The end of a lost peer's subscriptions comes without a name, and libzmq has seen to it already.
  private func apply(_ message: [UInt8], of user: String?) -> String? {
    guard checksSubscriptions, let user, let kind = message.first, kind <= 1 else { return nil }
    let prefix = Array(message.dropFirst())
    guard openings.allow(prefix, for: NodeID(unchecked: user)) else {
      let shown = String(decoding: prefix.prefix(80), as: UTF8.self).shown(80)
      return "node '\(user)' asked for the \(channel) frames of '\(shown)', which do not go there"
    }
    // Fails where the peer has gone meanwhile.
    try? publisher.socket.set(kind == 1 ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, prefix)
    return nil
  }
}
