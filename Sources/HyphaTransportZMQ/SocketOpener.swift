internal import CZeroMQ
internal import HyphaCore
internal import HyphaTransport

/// Opens the sockets of one thread, each with the options that all share.
struct SocketOpener {
  let context: SocketContext
  let plan: LinkPlan
  let options: ZMQTransport.Options
  let endpoints: [NodeID: Endpoints]
  /// Where the node listens besides.
  var former: [Endpoints] = []
  /// Tells the operator where it does not listen.
  var tell: (String) -> Void = { _ in }

  /// The domain in ZAP requests; with it libzmq asks even where it would not need to.
  private static let domain = Array("hypha".utf8)
  /// How many bytes CURVE adds to a message, and some to spare.
  private static let curveByteCount = 64

  /// What this node's own endpoints ask of peers; nil where they take everybody who reaches them.
  var ownSecurity: LinkSecurity? { secures(plan.node) ? plan.security : nil }

  /// Whether a node's endpoints ask for keys: TCP where there are keys. Unix-domain sockets are their user's alone.
  func secures(_ node: NodeID) -> Bool { plan.security != nil && endpoints[node]?.isLocal == false }

  /// A socket at this node's own endpoint, and at those where it was before.
  func bound(_ type: Int32, _ role: Endpoints.Role, _ configure: (Socket) throws -> Void) throws -> Listener {
    let own = try endpoints(of: plan.node)
    let socket = try configured(type, own.description(of: role), own, configure)
    if let security = ownSecurity {
      try socket.set(ZMQ_CURVE_SERVER, 1)
      try LinkKeys().withCurveSecret(of: security.own.secret) { try socket.set(ZMQ_CURVE_SECRETKEY, $0) }
      try socket.set(ZMQ_ZAP_DOMAIN, Self.domain)
    }
    let listener = try Listener(socket, context, isSecured: ownSecurity != nil)
    if former.contains(where: \.isIPv6) { try socket.set(ZMQ_IPV6, 1) }
    try listen(socket, at: role)
    return listener
  }

  /// One address is enough, as long as nobody else has the node's own: the others may be of another machine.
  private func listen(_ socket: Socket, at role: Endpoints.Role) throws {
    let own = try endpoints(of: plan.node)
    var failures: [HyphaError] = []
    for endpoints in [own] + former {
      do {
        try socket.bind(endpoints[role], as: endpoints.description(of: role))
        if let path = endpoints.path(of: role) { try RuntimeDirectory.close(socket: path) }
      } catch let error as HyphaError where endpoints != own || error.code != .addressInUse {
        failures.append(error)
      }
    }
    guard failures.count <= former.count else { throw failures[0] }
    for failure in failures { tell("\(failure.problem): the node goes on listening elsewhere") }
  }

  /// A connection to a node's endpoint, tried again and again until the node is there.
  func connected(
    _ type: Int32, to node: NodeID, _ role: Endpoints.Role, _ configure: @escaping (Socket) throws -> Void
  ) throws -> Connection {
    let other = try endpoints(of: node)
    let security = secures(node) ? plan.security : nil
    return try Connection(
      context, to: (node, security != nil), patience: options.reconnectInterval.upperBound
    ) {
      let socket = try configured(type, other.description(of: role), other, configure)
      if let security { try Self.identify(socket, to: node, security) }
      do { try socket.connect(other[role]) } catch {
        context.close(socket)
        throw error
      }
      return socket
    }
  }

  /// Has a socket prove itself to a node, and take nobody else for it.
  private static func identify(_ socket: Socket, to node: NodeID, _ security: LinkSecurity) throws {
    guard let key = security.keys[node] else {
      throw HyphaError(
        .transportFailed, "there is no public key of node \(node)", remedy: "give all nodes keys, or none")
    }
    let keys = LinkKeys()
    try socket.set(ZMQ_CURVE_SERVERKEY, keys.curveKey(of: key))
    try socket.set(ZMQ_CURVE_PUBLICKEY, keys.curveKey(of: security.own.key))
    try keys.withCurveSecret(of: security.own.secret) { try socket.set(ZMQ_CURVE_SECRETKEY, $0) }
  }

  private func configured(
    _ type: Int32, _ name: String, _ endpoints: Endpoints, _ configure: (Socket) throws -> Void
  ) throws -> Socket {
    let socket = try context.socket(type, name: name)
    try socket.set(
      ZMQ_MAXMSGSIZE, options.messageByteCountMax + (plan.security == nil ? 0 : Self.curveByteCount))
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
