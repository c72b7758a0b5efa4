import Glibc
import HyphaCore
import Synchronization

/// The environments that this process has open, each once.
///
/// LMDB loses its locks when a process opens an environment a second time (lmdb.h, "Caveats"), so a writer
/// and the readers of one file in one process share it here.
enum EnvironmentRegistry {
  /// What tells a file from all others on this machine, as long as it is open.
  fileprivate struct FileKey: Hashable, Sendable {
    let device: UInt
    let inode: UInt
  }

  private struct Shared: Sendable {
    let environment: Environment
    var leaseCount: Int
  }

  private static let open = Mutex<[FileKey: Shared]>([:])

  /// Opens the environment in the directory `log`, or shares it when it is open here already.
  ///
  /// The file is checked before LMDB maps it.
  static func lease(
    log: String, mode: Environment.Mode, tables: [String] = Environment.Table.ofLog
  ) throws -> EnvironmentLease {
    try open.withLock { open in
      let key = try key(ofFile: DataDirectory.dataFile(in: log))
      if let shared = open[key] {
        guard shared.environment.isWritable || mode == .reading else {
          throw HyphaError(
            .logLocked, "this process has the log in \(log) open for reading",
            remedy: "let go of the LMDBLogReader first, or open the LMDBLog before it")
        }
        open[key] = Shared(environment: shared.environment, leaseCount: shared.leaseCount + 1)
        return EnvironmentLease(environment: shared.environment, key: key)
      }
      try MetaPageCheck.check(log: log, isBeingWritten: mode == .reading)
      let environment = try Environment(log: log, mode: mode, tables: tables)
      open[key] = Shared(environment: environment, leaseCount: 1)
      return EnvironmentLease(environment: environment, key: key)
    }
  }

  fileprivate static func end(_ key: FileKey) {
    open.withLock { open in
      guard let shared = open[key] else { return }
      if shared.leaseCount > 1 {
        open[key] = Shared(environment: shared.environment, leaseCount: shared.leaseCount - 1)
      } else {
        open[key] = nil
        // Within the lock: nobody may open the file again before it is closed.
        shared.environment.close()
      }
    }
  }

  /// Whether the file at `path` is the one that `lease` holds.
  static func isPresent(_ lease: EnvironmentLease, log: String) -> Bool {
    (try? key(ofFile: DataDirectory.dataFile(in: log))) == lease.key
  }

  private static func key(ofFile path: String) throws -> FileKey {
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT || errno == ENOTDIR else {
        throw DataDirectory.unavailable(path, "stat", errno)
      }
      throw HyphaError(
        .logInvalid, "the log has lost its file \(path)",
        remedy: "restore it from a copy; to begin a new log, remove its directory")
    }
    return FileKey(device: UInt(status.st_dev), inode: UInt(status.st_ino))
  }
}

/// Keeps an environment open while it lives.
final class EnvironmentLease: Sendable {
  let environment: Environment
  fileprivate let key: EnvironmentRegistry.FileKey

  fileprivate init(environment: Environment, key: EnvironmentRegistry.FileKey) {
    self.environment = environment
    self.key = key
  }

  deinit { EnvironmentRegistry.end(key) }
}
