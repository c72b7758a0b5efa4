import CZlib
import Foundation
import Testing

/// A directory of its own for one test, removed when the test lets go of it.
final class Scratch {
  let directory = FileManager.default.temporaryDirectory.appending(path: "hypha-formats-\(UUID().uuidString)")

  init() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  /// The path of a file that need not exist.
  func path(_ name: String) -> String { directory.appending(path: name).path }

  /// Writes a file and returns its path.
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: directory.appending(path: name))
    return path(name)
  }

  /// Makes a FIFO and returns its path.
  func fifo(_ name: String) throws -> String {
    guard mkfifo(path(name), 0o600) == 0 else { throw POSIXError(.EIO) }
    return path(name)
  }

  /// Writes a file and returns its path.
  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }
}

/// One gzip member of `bytes`, as zlib makes it.
func gzipped(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  let size = Int32(MemoryLayout<z_stream>.size)
  guard deflateInit2_(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK
  else { return [] }
  defer { deflateEnd(&stream) }
  var source = bytes
  var target = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 64)
  let capacity = target.count
  source.withUnsafeMutableBufferPointer { input in
    target.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(capacity)
      _ = deflate(&stream, Z_FINISH)
    }
  }
  return Array(target.prefix(capacity - Int(stream.avail_out)))
}

func gzipped(_ text: String) -> [UInt8] { gzipped(Array(text.utf8)) }

/// The text of the error that `body` throws; empty if it throws none.
func errorText(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch {
    return "\(error)"
  }
}

/// The public event logs, which are beside the package and not part of it.
enum PublicLogs {
  /// `../shared/data` from the package root.
  static let directory = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "../shared/data").standardizedFileURL

  static let areThere = FileManager.default.fileExists(atPath: path("bpic2012.xes.gz"))
  static let absence: Comment = "skipped: no public event logs in ../shared/data beside the package"

  static func path(_ name: String) -> String { directory.appending(path: name).path }
}
