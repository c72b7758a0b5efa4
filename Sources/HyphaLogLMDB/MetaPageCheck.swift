import Glibc
import HyphaCore

/// Checks a file before LMDB maps it: LMDB trusts what it finds, and a cut or altered file is a SIGBUS or an
/// assertion there.
///
/// Checked are both meta pages, that the file holds every page that they count, and the root pages of all
/// tables. What lies below the roots is checked when it is read (see ``PageMap``), and before it is written to (see
/// ``TreeCheck``).
///
/// The layout is that of LMDB 0.9 on 64 bits, little-endian (mdb.c: `MDB_page`, `MDB_meta`, `MDB_db`); that of a tree's
/// pages stands at ``TreePage``:
///
/// | page offset | bytes | what |
/// |---:|---:|---|
/// | 0 | 8 | number of the page |
/// | 10 | 2 | flags: 8 meta |
/// | 16 | 8 | magic `0xBEEFC0DE`, version 1 |
/// | 24 | 16 | address of a fixed map (0), size of the map |
/// | 40 | 96 | the databases *free* and *main*: 4 pad (of *free*: the page size), 2 flags, 2 depth, 8 each: branch, leaf and overflow pages, entries, root |
/// | 136 | 16 | last page in use, number of the transaction |
struct MetaPageCheck {
  private let file: DataFile
  private let path: String

  /// Checks the file of the environment in the directory `log`.
  ///
  /// A writer may overwrite what is being looked at, so while there may be one, a finding counts only when the
  /// meta pages have not changed meanwhile.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` saying what is wrong.
  static func check(log: String, isBeingWritten: Bool) throws {
    let path = DataDirectory.dataFile(in: log)
    let file = try DataFile(path)
    let check = MetaPageCheck(file: file, path: path)
    for _ in 0..<100 {
      let before = file.bytes(at: 0, count: 1 << 17)
      do {
        return try check.run()
      } catch {
        guard isBeingWritten, file.bytes(at: 0, count: 1 << 17) != before else { throw error }
      }
    }
    try check.run()
  }

  private func run() throws {
    guard file.byteCount > 0 else { throw damaged("is empty") }
    let first = try meta(0, at: 0)
    let second = try meta(1, at: first.pageByteCount)
    guard first.pageByteCount == second.pageByteCount else { throw damaged("has two sizes of pages") }
    // Each commit overwrites the older one; a new file has two zeros or, after its first commit, 0 and 1.
    let (older, newer) = first.transaction <= second.transaction ? (first, second) : (second, first)
    guard newer.transaction - older.transaction <= 1, older.lastPage <= newer.lastPage else {
      throw damaged("has meta pages that do not follow each other")
    }
    for meta in [older, newer] {
      guard meta.lastPage < UInt64(file.byteCount) / UInt64(meta.pageByteCount) else {
        throw damaged(
          "was cut short: \(file.byteCount) bytes of \((meta.lastPage + 1) &* UInt64(meta.pageByteCount))")
      }
    }
    // Only the newer one's tables: when a meta page cannot be written, LMDB puts the older numbers back into it, but
    // leaves the tables of the commit that failed.
    let name = "meta page \(newer.transaction & 1)"
    try checkTree(newer.free, in: newer, name: name, flags: TreeRecord.freeFlags)
    try checkTree(newer.main, in: newer, name: name)
    try checkRoots(newer)
  }

  private struct Meta {
    var pageByteCount: Int
    var mapByteCount: UInt64
    var free: TreeRecord
    var main: TreeRecord
    var lastPage: UInt64
    var transaction: UInt64
  }

