import CZeroMQ
import HyphaCore

/// A bare libzmq socket of a test's own, as a client in another language or an attacker has it.
final class RawSocket {
  private let context: UnsafeMutableRawPointer
  private let handle: UnsafeMutableRawPointer

  init(_ type: Int32, routingID: String? = nil, connectingTo url: String? = nil, bindingTo own: String? = nil)
  {
    context = zmq_ctx_new()
    handle = zmq_socket(context, type)
    set(ZMQ_LINGER, 1000)
    set(ZMQ_RCVTIMEO, 120_000)
    set(ZMQ_SNDTIMEO, 120_000)
    if let routingID {
      zmq_setsockopt(handle, ZMQ_ROUTING_ID, routingID, routingID.utf8.count)
    }
    if type == ZMQ_SUB { zmq_setsockopt(handle, ZMQ_SUBSCRIBE, "", 0) }
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
