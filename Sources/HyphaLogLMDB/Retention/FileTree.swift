import Glibc
import HyphaCore

/// Steps with whole files and directories, each with an error that names the path.
enum FileTree {
  /// Copies a regular file to a new one, readable by its owner alone, and puts it on the disk. Returns its size, or nil
  /// where there is no such file.
  @discardableResult
  static func copy(_ source: String, to target: String) throws -> UInt64? {
    try DurableFile.reading(source) { descriptor, _ in
      try withNewFile(target) { new in
        try withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 4_096) { buffer in
          var offset = 0
          while true {
            let count = try DurableFile.read(descriptor, of: source, at: offset, into: buffer)
            if count == 0 { return UInt64(offset) }
            try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: new, target, at: offset)
            offset += count
          }
        }
      }
    }
  }

  /// Makes a file, lets `body` fill it and puts it on the disk.
  static func withNewFile<Value>(_ path: String, _ body: (Int32) throws -> Value) throws -> Value {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw DurableFile.failure(path, "open", errno) }
    defer { _ = Glibc.close(descriptor) }
    let value = try body(descriptor)
    guard fdatasync(descriptor) == 0 else { throw DurableFile.failure(path, "fdatasync", errno) }
    return value
  }

  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String, at begin: Int
  ) throws {
    var offset = 0
    while offset < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(begin + offset))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw DurableFile.failure(path, "pwrite", count < 0 ? errno : ENOSPC) }
      offset += count
    }
  }

  /// Makes a directory for its owner alone.
  static func makeDirectory(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 else { throw DurableFile.failure(path, "mkdir", errno) }
  }

  /// The names in a directory, in order; nil where there is none.
  static func names(in directory: String) throws -> [String]? {
    guard let stream = opendir(directory) else {
      guard errno == ENOENT else { throw DurableFile.failure(directory, "opendir", errno) }
      return nil
    }
    defer { closedir(stream) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw DurableFile.failure(directory, "readdir", errno) }
    return names.sorted()
  }

  /// Removes a file, or a directory with all that is in it, as far as that can be.
  static func remove(_ path: String) {
    if unlink(path) == 0 || errno == ENOENT { return }
    for name in (try? names(in: path)) ?? [] { remove("\(path)/\(name)") }
    rmdir(path)
  }

  static func rename(_ old: String, to new: String) throws {
    guard Glibc.rename(old, new) == 0 else { throw DurableFile.failure(new, "rename", errno) }
  }

  /// The directory that a path lies in.
  static func parent(of path: String) -> String {
    let trimmed = path.reversed().drop { $0 == "/" }
    guard let slash = trimmed.firstIndex(of: "/") else { return path.hasPrefix("/") ? "/" : "." }
    let parent = String(trimmed[slash...].drop { $0 == "/" }.reversed())
    return parent.isEmpty ? "/" : parent
  }

  /// A path without slashes at its end.
  static func trimmed(_ path: String) -> String {
    let trimmed = String(path.reversed().drop { $0 == "/" }.reversed())
    return trimmed.isEmpty ? path : trimmed
  }
}
