import Glibc
import HyphaCore
import Synchronization

/// A page that the processes of one scene share: how many events each receiver has taken in this slice.
///
/// A publisher looks at it to run ahead of the slowest receiver by a bounded window, so that nothing is dropped and
/// both sides of a comparison are measured at what really arrives.
///
/// `@unchecked Sendable`: the words are atomic, each a cache line apart, and stay mapped for the object's life.
final class Board: @unchecked Sendable {
  private static let byteCount = 4096
  private static let wordByteCount = 64
  private let base: UnsafeMutableRawPointer

  /// Maps the page in the file at `path`, which is made where it is missing.
  init(_ path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(path, "open") }
    defer { _ = close(descriptor) }
    guard ftruncate(descriptor, off_t(Self.byteCount)) == 0 else { throw Self.failure(path, "ftruncate") }
    guard
      let base = mmap(nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { throw Self.failure(path, "mmap") }
    self.base = base
  }

  deinit { munmap(base, Self.byteCount) }

  private func word(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    (base + index * Self.wordByteCount).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// A receiver has taken so many events in all.
  func setTaken(_ count: UInt64, by receiver: Int) {
    word(receiver).pointee.store(count, ordering: .releasing)
  }

  /// What the slowest of so many receivers has taken.
  func slowest(of receiverCount: Int, from first: Int = 0) -> UInt64 {
    var slowest = UInt64.max
    for index in first..<first + receiverCount {
      slowest = min(slowest, word(index).pointee.load(ordering: .acquiring))
    }
    return slowest
  }

  private static func failure(_ path: String, _ call: String) -> HyphaError {
    HyphaError(
      .failed, "the page \(path), which the bench's processes share, cannot be mapped",
      remedy: "give --data a directory on a local disk",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}
