internal import Glibc
internal import HyphaCore
internal import Synchronization

/// The private directory of the Unix-domain sockets, and the lock of one node's sockets in it.
///
/// libzmq removes a socket's file before it binds, even where another process listens there. So a node
/// takes an advisory lock on `<node>.lock` first (flock(2)). The kernel gives it up when the process ends,
/// however it ends: a socket file that a killed process left behind does not matter, a live one does.
///
/// Who gives its lock up removes its socket files and the lock file, and the directory where that was the last:
/// libzmq leaves them all behind. A lock counts only where its file still stands at its path, so that two
/// processes never lock two files of one name.
enum RuntimeDirectory {
  /// Makes the directory at `path` where it is missing, and checks that nobody else may use it.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed`` with the command that puts it right.
  static func prepare(_ path: String) throws {
    if mkdir(path, 0o700) != 0 && errno != EEXIST {
      throw HyphaError(
        .transportFailed, "the runtime directory \(path) cannot be made",
        remedy: "make its parent directory, or give another", cause: failure("mkdir"))
    }
    var status = stat()
    guard lstat(path, &status) == 0 else {
      throw HyphaError(
        .transportFailed, "the runtime directory \(path) cannot be read", remedy: "give another",
        cause: failure("lstat"))
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw HyphaError(
        .transportFailed, "the runtime directory \(path) is not a directory", remedy: "give another")
    }
    guard status.st_uid == geteuid() else {
      throw HyphaError(
        .transportFailed, "the runtime directory \(path) belongs to user \(status.st_uid), not \(geteuid())",
        remedy: "give a directory of your own")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw HyphaError(
        .transportFailed,
        "the runtime directory \(path) is open to others (mode \(String(status.st_mode & 0o777, radix: 8)))",
        remedy: "run chmod 700 \(path)")
    }
  }

  /// Closes a socket's file to other users; the directory keeps them out already.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed``.
  static func close(socket path: String) throws {
    guard chmod(path, 0o600) == 0 else {
      throw HyphaError(
        .transportFailed, "the socket \(path) cannot be closed to other users",
        remedy: "give another runtime directory", cause: failure("chmod"))
    }
  }

  /// Removes the directory unless somebody is in it. Who is about to enter it makes it again.
  static func removeIfEmpty(_ path: String) { rmdir(path) }

  fileprivate static func failure(_ call: String) -> String { "\(call): \(String(cString: strerror(errno)))" }
}

/// The lock of one node's sockets, held by whoever still has some of them open.
///
/// Holders are counted by hand: the lock must be free when the last of them says so, not when the last
/// reference happens to go.
final class NodeLock: Sendable {
  private let descriptor: Int32
  private let directory: String
  private let node: NodeID
  private let holderCount = Atomic<Int>(1)

  /// Takes the lock of the sockets of `node`, for the caller, who is its first holder.
  ///
  /// - Throws: ``HyphaError/Code/addressInUse`` when another transport has it.
  init(locking node: NodeID, in path: String) throws {
    directory = path
    self.node = node
    while true {
      let descriptor = try Self.lock(node, in: path)
      if Self.stands(descriptor, at: Self.file(of: node, in: path)) {
        self.descriptor = descriptor
        break
      }
      // Its last holder removed it after it was opened here.
      close(descriptor)
      try RuntimeDirectory.prepare(path)
    }
    Self.write(owner: getpid(), to: descriptor)
  }

  private static func file(of node: NodeID, in path: String) -> String { "\(path)/\(node).lock" }

  /// Opens the lock file, in the directory that another node may just have removed, and locks it.
  private static func lock(_ node: NodeID, in path: String) throws -> Int32 {
    let file = file(of: node, in: path)
    var descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    while descriptor < 0 && errno == ENOENT {
      try RuntimeDirectory.prepare(path)
      descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    }
    guard descriptor >= 0 else {
      throw HyphaError(
        .transportFailed, "\(file) cannot be opened", remedy: "remove it, or give another runtime directory",
        cause: RuntimeDirectory.failure("open"))
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let cause = RuntimeDirectory.failure("flock")
      let owner = Self.owner(in: descriptor).map { "process \($0)" } ?? "another process"
      close(descriptor)
      throw HyphaError(
        .addressInUse, "ipc://\(path)/\(node).* (all sockets of node \(node)) is in use by \(owner)",
        remedy: "stop that process or change the node's address in the topology file", cause: cause)
    }
    return descriptor
  }

  /// Whether the open file is the one that its path leads to.
  private static func stands(_ descriptor: Int32, at path: String) -> Bool {
    var (opened, named) = (stat(), stat())
    return fstat(descriptor, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino
      && opened.st_dev == named.st_dev
  }

  /// Adds a holder.
  func enter() { holderCount.wrappingAdd(1, ordering: .relaxed) }

  /// One holder less; the last one's gives the lock up.
  func leave() {
    guard holderCount.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    let sockets = Endpoints.Role.allCases.map { "\(directory)/\(node).\($0)" }
    for file in sockets + [Self.file(of: node, in: directory)] { unlink(file) }
    RuntimeDirectory.removeIfEmpty(directory)
    // A child process that is just being started has a copy of the descriptor; closing is not enough.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  private static func write(owner: pid_t, to descriptor: Int32) {
    // For the error text alone; whether it succeeds does not matter.
    guard ftruncate(descriptor, 0) == 0 else { return }
    let text = Array("\(owner)\n".utf8)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  private static func owner(in descriptor: Int32) -> pid_t? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    return pid_t(String(decoding: bytes[..<count], as: UTF8.self).prefix { $0.isNumber })
  }
}
