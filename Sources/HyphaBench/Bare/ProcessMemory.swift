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
}
