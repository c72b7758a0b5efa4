internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// The sockets of one channel on its thread: the XPUB that its neighbours subscribe to, and a SUB to the
/// XPUB of each neighbour whose frames this node takes.
///
/// One SUB for each neighbour, because a SUB does not say which of its peers a message came from.
final class ChannelSockets {
  let channel: Channel
  private let publisher: Socket
  private let subscribers: [(node: NodeID, connection: Connection)]
  private let outgoing: Set<NodeID>
  private var openings: LinkOpenings

  init(_ channel: Channel, _ opener: SocketOpener) throws {
    self.channel = channel
    let plan = opener.plan
    outgoing = Set(plan.outgoing.keys)
    openings = LinkOpenings(outgoing: plan.outgoing)
    publisher = try opener.bound(ZMQ_XPUB, .channel(channel)) { try $0.set(ZMQ_XPUB_VERBOSER, 1) }
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
  var sockets: [Socket] { [publisher] }

  var connections: [Connection] { subscribers.map(\.connection) }

  /// Whether every neighbour takes what is sent.
  var isOpen: Bool { openings.isOpen }

  /// Sends a frame to those who subscribe to its topic. Returns false where no link leads to its node.
  func send(_ item: OutboundQueue.Item) -> Bool {
    // An XPUB does not wait: a peer whose queue is full goes without, and sees a gap.
    outgoing.contains(item.node) && publisher.send(item.bytes) == .sent
  }

  /// Takes what arrived, at most `countMax` messages a socket.
  func receive(upTo countMax: Int) -> (frames: [InboundFrame], opened: Bool) {
    var opened = false
    if publisher.isReadable {
      for _ in 0..<countMax {
        guard let message = publisher.receive() else { break }
        if openings.receive(message.parts.first) { opened = true }
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
    return (frames, opened && openings.isOpen)
  }
}
