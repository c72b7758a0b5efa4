import Glibc
import HyphaCore
public import HyphaLog
import Synchronization

/// What a sweep of the payloads found.
public struct PayloadSweep: Hashable, Sendable {
  /// The payloads that stay.
  public fileprivate(set) var keptCount = 0
  /// The payloads that no entry refers to, which are gone unless the sweep was a dry run.
  public fileprivate(set) var removedCount = 0
  /// The size of those.
  public fileprivate(set) var removedByteCount: UInt64 = 0
}

/// The payloads beside a log, from which those are taken that entries refer to.
///
/// The entries are read later than the list was made: what was committed meanwhile is referred to.
struct PayloadList {
  private var sizes: [Digest: UInt64] = [:]

  /// All that are there now.
  init(of payloads: PayloadStore) throws {
    guard payloads.isThere else { return }
    try payloads.forEach { sizes[$0] = $1 }
  }

  var isEmpty: Bool { sizes.isEmpty }

  /// Takes out one that an entry refers to.
  mutating func remove(_ digest: Digest) { sizes[digest] = nil }

  /// What is left.
  var rest: LoosePayloads {
    var loose = LoosePayloads()
    loose.count = sizes.count
    loose.byteCount = sizes.values.reduce(0, +)
    return loose
  }
}

extension PayloadStore {
  /// Whether a payload was ever stored here.
  var isThere: Bool { access(path, F_OK) == 0 }

  /// Removes the payloads that the log does not refer to any more.
  ///
  /// `references` is called once the sweep has begun and reads the log from then on, so what commits meanwhile is
  /// among them or still held, and stays. What a prune takes out of the log must be gone durably before.
  ///
  /// - Parameter isDryRun: whether to count alone.
  /// - Throws: ``HyphaError/Code/logFailed`` when a sweep is running already; what `references` throws.
  /// - Complexity: one step a file, and one digest of memory for each that is referred to.
  public func sweep(isDryRun: Bool, references: () throws -> Set<Digest>) throws -> PayloadSweep {
    try state.withLock { state in
      guard state.spared == nil else {
        throw HyphaError(
          .logFailed, "the payloads in \(path) are being swept", remedy: "wait until that is done")
      }
      state.spared = Set(state.holds.keys)
    }
    defer { state.withLock { $0.spared = nil } }
    let referenced = try references()
    var sweep = PayloadSweep()
    try forEach { digest, byteCount in
      let isRemoved =
        try !referenced.contains(digest)
        && state.withLock { state in
          guard state.spared?.contains(digest) == false else { return false }
          let file = file(digest)
          guard isDryRun || unlink(file) == 0 || errno == ENOENT else {
            throw DurableFile.failure(file, "unlink", errno)
          }
          return true
        }
      if isRemoved {
        sweep.removedCount += 1
        sweep.removedByteCount += byteCount
      } else {
        sweep.keptCount += 1
      }
    }
    return sweep
  }

  /// Calls `body` with the digest and the size in bytes of each payload, in the order of the digests' first byte and
  /// then of their text. Files with other names are no payloads and are passed over.
  public func forEach(_ body: (Digest, _ byteCount: UInt64) throws -> Void) throws {
    for number in UInt8.min ... .max {
      let directory = shard(number)
      let prefix = directory.suffix(2)
      for name in try FileTree.names(in: directory) ?? [] {
        guard let digest = try? Digest(prefix + name) else { continue }
        let size = try DurableFile.reading(file(digest)) { _, status in UInt64(status.st_size) }
        // Another thread's sweep may have removed it.
        if let size { try body(digest, size) }
      }
    }
  }
}
