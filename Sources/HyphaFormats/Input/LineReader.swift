import Foundation
import HyphaCore

/// The lines of a file, plain or gzip, one at a time and each of bounded length.
///
/// A line ends in LF or CRLF, which are not part of it; the last one may lack its ending. A UTF-8 byte
/// order mark at the start of the file is skipped. Not thread-safe.
public final class LineReader {
  /// The number of the line that was read last, from 1; 0 before the first.
  public private(set) var lineNumber = 0

  private let source: GzipInputStream
  private let maximumLineByteCount: Int
  private var chunk = [UInt8](repeating: 0, count: GzipInputStream.chunkByteCount)
  private var start = 0
  private var end = 0

  /// Reads the lines of `source`, none longer than `limits.maximumLineByteCount`.
  public init(_ source: GzipInputStream, limits: InputLimits = InputLimits()) {
    self.source = source
    maximumLineByteCount = limits.maximumLineByteCount
  }

  /// The next line, or nil after the last one.
  ///
  /// - Throws: `tooLarge` when the line is too long, `invalidInput` when it is not UTF-8, and what
  ///   ``GzipInputStream/read(into:)`` throws.
  public func next() throws -> String? {
    guard var bytes = try nextBytes() else { return nil }
    if lineNumber == 1, bytes.starts(with: ByteOrderMark.utf8) { bytes.removeFirst(3) }
    guard let line = String(validating: bytes, as: UTF8.self) else {
      throw HyphaError(
        .invalidInput, "\(source.path) line \(lineNumber) is not UTF-8",
        remedy: "convert the file to UTF-8, for example with iconv")
    }
    return line
  }

  private func nextBytes() throws -> [UInt8]? {
    var line: [UInt8] = []
    var isEmptyHanded = true
    while true {
      if start == end {
        start = 0
        end = try chunk.withUnsafeMutableBufferPointer { try source.read(into: $0) }
        if end == 0 {
          if isEmptyHanded { return nil }
          lineNumber += 1
          return line
        }
      }
      isEmptyHanded = false
      let stop = indexOfLineFeed()
      guard line.count + ((stop ?? end) - start) <= maximumLineByteCount else {
        throw HyphaError(
          .tooLarge, "\(source.path) line \(lineNumber + 1) is longer than \(maximumLineByteCount) bytes",
          remedy: "raise maximumLineByteCount if the file is to be trusted")
      }
      line += chunk[start..<(stop ?? end)]
      guard let stop else {
        start = end
        continue
      }
      start = stop + 1
      lineNumber += 1
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      return line
    }
  }

  private func indexOfLineFeed() -> Int? {
    chunk.withUnsafeBytes { bytes in
      // The chunk is never empty, so it has a base address.
      let base = bytes.baseAddress! + start
      guard let found = memchr(base, 0x0a, end - start) else { return nil }
      return start + (UnsafeRawPointer(found) - base)
    }
  }
}

/// The byte order marks that tell an encoding.
enum ByteOrderMark {
  static let utf8: [UInt8] = [0xef, 0xbb, 0xbf]
  static let utf16BigEndian: [UInt8] = [0xfe, 0xff]
  static let utf16LittleEndian: [UInt8] = [0xff, 0xfe]
}
