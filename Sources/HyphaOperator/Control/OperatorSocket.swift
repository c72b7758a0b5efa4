import Glibc
import HyphaCore

/// The Unix-domain socket of one node, `operator.sock` in its data directory, and the lines that pass over it.
///
/// The socket has mode 0600 from its first moment, and both ends look at the other's user: only the node's own user
/// and root may speak. The file of a node that was killed stays behind; whoever has the node's log open for
/// writing may replace it.
enum OperatorSocket {
  /// The socket's name in the data directory.
  static let name = "operator.sock"
  /// The longest path that an address can hold.
  private static let pathByteCountMax = 107

  /// A socket that listens in `directory`, not blocking. The caller holds the node's log open for writing.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable``.
  static func listen(in directory: String) throws -> Int32 {
    let descriptor = try make(directory)
    do {
      // On Linux the socket's own mode becomes that of its file, less the umask.
      guard fchmod(descriptor, 0o600) == 0 else { throw failure(directory, "fchmod") }
      unlink("\(directory)/\(name)")
      try withAddress(in: directory) { address, byteCount in
        guard bind(descriptor, address, byteCount) == 0 else { throw failure(directory, "bind") }
      }
      guard Glibc.listen(descriptor, 16) == 0 else { throw failure(directory, "listen") }
      guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else { throw failure(directory, "fcntl") }
      return descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// A connection to the node whose data is in `directory`; nil where none listens there.
  static func connect(to directory: String) throws -> Int32? {
    let descriptor = try make(directory)
    do {
      let isConnected = try withAddress(in: directory) { address, byteCount in
        if Glibc.connect(descriptor, address, byteCount) == 0 { return true }
        if errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR { return false }
        throw failure(directory, "connect")
      }
      guard isConnected else {
        close(descriptor)
        return nil
      }
      try checkPeer(descriptor, directory)
      return descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// Throws where the process at the other end is another user's.
  static func checkPeer(_ descriptor: Int32, _ directory: String) throws {
    // struct ucred: process, user, group.
    var peer: [UInt32] = [0, 0, 0]
    var byteCount = socklen_t(12)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &byteCount) == 0 else {
      throw failure(directory, "getsockopt")
    }
    guard peer[1] == geteuid() || peer[1] == 0 || geteuid() == 0 else {
      throw HyphaError(
        .fileUnavailable, "process \(peer[0]) of user \(peer[1]) is at the other end of \(directory)/\(name)",
        remedy: "run as the user that runs the node")
    }
  }

  private static func make(_ directory: String) throws -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(AF_UNIX, kind, 0)
    guard descriptor >= 0 else { throw failure(directory, "socket") }
    return descriptor
  }

  /// Calls `body` with the socket's address. A directory whose path is too long for one is addressed by a descriptor.
  private static func withAddress<Value>(
    in directory: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Value
  ) throws -> Value {
    var path = "\(directory)/\(name)"
    var opened: Int32 = -1
    defer { if opened >= 0 { close(opened) } }
    if path.utf8.count > pathByteCountMax {
      opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard opened >= 0 else { throw failure(directory, "open") }
      path = "/proc/self/fd/\(opened)/\(name)"
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return try withUnsafePointer(to: &address) { pointer in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  private static func failure(_ directory: String, _ call: String) -> HyphaError {
    HyphaError(
      .fileUnavailable, "the socket \(directory)/\(name) cannot be used",
      remedy: "check the directory's permissions, and that its file system has sockets",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}

/// Lines over a connected socket, each within a bound and a time. One thread at a time.
struct OperatorConnection {
  let descriptor: Int32
  private var rest: [UInt8] = []

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// Why no line came.
  enum Ending: Error {
    case closed, late, tooLong
  }

  /// The next line without its line feed.
  ///
  /// - Parameters:
  ///   - byteCountMax: the longest line, its line feed included; no more is ever kept.
  ///   - patience: how long all of it may take.
  mutating func readLine(byteCountMax: Int, within patience: Duration) throws(Ending) -> [UInt8] {
    let end = ContinuousClock.now + patience
    var looked = 0
    while true {
      if let place = rest[looked...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { rest.removeSubrange(...place) }
        return Array(rest[..<place])
      }
      looked = rest.count
      guard rest.count < byteCountMax else { throw .tooLong }
      let left = ContinuousClock.now.duration(to: end)
      guard left > .zero else { throw .late }
      var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let milliseconds = Int32(clamping: left / .milliseconds(1)) + 1
      guard poll(&waited, 1, milliseconds) > 0 else { continue }
      let count = min(4096, byteCountMax - rest.count)
      var chunk = [UInt8](repeating: 0, count: count)
      let received = recv(descriptor, &chunk, count, Int32(MSG_DONTWAIT))
      if received > 0 {
        rest += chunk[..<received]
      } else if received == 0 || (errno != EINTR && errno != EAGAIN) {
        throw .closed
      }
    }
  }

  /// Writes a line; false where the other end does not take it within `patience`, or is gone.
  ///
  /// - Parameter restPatience: how long the rest of a line may take whose beginning was taken; default `patience`.
  func write(_ line: [UInt8], within patience: Duration, thenRest restPatience: Duration? = nil) -> Bool {
    let began = ContinuousClock.now
    var sent = 0
    while sent < line.count {
      let count = line.withUnsafeBytes { bytes in
        send(
          descriptor, bytes.baseAddress! + sent, bytes.count - sent,
          Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count > 0 {
        sent += count
        continue
      }
      let end = began + (sent > 0 ? restPatience ?? patience : patience)
      guard errno == EAGAIN || errno == EINTR, ContinuousClock.now < end else { return false }
      var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = poll(&waited, 1, 100)
    }
    return true
  }
}

extension Duration {
  /// How many whole times `other` fits.
  fileprivate static func / (left: Duration, other: Duration) -> Int64 {
    Int64(left / other as Double)
  }
}
