import Glibc
import HyphaCore

/// Where a node keeps its log.
///
/// ```
/// DIR/                 0700
///   writer.lock        0600  locked while a process writes; holds that process's id
///   log/               0700
///     data.mdb         0600  everything
///     lock.mdb         0600  LMDB's marks of readers; of no worth when no process has the log open
///   log.reserve        0600  room that is kept for a prune on a full disk
///   log.new/                 a log that is being made, or made anew by a compaction; it takes the place of log/ once it
///                            is whole
///   index/             0700  what finds entries; it follows from the log and may be removed
///   index.new/               an index that is being made
///   payloads/          0700  large payloads, each in a file named by its content
///   node.key           0600  the key that the node signs the log's head with
///   operator.sock      0600  where a running node takes operators' requests; not of the log
/// ```
///
/// So whatever stands at `log/data.mdb` was a whole log once: an empty or a short file is damage, never a
/// log that has only begun.
struct DataDirectory: Sendable {
  let path: String

  var log: String { path + "/log" }
  var newLog: String { path + "/log.new" }
  var writerLock: String { path + "/writer.lock" }
  static func dataFile(in log: String) -> String { log + "/data.mdb" }
  static func lockFile(in log: String) -> String { log + "/lock.mdb" }
  static func reserve(of log: String) -> String { log + ".reserve" }

  /// Makes the directory, and its parents, where they are missing.
  func create() throws {
    var end = path.startIndex
    while end < path.endIndex {
      let slash = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      let directory = String(path[..<slash])
      if mkdir(directory, 0o700) == 0 {
        // What is acknowledged stands below a name that has to be on the disk, too.
        try Self.sync(FileTree.parent(of: directory))
      } else if errno != EEXIST && slash == path.endIndex {
        throw unavailable(path, "mkdir", errno)
      }
      end = slash
    }
    guard try Self.isDirectory(path) else {
      throw HyphaError(
        .fileUnavailable, "\(path) is not a directory", remedy: "give another data directory")
    }
  }

  /// Whether a log was ever made here.
  func hasLog() throws -> Bool { try Self.isDirectory(log) }

  /// Removes what a process left that ended while it made the log.
  func removeNewLog() throws {
    for file in [Self.dataFile(in: newLog), Self.lockFile(in: newLog)] where unlink(file) != 0 {
      guard errno == ENOENT || errno == ENOTDIR else { throw unavailable(file, "unlink", errno) }
    }
    guard rmdir(newLog) == 0 || errno == ENOENT else { throw unavailable(newLog, "rmdir", errno) }
  }

  /// Makes the directory of a log that is about to be made.
  func createNewLog() throws {
    guard mkdir(newLog, 0o700) == 0 else { throw unavailable(newLog, "mkdir", errno) }
  }

  /// Puts the finished log in its place, durably.
  func adoptNewLog() throws {
    try Self.sync(newLog)
    guard rename(newLog, log) == 0 else { throw unavailable(log, "rename", errno) }
    try Self.sync(path)
  }

  /// Whether there is a directory at `path`; false also where there is nothing.
  private static func isDirectory(_ path: String) throws -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT else { throw unavailable(path, "stat", errno) }
      return false
    }
    return status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes a directory's own entries durable.
  private static func sync(_ path: String) throws {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unavailable(path, "open", errno) }
    defer { _ = Glibc.close(descriptor) }
    guard fsync(descriptor) == 0 else { throw unavailable(path, "fsync", errno) }
  }

  private func unavailable(_ path: String, _ call: String, _ code: Int32) -> HyphaError {
    Self.unavailable(path, call, code)
  }

  /// The error for a file or directory on which a system call failed.
  static func unavailable(_ path: String, _ call: String, _ code: Int32) -> HyphaError {
    let cause = "\(call): \(String(cString: strerror(code)))"
    switch code {
    case EACCES, EPERM:
      return HyphaError(
        .fileUnavailable, "\(path) may not be used by this user",
        remedy: "run as the user that owns it, or change its permissions", cause: cause)
    case EROFS:
      return HyphaError(
        .fileUnavailable, "\(path) is on a read-only file system",
        remedy: "give another data directory", cause: cause)
    case ENOSPC, EDQUOT:
      return HyphaError(
        .logFull, "there is no room for \(path)", remedy: "free space on its file system", cause: cause)
    default:
      return HyphaError(
        .fileUnavailable, "\(path) cannot be used", remedy: "give another data directory", cause: cause)
    }
  }
}
