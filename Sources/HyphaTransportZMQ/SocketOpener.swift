internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// Opens the sockets of one thread, each with the options that all share.
struct SocketOpener {
  let context: SocketContext
  let plan: LinkPlan
  let options: ZMQTransport.Options
  let endpoints: [NodeID: Endpoints]

  /// A socket at this node's own endpoint.
  func bound(_ type: Int32, _ role: Endpoints.Role, _ configure: (Socket) throws -> Void) throws -> Socket {
    let own = try endpoints(of: plan.node)
    let socket = try configured(type, own.description(of: role), own, configure)
    try socket.bind(own[role])
    return socket
  }

  /// A connection to a node's endpoint, tried again and again until the node is there.
  func connected(
    _ type: Int32, to node: NodeID, _ role: Endpoints.Role, _ configure: @escaping (Socket) throws -> Void
  ) throws -> Connection {
    let other = try endpoints(of: node)
    return try Connection(context, patience: options.reconnectInterval.upperBound) {
      let socket = try configured(type, other.description(of: role), other, configure)
      do { try socket.connect(other[role]) } catch {
        context.close(socket)
        throw error
      }
      return socket
    }
  }

  private func configured(
    _ type: Int32, _ name: String, _ endpoints: Endpoints, _ configure: (Socket) throws -> Void
  ) throws -> Socket {
    let socket = try context.socket(type, name: name)
    try socket.set(ZMQ_MAXMSGSIZE, options.messageByteCountMax)
    try socket.set(ZMQ_SNDHWM, options.highWaterMark)
    try socket.set(ZMQ_RCVHWM, options.highWaterMark)
    try socket.set(ZMQ_LINGER, options.linger.milliseconds)
    try socket.set(ZMQ_RECONNECT_IVL, options.reconnectInterval.lowerBound.milliseconds)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, options.reconnectInterval.upperBound.milliseconds)
    try socket.set(ZMQ_HANDSHAKE_IVL, options.handshakeTimeout.milliseconds)
    // Finds a host that went away without a word after a minute, in place of libzmq's heartbeats, which
    // abort the process when they meet a SUB that is not drained (libzmq 4.3.4).
    try socket.set(ZMQ_TCP_KEEPALIVE, 1)
    try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 30)
    try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 10)
    try socket.set(ZMQ_TCP_KEEPALIVE_CNT, 3)
    if endpoints.isIPv6 { try socket.set(ZMQ_IPV6, 1) }
    try configure(socket)
    return socket
  }

  private func endpoints(of node: NodeID) throws -> Endpoints {
    guard let endpoints = endpoints[node] else {
      throw HyphaError(
        .transportFailed, "the link plan of node \(plan.node) has no address of node \(node)",
        remedy: "declare the node in the topology file")
    }
    return endpoints
  }
}

extension Duration {
  /// Whole milliseconds, as libzmq takes times.
  fileprivate var milliseconds: Int { Int(clamping: wholeMicroseconds / 1000) }
}
