import Glibc
import HyphaCore
import HyphaLog
import Synchronization

/// Large payloads of one log, each stored once under the hash of its content, beside the log.
///
/// ```
/// DIR/payloads/        0700
///   ab/                0700  the first two digits of the hash
///     cdef…            0600  a payload, named by the other 62
///   tmp/               0700  what is being written, and what a process left that ended while it wrote
/// ```
///
/// A payload is durable before the commit that refers to it: ``put(_:)`` returns only when file and name are on the
/// disk. Whatever stands under a hash was whole when it got that name; where it no longer is, the next one who stores that
/// payload puts it right. The removal of payloads follows the same rule backwards: the log lets go of them first, durably.
///
/// One process stores and removes, under the directory's writer's lock; its threads may do so at once. Any process
/// reads.
public final class PayloadStore: Sendable {
  struct State {
    /// How many ``StoredPayload`` there are of each digest; bounded by what the log's queue admits.
    var holds: [Digest: Int] = [:]
    /// While a sweep runs: what it must not remove, whatever the log says.
    var spared: Set<Digest>?
    /// Whether the directories stand, durably, and leftovers are gone.
    var isPrepared = false
    /// Why nothing can be stored any more: the disk failed to write a name down, and would not say so a second time.
    var failure: HyphaError?
  }

  let path: String
  let state = Mutex(State())
  private let nextNumber = Atomic<UInt64>(0)

  /// The payloads of a data directory. Touches nothing yet.
  public init(in directory: String) { path = directory + "/payloads" }

  var temporary: String { path + "/tmp" }

  func shard(_ number: UInt8) -> String { path + "/" + (number < 16 ? "0" : "") + String(number, radix: 16) }

  func shard(of digest: Digest) -> String { shard(digest.withUnsafeBytes { $0[0] }) }

  func file(_ digest: Digest) -> String { "\(shard(of: digest))/\(digest.description.dropFirst(2))" }
}

/// A payload that is on the disk, and stays there at least for as long as this object lives.
///
/// Whoever commits an entry that refers to it keeps the object until the commit is done: until then the log does not
/// know of the payload, and a sweep would take it for a leftover.
public final class StoredPayload: Sendable {
  /// What the entry refers to it by.
  public let reference: PayloadReference
  private let store: PayloadStore

  fileprivate init(_ reference: PayloadReference, in store: PayloadStore) {
    self.reference = reference
    self.store = store
  }

  deinit { store.release(reference.digest) }
}

// MARK: Storing

extension PayloadStore {
  /// Stores a payload, durably, unless it is stored already and whole, for which what is there is read. Blocks for about
  /// two syncs.
  ///
  /// - Throws: ``HyphaError/Code/logFull`` when there is no room, and nothing is left behind;
  ///   ``HyphaError/Code/logFailed`` when the disk failed, from then on always; ``HyphaError/Code/tooLarge`` at 4 GiB.
  public func put(_ payload: UnsafeRawBufferPointer) throws -> StoredPayload {
    guard let byteCount = UInt32(exactly: payload.count) else {
      throw HyphaError(.tooLarge, "a payload has \(payload.count) bytes", remedy: "keep it below 4 GiB")
    }
    let reference = PayloadReference(digest: Digest.of(payload), byteCount: byteCount)
    try prepare()
    hold(reference.digest)
    let stored = StoredPayload(reference, in: self)
    let path = file(reference.digest)
    // Bytes that have rotted there are written anew, which mends all events that have this payload.
    if (try? verify(reference)) == nil {
      let number = nextNumber.add(1, ordering: .relaxed).newValue
      let new = "\(temporary)/\(getpid())-\(number)"
      try DurableFile.create(new, payload)
      guard rename(new, path) == 0 else {
        let code = errno
        unlink(new)
        throw DurableFile.failure(path, "rename", code)
      }
    }
    // Also for a file that was there: whoever renamed it may have ended, or may be, before this step.
    do {
      try DurableFile.syncDirectory(shard(of: reference.digest))
    } catch {
      state.withLock { $0.failure = error.code == .logFailed ? error : $0.failure }
      throw error
    }
    return stored
  }

