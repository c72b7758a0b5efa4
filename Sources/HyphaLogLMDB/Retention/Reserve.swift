import CLMDB
import Glibc
import HyphaCore

/// Room that is kept for the moment when there is none.
///
/// LMDB never changes a page in place, so even removing takes a few free pages. On a full disk, or in a map that has
/// reached its largest size, a prune could not begin. So a file of this size, `log.reserve`, lies beside the log; a
/// prune that finds no room removes it, and lets the map grow by as much beyond its largest size. When it is done and
/// there is room again, the file is made anew and the map gets its size back.
extension Environment {
  private static let reserveByteCount = 512 << 10

  private var reserve: String { DataDirectory.reserve(of: failure.log) }

  /// Makes the file that keeps the room, unless it is there; a smaller one where there is less room.
  func keepReserve() {
    let descriptor = Glibc.open(reserve, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    defer { _ = Glibc.close(descriptor) }
    var byteCount = Self.reserveByteCount
    while byteCount >= 32 << 10 {
      if posix_fallocate(descriptor, 0, off_t(byteCount)) == 0 { return }
      byteCount /= 2
      // What was taken in vain is given back.
      _ = ftruncate(descriptor, 0)
    }
    unlink(reserve)
  }

  /// Gives up the room to what is written next.
  func lendReserve() throws {
    unlink(reserve)
    let present = try facts().mapByteCount
    if present >= mapByteCountMax { try resizeMap(to: present + Self.reserveByteCount) }
  }

  /// Keeps the room again, as far as there is some.
  func returnReserve() throws {
    keepReserve()
    // LMDB makes it no smaller than what is in use.
    if try facts().mapByteCount > mapByteCountMax { try resizeMap(to: mapByteCountMax) }
  }
}
