import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization
import Testing

/// Large payloads beside the log.
@Suite struct PayloadTests {
  private let place = TestDirectory()
  private var store: PayloadStore { PayloadStore(in: place.path) }

  private func file(_ digest: Digest) -> String {
    "payloads/\(digest.description.prefix(2))/\(digest.description.dropFirst(2))"
  }

  private func read(_ store: PayloadStore, _ reference: PayloadReference) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(reference.byteCount))
    try bytes.withUnsafeMutableBytes { try store.fetch(reference, into: $0) }
    return bytes
  }

  private func digests(_ store: PayloadStore) throws -> Set<Digest> {
    var digests: Set<Digest> = []
    try store.forEach { digest, _ in digests.insert(digest) }
    return digests
  }

  @Test func `a payload is stored under its hash, once, for its owner alone`() throws {
    let bytes = [UInt8](repeating: 7, count: 200_000)
    let reference = try store.put(bytes).reference
    #expect(reference == PayloadReference(digest: Digest.of(bytes), byteCount: 200_000))
    #expect(try read(store, reference) == bytes)
    try store.verify(reference)
    let name = file(reference.digest)
    #expect(try place.permissions(of: name) == 0o600)
    #expect(try place.permissions(of: "payloads") == 0o700)
    let made =
      try FileManager.default.attributesOfItem(atPath: place.path + "/" + name)[.systemFileNumber] as? Int
    _ = try store.put(bytes)
    let now =
      try FileManager.default.attributesOfItem(atPath: place.path + "/" + name)[.systemFileNumber] as? Int
    #expect(made == now)
    let empty = try store.put([]).reference
    #expect(try read(store, empty) == [])
    var sizes: [UInt64] = []
    try store.forEach { _, byteCount in sizes.append(byteCount) }
    #expect(sizes.sorted() == [0, 200_000])
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path + "/payloads/tmp") == [])
  }

  @Test func `a payload that is missing, cut, lengthened or altered is named with its remedy`() throws {
    let bytes = [UInt8](repeating: 7, count: 70_000)
    let reference = try store.put(bytes).reference
    var altered = bytes
    altered[69_999] ^= 1
    let name = file(reference.digest)
    let damages: [(bytes: [UInt8], word: String)] = [
      ([], "has 0 bytes instead of 70000"), (bytes + [0], "has 70001 bytes"), (altered, "was altered"),
    ]
    for (damaged, word) in damages {
      try place.write(damaged, to: name)
      expectError(.logInvalid, reference.digest.description, word, "hypha log verify", "positions") {
        _ = try read(store, reference)
      }
      expectError(.logInvalid, word) { try store.verify(reference) }
      #expect(FileManager.default.contents(atPath: place.path + "/" + name).map { Array($0) } == damaged)
    }
    // The same content puts it right, for the events that had it before as well.
    for (damaged, _) in damages {
      try place.write(damaged, to: name)
      _ = try store.put(bytes)
      #expect(try read(store, reference) == bytes)
    }
    try FileManager.default.removeItem(atPath: place.path + "/" + name)
    expectError(.logInvalid, "is missing") { _ = try read(store, reference) }
    expectError(.logInvalid, "is missing") { try store.verify(reference) }
    #expect(mkfifo(place.path + "/" + name, 0o600) == 0)
    expectError(.logInvalid, "not a regular file") { try store.verify(reference) }
  }

  @Test func `a store that was never used reads as empty and makes nothing`() throws {
    #expect(try digests(store).isEmpty)
    #expect(try store.sweep(isDryRun: false) { [] } == store.sweep(isDryRun: true) { [] })
    expectError(.logInvalid, "is missing") { try store.verify(PayloadReference(digest: .zero, byteCount: 1)) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == [])
  }

  @Test func `what a process left that ended while it wrote goes with the first write`() throws {
    _ = try store.put([1])
    try place.write([1, 2], to: "payloads/tmp/1-1")
    try place.write([1, 2], to: "payloads/tmp/\(getpid())-1")
    try place.write([1, 2], to: "payloads/00-stranger")
    let reference = try store.put([2]).reference
    #expect(try read(store, reference) == [2])
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path + "/payloads/tmp") == [])
    #expect(try digests(store).count == 2)
  }

  @Test func `many threads store the same contents at once`() throws {
    let store = store
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 64) { index in
      do {
        let bytes = [UInt8](repeating: UInt8(index % 4), count: 50_000)
        let stored = try store.put(bytes)
        try store.verify(stored.reference)
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(try digests(store).count == 4)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path + "/payloads/tmp") == [])
  }

  // MARK: Sweeping

  @Test func `a sweep removes what nothing refers to, and a dry run only counts it`() throws {
    let kept = try store.put([1, 2, 3]).reference
    let gone = try store.put([4, 5]).reference
    let dry = try store.sweep(isDryRun: true) { [kept.digest] }
    #expect(dry.keptCount == 1 && dry.removedCount == 1 && dry.removedByteCount == 2)
    #expect(try digests(store) == [kept.digest, gone.digest])
    #expect(try store.sweep(isDryRun: false) { [kept.digest] } == dry)
    #expect(try digests(store) == [kept.digest])
    #expect(try read(store, kept) == [1, 2, 3])
  }

  @Test func `a sweep spares what is held, and what comes while it runs`() throws {
    let store = store
    let held = try store.put([1])
    let released = try store.put([2]).reference
    var meanwhile: PayloadReference?
    let sweep = try store.sweep(isDryRun: false) {
      // Stored, committed and let go after the log was read.
      meanwhile = try store.put([3]).reference
      expectError(.logFailed, "being swept") { _ = try store.sweep(isDryRun: true) { [] } }
      return []
    }
    #expect(sweep.keptCount == 2 && sweep.removedCount == 1)
    #expect(try digests(store) == [held.reference.digest, #require(meanwhile).digest])
    expectError(.logInvalid, "is missing") { try store.verify(released) }
    withExtendedLifetime(held) {}
    let failing = HyphaError(.failed, "the log cannot be read")
    expectError(.failed) { _ = try store.sweep(isDryRun: false) { throw failing } }
    #expect(try store.sweep(isDryRun: false) { [] }.removedCount >= 1)
  }

  // MARK: A full disk

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk a payload is refused by name, nothing is left, and it goes in when there is room`()
    throws
  {
    let disk = try #require(ScratchDisk())
    let store = PayloadStore(in: disk.path)
    let small = try store.put([1]).reference
    let ballast = disk.path + "/ballast"
    try Data(repeating: 1, count: 2 << 20).write(to: URL(fileURLWithPath: ballast))
    let large = [UInt8](repeating: 9, count: 3 << 20)
    for _ in 0..<3 {
      expectError(.logFull, disk.path + "/payloads/tmp", "free space") { _ = try store.put(large) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path + "/payloads/tmp") == [])
    }
    try store.verify(small)
    #expect(try digests(store) == [small.digest])
    try FileManager.default.removeItem(atPath: ballast)
    let reference = try store.put(large).reference
    #expect(try read(store, reference) == large)
    try Data(repeating: 1, count: 100).write(to: URL(fileURLWithPath: ballast))
    withExtendedLifetime(disk) {}
  }

  @Test(.enabled(if: ScratchDisk.isPossible, ScratchDisk.isMissing))
  func `on a full disk no half of a key is left`() throws {
    let disk = try #require(ScratchDisk())
    try disk.fill()
    expectError(.logFull, "node.key", "free space") { _ = try NodeKey.loadOrCreate(in: disk.path) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == ["ballast"])
    try disk.empty()
    _ = try NodeKey.loadOrCreate(in: disk.path)
    withExtendedLifetime(disk) {}
  }
}

extension PayloadStore {
  fileprivate func put(_ bytes: [UInt8]) throws -> StoredPayload { try bytes.withUnsafeBytes { try put($0) } }
}
