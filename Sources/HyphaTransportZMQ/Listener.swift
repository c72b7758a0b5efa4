internal import CZeroMQ
internal import HyphaCore

/// A socket at one of this node's own endpoints. Where the endpoint asks for keys, it also learns of the peers whose
/// handshakes fail before they have shown one; the ``Authenticator`` tells of those with a wrong one.
final class Listener {
  private static let failures = ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL

  let socket: Socket
  /// The sockets to wait for.
  let sockets: [Socket]
  private let monitor: Socket?

  init(_ socket: Socket, _ context: SocketContext, isSecured: Bool) throws {
    self.socket = socket
    monitor = isSecured ? try context.monitor(of: socket, Self.failures) : nil
    sockets = [socket] + (monitor.map { [$0] } ?? [])
  }

  /// Why peers were refused since the last call.
  func takeRefusals() -> [String] {
    guard let monitor, monitor.isReadable else { return [] }
    var refusals: [String] = []
    while let event = monitor.receiveEvent() {
      let reason =
        switch (event.kind, event.value) {
        case (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC):
          "it takes this node for another: it has a wrong public key of it"
        case (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, _):
          "it does not speak CURVE: it has no keys, or is no node"
        default: "it ended its handshake: it has no keys, or is no node"
        }
      refusals.append("a peer of \(socket.name) was refused: \(reason)")
    }
    return refusals
  }
}

extension SocketContext {
  /// A socket that is told of these events of another's connections.
  func monitor(of socket: Socket, _ events: Int32) throws -> Socket {
    let url = "inproc://monitor-\(nextNumber())"
    try socket.monitor(url, events)
    let monitor = try self.socket(ZMQ_PAIR, name: "the monitor of \(socket.name)")
    // libzmq's thread waits for a full monitor, and everything with it.
    try monitor.set(ZMQ_RCVHWM, 0)
    try monitor.set(ZMQ_LINGER, 0)
    try monitor.connect(url)
    return monitor
  }
}

extension Socket {
  /// The next event of a monitor.
  func receiveEvent() -> (kind: Int32, value: Int32)? {
    while let (parts, _) = receive() {
      // The event's number comes first, then its value, in the machine's byte order.
      guard parts.first.count >= 6 else { continue }
      return parts.first.withUnsafeBytes {
        (
          Int32($0.loadUnaligned(as: UInt16.self)),
          Int32(bitPattern: $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        )
      }
    }
    return nil
  }
}
