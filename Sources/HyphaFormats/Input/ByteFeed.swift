import Foundation
import HyphaCore

/// An open file that gives its bytes as they come. Whoever made it closes it.
struct ByteFeed {
  /// How errors call it.
  let name: String
  /// Whether it is a regular file that ``name`` is the path of.
  let isRegularFile: Bool
  private let descriptor: Int32
  private let checkpoint: () throws -> Void

  /// How long a wait for bytes lasts at most before the checkpoint is passed again.
  private static let waitMilliseconds: Int32 = 100

  /// Opens the file at `path`. A FIFO is open at once, whether anybody writes to it or not.
  init(opening path: String, _ checkpoint: @escaping () throws -> Void) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw Self.unavailable(path, "opened") }
    var status = stat()
    isRegularFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    name = path
    self.checkpoint = checkpoint
  }

  /// Reads from a descriptor that stays open for others.
  init(duplicating original: Int32, _ name: String, _ checkpoint: @escaping () throws -> Void) throws {
    descriptor = fcntl(original, F_DUPFD_CLOEXEC, 0)
    guard descriptor >= 0 else { throw Self.unavailable(name, "opened") }
    isRegularFile = false
    self.name = name
    self.checkpoint = checkpoint
  }

  /// Waits until there is something, and takes it; 0 only at the end.
  func read(_ target: UnsafeMutablePointer<UInt8>, _ capacity: Int) throws -> Int {
    while true {
      try checkpoint()
      // A FIFO that nobody has written to yet is neither ready nor at its end.
      var awaited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&awaited, 1, Self.waitMilliseconds) > 0 else { continue }
      let count = Foundation.read(descriptor, target, capacity)
      if count >= 0 { return count }
      if errno == EINTR || errno == EAGAIN { continue }
      throw Self.unavailable(name, "read")
    }
  }

  func close() { _ = Foundation.close(descriptor) }

  private static func unavailable(_ name: String, _ what: String) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(name) cannot be \(what)",
      remedy: "give the path of a readable file", cause: String(cString: strerror(errno)))
  }
}
