import Foundation
import Glibc

/// What this process has in memory.
enum ProcessMemory {
  /// What of it is in memory, its own and mapped (proc(5), `statm`).
  static var residentByteCount: Int {
    let descriptor = Glibc.open("/proc/self/statm", O_RDONLY)
    defer { _ = close(descriptor) }
    let text = String(unsafeUninitializedCapacity: 128) {
      max(0, Glibc.read(descriptor, $0.baseAddress, 128))
    }
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(getpagesize())
  }

  /// What of it is its own (proc(5), `status`): pages of a log that it has mapped and read are the system's, to be taken back
  /// at any time.
  static var ownByteCount: Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let kibibytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
        .flatMap({ Int($0) })
    else { return 0 }
    return kibibytes << 10
  }
}
