internal import Glibc
internal import HyphaCore
internal import Synchronization

/// A buffered writer that checks every write.
///
/// Text collects in a buffer of 64 KiB; on a terminal each complete line goes out at once. The runner flushes
/// ``standard`` at the end. When the reader has gone away, as in `hypha log cat data | head -1`, a write throws
/// ``ExitStatus/brokenPipe``: let it pass, and the command unwinds, closes what it has open, and the
/// program ends silently with status 141, which is what a shell reports for `cat` there. Any other failure
/// throws a `HyphaError`, so a full disk is never taken for success.
///
/// Any thread may write; the text of one call stays together.
public final class Output: Sendable {
  /// Standard output. Tests put another in place with `Output.$standard.withValue(.captured())`.
  @TaskLocal public static var standard = Output(
    descriptor: STDOUT_FILENO, flushesLines: isatty(STDOUT_FILENO) == 1, name: "standard output")

  /// Standard error; each line goes out at once.
  @TaskLocal public static var standardError = Output(
    descriptor: STDERR_FILENO, flushesLines: true, name: "standard error")

  private let descriptor: Int32
  private let flushesLines: Bool
  private let name: String
  private let capacity: Int
  private let buffer = Mutex<[UInt8]>([])

  /// A writer to an open file descriptor, which stays the caller's to close.
  ///
  /// - Parameters:
  ///   - descriptor: The file descriptor.
  ///   - flushesLines: Whether text that ends a line goes out at once.
  ///   - name: What errors call it.
  ///   - bufferByteCount: The size at which the buffer is written out.
  public init(
    descriptor: Int32, flushesLines: Bool = false, name: String = "the output", bufferByteCount: Int = 65_536
  ) {
    self.descriptor = descriptor
    self.flushesLines = flushesLines
    self.name = name
    self.capacity = bufferByteCount
  }

  /// Whether it writes to what `print` writes to.
  var isProcessOutput: Bool { descriptor == STDOUT_FILENO }

  /// A writer that keeps everything in ``text``, for tests.
  public static func captured() -> Output { Output(descriptor: -1, name: "a captured output") }

  /// What a ``captured()`` writer has got so far; for others, what is not yet written out.
  public var text: String { buffer.withLock { String(decoding: $0, as: UTF8.self) } }

  /// Writes `text` as it is.
  ///
  /// - Throws: ``ExitStatus/brokenPipe`` when nobody reads any more; a `HyphaError` when the write fails.
  public func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { try write(bytes: $0) }
  }

  /// Writes `bytes`, which are UTF-8, as they are. Throws as ``write(_:)``.
  public func write(bytes: some Collection<UInt8>) throws {
    try buffer.withLock { buffer in
      buffer.append(contentsOf: bytes)
      guard descriptor >= 0 else { return }
      if buffer.count >= capacity || (flushesLines && bytes.contains(0x0A)) { try drain(&buffer) }
    }
  }

  /// Writes `text` and a newline. Throws as ``write(_:)``.
  public func writeLine(_ text: String = "") throws { try write(text + "\n") }

  /// Writes out what is in the buffer. A command that follows a log calls it before it waits. Throws as ``write(_:)``.
  public func flush() throws {
    try buffer.withLock { buffer in
      if descriptor >= 0 { try drain(&buffer) }
    }
  }

  /// Writes all of `buffer`; empties it in any case, so that a failure is reported once.
  private func drain(_ buffer: inout [UInt8]) throws {
    defer { buffer.removeAll(keepingCapacity: true) }
    var offset = 0
    while offset < buffer.count {
      let written = buffer[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written >= 0 {
        offset += written
        continue
      }
      let code = errno
      switch code {
      case EINTR: continue
      case EAGAIN:
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&request, 1, -1)
      case EPIPE: throw ExitStatus.brokenPipe
      default:
        throw HyphaError(
          .failed, "\(name) cannot be written", remedy: "check the disk or the program that reads it",
          cause: "write: \(String(cString: strerror(code)))")
      }
    }
  }
}
