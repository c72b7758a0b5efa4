import Glibc
import HyphaCore

/// A plain file: each group is one write at its end and one `fdatasync`.
final class BareFile: Sendable {
  private let descriptor: Int32
  private let path: String
  private let valueByteCount: Int

  /// An empty file at `path` for values of `valueByteCount` bytes.
  init(_ path: String, valueByteCount: Int) throws {
    self.path = path
    self.valueByteCount = valueByteCount
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(path, "open") }
  }

  deinit { _ = close(descriptor) }

  /// Writes and syncs groups of `groupSize` values until `deadline`, at least one.
  func append(groupSize: Int, until deadline: UInt64) throws -> Slice {
    let begin = Monotonic.nanoseconds()
    let group = [UInt8](repeating: 7, count: groupSize * valueByteCount)
    var slice = Slice(eventCount: 0, nanoseconds: 0)
    var now = begin
    repeat {
      guard write(descriptor, group, group.count) == group.count else { throw Self.failure(path, "write") }
      guard fdatasync(descriptor) == 0 else { throw Self.failure(path, "fdatasync") }
      let end = Monotonic.nanoseconds()
      slice.latencies.append(Double(end - now))
      slice.eventCount += groupSize
      slice.groupCount += 1
      now = end
    } while now < deadline
    slice.nanoseconds = now - begin
    slice.latencies.sort()
    return slice
  }

  private static func failure(_ path: String, _ call: String) -> HyphaError {
    HyphaError(
      .failed, "the plain file \(path), which the log is compared with, cannot be written",
      remedy: "give --data a directory on a local disk with some GiB free",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}
