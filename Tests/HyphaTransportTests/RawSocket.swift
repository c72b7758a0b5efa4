import CZeroMQ
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ

/// A bare libzmq socket of a test's own, as a client in another language or an attacker has it.
final class RawSocket {
  private let context: UnsafeMutableRawPointer
  private let handle: UnsafeMutableRawPointer

  /// What a client of CURVE needs: its own pair, and the public key of whom it wants to reach.
  typealias Curve = (own: LinkKeyPair, server: LinkKey)

  init(
    _ type: Int32, routingID: String? = nil, subscribingTo topics: [String] = [""], curve: Curve? = nil,
    server: LinkKeyPair? = nil, connectingTo url: String? = nil, bindingTo own: String? = nil
  ) {
    context = zmq_ctx_new()
    handle = zmq_socket(context, type)
    set(ZMQ_LINGER, 1000)
    set(ZMQ_RCVTIMEO, 120_000)
    set(ZMQ_SNDTIMEO, 120_000)
    if let routingID {
      zmq_setsockopt(handle, ZMQ_ROUTING_ID, routingID, routingID.utf8.count)
    }
    if let curve {
      zmq_setsockopt(handle, ZMQ_CURVE_SERVERKEY, LinkKeys.curve(curve.server), LinkKey.byteCount)
      zmq_setsockopt(handle, ZMQ_CURVE_PUBLICKEY, LinkKeys.curve(curve.own.key), LinkKey.byteCount)
      _ = LinkKeys().withCurveSecret(of: curve.own.secret) {
        zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, $0, LinkKey.byteCount)
      }
    }
    if let server {
      set(ZMQ_CURVE_SERVER, 1)
      _ = LinkKeys().withCurveSecret(of: server.secret) {
        zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, $0, LinkKey.byteCount)
      }
    }
    if type == ZMQ_SUB {
      for topic in topics { zmq_setsockopt(handle, ZMQ_SUBSCRIBE, topic, topic.utf8.count) }
    }
    if let url { precondition(zmq_connect(handle, url) == 0) }
    if let own { precondition(zmq_bind(handle, own) == 0) }
  }

  deinit {
    zmq_close(handle)
    zmq_ctx_term(context)
  }

  func set(_ option: Int32, _ value: Int32) {
    var value = value
    zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size)
  }

  /// Sends one message of these parts.
  func send(_ parts: [UInt8]...) {
    for (index, part) in parts.enumerated() {
      zmq_send(handle, part, part.count, index < parts.count - 1 ? ZMQ_SNDMORE : 0)
    }
  }

  /// The next part, or nil after two minutes, or what `ZMQ_RCVTIMEO` was set to.
  func receive() -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = zmq_recv(handle, &buffer, buffer.count, 0)
    return count < 0 ? nil : Array(buffer.prefix(Int(count)))
  }
}
