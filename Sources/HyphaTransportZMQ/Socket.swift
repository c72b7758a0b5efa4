internal import CZeroMQ
internal import Glibc
internal import HyphaCore

/// A libzmq context with all of its sockets, owned by the one thread that made it.
///
/// The class is not Sendable, so the compiler keeps it on its thread. Whatever ends that thread's work, an
/// error in the middle of opening included, closes every socket first; otherwise `zmq_ctx_term` would wait
/// for them without end.
final class SocketContext {
  private let handle: UnsafeMutableRawPointer
  private var sockets: [Socket] = []
  private var lastNumber = 0
  private var isClosed = false

  init() throws {
    guard let handle = zmq_ctx_new() else { throw Socket.error("a ZeroMQ context", "zmq_ctx_new") }
    self.handle = handle
  }

  /// Opens a socket of one of libzmq's types. `name` is what errors call it.
  func socket(_ type: Int32, name: String) throws -> Socket {
    guard let raw = zmq_socket(handle, type) else {
      throw Socket.error(name, "zmq_socket", remedy: "raise the limit of open files (ulimit -n)")
    }
    let socket = Socket(raw, name: name)
    sockets.append(socket)
    return socket
  }

  /// A number that was not given before in this context.
  func nextNumber() -> Int {
    lastNumber += 1
    return lastNumber
  }

  /// Closes one socket before the others.
  func close(_ socket: Socket) {
    socket.close()
    sockets.removeAll { $0 === socket }
  }

  /// Closes the sockets and waits until what they still send is sent, at most as long as they linger. Once.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    // The last one first: what was opened before others, such as who lets peers in, is there until they are gone.
    for socket in sockets.reversed() { socket.close() }
    while zmq_ctx_term(handle) != 0 && zmq_errno() == EINTR {}
  }

  deinit { close() }
}

/// One libzmq socket, on the thread of its context.
final class Socket {
  /// What a `send` came to.
  enum Sending { case sent, full, unreachable }

  /// The endpoint, as errors call it.
  let name: String
  private let handle: UnsafeMutableRawPointer
  private var isClosed = false
  /// Whether the last look found something to receive.
  private(set) var isReadable = false
  /// Whether the next poll is to end when the socket can send.
  var wantsToWrite = false { didSet { isSettled = false } }
  /// Whether there was nothing to do at the last look, and nothing was done with the socket since: then its descriptor tells of
  /// whatever comes.
  private(set) var isSettled = false

  fileprivate init(_ handle: UnsafeMutableRawPointer, name: String) {
    self.handle = handle
    self.name = name
  }

  fileprivate func close() {
    guard !isClosed else { return }
    isClosed = true
    zmq_close(handle)
  }

  // MARK: Opening

