import CLMDB
import Glibc
import HyphaCore
import Synchronization

/// The clock that slices are measured with.
enum Monotonic {
  static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension Monotonic {
  /// The processor time that this process has used.
  static func processorNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Lets the calling thread sleep, less than a second.
  static func sleep(nanoseconds: UInt64) {
    var time = timespec(tv_sec: 0, tv_nsec: Int(min(nanoseconds, 999_999_999)))
    nanosleep(&time, nil)
  }
}

/// The physical time that the log stamps its entries with.
struct WallClock: TimeSource {
  func microseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
  }
}

/// Runs `body` on a thread of its own at `niceValue`, that of the log's writer: on a busy machine a bare part
/// would else win by rank alone.
func onThread<Result: Sendable>(
  niceValue: Int32, _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    let work = Unmanaged.passRetained(
      Work {
        hypha_lmdb_prepare_thread("hypha-bench", niceValue)
        continuation.resume(with: Swift.Result { try body() })
      })
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { context in
        // The thread is always given the work that was retained for it.
        Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, work.toOpaque())
    guard code == 0 else {
      work.release()
      continuation.resume(
        throwing: HyphaError(
          .failed, "a thread for the bench cannot be started",
          remedy: "raise the limit of threads (ulimit -u)",
          cause: "pthread_create: \(String(cString: strerror(code)))"))
      return
    }
    pthread_detach(thread)
  }
}

private final class Work: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// What the file system says of files.
enum Disk {
  /// The bytes that everything below `path` takes on disk.
  static func byteCount(below path: String) -> Int {
    var status = stat()
    guard lstat(path, &status) == 0 else { return 0 }
    guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_blocks) * 512 }
    return names(in: path).reduce(0) { $0 + byteCount(below: "\(path)/\($1)") }
  }

  /// Removes everything at and below `path`; what cannot be removed stays.
  static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    for name in names(in: path) { remove("\(path)/\(name)") }
    rmdir(path)
  }

  /// Makes the directory `path` whose parent exists.
  static func makeDirectory(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 else {
      throw HyphaError(
        .fileUnavailable, "the directory \(path) cannot be made",
        remedy: "give --data a directory that is there and may be written",
        cause: "mkdir: \(String(cString: strerror(errno)))")
    }
  }

  private static func names(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  /// How many transactions an LMDB data file has seen, read from its meta pages as they are on disk: 16 bytes of
  /// page header, and the number 128 bytes into `MDB_meta` (mdb.c of 0.9.24). nil where there is no such file.
  static func transactionCount(_ path: String) -> UInt64? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    let numbers = [144, sysconf(Int32(_SC_PAGESIZE)) + 144].compactMap { offset -> UInt64? in
      var number: UInt64 = 0
      return pread(descriptor, &number, 8, offset) == 8 ? number : nil
    }
    return numbers.max()
  }
}