  private func meta(_ number: UInt64, at offset: Int) throws -> Meta {
    let bytes = file.bytes(at: offset, count: 152)
    guard bytes.count == 152 else { throw damaged("was cut short: \(file.byteCount) bytes") }
    let meta = try bytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes, code: .logInvalid, noun: "\(path)")
      guard try reader.read(UInt64.self) == number, try reader.read(UInt16.self) == 0,
        try reader.read(UInt16.self) == 8
      else { throw damaged("is no log: meta page \(number) is none") }
      _ = try reader.read(UInt32.self)
      guard try reader.read(UInt32.self) == 0xBEEF_C0DE else {
        throw damaged("is no log: meta page \(number) has no magic number")
      }
      let version: UInt32 = try reader.read()
      guard version == 1 else { throw damaged("has the file format \(version) of LMDB instead of 1") }
      guard try reader.read(UInt64.self) == 0 else { throw damaged("claims a fixed address") }
      let mapByteCount: UInt64 = try reader.read()
      guard let free = TreeRecord(try reader.read(count: TreeRecord.byteCount)),
        let main = TreeRecord(try reader.read(count: TreeRecord.byteCount))
      else { throw damaged("has an impossible meta page \(number)") }
      return Meta(
        pageByteCount: Int(free.pad), mapByteCount: mapByteCount, free: free, main: main,
        lastPage: try reader.read(), transaction: try reader.read())
    }
    let size = meta.pageByteCount
    guard size >= 512, size <= 32_768, size & (size - 1) == 0 else {
      throw damaged("claims pages of \(size) bytes")
    }
    guard meta.transaction == 0 || meta.transaction & 1 == number, meta.transaction < 1 << 62,
      meta.lastPage >= 1, meta.mapByteCount <= 1 << 47,
      meta.lastPage < meta.mapByteCount / UInt64(size)
    else { throw damaged("has an impossible meta page \(number)") }
    return meta
  }

  private func checkTree(_ tree: TreeRecord, in meta: Meta, name: String, flags: UInt16 = 0) throws {
    guard tree.isPossible(lastPage: meta.lastPage, flags: flags) else {
      throw damaged("has an impossible table in \(name)")
    }
  }

  private func checkRoots(_ meta: Meta) throws {
    if !meta.free.isEmpty { try checkRoot(meta.free, in: meta) { _, _ in } }
    guard !meta.main.isEmpty else { return }
    guard meta.main.depth == 1 else { throw damaged("is no log of Hypha's: it has too many tables") }
    try checkRoot(meta.main, in: meta) { key, content in
      let name = String(decoding: key, as: UTF8.self)
      guard case .table(let record) = content, let tree = TreeRecord(record) else {
        throw damaged("is no log of Hypha's: it has the key '\(name.prefix(40))'")
      }
      try checkTree(tree, in: meta, name: "'\(name.prefix(40))'")
      if !tree.isEmpty { try checkRoot(tree, in: meta) { _, _ in } }
    }
  }

  /// Checks that the page at a tree's root is one, and where its nodes lead; `visit` sees those of a leaf.
  private func checkRoot(
    _ tree: TreeRecord, in meta: Meta,
    visit: (_ key: UnsafeRawBufferPointer, TreePage.Content) throws -> Void
  ) throws {
    let size = meta.pageByteCount
    let broken = damaged("has a broken page \(tree.root)")
    let bytes = file.bytes(at: Int(tree.root) * size, count: size)
    guard bytes.count == size else { throw broken }
    try bytes.withUnsafeBytes { bytes in
      guard let page = TreePage(bytes, number: tree.root, isLeaf: tree.depth == 1) else { throw broken }
      for index in 0..<page.count {
        guard let node = page.node(index) else { throw broken }
        switch node.content {
        case .child(let number): guard number >= 2, number <= meta.lastPage else { throw broken }
        case .apart(let first, let byteCount): try checkPagesApart(first, byteCount: byteCount, in: meta)
        case .value, .table: break
        }
        if page.isLeaf { try visit(node.key, node.content) }
      }
    }
  }

  /// Checks that a value of so many bytes lies on the pages from `first` on.
  private func checkPagesApart(_ first: UInt64, byteCount: Int, in meta: Meta) throws {
    let size = meta.pageByteCount
    let broken = damaged("has a broken page \(first)")
    guard first >= 2, first <= meta.lastPage else { throw broken }
    let head = file.bytes(at: Int(first) * size, count: 16)
    guard head.count == 16 else { throw broken }
    try head.withUnsafeBytes { head in
      let number = UInt64(littleEndian: head.loadUnaligned(as: UInt64.self))
      let flags = UInt16(littleEndian: head.loadUnaligned(fromByteOffset: 10, as: UInt16.self))
      let count = UInt64(UInt32(littleEndian: head.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
      guard number == first, flags == 4, count >= 1, count - 1 <= meta.lastPage - first,
        UInt64(byteCount) + 16 <= count * UInt64(size)
      else { throw broken }
    }
  }

  private func damaged(_ what: String) -> HyphaError {
    HyphaError(.logInvalid, "\(path) \(what)", remedy: LogFailure.restore)
  }
}

/// A file that is read at offsets; reads beyond its end give less. Closed with its last reference.
private final class DataFile {
  private let descriptor: Int32

  init(_ path: String) throws {
    descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DataDirectory.unavailable(path, "open", errno) }
  }

  deinit { _ = Glibc.close(descriptor) }

  var byteCount: Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  func bytes(at offset: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = max(0, pread(descriptor, buffer.baseAddress, count, offset))
    }
  }
}
