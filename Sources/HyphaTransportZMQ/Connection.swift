internal import CZeroMQ
internal import HyphaCore

/// A socket that connects to one node, replaced when libzmq gives it up.
///
/// libzmq connects again after a connection was lost, but not after its peer broke the protocol: after a
/// message above `ZMQ_MAXMSGSIZE`, or when another program sat at the node's port for a while
/// (`session_base_t::engine_error`, libzmq 4.3.4). It then says "disconnected" and never "retried". So a
/// connection listens to both, and is opened anew when the second does not follow the first.
final class Connection {
  private let context: SocketContext
  private let patience: Duration
  private let open: () throws -> Socket
  private(set) var socket: Socket
  private(set) var monitor: Socket
  private var lostSince: ContinuousClock.Instant?

  /// Opens a connection with `open`, which makes a new socket each time.
  init(_ context: SocketContext, patience: Duration, _ open: @escaping () throws -> Socket) throws {
    self.context = context
    self.patience = patience
    self.open = open
    socket = try open()
    monitor = try Self.monitor(socket, context)
  }

  /// The sockets to wait for.
  var sockets: [Socket] { [socket, monitor] }

  /// When the connection is to be opened anew, if it is.
  var renewal: ContinuousClock.Instant? { lostSince.map { $0 + patience } }

  /// Learns what became of the connection.
  func takeEvents() {
    guard monitor.isReadable else { return }
    while let (parts, _) = monitor.receive() {
      // The event's number comes first, in the machine's byte order.
      guard parts.first.count >= 2 else { continue }
      let event = parts.first.withUnsafeBytes { Int32($0.loadUnaligned(as: UInt16.self)) }
      lostSince = event == ZMQ_EVENT_DISCONNECTED ? .now : nil
    }
  }

  /// Opens the connection anew. Where that fails, it is tried again later.
  func renew() {
    lostSince = .now
    guard let socket = try? open() else { return }
    guard let monitor = try? Self.monitor(socket, context) else { return context.close(socket) }
    context.close(self.socket)
    context.close(self.monitor)
    socket.wantsToWrite = self.socket.wantsToWrite
    (self.socket, self.monitor, lostSince) = (socket, monitor, nil)
  }

  private static func monitor(_ socket: Socket, _ context: SocketContext) throws -> Socket {
    let url = "inproc://monitor-\(context.nextNumber())"
    try socket.monitor(url, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED)
    let monitor = try context.socket(ZMQ_PAIR, name: "the monitor of \(socket.name)")
    // libzmq's thread waits for a full monitor, and everything with it.
    try monitor.set(ZMQ_RCVHWM, 0)
    try monitor.set(ZMQ_LINGER, 0)
    try monitor.connect(url)
    return monitor
  }
}
