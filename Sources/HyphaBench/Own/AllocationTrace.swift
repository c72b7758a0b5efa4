import CLMDB
import Glibc

/// Counts the allocations of a process with glibc's own tracing of `malloc` (The GNU C Library, "Allocation
/// Debugging"), in a process that was started with ``environment(traceFile:)``.
enum AllocationTrace {
  /// The variables with which a process is traced.
  static func environment(traceFile: String) -> [String: String] {
    ["LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_TRACE": traceFile]
  }

  /// How often the process allocated while `body` ran; nil where it is not traced.
  static func count(_ body: () throws -> Void) throws -> Int? {
    guard let file = getenv("MALLOC_TRACE") else { return nil }
    let path = String(cString: file)
    mtrace()
    // An allocation that must be seen: else there is no tracing.
    free(malloc(1))
    try body()
    muntrace()
    let count = try allocationCount(inTrace: path)
    return count > 0 ? count - 1 : nil
  }

  /// The lines of a trace that stand for `malloc`, `calloc` or `realloc`: `@ PLACE + ADDRESS SIZE`, `… > …`.
  private static func allocationCount(inTrace path: String) throws -> Int {
    guard let stream = fopen(path, "r") else { return 0 }
    defer { fclose(stream) }
    var count = 0
    var line = [CChar](repeating: 0, count: 4_096)
    while fgets(&line, Int32(line.count), stream) != nil {
      let words = line.prefix { $0 != 0 }.split(separator: 32)
      if words.contains([43]) || words.contains([62]) { count += 1 }
    }
    return count
  }
}
