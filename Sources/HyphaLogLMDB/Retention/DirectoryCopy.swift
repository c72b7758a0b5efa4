import CLMDB
import Glibc
import HyphaCore
import HyphaLog

/// A data directory copied as it is at one moment, while its node runs or not.
///
/// The copy is made under another name, `NAME.partial`, and gets its own when all of it is on the disk: what has the
/// name is whole. What a copy that was cut off has left under the other name is made anew. It holds the log with its payloads, and the node's key only where that was asked for: whoever has the
/// key can sign in the node's name. What can be derived from the log is left out.
struct DirectoryCopy {
  let source: String
  let target: String
  private let store: LogStore
  private let directory: PartialDirectory

  /// Opens the log in `source`, and makes the place for its copy: ``adopt()`` or ``discard()`` ends it.
  init(from source: String, to target: String) throws {
    self.source = source
    self.target = FileTree.trimmed(target)
    store = try LogOpening.openForReading(DataDirectory(path: source))
    try DataDirectory(path: FileTree.parent(of: self.target)).create()
    directory = try PartialDirectory(self.target + ".partial")
  }

  /// Where the copy is made.
  var partial: String { directory.path }

  /// Makes the copy under its other name.
  func make(withKey: Bool, progress: @escaping CopyProgress) throws -> CopyReport {
    do {
      let sizeBefore = try store.environment.fileByteCount()
      // Before the log, since a prune may remove some as soon as its copy is made; and after it, since it may refer to
      // some that are newer. None is ever written again, so neither pass can find a half of one.
      let payloads = PayloadStore(in: source)
      var byteCount = try copyMissing(payloads)
      let copied = DataDirectory(path: partial)
      try FileTree.makeDirectory(copied.log)
      let path = DataDirectory.dataFile(in: copied.log)
      try FileTree.withNewFile(path) { file in
        try store.environment.copy(to: file, at: path, isCompact: false, progress: progress)
      }
      let grown = try store.environment.fileByteCount() - sizeBefore
      byteCount += try copyMissing(payloads)
      if withKey {
        byteCount += try FileTree.copy(NodeKey.path(in: source), to: NodeKey.path(in: partial)) ?? 0
      }
      let (head, size) = try Self.check(copied, is: store.identity)
      try DurableFile.syncDirectory(copied.log)
      try DurableFile.syncDirectory(partial)
      return CopyReport(
        identity: store.identity, head: head.position, time: head.time, link: head.link,
        byteCount: byteCount + size, grownByteCount: grown)
    } catch {
      discard()
      throw error
    }
  }

  /// Lets `verify` read the copy, which is removed where that throws.
  func confirm(_ verify: CopyVerification) throws {
    do {
      try verify(partial)
      unlink(DataDirectory.lockFile(in: DataDirectory(path: partial).log))
    } catch {
      discard()
      throw error
    }
  }

  /// Gives a copy of a log the key of the directory whose place it takes, where that is the same log's. One that cannot be
  /// read any more is taken for the same: the directory is that node's.
  ///
  /// - Returns: whether the copy has a key now.
  func takeKey(ofReplaced directory: String) throws -> Bool {
    if access(NodeKey.path(in: partial), F_OK) == 0 { return true }
    let copied = try LogOpening.openForReading(DataDirectory(path: partial)).identity
    defer { unlink(DataDirectory.lockFile(in: DataDirectory(path: partial).log)) }
    let replaced = try? LogOpening.openForReading(DataDirectory(path: directory)).identity
    guard replaced ?? copied == copied,
      try FileTree.copy(NodeKey.path(in: directory), to: NodeKey.path(in: partial)) != nil
    else { return false }
    try DurableFile.syncDirectory(partial)
    return true
  }

  /// Gives the copy its name, where there is nothing or an empty directory.
  func adopt() throws {
    try FileTree.rename(partial, to: target)
    try DurableFile.syncDirectory(FileTree.parent(of: target))
  }

  /// Puts the copy in the place of the directory that has its name, at one stroke, and that one under the name `aside`.
  ///
  /// The copy has that name first, so that what was there never has one that a later copy would make anew.
  func adopt(movingAside aside: String) throws {
    try FileTree.rename(partial, to: aside)
    do {
      try DataDirectory.exchange(aside, target)
    } catch {
      FileTree.remove(aside)
      throw error
    }
    try DurableFile.syncDirectory(FileTree.parent(of: target))
  }

  func discard() { FileTree.remove(partial) }

  /// Copies the payloads that the copy does not have yet; returns their size.
  private func copyMissing(_ payloads: PayloadStore) throws -> UInt64 {
    let copies = PayloadStore(in: partial)
    var byteCount: UInt64 = 0
    var changed: Set<String> = []
    try payloads.forEach { digest, _ in
      let shard = copies.shard(of: digest)
      guard access(copies.file(digest), F_OK) != 0 else { return }
      if changed.isEmpty && mkdir(copies.path, 0o700) != 0 && errno != EEXIST {
        throw DurableFile.failure(copies.path, "mkdir", errno)
      }
      if changed.insert(shard).inserted && mkdir(shard, 0o700) != 0 && errno != EEXIST {
        throw DurableFile.failure(shard, "mkdir", errno)
      }
      // A prune may have removed it since it was listed; then the log does not refer to it.
      byteCount += try FileTree.copy(payloads.file(digest), to: copies.file(digest)) ?? 0
    }
    for shard in changed { try DurableFile.syncDirectory(shard) }
    if !changed.isEmpty { try DurableFile.syncDirectory(copies.path) }
    return byteCount
  }

  /// Opens the copied log and checks its newest entries; what it is then, and its size.
  private static func check(_ copied: DataDirectory, is identity: LogIdentity) throws -> (CommitHead, UInt64)
  {
    defer { unlink(DataDirectory.lockFile(in: copied.log)) }
    let store = try LogOpening.openForReading(copied)
    guard store.identity == identity else {
      throw HyphaError(
        .logInvalid, "the copy in \(copied.path) is that of another log", remedy: LogFailure.restore)
    }
    return (try store.checkTail(), try store.environment.fileByteCount())
  }
}

extension DataDirectory {
  /// Lets two directories change their names, at one stroke.
  static func exchange(_ one: String, _ other: String) throws {
    guard hypha_lmdb_exchange(one, other) == 0 else {
      guard errno == EINVAL || errno == ENOSYS else { throw unavailable(other, "renameat2", errno) }
      throw HyphaError(
        .fileUnavailable, "the file system of \(other) cannot let two directories change their names",
        remedy: "use another file system, such as ext4, XFS, Btrfs or tmpfs",
        cause: "renameat2: \(String(cString: strerror(errno)))")
    }
  }
}
