internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// The sockets of control messages: the ROUTER that takes requests and sends answers, and a DEALER to each
/// node that this one has asked.
///
/// A DEALER's routing id is its node's name where nodes have no keys. Where they have, the name comes from the key of
/// the connection that a request came over, and the answer goes back over that connection: a routing id is but a
/// claim. A request to a node that is not connected waits here, not in
/// libzmq: at most ``ZMQTransport/Options/requestCountMax`` of them, each for
/// ``ZMQTransport/Options/requestPatience``, so that a node that comes back is not met by old questions.
final class ControlSockets {
  private final class Peer {
    let connection: Connection
    var waiting: [(bytes: [UInt8], since: ContinuousClock.Instant)] = []
    init(_ connection: Connection) { self.connection = connection }
    var socket: Socket { connection.socket }
  }

  /// What came in.
  struct Received {
    var requests: [PeerMessage] = []
    var answers: [PeerMessage] = []
    /// How many messages were none.
    var droppedCount = 0
    /// How many were refused because their node sends too many.
    var refusedCount = 0
    var refusals: [String] = []
  }

  private let opener: SocketOpener
  private let router: Listener
  private let isSecured: Bool
  private var peers: [NodeID: Peer] = [:]
  /// The connection over which each node has asked last, where nodes prove who they are.
  private var routes: [NodeID: [UInt8]] = [:]
  /// How many requests each node may still send.
  private var buckets: [NodeID: TokenBucket] = [:]
  private let began = ContinuousClock.now
  /// Connections opened since they were last taken.
  private var opened: [Connection] = []

  init(_ opener: SocketOpener) throws {
    self.opener = opener
    let isSecured = opener.ownSecurity != nil
    self.isSecured = isSecured
    router = try opener.bound(ZMQ_ROUTER, .control) { socket in
      // A node that comes back takes its name over from its old connection. Where nodes have keys nobody takes
      // anything over: each connection has a name of its own.
      if !isSecured { try socket.set(ZMQ_ROUTER_HANDOVER, 1) }
      // An answer to a node that has gone is an error, so that it can be counted.
      try socket.set(ZMQ_ROUTER_MANDATORY, 1)
    }
  }

  /// The sockets to wait for, besides those of the connections.
  var sockets: [Socket] { router.sockets }

  /// Why peers were refused since the last call.
  func takeRefusals() -> [String] { router.takeRefusals() }

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
    guard let id = isSecured ? routes[node] : Array(node.text.utf8) else { return false }
    return router.socket.send(parts: [id, bytes]) == .sent
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

  /// Takes what arrived, at most `countMax` messages a socket.
  func receive(upTo countMax: Int) -> Received {
    var received = Received()
    if router.socket.isReadable {
      let now = ContinuousClock.now - began
      for _ in 0..<countMax {
        guard let message = router.socket.receiveNamed(partCountMax: 2) else { break }
        guard message.parts.count == 2, let node = node(named: message.parts[0], message.user) else {
          received.droppedCount += 1
          continue
        }
        guard takesRequest(of: node, now: now) else {
          received.refusedCount += 1
          received.refusals.append(
            "node '\(node)' sends more than \(opener.options.requestRateMax) requests a second; the rest is dropped"
          )
          continue
        }
        if isSecured { routes[node] = message.parts[0] }
        received.requests.append(PeerMessage(node: node, bytes: message.parts[1]))
      }
    }
    for (node, peer) in peers where peer.socket.isReadable {
      for _ in 0..<countMax {
        guard let message = peer.socket.receive() else { break }
        if message.parts.second == nil {
          received.answers.append(PeerMessage(node: node, bytes: message.parts.first))
        } else {
          received.droppedCount += 1
        }
      }
    }
    return received
  }

  private func takesRequest(of node: NodeID, now: Duration) -> Bool {
    let options = opener.options
    let full = TokenBucket(capacity: options.requestBurstMax, perSecond: Double(options.requestRateMax))
    return buckets[node, default: full].take(now: now)
  }

  /// The node of the plan that a request is from: whose key its connection has, or whose name is its routing id.
  /// libzmq's own ids begin with 0, and name none.
  private func node(named id: [UInt8], _ user: String?) -> NodeID? {
    guard let text = isSecured ? user : String(validating: id, as: UTF8.self) else { return nil }
    let node = NodeID(unchecked: text)
    return opener.plan.addresses[node] == nil ? nil : node
  }

  private func peer(_ node: NodeID) -> Peer? {
    if let peer = peers[node] { return peer }
    guard opener.plan.addresses[node] != nil else { return nil }
    let connection = try? opener.connected(ZMQ_DEALER, to: node, .control) {
      [name = Array(opener.plan.node.text.utf8), isSecured = opener.secures(node)] socket in
      if !isSecured { try socket.set(ZMQ_ROUTING_ID, name) }
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
