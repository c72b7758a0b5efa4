import Foundation
import HyphaCore

/// Fragments of text that are put together by case through files without a name, which are gone with the process.
///
/// Memory is that of one part, when it is read, and 4 MiB of what is not written yet.
final class Spill {
  let partCount: Int

  /// What fragments are put together by.
  struct Case: Hashable {
    var name: String
    /// The trace that it is, where it was imported as one.
    var trace: UInt64?
  }

  /// The fragments of a case, in the order of coming.
  struct Fragments {
    /// Of a trace, its own attributes.
    var heads: [UnsafeRawBufferPointer] = []
    var events: [UnsafeRawBufferPointer] = []
  }
  /// How many fragments were added.
  private(set) var fragmentCount = 0
  private var files: [FileHandle] = []
  private var waiting: [[UInt8]]

  /// What is held of a part before it is written.
  private let bufferByteCount: Int

  /// - Throws: ``HyphaError/Code/fileUnavailable`` when a file cannot be made in `directory`.
  init(partCount: Int, in directory: String) throws {
    self.partCount = partCount
    waiting = Array(repeating: [], count: partCount)
    bufferByteCount = min(64 << 10, (4 << 20) / partCount)
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

  /// Adds a fragment to a case.
  ///
  /// - Parameter part: where the case belongs, the same for all its fragments; nil by its name.
  func add(_ key: Case, part: Int? = nil, isHead: Bool = false, _ fragment: ArraySlice<UInt8>) throws {
    fragmentCount += 1
    let part = part ?? Int(SeededGenerator.fingerprint(of: key.name) % UInt64(partCount))
    for count in [key.name.utf8.count, fragment.count] {
      withUnsafeBytes(of: UInt32(count)) { waiting[part].append(contentsOf: $0) }
    }
    withUnsafeBytes(of: key.trace ?? 0) { waiting[part].append(contentsOf: $0) }
    waiting[part].append((key.trace == nil ? 0 : 2) | (isHead ? 1 : 0))
    waiting[part].append(contentsOf: key.name.utf8)
    waiting[part].append(contentsOf: fragment)
    if waiting[part].count >= bufferByteCount { try flush(part) }
  }

  private func flush(_ part: Int) throws {
    try Self.checked { try files[part].write(contentsOf: waiting[part]) }
    waiting[part].removeAll(keepingCapacity: true)
  }

  /// Calls `read` for each fragment of a part, then `body` with each case and its fragments, in the order of coming.
  func forEachCase(in part: Int, read: () throws -> Void, _ body: (Case, Fragments) throws -> Void) throws {
    try flush(part)
    let data = try Self.checked {
      try files[part].seek(toOffset: 0)
      return try files[part].readToEnd() ?? Data()
    }
    waiting[part] = []
    try data.withUnsafeBytes { bytes in
      var keys: [Case] = []
      var fragments: [Case: Fragments] = [:]
      var place = 0
      func take(_ count: Int) -> UnsafeRawBufferPointer {
        defer { place += count }
        return UnsafeRawBufferPointer(rebasing: bytes[place..<place + count])
      }
      while place < bytes.count {
        try read()
        let counts = (0..<2).map { _ in Int(take(4).loadUnaligned(as: UInt32.self)) }
        let trace = take(8).loadUnaligned(as: UInt64.self)
        let kind = take(1)[0]
        let key = Case(
          name: String(decoding: take(counts[0]), as: UTF8.self), trace: kind & 2 == 0 ? nil : trace)
        if fragments[key] == nil { keys.append(key) }
        let fragment = take(counts[1])
        if kind & 1 == 1 {
          fragments[key, default: Fragments()].heads.append(fragment)
        } else {
          fragments[key, default: Fragments()].events.append(fragment)
        }
      }
      for key in keys { try body(key, fragments[key] ?? Fragments()) }
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
