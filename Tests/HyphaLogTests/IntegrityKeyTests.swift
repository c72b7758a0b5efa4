import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// A node's key, and the heads that it signs.
@Suite struct IntegrityKeyTests {
  private let place = TestDirectory()
  private let log = LogIdentity(
    id: EventID(high: 0x0197_0000_0000_7000, low: 0x8000_0000_0000_0009), node: "hq")
  private var file: String { place.path + "/node.key" }

  private func head(_ position: UInt64 = 42) -> LogHead {
    LogHead(
      log: log, position: Position(rawValue: position), chain: Digest.of([1]),
      newestAt: Timestamp(microseconds: 1_700_000_000_000_000, counter: 7))
  }

  private func signed() throws -> SignedHead {
    let key = try NodeKey.loadOrCreate(in: place.path)
    return SignedHead(signing: head(), at: Timestamp(microseconds: 1_700_000_000_000_009), with: key)
  }

  /// The public key of another node.
  private func otherKey() throws -> NodePublicKey {
    let elsewhere = TestDirectory()
    return try withExtendedLifetime(elsewhere) { try NodeKey.loadOrCreate(in: elsewhere.path).publicKey }
  }

  // MARK: The key's file

  @Test func `a key is made once, for its owner alone`() throws {
    #expect(try NodeKey.load(from: place.path) == nil)
    let key = try NodeKey.loadOrCreate(in: place.path)
    let written = try Data(contentsOf: URL(fileURLWithPath: file))
    #expect(try NodeKey.load(from: place.path)?.publicKey == key.publicKey)
    #expect(try NodeKey.loadOrCreate(in: place.path).publicKey == key.publicKey)
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == written)
    #expect(try place.permissions(of: "node.key") == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["node.key"])
    #expect(try otherKey() != key.publicKey)
  }

  @Test func `what a process left that ended while it made a key is not taken for one`() throws {
    try place.write(Array("hypha-node-key 1 00".utf8), to: "node.key.new")
    let key = try NodeKey.loadOrCreate(in: place.path)
    #expect(try NodeKey.load(from: place.path)?.publicKey == key.publicKey)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["node.key"])
  }

  @Test(arguments: [0o640, 0o604, 0o660, 0o601]) func `a key that others may use is refused`(mode: Int) throws
  {
    _ = try NodeKey.loadOrCreate(in: place.path)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    expectError(.fileUnavailable, "node.key", "chmod 600", String(mode, radix: 8)) {
      _ = try NodeKey.load(from: place.path)
    }
    expectError(.fileUnavailable, "node.key") { _ = try NodeKey.loadOrCreate(in: place.path) }
  }

  @Test func `a damaged key is refused wherever it is damaged, and never replaced`() throws {
    _ = try NodeKey.loadOrCreate(in: place.path)
    let sound = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
    var damages = sound.indices.map { index in
      var damaged = sound
      damaged[index] ^= 1
      return damaged
    }
    damages += [
      [], Array(sound.dropLast()), sound + [10], Array(sound.prefix(40)), [UInt8](repeating: 0, count: 9_999),
    ]
    for damaged in damages {
      try place.write(damaged, to: "node.key", mode: 0o600)
      expectError(.logInvalid, "node.key is damaged", "restore it from a copy") {
        _ = try NodeKey.loadOrCreate(in: place.path)
      }
      #expect(Array(try Data(contentsOf: URL(fileURLWithPath: file))) == damaged)
    }
  }

  @Test func `a directory or a pipe in the key's place is refused`() throws {
    try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
    expectError(.logInvalid, "not a regular file") { _ = try NodeKey.loadOrCreate(in: place.path) }
    try FileManager.default.removeItem(atPath: file)
    #expect(mkfifo(file, 0o600) == 0)
    expectError(.logInvalid, "not a regular file") { _ = try NodeKey.loadOrCreate(in: place.path) }
  }

  // MARK: Signed heads

  @Test func `a signed head holds, and reads back from its line`() throws {
    let signed = try signed()
    try signed.verifySignature()
    let line = signed.description
    #expect(!line.contains("\n"))
    let read = try SignedHead(line + "\n")
    #expect(read == signed)
    #expect(try SignedHead(line) == signed)
    try read.verifySignature()
    let members = try JSON.decode(JSONValue.self, from: line.utf8)
    #expect(members["node"] == .string("hq"))
    #expect(members["position"] == .integer(42))
    #expect(members["newest-at"] == .string("1700000000000000+7"))
    let extreme = LogHead(
      log: log, position: Position(rawValue: .max), chain: .zero, newestAt: Timestamp(rawValue: .max))
    let last = SignedHead(
      signing: extreme, at: Timestamp(rawValue: .max), with: try NodeKey.loadOrCreate(in: place.path))
    #expect(try SignedHead(last.description) == last)
  }

  @Test func `a head of which anything was altered has no valid signature`() throws {
    let signed = try signed()
    let head = signed.head
    let other = try otherKey()
    func altered(
      id: EventID? = nil, node: NodeID? = nil, position: UInt64? = nil, chain: Digest? = nil,
      newest: UInt64? = nil,
      at: UInt64? = nil, key: NodePublicKey? = nil, signature: [UInt8]? = nil
    ) -> SignedHead {
      SignedHead(
        LogHead(
          log: LogIdentity(id: id ?? head.log.id, node: node ?? head.log.node),
          position: position.map(Position.init(rawValue:)) ?? head.position, chain: chain ?? head.chain,
          newestAt: newest.map(Timestamp.init(rawValue:)) ?? head.newestAt),
        signedAt: at.map(Timestamp.init(rawValue:)) ?? signed.signedAt, key: key ?? signed.key,
        signature: signature ?? signed.signature)
    }
    try altered().verifySignature()
    var flipped = signed.signature
    flipped[63] ^= 1
    let zero = try #require(NodePublicKey([UInt8](repeating: 0, count: 32)))
    for head in [
      altered(id: EventID(high: 1, low: 1)), altered(node: "hr"), altered(position: 43),
      altered(chain: .zero),
      altered(newest: 1), altered(at: 1), altered(key: other), altered(key: zero),
      altered(signature: flipped), altered(signature: []), altered(signature: signed.signature + [0]),
      altered(key: zero, signature: [UInt8](repeating: 0, count: 64)),
    ] {
      expectError(.invalidInput, "node h", "does not match", "get it again") { try head.verifySignature() }
    }
  }

  @Test func `a line that is spelt otherwise, or hostile, is an error`() throws {
    let line = try signed().description
    func replacing(_ old: String, _ new: String) -> String { line.replacingOccurrences(of: old, with: new) }
    let lines = [
      "", "\n", "{}", "[]", "null", line + "\n\n", line + " ", " " + line, line + line, line.uppercased(),
      replacing(",\"", ", \""), replacing(":42,", ":42.0,"), replacing(":42,", ":-1,"),
      replacing(":42,", ":1e999,"),
      replacing(":42,", ":18446744073709551616,"), replacing(":42,", ":42,\"position\":42,"),
      replacing("}", ",\"more\":1}"), replacing("\"hq\"", "\"h\\u0071\""), replacing("\"hq\"", "\"\""),
      replacing("\"hq\"", "\"../x\""), replacing("+7", ""), replacing("+7", "+4096"), replacing("+7", "+07"),
      replacing("+7", "+-7"), replacing("+7", "+7+7"), replacing("1700000000000000+", "99999999999999999+"),
      replacing("\"node\":\"hq\",", ""), String(repeating: "[", count: 1_024),
      String(repeating: "[", count: 100_000),
      String(line.dropLast(3)) + "\"}", "\u{FEFF}" + line,
    ]
    for (index, wrong) in lines.enumerated() {
      do {
        _ = try SignedHead(wrong)
        Issue.record("line \(index) was taken: \(wrong.prefix(300))")
      } catch let error as HyphaError {
        #expect([.invalidInput, .invalidName].contains(error.code), "\(error)")
        #expect(!error.description.contains("\n"))
      }
    }
    expectError(.invalidInput, "version 2", "newer") { _ = try SignedHead(replacing("head\":1", "head\":2")) }
    expectError(.invalidInput, "hypha log head") { _ = try SignedHead("{}") }
    let seed = SeededGenerator.seed
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2_000 {
      var bytes = Array(line.utf8)
      let index = Int.random(in: bytes.indices, using: &random)
      bytes[index] = UInt8.random(in: 1...127, using: &random)
      let text = String(decoding: bytes, as: UTF8.self)
      guard text != line, let read = try? SignedHead(text) else { continue }
      expectError(.invalidInput) { try read.verifySignature() }
    }
  }

  // MARK: Witnesses

  @Test func `a witness tells apart what can be wrong`() throws {
    let kept = try signed()
    let chain = kept.head.chain
    func compare(
      log: LogIdentity? = nil, key: NodePublicKey? = nil, head: UInt64 = 50, _ link: ChainLink
    ) -> WitnessCheck.Finding {
      WitnessCheck.compare(
        kept, log: log ?? kept.head.log, key: key ?? kept.key, head: Position(rawValue: head)
      ) { position in
        #expect(position == Position(rawValue: 42))
        return link
      }
    }
    let end = Position(rawValue: 45)
    #expect(compare(.link(chain)) == .agrees)
    #expect(compare(head: 42, .link(chain)) == .agrees)
    #expect(compare(head: 41, .link(chain)) == .behind(head: Position(rawValue: 41)))
    #expect(compare(.link(.zero)) == .altered(found: .zero))
    #expect(compare(.none) == .altered(found: nil))
    #expect(compare(.pruned(end: end)) == .pruned(end: end))
    let other = LogIdentity(id: EventID(high: 3, low: 3), node: "hq")
    #expect(compare(log: other, .link(chain)) == .otherLog(kept.head.log))
    let key = try otherKey()
    #expect(compare(key: key, .link(chain)) == .otherKey(kept.key))
    #expect(compare(.link(chain)).agrees)
    #expect(!compare(.none).agrees)
    #expect(compare(.pruned(end: end)).description.contains("pruned up to position 45"))
    #expect(compare(head: 41, .none).description.contains("cut off"))
  }

  @Test(.enabled(if: geteuid() == 0, "only root may give a directory away"))
  func `no key is made in somebody else's directory`() throws {
    let home = Backend.lmdb.makeHome()
    try home.openLMDB().close()
    #expect(chown(home.directory, 1, 1) == 0)
    expectError(.fileUnavailable, home.directory, "has no key yet", "the user that owns it") {
      _ = try LMDBLogInspection().signedHead(home.directory)
    }
    #expect(!FileManager.default.fileExists(atPath: home.directory + "/node.key"))
    #expect(chown(home.directory, 0, 0) == 0)
    let head = try LMDBLogInspection().signedHead(home.directory)
    #expect(try LMDBLogInspection().publicKey(home.directory) == head.key)
    // What is there is used, whoever's it is.
    #expect(chown(home.directory, 1, 1) == 0)
    #expect(try LMDBLogInspection().signedHead(home.directory).key == head.key)
  }
}

/// A temporary directory, removed at the end.
final class TestDirectory: Sendable {
  let path = NSTemporaryDirectory() + "hypha-integrity-\(UUID().uuidString)"

  init() { try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ bytes: [UInt8], to name: String, mode: Int = 0o600) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + "/" + name)
  }

  func permissions(of name: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path + "/" + name)[.posixPermissions] as? Int
  }
}
