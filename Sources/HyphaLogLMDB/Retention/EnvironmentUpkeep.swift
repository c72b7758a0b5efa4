import CLMDB
import Dispatch
import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// What making room, copying and watching need of LMDB.
extension Environment {
  /// The file.
  func descriptor() throws -> Int32 {
    var descriptor: mdb_filehandle_t = -1
    try withHandle { try failure.check(mdb_env_get_fd($0, &descriptor), "mdb_env_get_fd") }
    return descriptor
  }

  /// The size of the file.
  func fileByteCount() throws -> UInt64 {
    var status = stat()
    guard try fstat(descriptor(), &status) == 0 else { throw failure.error(errno, "fstat") }
    return UInt64(status.st_size)
  }

  /// Makes the file so long that it holds `pageCount` pages beyond the last one in use; what is added takes no room on
  /// the disk.
  ///
  /// A transaction that deletes may take new pages and give them up again: LMDB then counts them in the meta page, but
  /// never writes them, and a file that is shorter than its meta page says would pass for one that was cut.
  func extendFile(pageCount: Int) throws {
    let wanted = try facts().usedByteCount + pageCount * pageByteCount
    guard try fileByteCount() < UInt64(wanted) else { return }
    while try ftruncate(descriptor(), off_t(wanted)) != 0 {
      guard errno == EINTR else { throw failure.error(errno, "ftruncate") }
    }
  }

  /// The marks of all readers, with the commit that each one looks at.
  func readers() throws -> [LogReaderMark] {
    final class Text { var lines = "" }
    let text = Text()
    let code = try withHandle { handle in
      mdb_reader_list(
        handle,
        { line, context in
          // Both are given by the call below.
          Unmanaged<Text>.fromOpaque(context!).takeUnretainedValue().lines += String(cString: line!)
          return 0
        }, Unmanaged.passUnretained(text).toOpaque())
    }
    guard code >= 0 else { throw failure.error(code, "mdb_reader_list") }
    let newest = UInt64(try facts().commitCount)
    // A heading, then a line a reader: process, thread in hexadecimal, commit or `-` (mdb.c: `mdb_reader_list`).
    return text.lines.split(separator: "\n").dropFirst().compactMap { line in
      let words = line.split(separator: " ")
      guard words.count == 3, let process = Int32(words[0]), let thread = UInt64(words[1], radix: 16) else {
        return nil
      }
      return LogReaderMark(process: process, thread: thread, commit: UInt64(words[2]), newest: newest)
    }
  }

  /// Copies the environment as it is now to an open, empty file, whose `path` errors of its file system name.
  ///
  /// It holds a view for as long as it takes. A compact copy has only pages in use, in order, and begins with commit
  /// number 1 anew; another one is what the file is, byte for byte, with its commit number.
  func copy(to target: Int32, at path: String, isCompact: Bool, progress: @escaping CopyProgress) throws {
    // Takes the map's size of now, and keeps it from being moved meanwhile.
    let view = try beginReading()
    defer { _ = view.commitNumber }
    let total = UInt64(try facts().usedByteCount)
    let watch = CopyWatch()
    let timer = DispatchSource.makeTimerSource(queue: .global())
    timer.schedule(deadline: .now() + .milliseconds(100), repeating: .milliseconds(100))
    timer.setEventHandler {
      watch.state.withLock { state in
        var status = stat()
        guard !state.isOver, state.failure == nil, fstat(target, &status) == 0 else { return }
        do { try progress(UInt64(status.st_size), total) } catch {
          state.failure = error
          Self.refuseWrites(to: target)
        }
      }
    }
    timer.resume()
    defer { timer.cancel() }
    let code = try withHandle { mdb_env_copyfd2($0, target, isCompact ? UInt32(MDB_CP_COMPACT) : 0) }
    let end = watch.state.withLock { state in
      state.isOver = true
      return state.failure
    }
    if let end { throw end }
    // Nothing is written to the log itself.
    if [ENOSPC, EDQUOT, EFBIG].contains(code) { throw DurableFile.failure(path, "mdb_env_copyfd2", code) }
    try failure.check(code, "mdb_env_copyfd2")
  }

  /// What the thread that copies and the one that tells of it have in common.
  private final class CopyWatch: Sendable {
    let state = Mutex(State())

    struct State {
      /// LMDB has returned, so the file is no longer the copy's.
      var isOver = false
      /// What `progress` threw.
      var failure: (any Error)?
    }
  }

  /// Lets every write to an open file fail from now on: LMDB's copy ends in no other way.
  private static func refuseWrites(to target: Int32) {
    let full = Glibc.open("/dev/full", O_WRONLY | O_CLOEXEC)
    guard full >= 0 else { return }
    _ = dup2(full, target)
    _ = Glibc.close(full)
  }

  /// The bytes of the pages that a table takes.
  func byteCount(of table: Table, in transaction: borrowing ReadTransaction) -> UInt64 {
    let tree = transaction.tree(of: table)
    return (tree.branchPageCount + tree.leafPageCount + tree.apartPageCount)
      * UInt64(transaction.pages.pageByteCount)
  }
}
