import Foundation
import HyphaCore

/// A file that has its name only when it is whole: until then it is beside its place under another one, and it is removed when
/// it is not finished.
final class WholeFile {
  /// Where it will be.
  let path: String
  /// How many bytes were written.
  private(set) var byteCount = 0
  /// Where it is until then.
  let partial: String
  private let descriptor: Int32
  private var isFinished = false

  /// The directory of the file.
  var directory: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

  /// - Throws: ``HyphaError/Code/fileUnavailable`` when there can be no file at `path`.
  init(_ path: String) throws {
    let partial = "\(path).\(UUID().uuidString.prefix(8)).partial"
    var isDirectory: ObjCBool = false
    let isTaken =
      FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    let descriptor = isTaken ? -1 : open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw HyphaError(
        .fileUnavailable, "\(path) cannot be written",
        remedy: "name a file in a directory that can be written",
        cause: isTaken ? "it is a directory" : "open: \(String(cString: strerror(errno)))")
    }
    self.path = path
    self.partial = partial
    self.descriptor = descriptor
  }

  deinit {
    guard !isFinished else { return }
    close(descriptor)
    unlink(partial)
  }

  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("write") }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    byteCount += bytes.count
  }

  /// Gives the file its name, in place of what had it before.
  func finish() throws {
    // A pipe or a device has nothing to sync.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("fsync") }
    guard rename(partial, path) == 0 else { throw failure("rename") }
    isFinished = true
    // A database has written it itself.
    byteCount = max(byteCount, Int(lseek(descriptor, 0, SEEK_END)))
    close(descriptor)
  }

  private func failure(_ call: String) -> HyphaError {
    HyphaError(
      .fileUnavailable, "\(path) cannot be written", remedy: "make room, or name a file elsewhere",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}
