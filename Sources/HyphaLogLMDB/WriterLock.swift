import Glibc
import HyphaCore

/// Says that this process writes the log, to every other process, for as long as it lives.
///
/// The lock belongs to the open file and goes with the process, however that ends; child processes do not
/// inherit it. The process id in the file is for the error text alone.
final class WriterLock: Sendable {
  private let descriptor: Int32

  /// Takes the lock of a data directory.
  ///
  /// - Throws: ``HyphaError/Code/logLocked`` naming the process that has it.
  init(_ directory: DataDirectory) throws {
    let path = directory.writerLock
    descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw DataDirectory.unavailable(path, "open", errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      let holder = Self.holder(of: descriptor)
      // The object is whole, so its end closes the file, also when this throws; a second close would hit whatever
      // another thread has opened meanwhile.
      guard code == EWOULDBLOCK else { throw DataDirectory.unavailable(path, "flock", code) }
      throw HyphaError(
        .logLocked, "the log in \(directory.path) is open for writing by \(holder)",
        remedy: "stop that process, or give another data directory")
    }
    let text = "\(getpid())\n"
    // Who holds the lock is a courtesy to the reader of an error, so a failure here is none.
    _ = ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.utf8.count, 0)
  }

  deinit {
    // A child that is being started has a copy of the descriptor until it runs its program: the lock would last as long.
    _ = flock(descriptor, LOCK_UN)
    _ = Glibc.close(descriptor)
  }

  /// Who has written its process's id into a file that is locked, in words.
  static func holder(of descriptor: Int32) -> String {
    let text = String(unsafeUninitializedCapacity: 32) { max(0, pread(descriptor, $0.baseAddress, 32, 0)) }
    guard let process = Int32(text.prefix { $0.isNumber }) else { return "another process" }
    return process == getpid() ? "this process (\(process))" : "process \(process)"
  }
}
