import Foundation
import HyphaCore

/// A file that has its name only when it is whole: until then it is beside its place under another one, and it is removed when
/// it is not finished. Links are followed. What has the name and is no file, such as a device or a pipe, is written to as the
/// bytes come.
final class WholeFile {
  /// Where it will be.
  let path: String
  /// Whether there is no file to make: the bytes go straight to a device or a pipe.
  let isStream: Bool
  /// How many bytes were written.
  private(set) var byteCount = 0
  /// Where it is until then.
  let partial: String
  private let descriptor: Int32
  private var isFinished = false

  /// The directory of the file.
  var directory: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

  /// - Parameter waiting: is called again and again while a pipe has no reader yet; what it throws ends that.
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when there can be no file at `path`.
  init(_ given: String, waiting: () throws -> Void = {}) throws {
    var status = stat()
    let type = stat(given, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG
    isStream = type != S_IFREG && type != S_IFDIR
    let path = Self.target(of: given)
    let partial = isStream ? path : "\(path).\(UUID().uuidString.prefix(8)).partial"
    let descriptor =
      switch type {
      case S_IFDIR: Int32(-1)
      case S_IFREG: open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      default:
        try Self.openStream(
          given, isPipe: type == S_IFIFO, isOwn: Self.isStandardOutput(status), waiting)
      }
    guard descriptor >= 0 else {
      throw HyphaError(
        .fileUnavailable, "\(given) cannot be written",
        remedy: "name a file in a directory that can be written",
        cause: type == S_IFDIR ? "it is a directory" : "open: \(String(cString: strerror(errno)))")
    }
    self.path = path
    self.partial = partial
    self.descriptor = descriptor
  }

  deinit {
    guard !isFinished else { return }
    close(descriptor)
    if !isStream { unlink(partial) }
  }

  /// Opens a device, or a pipe once it has a reader: to wait for that in the call itself, nobody could end it.
  /// Standard output that is a pipe has lost its reader for good.
  private static func openStream(
    _ path: String, isPipe: Bool, isOwn: Bool, _ waiting: () throws -> Void
  ) throws -> Int32 {
    while true {
      let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
      if descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) }
      guard descriptor < 0, isPipe, errno == ENXIO else { return descriptor }
      if isOwn { throw ExitStatus.brokenPipe }
      try waiting()
      usleep(20_000)
    }
  }

  /// Where links lead, also where nothing is there yet.
  private static func target(of path: String) -> String {
    var path = path
    for _ in 0..<40 {
      guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { break }
      let base = URL(fileURLWithPath: path).deletingLastPathComponent()
      path = next.hasPrefix("/") ? next : base.appendingPathComponent(next).path
    }
    return path
  }

  /// Whether what is written goes where standard output goes, so that nothing else may be said there.
  var isStandardOutput: Bool {
    var own = stat()
    return isStream && fstat(descriptor, &own) == 0 && Self.isStandardOutput(own)
  }

  private static func isStandardOutput(_ own: stat) -> Bool {
    var standard = stat()
    guard fstat(STDOUT_FILENO, &standard) == 0 else { return false }
    return own.st_dev == standard.st_dev && own.st_ino == standard.st_ino
  }

  /// Appends bytes.
  ///
  /// - Throws: ``ExitStatus/brokenPipe`` when nobody reads a pipe any more; ``HyphaError/Code/fileUnavailable`` when the write fails.
  func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      // Who reads it has enough, and says so by going.
      if count < 0, errno == EPIPE { throw ExitStatus.brokenPipe }
      guard count >= 0 else { throw failure("write") }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    byteCount += bytes.count
  }

  /// Gives the file its name, in place of what had it before.
  func finish() throws {
    // A pipe or a device has nothing to sync.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("fsync") }
    if !isStream, rename(partial, path) != 0 { throw failure("rename") }
    isFinished = true
    // A database has written it itself.
    if !isStream { byteCount = max(byteCount, Int(lseek(descriptor, 0, SEEK_END))) }
    close(descriptor)
  }

  private func failure(_ call: String) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) cannot be written", remedy: "make room, or name a file elsewhere",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}
