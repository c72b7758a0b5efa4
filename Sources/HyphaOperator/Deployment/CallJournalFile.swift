import Glibc
import HyphaCore
import HyphaRuntime

/// The file `calls` in a node's data directory: the ``CallJournal`` of the process that runs the node, mapped, so that it is there
/// however that ends.
enum CallJournalFile {
  /// No journal is larger: it would be of a million agents.
  private static let byteCountMax = 128 << 20

  /// Reads what the process before this one has left, and begins a journal for the calls of `agents`.
  ///
  /// The new one takes the old one's place under its name, so that what still maps that does not come to harm.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` where the file cannot be made or there is no room for it.
  static func open(in directory: String, agents: [AgentID]) throws -> CallJournal {
    let (path, partial) = ("\(directory)/calls", "\(directory)/calls.partial")
    let previous = contents(of: path)
    let byteCount = CallJournal.byteCount(agentCount: agents.count)
    let descriptor = Glibc.open(partial, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw unavailable(partial, errno) }
    defer { _ = Glibc.close(descriptor) }
    // Its room is taken now: a map with a hole in it ends the process where the disk is full.
    let code = posix_fallocate(descriptor, 0, off_t(byteCount))
    guard code == 0 else {
      unlink(partial)
      throw unavailable(partial, code)
    }
    guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { throw unavailable(partial, errno) }
    let journal = CallJournal(
      of: agents, in: UnsafeMutableRawBufferPointer(start: base, count: byteCount), after: previous
    ) { munmap($0.baseAddress, $0.count) }
    guard rename(partial, path) == 0 else { throw unavailable(path, errno) }
    return journal
  }

  /// What the file holds; nothing where it is none that a node could have written.
  private static func contents(of path: String) -> [UInt8] {
    let descriptor = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { _ = Glibc.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      (1...off_t(byteCountMax)).contains(status.st_size)
    else { return [] }
    return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      while count < buffer.count {
        let read = Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
        guard read > 0 else { break }
        count += read
      }
    }
  }

  private static func unavailable(_ path: String, _ code: Int32) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) cannot be written",
      remedy: "make room on the disk, and see that the data directory may be written",
      cause: String(cString: strerror(code)))
  }
}
