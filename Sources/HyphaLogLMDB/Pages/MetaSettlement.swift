import Glibc
import HyphaCore

extension Environment {
  /// The part of a meta page that a commit writes: from the map's address to the commit's number.
  private static let metaRange = 24..<152

  /// Makes certain, before anything is written, that no meta page on the disk is that of a commit that failed.
  ///
  /// The older meta page gets the tables of the newest commit, under its own older number, and is synced. It is written
  /// each time that this is tried, so a sync that succeeds has written it: what a failed one left behind is never
  /// believed.
  ///
  /// - Throws: ``HyphaError/Code/logFull`` or ``HyphaError/Code/logFailed``; to be tried again before the next commit.
  func settleMeta() throws {
    guard isMetaUncertain else { return }
    try withFile(O_RDWR) { file in
      var meta = try bytes(ofMeta: newestCommit & 1, file)
      guard Self.commitNumber(meta) == newestCommit else { throw failure.error(EIO, "pread") }
      let older = newestCommit - min(newestCommit, 1)
      meta.replaceSubrange(meta.count - 8..<meta.count, with: TableLayout.bytes(of: older))
      let offset = Int(newestCommit & 1 ^ 1) * pageByteCount + Self.metaRange.lowerBound
      let written = pwrite(file, meta, meta.count, off_t(offset))
      guard written == meta.count else { throw failure.error(written < 0 ? errno : EIO, "pwrite") }
      guard fdatasync(file) == 0 else { throw failure.error(errno, "fdatasync") }
    }
    isMetaUncertain = false
  }

  /// The commit that whoever opens the file finds to be the newest.
  func newestMeta() throws -> UInt64 {
    try withFile(O_RDONLY) { file in
      try [0, 1].map { Self.commitNumber(try bytes(ofMeta: $0, file)) }.max() ?? 0
    }
  }

  private func withFile<Value>(_ flags: Int32, _ body: (Int32) throws -> Value) throws -> Value {
    let file = Glibc.open(DataDirectory.dataFile(in: failure.log), flags | O_CLOEXEC)
    guard file >= 0 else { throw failure.error(errno, "open") }
    defer { _ = Glibc.close(file) }
    return try body(file)
  }

  private func bytes(ofMeta number: UInt64, _ file: Int32) throws -> [UInt8] {
    var meta = [UInt8](repeating: 0, count: Self.metaRange.count)
    let offset = Int(number) * pageByteCount + Self.metaRange.lowerBound
    guard pread(file, &meta, meta.count, off_t(offset)) == meta.count else {
      throw failure.error(EIO, "pread")
    }
    return meta
  }

  private static func commitNumber(_ meta: [UInt8]) -> UInt64 {
    meta.suffix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
