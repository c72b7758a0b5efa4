import CLMDB
// Whichever module is loaded first has `stat`.
import Dispatch
import Glibc
import HyphaCore

/// Turns what LMDB returns into errors that name the log and say what to do.
struct LogFailure: Sendable {
  /// The remedy for stored bytes that are not what was written.
  static let restore = "run 'hypha log verify', then restore from a copy or run 'hypha log salvage'"

  /// The directory of the environment.
  let log: String

  /// Does nothing on success.
  ///
  /// - Throws: what `code` means, with `call` and LMDB's own message as the cause.
  func check(_ code: Int32, _ call: StaticString) throws {
    if code == MDB_SUCCESS { return }
    if code == MDB_MAP_FULL { throw MapIsFull() }
    throw error(code, call)
  }

  func error(_ code: Int32, _ call: StaticString) -> HyphaError {
    let cause = "\(call): \(String(cString: mdb_strerror(code)))"
    switch code {
    case MDB_MAP_FULL:
      return HyphaError(
        .logFull, "the log in \(log) has reached the size of its map",
        remedy: "prune it, or raise log.map-size and start the node again", cause: cause)
    case ENOSPC, EDQUOT: return full("its file system is full", cause)
    case EFBIG: return fileLimit(cause)
    case EIO:
      // LMDB reports a write that was cut short as EIO, whatever cut it.
      if hasReachedFileLimit { return fileLimit(cause) }
      if isFileSystemFull { return full("its file system is full", cause) }
      return HyphaError(
        .logFailed, "the disk of the log in \(log) failed",
        remedy: "check the disk (dmesg); the log goes on by itself once the disk takes what is written",
        cause: cause)
    case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID, MDB_BAD_VALSIZE, MDB_INCOMPATIBLE, MDB_CURSOR_FULL:
      return HyphaError(
        .logInvalid, "the log in \(log) is damaged", remedy: Self.restore, cause: cause)
    case MDB_VERSION_MISMATCH:
      return HyphaError(
        .logInvalid, "the log in \(log) was written by another version of LMDB",
        remedy: "use liblmdb 0.9", cause: cause)
    case MDB_PANIC:
      return HyphaError(
        .logFailed, "the log in \(log) is closed since its disk failed",
        remedy: "check the disk (dmesg); the next append opens it again once it can", cause: cause)
    case MDB_READERS_FULL:
      return HyphaError(
        .logFailed, "the log in \(log) has too many readers at once",
        remedy: "stop some of the processes that read it", cause: cause)
    case MDB_MAP_RESIZED:
      return HyphaError(
        .logFailed,
        "the log in \(log) has grown beyond what was mapped, while it was read from within a visit",
        remedy: "read it again, after the visit", cause: cause)
    case ENOMEM:
      return HyphaError(
        .logFailed, "the log in \(log) cannot be mapped: there is no address space for it",
        remedy: "lower log.map-size, or raise the limit (ulimit -v)", cause: cause)
    case EACCES, EPERM, EROFS:
      return HyphaError(
        .fileUnavailable, "the log in \(log) may not be used by this user",
        remedy: "run as the user that owns it, or change its permissions", cause: cause)
    default:
      return HyphaError(
        .logFailed, "the log in \(log) failed", remedy: "start the node again", cause: cause)
    }
  }

  /// What it means that there is no table of this name.
  func missing(_ table: String, hasOldTables: Bool) -> HyphaError {
    guard hasOldTables else {
      return HyphaError(
        .logInvalid, "\(log) is no log of Hypha's: it has no table \(table)",
        remedy: "give the data directory of a node", cause: "mdb_dbi_open")
    }
    return HyphaError(
      .logInvalid,
      "the log in \(log) has format 1, which this program does not read: it knows \(TableLayout.formatVersion)",
      remedy: "read it with the version of Hypha that wrote it, or begin anew with --fresh or another --data")
  }

  /// A page that is not what the tree of `table` needs there.
  func error(_ broken: PageMap.Broken, in table: String) -> HyphaError {
    HyphaError(
      .logInvalid, "the log in \(log) is damaged: page \(broken.number) of the table \(table) is broken",
      remedy: Self.restore)
  }

  /// A page that LMDB would give to whoever writes next, though a table has it.
  func usedAndFree(_ number: UInt64) -> HyphaError {
    HyphaError(
      .logInvalid, "the log in \(log) is damaged: page \(number) is in use and free at once",
      remedy: Self.restore)
  }

  private func full(_ why: String, _ cause: String) -> HyphaError {
    HyphaError(
      .logFull, "the log in \(log) cannot grow: \(why)", remedy: "free space on it, then try again",
      cause: cause)
  }

  private func fileLimit(_ cause: String) -> HyphaError {
    HyphaError(
      .logFull, "the log in \(log) has reached the largest file that this process may write",
      remedy: "raise the limit (ulimit -f)", cause: cause)
  }

  private var hasReachedFileLimit: Bool {
    let limit = hypha_lmdb_file_size_limit()
    var status = stat()
    guard limit >= 0, stat(DataDirectory.dataFile(in: log), &status) == 0 else { return false }
    // The limit need not be a whole number of pages.
    return Int64(status.st_size) + 65_536 > limit
  }

  private var isFileSystemFull: Bool {
    var status = statvfs()
    // An index is made under another name than the one that it gets.
    guard
      statvfs(DataDirectory.dataFile(in: log), &status) == 0
        || statvfs(FileTree.parent(of: log), &status) == 0
    else { return false }
    return status.f_bavail * status.f_frsize < 65_536
  }
}

extension LogFailure {
  /// What `read` returns; where it finds damage, the error and its remedy name the data directory ``log``.
  ///
  /// What is named already is left as it is: a log may be read from within a visit of another one.
  func naming<Value>(_ read: () throws -> Value) throws -> Value {
    do { return try read() } catch let error as HyphaError {
      guard error.code == .logInvalid, error.remedy == Self.restore else { throw error }
      throw HyphaError(
        .logInvalid, error.problem.contains(log) ? error.problem : "the log in \(log): \(error.problem)",
        remedy: "run 'hypha log verify \(log)', then restore from a copy or run 'hypha log salvage \(log)'",
        cause: error.cause)
    }
  }

  /// An error of any origin as one that a caller can be told.
  static func from(_ error: any Error) -> HyphaError {
    error as? HyphaError ?? HyphaError(.logFailed, "the log failed", cause: "\(error)")
  }
}

/// A transaction found no room in the map: it can be made larger.
struct MapIsFull: Error {}

/// Another process has made the map larger than this one has it.
struct MapIsOutgrown: Error {}
