import Glibc
import HyphaCore

/// Small steps of making and reading files, each with an error that names the file.
enum DurableFile {
  /// Makes a file that is not there yet, readable by its owner alone, and puts its content on the disk. Its name is
  /// durable only after ``syncDirectory(_:)``. Nothing is left behind on failure.
  ///
  /// - Throws: ``HyphaError/Code/logFull`` when there is no room.
  static func create(_ path: String, _ content: UnsafeRawBufferPointer) throws {
    let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure(path, "open", errno) }
    do {
      defer { _ = Glibc.close(descriptor) }
      var offset = 0
      while offset < content.count {
        let rest = UnsafeRawBufferPointer(rebasing: content[offset...])
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { throw failure(path, "write", count < 0 ? errno : ENOSPC) }
        offset += count
      }
      guard fdatasync(descriptor) == 0 else { throw failure(path, "fdatasync", errno) }
    } catch {
      unlink(path)
      throw error
    }
  }

  /// Makes what was created, renamed and removed in a directory durable.
  static func syncDirectory(_ path: String) throws(HyphaError) {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "open", errno) }
    defer { _ = Glibc.close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure(path, "fsync", errno) }
  }

  /// Calls `body` with an open file and its status, or returns nil where there is no such file.
  static func reading<Value>(_ path: String, _ body: (Int32, stat) throws -> Value) throws -> Value? {
    // Where a pipe lies in the file's place, opening it must not wait for a writer.
    let descriptor = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      guard errno == ENOENT else { throw failure(path, "open", errno) }
      return nil
    }
    defer { _ = Glibc.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path, "fstat", errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw HyphaError(
        .logInvalid, "\(path) is not a regular file", remedy: "move it away, or restore the file")
    }
    return try body(descriptor, status)
  }

  /// Fills `buffer` from the file's front as far as the file goes; returns how many bytes it gave.
  static func read(
    _ descriptor: Int32, of path: String, at offset: Int = 0, into buffer: UnsafeMutableRawBufferPointer
  )
    throws -> Int
  {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let count = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure(path, "pread", errno) }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// The error for a file on which a system call failed.
  static func failure(_ path: String, _ call: String, _ code: Int32) -> HyphaError {
    let cause = "\(call): \(String(cString: strerror(code)))"
    switch code {
    case EFBIG:
      return HyphaError(
        .logFull, "\(path) would exceed the largest file that this process may write",
        remedy: "raise the limit (ulimit -f)", cause: cause)
    case EIO:
      return HyphaError(
        .logFailed, "the disk of \(path) failed", remedy: "check the disk (dmesg), then start the node again",
        cause: cause)
    default: return DataDirectory.unavailable(path, call, code)
    }
  }
}
