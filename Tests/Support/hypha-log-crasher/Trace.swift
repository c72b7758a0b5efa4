import Foundation
import HyphaCore

/// One call that a process made on the files of its log, as the fault shim took it down.
struct TraceEntry {
  enum Kind: UInt8 {
    case write = 0x57  // W
    case size = 0x54  // T
    case grow = 0x41  // A
    case sync = 0x53  // S
    case failedSync = 0x46  // F
    case unseen = 0x58  // X
    case rename = 0x52  // R
    case unlink = 0x55  // U
    case makeDirectory = 0x4D  // M
    case note = 0x4E  // N

    /// Whether the shim counts such calls.
    var meetsFaults: Bool { [.write, .size, .grow, .sync, .failedSync, .unseen].contains(self) }
  }

  var kind: Kind
  /// Of a write: whether it returned only when it was on disk.
  var isSynced: Bool
  var inode: UInt64
  /// Of a write; for a size, the size.
  var offset: Int
  var path: String
  var bytes: [UInt8]

  var text: String { String(decoding: bytes, as: UTF8.self) }

  /// All entries of a trace; the layout is that of `struct entry` in fault-shim.c.
  static func read(_ file: String) throws -> [TraceEntry] {
    try Data(contentsOf: URL(fileURLWithPath: file)).withUnsafeBytes { bytes in
      var reader = ByteReader(bytes, code: .failed, noun: "the trace")
      var entries: [TraceEntry] = []
      while reader.remaining > 0 { entries.append(try TraceEntry(&reader)) }
      return entries
    }
  }

  private init(_ reader: inout ByteReader) throws {
    guard let kind = Kind(rawValue: try reader.read()) else {
      throw HyphaError(.failed, "the trace has an entry of no kind at byte \(reader.offset)")
    }
    self.kind = kind
    isSynced = try reader.read(UInt8.self) != 0
    let pathCount = Int(try reader.read(UInt16.self))
    let byteCount = Int(try reader.read(UInt32.self))
    inode = try reader.read()
    offset = Int(try reader.read(UInt64.self))
    path = try reader.readText(count: pathCount)
    bytes = Array(try reader.read(count: byteCount))
  }
}
