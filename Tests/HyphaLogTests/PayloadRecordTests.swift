import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// Records apart from their payloads, and together again.
@Suite struct PayloadRecordTests {
  private func split(_ record: Record) -> [UInt8] {
    let reference = PayloadReference(
      digest: Digest.of(Array(record.payload)), byteCount: UInt32(record.payload.count))
    return record.bytes.withUnsafeBytes {
      DetachedRecord.split($0, payloadOffset: record.payload.startIndex, payload: reference)
    }
  }

  private func join(_ detached: [UInt8], _ payload: [UInt8]) throws -> [UInt8] {
    try detached.withUnsafeBytes { bytes in
      try DetachedRecord(checking: bytes).join { $0.copyBytes(from: payload) }
    }
  }

  @Test func `a record that was split is joined to the same bytes`() throws {
    for count in [0, 1, 100, 70_000] {
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
      let record = try event("ana", 3, 4, to: "bob", payload: payload)
      let detached = split(record)
      #expect(detached.count == DetachedRecord.byteCount(payloadOffset: record.payload.startIndex))
      let joined = try join(detached, payload)
      #expect(joined == record.bytes)
      #expect(try Record(decoding: joined).header == record.header)
      try detached.withUnsafeBytes { bytes in
        #expect(DetachedRecord.isDetached(bytes))
        let view = try DetachedRecord(checking: bytes)
        #expect(view.payload == PayloadReference(digest: Digest.of(payload), byteCount: UInt32(count)))
        #expect(view.recordByteCount == record.bytes.count)
        #expect(view.front.elementsEqual(record.bytes.prefix(record.payload.startIndex)))
      }
      #expect(!record.bytes.withUnsafeBytes { DetachedRecord.isDetached($0) })
    }
  }

  @Test func `every altered bit and every cut of a detached record is found`() throws {
    let detached = split(try event("ana", 3, 4, payload: [1, 2, 3]))
    for index in detached.indices {
      for bit in 0..<8 {
        var damaged = detached
        damaged[index] ^= 1 << bit
        expectError(.invalidRecord, "a detached record", "hypha log verify") {
          _ = try join(damaged, [1, 2, 3])
        }
      }
      expectError(.invalidRecord, "a detached record") {
        _ = try join(Array(detached.prefix(index)), [1, 2, 3])
      }
    }
    expectError(.invalidRecord, "claims") { _ = try join(detached + [0], [1, 2, 3]) }
  }

  @Test func `another payload of the same size does not join`() throws {
    let detached = split(try event("ana", 3, 4, payload: [1, 2, 3]))
    expectError(.invalidRecord, Digest.of([1, 2, 3]).description, "do not make the record") {
      _ = try join(detached, [1, 2, 4])
    }
  }

  @Test func `lengths that contradict each other are refused though the checksum is right`() throws {
    let sound = split(try event("ana", 3, 4, payload: [1, 2, 3]))
    // Payload length; within the front: magic, length, and the lengths of the texts.
    for index in [12, 15, 48, 52, 55, 48 + 15, 48 + 110, 48 + 111, 48 + 112, 48 + 113, 48 + 114] {
      for value in [UInt8(0), 1, 127, 255] where value != sound[index] {
        var forged = sound
        forged[index] = value
        seal(&forged)
        expectError(.invalidRecord, "contradict") { _ = try join(forged, [1, 2, 3]) }
      }
    }
    for count in [0, 1, 115] {
      var forged = Array(sound.prefix(DetachedRecord.headerByteCount + count))
      seal(&forged)
      expectError(.invalidRecord, "contradict") { _ = try join(forged, [1, 2, 3]) }
    }
  }

  /// Puts the right length and checksum into forged bytes.
  private func seal(_ bytes: inout [UInt8]) {
    withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
    let check = bytes.withUnsafeBytes { checksumCRC32C(UnsafeRawBufferPointer(rebasing: $0[12...])) }
    withUnsafeBytes(of: check.littleEndian) { bytes.replaceSubrange(8..<12, with: $0) }
  }

  @Test func `random bytes are never a detached record`() {
    let seed = SeededGenerator.seed
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2_000 {
      var bytes = (0..<Int.random(in: 0...400, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      if bytes.count >= 12 && random.chance(0.9) {
        bytes.replaceSubrange(0..<4, with: Array("HYD1".utf8))
        seal(&bytes)
      }
      expectError(.invalidRecord) { _ = try join(bytes, []) }
    }
  }

  @Test func `the store joins a record, and believes no size before it has seen the file`() throws {
    let place = TestDirectory()
    let store = PayloadStore(in: place.path)
    let payload = [UInt8](repeating: 5, count: 100_000)
    let record = try event("ana", 3, 4, payload: payload)
    let detached = split(record)
    let stored = try payload.withUnsafeBytes { try store.put($0) }
    #expect(
      try detached.withUnsafeBytes { try store.record(of: DetachedRecord(checking: $0)) } == record.bytes)
    // A forged record that claims a payload of nearly 4 GiB costs no memory.
    var forged = detached
    let front = UInt32(detached.count - DetachedRecord.headerByteCount)
    withUnsafeBytes(of: (UInt32.max - front).littleEndian) { forged.replaceSubrange(12..<16, with: $0) }
    withUnsafeBytes(of: UInt32.max.littleEndian) { forged.replaceSubrange(52..<56, with: $0) }
    seal(&forged)
    expectError(.logInvalid, stored.reference.digest.description, "has 100000 bytes instead of") {
      _ = try forged.withUnsafeBytes { try store.record(of: DetachedRecord(checking: $0)) }
    }
  }
}
