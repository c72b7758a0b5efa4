internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// The sockets of control messages: the ROUTER that takes requests and sends answers, and a DEALER to each
/// node that this one has asked.
///
/// A DEALER's routing id is its node's name. A request to a node that is not connected waits here, not in
/// libzmq: at most ``ZMQTransport/Options/requestCountMax`` of them, each for
/// ``ZMQTransport/Options/requestPatience``, so that a node that comes back is not met by old questions.
final class ControlSockets {
  private final class Peer {
    let connection: Connection
    var waiting: [(bytes: [UInt8], since: ContinuousClock.Instant)] = []
    init(_ connection: Connection) { self.connection = connection }
    var socket: Socket { connection.socket }
  }

  private let opener: SocketOpener
  private let router: Socket
  private var peers: [NodeID: Peer] = [:]
  /// Connections opened since they were last taken.
  private var opened: [Connection] = []

  init(_ opener: SocketOpener) throws {
    self.opener = opener
    router = try opener.bound(ZMQ_ROUTER, .control) { socket in
      // A node that comes back takes its name over from its old connection.
      try socket.set(ZMQ_ROUTER_HANDOVER, 1)
      // An answer to a node that has gone is an error, so that it can be counted.
      try socket.set(ZMQ_ROUTER_MANDATORY, 1)
    }
  }

  /// The sockets to wait for, besides those of the connections.
  var sockets: [Socket] { [router] }

  /// The connections that were opened since the last call.
  func takeOpened() -> [Connection] {
    defer { opened = [] }
    return opened
  }

  /// Sends a request now, or once its node is connected. Returns how many were dropped for it.
  func request(_ bytes: [UInt8], of node: NodeID) -> Int {
    guard let peer = peer(node) else { return 1 }
    if peer.waiting.isEmpty && peer.socket.send(bytes) == .sent { return 0 }
    var droppedCount = dropExpired(of: peer)
    if peer.waiting.count >= opener.options.requestCountMax {
      peer.waiting.removeFirst()
      droppedCount += 1
    }
    peer.waiting.append((bytes, .now))
    peer.socket.wantsToWrite = true
    return droppedCount
  }

  /// Sends an answer. Returns false where its node has gone or takes no more.
  func answer(_ bytes: [UInt8], to node: NodeID) -> Bool {
    router.send(Array(node.text.utf8), more: true) == .sent && router.send(bytes) == .sent
  }

  /// Sends requests that waited for their nodes. Returns how many were dropped.
  func sendWaiting() -> Int {
    var droppedCount = 0
    for peer in peers.values where peer.socket.wantsToWrite {
      droppedCount += dropExpired(of: peer)
      let unsent = peer.waiting.firstIndex { peer.socket.send($0.bytes) != .sent } ?? peer.waiting.endIndex
      peer.waiting.removeFirst(unsent)
      peer.socket.wantsToWrite = !peer.waiting.isEmpty
    }
    return droppedCount
  }

  /// Takes what arrived, at most `countMax` messages a socket; `droppedCount` counts what was none.
  func receive(upTo countMax: Int) -> (requests: [PeerMessage], answers: [PeerMessage], droppedCount: Int) {
    var (requests, answers, droppedCount): ([PeerMessage], [PeerMessage], Int) = ([], [], 0)
    if router.isReadable {
      for _ in 0..<countMax {
        guard let message = router.receive() else { break }
        if let node = node(named: message.parts.first), let bytes = message.parts.second, message.isWhole {
          requests.append(PeerMessage(node: node, bytes: bytes))
        } else {
          droppedCount += 1
        }
      }
    }
    for (node, peer) in peers where peer.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = peer.socket.receive() else { break }
        if message.parts.second == nil {
          answers.append(PeerMessage(node: node, bytes: message.parts.first))
        } else {
          droppedCount += 1
        }
      }
    }
    return (requests, answers, droppedCount)
  }

  /// The node of the plan whose name is a routing id. libzmq's own ids begin with 0, and name none.
  private func node(named id: [UInt8]) -> NodeID? {
    guard let text = String(validating: id, as: UTF8.self) else { return nil }
    let node = NodeID(unchecked: text)
    return opener.plan.addresses[node] == nil ? nil : node
  }

  private func peer(_ node: NodeID) -> Peer? {
    if let peer = peers[node] { return peer }
    guard opener.plan.addresses[node] != nil else { return nil }
    let connection = try? opener.connected(ZMQ_DEALER, to: node, .control) {
      [name = Array(opener.plan.node.text.utf8)] socket in
      try socket.set(ZMQ_ROUTING_ID, name)
      // Not connected is not writable: see above.
      try socket.set(ZMQ_IMMEDIATE, 1)
    }
    guard let connection else { return nil }
    opened.append(connection)
    let peer = Peer(connection)
    peers[node] = peer
    return peer
  }

  private func dropExpired(of peer: Peer) -> Int {
    let oldest = ContinuousClock.now - opener.options.requestPatience
    let expiredCount = peer.waiting.firstIndex { $0.since > oldest } ?? peer.waiting.endIndex
    peer.waiting.removeFirst(expiredCount)
    return expiredCount
  }
}