  /// Makes all directories, before the first payload of this process. They are few, and made one by one each would
  /// cost a sync of its own.
  private func prepare() throws {
    try state.withLock { state in
      if let failure = state.failure { throw failure }
      guard !state.isPrepared else { return }
      try create(path)
      try create(temporary)
      for number in UInt8.min ... .max { try create(shard(number)) }
      try DurableFile.syncDirectory(path)
      try DurableFile.syncDirectory(path + "/..")
      for name in try FileTree.names(in: temporary) ?? [] { unlink(temporary + "/" + name) }
      state.isPrepared = true
    }
  }

  private func create(_ directory: String) throws {
    guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
      throw DurableFile.failure(directory, "mkdir", errno)
    }
  }

  private func hold(_ digest: Digest) {
    state.withLock { state in
      state.holds[digest, default: 0] += 1
      state.spared?.insert(digest)
    }
  }

  fileprivate func release(_ digest: Digest) {
    state.withLock { state in
      let count = state.holds[digest, default: 1] - 1
      state.holds[digest] = count == 0 ? nil : count
    }
  }
}

// MARK: Reading

extension PayloadStore {
  /// Reads a payload into `buffer`, which has exactly its size, and checks its hash.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when it is missing, of another size or altered.
  public func fetch(_ reference: PayloadReference, into buffer: UnsafeMutableRawBufferPointer) throws {
    precondition(buffer.count == Int(reference.byteCount), "the payload fits exactly")
    try reading(reference) { descriptor, path in
      guard try DurableFile.read(descriptor, of: path, into: buffer) == buffer.count,
        Digest.of(UnsafeRawBufferPointer(buffer)) == reference.digest
      else { throw altered(reference) }
    }
  }

  /// The bytes of the record that a detached one stands for. Nothing is allocated before the payload's file is known
  /// to have the size that the record claims.
  ///
  /// - Throws: as ``fetch(_:into:)`` and ``DetachedRecord/join(into:fetch:)``.
  public func record(of detached: DetachedRecord) throws -> [UInt8] {
    try reading(detached.payload) { _, _ in }
    return try detached.join { try fetch(detached.payload, into: $0) }
  }

  /// Reads a payload through and checks its hash, in 64 KiB of memory.
  ///
  /// - Throws: as ``fetch(_:into:)``.
  public func verify(_ reference: PayloadReference) throws {
    try reading(reference) { descriptor, path in
      var hash = DigestBuilder()
      var offset = 0
      try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 64) { buffer in
        while true {
          let count = try DurableFile.read(descriptor, of: path, at: offset, into: buffer)
          if count == 0 { break }
          hash.add(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          offset += count
        }
      }
      guard hash.finish() == reference.digest else { throw altered(reference) }
    }
  }

  private func reading(_ reference: PayloadReference, _ body: (Int32, String) throws -> Void) throws {
    let path = file(reference.digest)
    let found: Void? = try DurableFile.reading(path) { descriptor, status in
      guard Int(status.st_size) == Int(reference.byteCount) else {
        throw wrongSize(reference, Int(status.st_size))
      }
      try body(descriptor, path)
    }
    guard found != nil else { throw damaged(reference, "is missing") }
  }

  private func wrongSize(_ reference: PayloadReference, _ found: Int) -> HyphaError {
    damaged(reference, "has \(found) bytes instead of \(reference.byteCount)")
  }

  private func altered(_ reference: PayloadReference) -> HyphaError {
    damaged(reference, "was altered: its hash does not match")
  }

  private func damaged(_ reference: PayloadReference, _ what: String) -> HyphaError {
    HyphaError(
      .logInvalid, "the payload \(reference.digest) in \(path) \(what)",
      remedy: "run 'hypha log verify' for the positions that refer to it, and restore its file from a copy; "
        + "where none does, remove it")
  }
}
