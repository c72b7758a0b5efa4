import Glibc
import HyphaCore

/// A data directory in the making, which one process at a time fills.
///
/// Whoever makes it holds a lock on it, which goes with the process, however that ends. So one that nobody holds was cut
/// off, and is emptied and made anew.
final class PartialDirectory: Sendable {
  let path: String
  private let descriptor: Int32

  /// What a copy of a data directory has in it.
  private static let names: Set<String> = ["log", "payloads", "node.key"]

  /// Makes an empty directory at `path`, of what was cut off there or anew.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where another process fills it, or where something else is there.
  init(_ path: String) throws {
    self.path = path
    descriptor = try Self.lock(path)
    // From here on the object is whole, and its end closes the directory where this throws.
    var status = stat()
    let others = try (FileTree.names(in: path) ?? []).filter { !Self.names.contains($0) }
    guard others.isEmpty, fstat(descriptor, &status) == 0, status.st_uid == geteuid() else {
      let what = others.first.map { "it has \($0)" } ?? "it is another user's"
      throw HyphaError(
        .fileUnavailable, "\(path) is there already, and is no copy that was cut off: \(what)",
        remedy: "move it, or give another name")
    }
    for name in Self.names { FileTree.remove("\(path)/\(name)") }
    guard try FileTree.names(in: path) == [] else {
      throw HyphaError(
        .fileUnavailable, "\(path) is there already, and cannot be emptied",
        remedy: "remove it, or give another name")
    }
  }

  deinit {
    // A child that is being started has a copy of the descriptor until it runs its program: the lock would last as long.
    _ = flock(descriptor, LOCK_UN)
    _ = Glibc.close(descriptor)
  }

  /// Opens the directory at `path`, made where it is not there, with its lock.
  private static func lock(_ path: String) throws -> Int32 {
    while true {
      guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
        throw DurableFile.failure(path, "mkdir", errno)
      }
      let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else {
        // Whoever had it has just renamed or removed it.
        if errno == ENOENT { continue }
        throw DurableFile.failure(path, "open", errno)
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        let code = errno
        _ = Glibc.close(descriptor)
        guard code == EWOULDBLOCK else { throw DurableFile.failure(path, "flock", code) }
        throw HyphaError(
          .fileUnavailable, "\(path) is there already: another process is making a copy in it",
          remedy: "wait until that has ended, or give another name")
      }
      if isAt(path, descriptor) { return descriptor }
      _ = Glibc.close(descriptor)
    }
  }

  /// Whether what was opened still has that name.
  private static func isAt(_ path: String, _ descriptor: Int32) -> Bool {
    var (named, opened) = (stat(), stat())
    return lstat(path, &named) == 0 && fstat(descriptor, &opened) == 0
      && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino
  }
}
