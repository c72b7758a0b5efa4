import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// Digests, and the chain of them.
@Suite struct IntegrityHashTests {
  @Test func `digests are those of SHA-256 elsewhere`() {
    // Python: hashlib.sha256(b'').hexdigest(), and of b'abc'.
    #expect(
      Digest.of([]).description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      Digest.of(Array("abc".utf8)).description
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func `a digest's text and bytes read back, and nothing else does`() throws {
    let digest = Digest.of([1, 2, 3])
    #expect(try Digest(digest.description) == digest)
    let bytes = digest.withUnsafeBytes { Array($0) }
    for shift in 0..<8 {
      let shifted = [UInt8](repeating: 9, count: shift) + bytes
      #expect(shifted.withUnsafeBytes { Digest(loading: .init(rebasing: $0[shift...])) } == digest)
    }
    #expect(bytes.dropLast().withUnsafeBytes { Digest(loading: $0) } == nil)
    let text = digest.description
    for wrong in [
      "", String(text.dropLast()), text + "0", text.uppercased(), "g" + text.dropFirst(), "é" + text,
    ] {
      expectError(.invalidInput, "64 hexadecimal digits") { _ = try Digest(wrong) }
    }
  }

  @Test func `a digest does not depend on where its content was cut`() {
    let seed = SeededGenerator.seed
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let bytes = (0..<Int.random(in: 0...2_000, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      var builder = DigestBuilder()
      var offset = 0
      while offset < bytes.count {
        let end = min(bytes.count, offset + Int.random(in: 0...300, using: &random))
        bytes[offset..<end].withUnsafeBytes { builder.add($0) }
        offset = end
      }
      #expect(builder.finish() == Digest.of(bytes))
    }
  }

  private let identity = LogIdentity(id: EventID(high: 0x0102_0304_0506_0708, low: 9), node: "hq")

  @Test func `a chain is what its documentation says`() {
    var chain = HashChain(of: identity)
    let id: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9]
    let first = Digest.of(Array("hypha.log.chain.0".utf8) + id + Array("hq".utf8))
    #expect(chain.head == first)
    chain.add([1, 2, 3])
    #expect(
      chain.head
        == Digest.of(Array("hypha.log.chain.1".utf8) + first.withUnsafeBytes { Array($0) } + [1, 2, 3]))
  }

  @Test func `a chain of altered, missing, added, moved or foreign blocks ends otherwise`() {
    let blocks: [[UInt8]] = [[1], [2, 3], [], [4], [5, 6]]
    func head(_ blocks: [[UInt8]], of identity: LogIdentity) -> Digest {
      var chain = HashChain(of: identity)
      for block in blocks { chain.add(block) }
      return chain.head
    }
    let ours = head(blocks, of: identity)
    #expect(head(blocks, of: identity) == ours)
    for index in blocks.indices {
      var altered = blocks
      altered[index] += [7]
      #expect(head(altered, of: identity) != ours)
      var missing = blocks
      missing.remove(at: index)
      #expect(head(missing, of: identity) != ours)
      var added = blocks
      added.insert([], at: index)
      #expect(head(added, of: identity) != ours)
      var moved = blocks
      moved.swapAt(index, (index + 1) % blocks.count)
      #expect(head(moved, of: identity) != ours)
    }
    // The same bytes, cut into other blocks.
    #expect(head([[1], [2], [3], [], [4], [5, 6]], of: identity) != ours)
    #expect(head(blocks, of: LogIdentity(id: identity.id, node: "hq2")) != ours)
    #expect(head(blocks, of: LogIdentity(id: EventID(high: 1, low: 9), node: "hq")) != ours)
  }

  @Test func `a chain goes on from a stored link, in pieces or at once`() {
    var chain = HashChain(of: identity)
    chain.add([1, 2])
    var later = HashChain(head: chain.head)
    chain.add([3, 4, 5])
    var link = later.beginLink()
    [UInt8]([3]).withUnsafeBytes { link.add($0) }
    [UInt8]([4, 5]).withUnsafeBytes { link.add($0) }
    later.add(link)
    #expect(later == chain)
  }
}

extension HashChain {
  fileprivate mutating func add(_ content: [UInt8]) { content.withUnsafeBytes { add($0) } }
}
