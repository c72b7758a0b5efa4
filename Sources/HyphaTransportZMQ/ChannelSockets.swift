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
  private let subscribers: [(node: NodeID, connection: Connection)]
  private let outgoing: Set<NodeID>
  private var openings: LinkOpenings
  /// Who may subscribe to what, where peers have proved who they are.
  private let rights: SubscriptionRights?

  init(_ channel: Channel, _ opener: SocketOpener) throws {
    self.channel = channel
    let plan = opener.plan
    outgoing = Set(plan.outgoing.keys)
    openings = LinkOpenings(outgoing: plan.outgoing)
    let rights = opener.ownSecurity.map { _ in SubscriptionRights(outgoing: plan.outgoing) }
    self.rights = rights
    publisher = try opener.bound(ZMQ_XPUB, .channel(channel)) { socket in
      try socket.set(ZMQ_XPUB_VERBOSER, 1)
      // Then a subscription counts only once it is repeated here.
      if rights != nil { try socket.set(ZMQ_XPUB_MANUAL, 1) }
    }
    subscribers = try plan.incoming.sorted { $0.key < $1.key }.map { node, agents in
      let connection = try opener.connected(ZMQ_SUB, to: node, .channel(channel)) { socket in
        // What a SUB sends are its subscriptions; all of them must fit when it connects again.
        try socket.set(ZMQ_SNDHWM, max(opener.options.highWaterMark, 2 * agents.count))
        try socket.set(ZMQ_LINGER, 0)
        for agent in agents { try socket.set(ZMQ_SUBSCRIBE, Frame.topicPrefix(via: agent)) }
      }
      return (node, connection)
    }
  }

  /// The sockets to wait for, besides those of the connections.
  var sockets: [Socket] { publisher.sockets }

  /// Why peers were refused since the last call.
  func takeRefusals() -> [String] { publisher.takeRefusals() }

  var connections: [Connection] { subscribers.map(\.connection) }

  /// Whether every neighbour takes what is sent.
  var isOpen: Bool { openings.isOpen }

  /// Sends a frame to those who subscribe to its topic. Returns false where no link leads to its node.
  func send(_ frame: [UInt8], to node: NodeID) -> Bool {
    // An XPUB does not wait: a peer whose queue is full goes without, and sees a gap.
    outgoing.contains(node) && publisher.socket.send(frame) == .sent
  }

  /// Takes what arrived, at most `countMax` messages a socket.
  func receive(upTo countMax: Int) -> (frames: [InboundFrame], opened: Bool, refusals: [String]) {
    var (opened, refusals): (Bool, [String]) = (false, [])
    if publisher.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = publisher.socket.receiveNamed(partCountMax: 1) else { break }
        if let refusal = apply(message.parts[0], of: message.user) {
          refusals.append(refusal)
        } else if openings.receive(message.parts[0]) {
          opened = true
        }
      }
    }
    var frames: [InboundFrame] = []
    for (node, connection) in subscribers where connection.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = connection.socket.receive() else { break }
        // A frame has one part; what has more is none.
        guard message.parts.second == nil else { continue }
        frames.append(InboundFrame(from: node, channel: channel, bytes: message.parts.first))
      }
    }
    return (frames, opened && openings.isOpen, refusals)
  }

  /// Has a subscription count, or its end, where peers have to prove who they are. Returns why it may not.
  ///
  /// The end of a lost peer's subscriptions comes without a name, and libzmq has seen to it already.
  private func apply(_ message: [UInt8], of user: String?) -> String? {
    guard let rights, let user, let kind = message.first, kind <= 1 else { return nil }
    let prefix = Array(message.dropFirst())
    guard rights.allow(prefix, for: NodeID(unchecked: user)) else {
      let shown = String(decoding: prefix.prefix(80), as: UTF8.self).shown(80)
      return "node '\(user)' asked for the \(channel) frames of '\(shown)', which do not go there"
    }
    // Fails where the peer has gone meanwhile.
    try? publisher.socket.set(kind == 1 ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, prefix)
    return nil
  }
}
