import CSodium
import Glibc
public import HyphaCore
public import HyphaLog

/// A node's Ed25519 key pair, with which it signs its log's head.
///
/// It lies in `DIR/node.key` (0600), one line of text: `hypha-node-key 1`, the 32 bytes of the seed and the 32 bytes of
/// the public key, both as hexadecimal digits. The public key follows from the seed, so damage shows. The file is
/// written once and never again: a key that changed by itself would turn every head that peers kept into noise.
///
/// In memory the secret lies in pages of its own that are not swapped where the system allows it, and is wiped at the
/// end. Any thread may sign.
///
/// Room for a seed or a text is never empty, so it has an address: hence the `baseAddress!` where libsodium takes no nil.
public final class NodeKey: Sendable {
  /// What checks this key's signatures, to be handed to whoever keeps signed heads.
  public let publicKey: NodePublicKey
  // Written once, before anybody else knows of it.
  nonisolated(unsafe) private let secret: UnsafeMutablePointer<UInt8>

  /// The key of a seed of 32 bytes.
  private init(seed: UnsafeRawBufferPointer) throws {
    precondition(seed.count == Int(crypto_sign_ed25519_SEEDBYTES))
    Sodium.prepare()
    guard let memory = sodium_malloc(crypto_sign_ed25519_secretkeybytes()) else {
      throw HyphaError(
        .failed, "there is no memory for a node's key", remedy: "free memory", cause: "sodium_malloc")
    }
    secret = memory.assumingMemoryBound(to: UInt8.self)
    var publicBytes = [UInt8](repeating: 0, count: NodePublicKey.byteCount)
    let status = crypto_sign_ed25519_seed_keypair(
      &publicBytes, secret, seed.assumingMemoryBound(to: UInt8.self).baseAddress!)
    precondition(status == 0, "crypto_sign_ed25519_seed_keypair takes every seed")
    // It has as many bytes as a key.
    publicKey = NodePublicKey(publicBytes)!
  }

  deinit { sodium_free(secret) }

  /// The 64 bytes of the signature of `message`.
  func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: SignedHead.signatureByteCount)
    let status = crypto_sign_ed25519_detached(&signature, nil, message, UInt64(message.count), secret)
    precondition(status == 0, "crypto_sign_ed25519_detached takes every message")
    return signature
  }
}

// MARK: The file

extension NodeKey {
  private static let header = "hypha-node-key 1 "
  private static let fileByteCount = header.utf8.count + 64 + 1 + 64 + 1

  /// Where the key of a data directory lies.
  static func path(in directory: String) -> String { directory + "/node.key" }

  /// The key of a data directory, or nil where it has none.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when the file is damaged, ``HyphaError/Code/fileUnavailable`` when others
  ///   than its owner may use it, or it cannot be read.
  public static func load(from directory: String) throws -> NodeKey? {
    let path = path(in: directory)
    return try DurableFile.reading(path) { descriptor, status in
      guard status.st_mode & 0o077 == 0 else {
        throw HyphaError(
          .fileUnavailable, "\(path) holds a secret, and others than its owner may use it",
          remedy:
            "chmod 600 it; if someone may have read it, move it away, start the node again and hand out the new "
            + "public key", cause: "mode \(String(status.st_mode & 0o777, radix: 8))")
      }
      return try withUnsafeTemporaryAllocation(byteCount: fileByteCount + 1, alignment: 8) { text in
        defer { sodium_memzero(text.baseAddress, text.count) }
        guard try DurableFile.read(descriptor, of: path, into: text) == fileByteCount,
          let key = try parse(UnsafeRawBufferPointer(text).prefix(fileByteCount))
        else {
          throw HyphaError(
            .logInvalid, "\(path) is damaged",
            remedy:
              "restore it from a copy; or move it away, start the node again and hand out the new public key")
        }
        return key
      }
    }
  }

  /// The key of a data directory, which is made where there is none. The caller holds the directory's writer's lock.
  /// A new key is durable before this returns.
  ///
  /// - Throws: as ``load(from:)``, and ``HyphaError/Code/logFull`` when there is no room for a new one.
  public static func loadOrCreate(in directory: String) throws -> NodeKey {
    let path = path(in: directory)
    let new = path + ".new"
    // Whoever began to make a key and did not finish has not used it.
    guard unlink(new) == 0 || errno == ENOENT else { throw DurableFile.failure(new, "unlink", errno) }
    if let key = try load(from: directory) {
      // Whoever made it may have ended before its name was durable.
      try DurableFile.syncDirectory(directory)
      return key
    }
    let key = try withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { seed in
      defer { sodium_memzero(seed.baseAddress, seed.count) }
      Sodium.prepare()
      randombytes_buf(seed.baseAddress!, seed.count)
      let key = try NodeKey(seed: UnsafeRawBufferPointer(seed))
      try key.withText(seed: UnsafeRawBufferPointer(seed)) { try DurableFile.create(new, $0) }
      return key
    }
    // Unlike a rename, a link never replaces a file.
    let isLinked = link(new, path) == 0
    let code = errno
    unlink(new)
    guard isLinked else { throw DurableFile.failure(path, "link", code) }
    try DurableFile.syncDirectory(directory)
    return key
  }

