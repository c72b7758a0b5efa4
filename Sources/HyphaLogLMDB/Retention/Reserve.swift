import CLMDB
import Glibc
import HyphaCore

/// Room that is kept for the moment when there is none.
///
/// LMDB never changes a page in place, so even removing takes a few free pages. On a full disk, or in a map that has
/// reached its largest size, a prune could not begin. So a file `log.reserve` of 512 KiB lies beside the log; a
/// prune that finds no room gives it to the log's file, and lets the map grow by as much beyond its largest size. When it
/// is done the map gets its size back, and what was not used of the room is kept again.
extension Environment {
  private static let reserveByteCount = 512 << 10
  private static let reserveByteCountMin = 32 << 10

  private var reserve: String { DataDirectory.reserve(of: failure.log) }

  /// Makes the file that keeps the room, unless it is there; a smaller one where there is less.
  ///
  /// - Parameter share: of the room that there is, take one in so many parts at the most.
  func keepReserve(share: UInt64) {
    var status = statvfs()
    guard statvfs(failure.log, &status) == 0 else { return }
    let byteCount = min(
      Self.reserveByteCount, Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize) / share))
    guard byteCount >= Self.reserveByteCountMin else { return }
    let descriptor = Glibc.open(reserve, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    defer { _ = Glibc.close(descriptor) }
    if posix_fallocate(descriptor, 0, off_t(byteCount)) != 0 { unlink(reserve) }
  }

  /// Gives the room to the log's file, where what is written next finds it.
  func lendReserve() throws {
    let used = try facts().usedByteCount
    var status = stat()
    if stat(reserve, &status) == 0, unlink(reserve) == 0 {
      // At once, before somebody else takes it. Where that fails, nothing is worse than before.
      _ = posix_fallocate(try descriptor(), off_t(used), status.st_size)
    }
    let present = try facts().mapByteCount
    if present >= mapByteCountMax { try resizeMap(to: present + Self.reserveByteCount) }
  }

  /// Takes the room back, as far as it was not used.
  func returnReserve() throws {
    let used = try facts().usedByteCount
    if try fileByteCount() > UInt64(used), ftruncate(try descriptor(), off_t(used)) != 0 {
      throw failure.error(errno, "ftruncate")
    }
    keepReserve(share: 1)
    // LMDB makes it no smaller than what is in use.
    if try facts().mapByteCount > mapByteCountMax { try resizeMap(to: mapByteCountMax) }
  }
}
