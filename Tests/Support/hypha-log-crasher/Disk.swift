import Foundation
import HyphaCore

/// A disk with a cache in front of it, as the calls of a trace leave it.
///
/// A write is pending until a sync of its file has returned; until then a power cut may leave it undone, done, or
/// done in part. A write that was pending when a sync *failed* may be lost for good, whatever is synced later. Names
/// (files made, renamed and removed, directories made) reach the disk in their order; the sync of a directory keeps all
/// that were given before it.
struct Disk {
  /// Part of a pending write or a change of a file's size, within one page.
  struct Piece {
    var file: Int
    /// The call that it belongs to.
    var call: Int
    var offset: Int
    var bytes: ArraySlice<UInt8>
    /// For a change of size: the size, and whether it may also shrink the file.
    var size: Int?
    var mayShrink = false
    /// Whether a sync failed while it was pending.
    var isDoomed = false
  }

  private enum Naming {
    case file(String, Int)
    case directory(String)
    case rename(String, String)
    case removal(String)
  }

  /// What there is under which name.
  private struct Names {
    var files: [String: Int] = [:]
    var directories: Set<String> = []
  }

  private var durable: [Int: [UInt8]] = [:]
  private(set) var pending: [Piece] = []
  private var namings: [Naming] = []
  private var durableNamingCount = 0
  private var names = Names()
  private var fileOfInode: [UInt64: Int] = [:]
  private var callCount = 0
  private static let pageByteCount = 4_096

  /// How many calls' worth of writes are pending.
  var pendingCalls: [Int] {
    pending.reduce(into: []) { calls, piece in
      if calls.last != piece.call { calls.append(piece.call) }
    }
  }

  /// Takes a call as it begins: whatever it writes is pending.
  mutating func begin(_ entry: TraceEntry) throws {
    callCount += 1
    switch entry.kind {
    case .write:
      let file = file(of: entry)
      var from = 0
      while from < entry.bytes.count {
        let place = entry.offset + from
        let count = min(entry.bytes.count - from, Self.pageByteCount - place % Self.pageByteCount)
        pending.append(
          Piece(file: file, call: callCount, offset: place, bytes: entry.bytes[from..<from + count]))
        from += count
      }
    case .size, .grow:
      pending.append(
        Piece(
          file: file(of: entry), call: callCount, offset: 0, bytes: [], size: entry.offset,
          mayShrink: entry.kind == .size))
    case .makeDirectory: name(.directory(entry.path))
    case .rename: name(.rename(entry.path, entry.text))
    case .unlink:
      name(.removal(entry.path))
      // Its inode may be given to another file.
      fileOfInode = fileOfInode.filter { names.files.values.contains($0.value) }
    case .sync, .failedSync, .note: break
    case .unseen: throw HyphaError(.failed, "the log was written through a map, which the trace cannot show")
    }
  }

  /// Takes a call as it returns: what it synced is durable.
  mutating func end(_ entry: TraceEntry) {
    switch entry.kind {
    case .write where entry.isSynced:
      settle { [callCount] in $0.call == callCount }
    case .sync:
      if let file = fileOfInode[entry.inode] {
        settle { $0.file == file && !$0.isDoomed }
      } else {
        durableNamingCount = namings.count
      }
    case .failedSync:
      guard let file = fileOfInode[entry.inode] else { return }
      for index in pending.indices where pending[index].file == file { pending[index].isDoomed = true }
    default: break
    }
  }

  private mutating func file(of entry: TraceEntry) -> Int {
    let file = fileOfInode[entry.inode] ?? callCount
    fileOfInode[entry.inode] = file
    if names.files[entry.path] != file { name(.file(entry.path, file)) }
    return file
  }

  private mutating func name(_ naming: Naming) {
    namings.append(naming)
    Self.apply(naming, to: &names)
  }

  private static func apply(_ naming: Naming, to names: inout Names) {
    switch naming {
    case .file(let path, let file): names.files[path] = file
    case .directory(let path): names.directories.insert(path)
    case .removal(let path): names.files[path] = nil
    case .rename(let old, let new):
      func isMoved(_ path: String) -> Bool { path == old || path.hasPrefix(old + "/") }
      for (path, file) in names.files where isMoved(path) {
        names.files[path] = nil
        names.files[new + path.dropFirst(old.count)] = file
      }
      for path in names.directories where isMoved(path) {
        names.directories.remove(path)
        names.directories.insert(new + path.dropFirst(old.count))
      }
    }
  }

  /// Moves pieces to the disk, and forgets what older pieces would put in their place.
  private mutating func settle(_ isSettled: (Piece) -> Bool) {
    var left: [Piece] = []
    for piece in pending {
      guard isSettled(piece) else {
        left.append(piece)
        continue
      }
      Self.apply(piece, to: &durable[piece.file, default: []])
      left.removeAll {
        $0.file == piece.file && $0.size == nil && piece.size == nil && $0.offset >= piece.offset
          && $0.offset + $0.bytes.count <= piece.offset + piece.bytes.count
      }
    }
    pending = left
  }

  private static func apply(_ piece: Piece, to contents: inout [UInt8]) {
    if let size = piece.size {
      if size > contents.count { contents += [UInt8](repeating: 0, count: size - contents.count) }
      if size < contents.count && piece.mayShrink { contents.removeLast(contents.count - size) }
      return
    }
    let end = piece.offset + piece.bytes.count
    if end > contents.count { contents += [UInt8](repeating: 0, count: end - contents.count) }
    contents.withUnsafeMutableBytes { contents in
      piece.bytes.withUnsafeBytes { contents[piece.offset..<end].copyBytes(from: $0) }
    }
  }

  // MARK: A power cut

  /// Writes the directory as a power cut may leave it.
  ///
  /// - Parameters:
  ///   - root: the directory that was traced.
  ///   - target: where to write it, in place of what is there.
  ///   - pieces: what has reached the disk of what is pending.
  ///   - random: chooses how many of the names that are not durable have.
  func write(_ root: String, to target: String, pieces: [Piece], _ random: inout SeededGenerator) throws {
    let namingCount = Int.random(in: durableNamingCount...namings.count, using: &random)
    var names = Names()
    for naming in namings[..<namingCount] { Self.apply(naming, to: &names) }
    var contents = durable
    for piece in pieces { Self.apply(piece, to: &contents[piece.file, default: []]) }
    try Self.clear(target, but: Set(names.directories.map { String($0.dropFirst(root.count + 1)) }))
    for (path, file) in names.files {
      try Data(contents[file] ?? []).write(to: URL(fileURLWithPath: target + path.dropFirst(root.count)))
    }
  }

  /// Leaves these directories, empty, and nothing else: to make them all anew each time would take longest.
  private static func clear(_ target: String, but directories: Set<String>) throws {
    let files = FileManager.default
    try files.createDirectory(atPath: target, withIntermediateDirectories: true)
    let present = Set(try files.subpathsOfDirectory(atPath: target))
    for path in present.subtracting(directories).sorted(by: >) {
      try files.removeItem(atPath: target + "/" + path)
    }
    for path in directories.subtracting(present).sorted() {
      try files.createDirectory(atPath: target + "/" + path, withIntermediateDirectories: true)
    }
  }
}
