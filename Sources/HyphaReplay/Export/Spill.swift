import Foundation
import HyphaCore

/// Fragments of text that are put together by case through files without a name, which are gone with the process.
final class Spill {
  let partCount: Int
  /// How many fragments were added.
  private(set) var fragmentCount = 0
  private var files: [FileHandle] = []
  private var waiting: [[UInt8]]

  /// What is held of a part before it is written.
  private static let bufferByteCount = 32 << 10

  /// - Throws: ``HyphaError/Code/fileUnavailable`` when a file cannot be made in `directory`.
  init(partCount: Int, in directory: String) throws {
    self.partCount = partCount
    waiting = Array(repeating: [], count: partCount)
    for _ in 0..<partCount {
      let path = "\(directory)/.\(UUID().uuidString).spill"
      guard FileManager.default.createFile(atPath: path, contents: nil),
        let file = FileHandle(forUpdatingAtPath: path)
      else {
        throw HyphaError(
          .fileUnavailable, "no file can be made in \(directory)",
          remedy: "export to a directory that can be written", cause: String(cString: strerror(errno)))
      }
      unlink(path)
      files.append(file)
    }
  }

  func add(case name: String, fragment: ArraySlice<UInt8>) throws {
    fragmentCount += 1
    let part = Int(SeededGenerator.fingerprint(of: name) % UInt64(partCount))
    for count in [name.utf8.count, fragment.count] {
      withUnsafeBytes(of: UInt32(count)) { waiting[part].append(contentsOf: $0) }
    }
    waiting[part].append(contentsOf: name.utf8)
    waiting[part].append(contentsOf: fragment)
    if waiting[part].count >= Self.bufferByteCount { try flush(part) }
  }

  private func flush(_ part: Int) throws {
    try Self.checked { try files[part].write(contentsOf: waiting[part]) }
    waiting[part].removeAll(keepingCapacity: true)
  }

  /// Calls `read` for each fragment of a part, then `body` with each case and its fragments, in the order of coming.
  func forEachCase(
    in part: Int, read: () throws -> Void, _ body: (String, [UnsafeRawBufferPointer]) throws -> Void
  ) throws {
    try flush(part)
    let data = try Self.checked {
      try files[part].seek(toOffset: 0)
      return try files[part].readToEnd() ?? Data()
    }
    try data.withUnsafeBytes { bytes in
      var names: [String] = []
      var fragments: [String: [UnsafeRawBufferPointer]] = [:]
      var place = 0
      func take(_ count: Int) -> UnsafeRawBufferPointer {
        defer { place += count }
        return UnsafeRawBufferPointer(rebasing: bytes[place..<place + count])
      }
      while place < bytes.count {
        try read()
        let counts = (0..<2).map { _ in Int(take(4).loadUnaligned(as: UInt32.self)) }
        let name = String(decoding: take(counts[0]), as: UTF8.self)
        if fragments[name] == nil { names.append(name) }
        fragments[name, default: []].append(take(counts[1]))
      }
      for name in names { try body(name, fragments[name] ?? []) }
    }
    try Self.checked { try files[part].truncate(atOffset: 0) }
  }

  private static func checked<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch {
      throw HyphaError(
        .fileUnavailable, "a temporary file cannot be used", remedy: "make room on the disk of the output",
        cause: "\(error)")
    }
  }
}
