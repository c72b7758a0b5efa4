internal import CZeroMQ
internal import HyphaCore

/// A socket that connects to one node, replaced when libzmq gives it up.
///
/// libzmq connects again after a connection was lost, but not after its peer broke the protocol: after a
/// message above `ZMQ_MAXMSGSIZE`, or when another program sat at the node's port for a while
/// (`session_base_t::engine_error`, libzmq 4.3.4). It then says "disconnected" and never "retried". So a
/// connection listens to both, and is opened anew when the second does not follow the first.
final class Connection {
  /// How many handshakes in a row must end without a word before that is told: a node that stops ends one.
  private static let silentFailureCount = 3
  private static let events =
    ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
    | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
    | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL

  /// The node at the other end, and whether it has to prove itself by its key.
  let peer: (node: NodeID, isSecured: Bool)
  private let context: SocketContext
  private let patience: Duration
  private let open: () throws -> Socket
  private(set) var socket: Socket
  private(set) var monitor: Socket
  private var lostSince: ContinuousClock.Instant?
  private var failureCount = 0

  /// Opens a connection with `open`, which makes a new socket each time.
  init(
    _ context: SocketContext, to peer: (node: NodeID, isSecured: Bool), patience: Duration,
    _ open: @escaping () throws -> Socket
  ) throws {
    self.context = context
    self.peer = peer
    self.patience = patience
    self.open = open
    socket = try open()
    monitor = try context.monitor(of: socket, Self.events)
  }

  /// The sockets to wait for.
  var sockets: [Socket] { [socket, monitor] }

  /// When the connection is to be opened anew, if it is.
  var renewal: ContinuousClock.Instant? { lostSince.map { $0 + patience } }

  /// Learns what became of the connection. Returns why its handshakes have failed, where an operator should know.
  func takeEvents() -> [String] {
    guard monitor.isReadable else { return [] }
    var refusals: [String] = []
    while let event = monitor.receiveEvent() {
      switch event.kind {
      case ZMQ_EVENT_DISCONNECTED: lostSince = .now
      case ZMQ_EVENT_CONNECT_RETRIED: lostSince = nil
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: failureCount = 0
      default:
        failureCount += 1
        if let reason = reason(event.kind, event.value) {
          refusals.append("no link to node '\(peer.node)': \(reason)")
        }
      }
    }
    return refusals
  }

  private func reason(_ kind: Int32, _ value: Int32) -> String? {
    switch (kind, value) {
    case (ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, _):
      "it refuses this node's key; start both from one topology file"
    case (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH):
      peer.isSecured
        ? "it has no keys, or something else is at its address; start both from one topology file"
        : "it asks for keys, and this node has none; start both from one topology file"
    case (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, _): "what is at its address is not that node"
    case (_, _) where peer.isSecured && failureCount >= Self.silentFailureCount:
      "it ends every handshake: its private key may not be that of the public key in the topology"
    default: nil
    }
  }

  /// Opens the connection anew. Where that fails, it is tried again later.
  func renew() {
    lostSince = .now
    guard let socket = try? open() else { return }
    guard let monitor = try? context.monitor(of: socket, Self.events) else { return context.close(socket) }
    context.close(self.socket)
    context.close(self.monitor)
    socket.wantsToWrite = self.socket.wantsToWrite
    (self.socket, self.monitor, lostSince) = (socket, monitor, nil)
  }
}