  /// Stores the key in another data directory, durably.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable`` when that has a key.
  func store(in directory: String) throws {
    try withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { seed in
      defer { sodium_memzero(seed.baseAddress, seed.count) }
      let status = crypto_sign_ed25519_sk_to_seed(
        seed.assumingMemoryBound(to: UInt8.self).baseAddress!, secret)
      precondition(status == 0, "crypto_sign_ed25519_sk_to_seed takes every key")
      try withText(seed: UnsafeRawBufferPointer(seed)) {
        try DurableFile.create(Self.path(in: directory), $0)
      }
    }
    try DurableFile.syncDirectory(directory)
  }

  /// Calls `body` with the file's content, which is wiped afterwards.
  private func withText(seed: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws
  {
    try withUnsafeTemporaryAllocation(byteCount: Self.fileByteCount + 1, alignment: 8) { text in
      defer { sodium_memzero(text.baseAddress, text.count) }
      let start = text.assumingMemoryBound(to: CChar.self).baseAddress!
      let seedStart = Self.header.utf8.count
      text.copyBytes(from: Self.header.utf8)
      sodium_bin2hex(start + seedStart, 65, seed.assumingMemoryBound(to: UInt8.self).baseAddress!, 32)
      text[seedStart + 64] = UInt8(ascii: " ")
      sodium_bin2hex(start + seedStart + 65, 65, publicKey.bytes, 32)
      text[Self.fileByteCount - 1] = UInt8(ascii: "\n")
      try body(UnsafeRawBufferPointer(rebasing: text[..<Self.fileByteCount]))
    }
  }

  /// The key that the file's content spells, or nil where it is damaged.
  private static func parse(_ text: Slice<UnsafeRawBufferPointer>) throws -> NodeKey? {
    let seedText = text.dropFirst(header.utf8.count).prefix(64)
    return try withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { seed in
      defer { sodium_memzero(seed.baseAddress, seed.count) }
      let digits = UnsafeRawBufferPointer(rebasing: seedText).assumingMemoryBound(to: CChar.self)
      var count = 0
      let status = sodium_hex2bin(
        seed.assumingMemoryBound(to: UInt8.self).baseAddress!, 32, digits.baseAddress!, 64, nil, &count, nil)
      guard status == 0, count == 32 else { return nil }
      // Seed and public key agree, and all else is as it was written, where the key's own text is the same.
      let key = try NodeKey(seed: UnsafeRawBufferPointer(seed))
      var isSame = false
      try key.withText(seed: UnsafeRawBufferPointer(seed)) { isSame = $0.elementsEqual(text) }
      return isSame ? key : nil
    }
  }
}

// MARK: Signed heads

extension SignedHead {
  /// Signs `head`. Takes about 15 µs.
  public init(signing head: LogHead, at time: Timestamp, with key: NodeKey) {
    let unsigned = SignedHead(head, signedAt: time, key: key.publicKey, signature: [])
    self.init(head, signedAt: time, key: key.publicKey, signature: key.sign(unsigned.signedBytes))
  }

  /// Checks that the holder of the secret to ``key`` signed exactly this head. Whose key it is, is another question. Takes about
  /// 40 µs.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when the signature does not match.
  public func verifySignature() throws {
    Sodium.prepare()
    let message = signedBytes
    guard signature.count == Self.signatureByteCount,
      crypto_sign_ed25519_verify_detached(signature, message, UInt64(message.count), key.bytes) == 0
    else {
      throw HyphaError(
        .invalidInput,
        "the signed head of node \(head.log.node) at position \(head.position) has a signature that "
          + "does not match",
        remedy: "get it again from who kept it; it was altered, or its key is not the signer's")
    }
  }
}

/// The state of libsodium in this process.
enum Sodium {
  // It picks the code for this processor; without that, its portable code would run.
  private static let isPrepared = sodium_init() >= 0

  /// Makes libsodium ready, once a process. Every use of it comes after a call of this.
  static func prepare() { precondition(isPrepared, "libsodium finds no random numbers on this system") }
}
