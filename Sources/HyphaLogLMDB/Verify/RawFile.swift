import Glibc
import HyphaCore

/// A damaged file that is read at offsets, and never mapped: what cannot be read is zeros, and what lies beyond its
/// end is nothing. Closed with its last reference.
final class RawFile {
  let byteCount: Int
  private let descriptor: Int32
  private static let pageByteCount = 4_096

  init(_ path: String) throws {
    descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DataDirectory.unavailable(path, "open", errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw DataDirectory.unavailable(path, "fstat", errno) }
    byteCount = Int(status.st_size)
  }

  deinit { _ = Glibc.close(descriptor) }

  /// Up to `count` bytes at an offset; fewer at the file's end.
  func bytes(at offset: Int, count: Int) -> [UInt8] {
    let present = max(0, min(count, byteCount - offset))
    var bytes = [UInt8](repeating: 0, count: present)
    bytes.withUnsafeMutableBytes { buffer in
      var filled = 0
      while filled < present {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        // Where the disk fails, as little as one page is lost.
        var read = pread(descriptor, rest.baseAddress, rest.count, offset + filled)
        if read < 0 {
          let piece = min(rest.count, Self.pageByteCount - (offset + filled) % Self.pageByteCount)
          read = pread(descriptor, rest.baseAddress, piece, offset + filled)
          if read <= 0 { read = piece }
        }
        if read == 0 { break }
        filled += read
      }
    }
    return bytes
  }
}