  func set(_ option: Int32, _ value: Int) throws {
    isSettled = false
    // ZMQ_MAXMSGSIZE is the one option of 64 bits among those used here.
    let result =
      option == ZMQ_MAXMSGSIZE
      ? withUnsafeBytes(of: Int64(value)) { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
      : withUnsafeBytes(of: Int32(clamping: value)) {
        zmq_setsockopt(handle, option, $0.baseAddress, $0.count)
      }
    if result != 0 { throw Self.error(name, "zmq_setsockopt \(option)") }
  }

  func set(_ option: Int32, _ value: [UInt8]) throws {
    isSettled = false
    guard zmq_setsockopt(handle, option, value, value.count) == 0 else {
      throw Self.error(name, "zmq_setsockopt \(option)")
    }
  }

  /// - Parameter name: what errors call the endpoint; nil for the socket's name.
  func bind(_ url: String, as name: String? = nil) throws {
    let name = name ?? self.name
    isSettled = false
    guard zmq_bind(handle, url) != 0 else { return }
    switch zmq_errno() {
    case EADDRINUSE:
      throw HyphaError(
        .addressInUse, "\(name) is in use",
        remedy: "stop the other process or change the node's address in the topology file",
        cause: Self.message("zmq_bind"))
    case EADDRNOTAVAIL, ENODEV:
      throw Self.error(
        name, "zmq_bind",
        remedy: "give a numeric address of this machine, such as 127.0.0.1, in the topology file")
    default: throw Self.error(name, "zmq_bind")
    }
  }

  func connect(_ url: String) throws {
    isSettled = false
    guard zmq_connect(handle, url) == 0 else {
      throw Self.error(name, "zmq_connect", remedy: "check the node's address in the topology file")
    }
  }

  /// Has libzmq tell a PAIR socket at `url` of these events of the socket's connections.
  func monitor(_ url: String, _ events: Int32) throws {
    isSettled = false
    guard zmq_socket_monitor(handle, url, events) == 0 else { throw Self.error(name, "zmq_socket_monitor") }
  }

  // MARK: Passing messages

  /// Sends one part without waiting; libzmq takes a copy.
  func send(_ bytes: [UInt8], more: Bool = false) -> Sending {
    isSettled = false
    while zmq_send(handle, bytes, bytes.count, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0 {
      switch zmq_errno() {
      case EINTR: continue
      case EAGAIN: return .full
      default: return .unreachable
      }
    }
    return .sent
  }

  /// Sends all parts of one message without waiting.
  func send(parts: [[UInt8]]) -> Sending {
    for (index, part) in parts.enumerated() {
      let sending = send(part, more: index < parts.count - 1)
      guard sending == .sent else { return sending }
    }
    return .sent
  }

  /// The next whole message of at most two parts, if there is one; `isWhole` is false for one of more parts,
  /// of which the first two are given.
  func receive() -> (parts: (first: [UInt8], second: [UInt8]?), isWhole: Bool)? {
    guard let (first, hasSecond) = receivePart() else { return nil }
    guard hasSecond, let (second, hasMore) = receivePart() else { return ((first, nil), true) }
    var more = hasMore
    // libzmq gives all parts of a message or none, so these do not wait.
    while more { more = receivePart()?.more ?? false }
    return ((first, second), !hasMore)
  }

  /// The next whole message with the name that its sender's key was given, if it has proved one. Of more parts than
  /// `partCountMax` one more is given, and no other.
  func receiveNamed(partCountMax: Int) -> (parts: [[UInt8]], user: String?)? {
    var user: String?
    guard var part = receivePart(naming: &user) else { return nil }
    var parts = [part.bytes]
    while part.more, let next = receivePart(naming: &user) {
      part = next
      if parts.count <= partCountMax { parts.append(part.bytes) }
    }
    return (parts, user)
  }

  private func receivePart() -> (bytes: [UInt8], more: Bool)? {
    withPart { message in
      let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))
      return (Array(bytes), zmq_msg_more(&message) != 0)
    }
  }

  private func receivePart(naming user: inout String?) -> (bytes: [UInt8], more: Bool)? {
    withPart { message in
      if let name = zmq_msg_gets(&message, "User-Id") { user = String(cString: name) }
      let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))
      return (Array(bytes), zmq_msg_more(&message) != 0)
    }
  }

  private func withPart<Result>(_ body: (inout zmq_msg_t) -> Result) -> Result? {
    var message = zmq_msg_t()
    zmq_msg_init(&message)
    defer { zmq_msg_close(&message) }
    isSettled = false
    while zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) < 0 {
      switch zmq_errno() {
      case EINTR: continue
      case EAGAIN:
        // libzmq has taken note of all that came before it says so.
        (isReadable, isSettled) = (false, !wantsToWrite)
        return nil
      default: return nil
      }
    }
    return body(&message)
  }

  // MARK: Errors

  fileprivate static func error(_ name: String, _ call: String, remedy: String? = nil) -> HyphaError {
    HyphaError(.transportFailed, "\(name) cannot be opened", remedy: remedy, cause: message(call))
  }

  private static func message(_ call: String) -> String {
    "\(call): \(String(cString: zmq_strerror(zmq_errno())))"
  }

  // MARK: Waiting

  /// What tells that something has changed.
  var descriptor: Int32 { option(ZMQ_FD) }

  /// Looks what there is to do. Returns whether there is anything.
  func look() -> Bool {
    let events = option(ZMQ_EVENTS)
    isReadable = events & ZMQ_POLLIN != 0
    isSettled = !isReadable && !(wantsToWrite && events & ZMQ_POLLOUT != 0)
    return !isSettled
  }

  private func option(_ option: Int32) -> Int32 {
    var value: Int32 = 0
    var count = MemoryLayout<Int32>.size
    while zmq_getsockopt(handle, option, &value, &count) != 0 && zmq_errno() == EINTR {}
    return value
  }
}
