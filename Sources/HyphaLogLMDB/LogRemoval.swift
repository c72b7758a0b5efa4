import Glibc
import HyphaCore

extension LMDBLog {
  /// Removes the logs in these data directories and nothing else that is there: all of them, or none where one
  /// is open for writing. Directories without a log are passed over.
  ///
  /// The files that say who writes stay: a process that waits for one must not find another in its place.
  ///
  /// - Throws: ``HyphaError/Code/logLocked`` naming the process that writes;
  ///   ``HyphaError/Code/fileUnavailable`` where files may not be removed.
  public static func remove(directories: [String]) throws {
    let places = try directories.map { DataDirectory(path: $0) }.filter { try $0.hasLog() }
    let locks = try places.map { try WriterLock($0) }
    for place in places {
      try place.removeIndexes()
      try place.removeNewLog()
      try place.removeLog()
    }
    withExtendedLifetime(locks) {}
  }
}

extension DataDirectory {
  /// Removes the log, its directory last: after a death in the middle, removing it again brings it to its end.
  fileprivate func removeLog() throws {
    for file in [Self.lockFile(in: log), Self.dataFile(in: log), Self.reserve(of: log)]
    where unlink(file) != 0 && errno != ENOENT {
      throw Self.unavailable(file, "unlink", errno)
    }
    guard rmdir(log) == 0 || errno == ENOENT else { throw Self.unavailable(log, "rmdir", errno) }
  }
}
