public import HyphaCore

/// Where a log stood at one moment: everything up to `position` is what `chain` stands for.
///
/// A head is always taken at the end of a block, since links of the chain exist there alone. Compaction keeps the
/// blocks' boundaries, so a head can be checked for as long as its position is not pruned.
public struct LogHead: Hashable, Sendable {
  /// The log.
  public let log: LogIdentity
  /// The position of the newest entry, which is the last of its block; ``Position/start`` for an empty log.
  public let position: Position
  /// The link of the chain at that position.
  public let chain: Digest
  /// When the log took the newest entry, on the node's hybrid clock; ``Timestamp/zero`` for an empty log.
  public let newestAt: Timestamp

  /// A head by its parts.
  public init(log: LogIdentity, position: Position, chain: Digest, newestAt: Timestamp) {
    self.log = log
    self.position = position
    self.chain = chain
    self.newestAt = newestAt
  }
}

/// A node's public key, which checks what the node signed (Ed25519).
public struct NodePublicKey: Hashable, Sendable, CustomStringConvertible {
  /// How many bytes a key has.
  public static let byteCount = 32

  /// The key's bytes.
  public let bytes: [UInt8]

  /// The key that `bytes` are, or nil where they are not 32.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  /// 64 hexadecimal digits in lower case.
  public var description: String { Hexadecimal.text(of: bytes) }

  /// The key that `text` spells: exactly 64 hexadecimal digits in lower case.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when it is anything else.
  public init(_ text: String) throws {
    guard let bytes = Hexadecimal.bytes(of: text, count: Self.byteCount) else {
      throw HyphaError(
        .invalidInput, "a text of \(text.utf8.count) bytes is not a node's public key",
        remedy: "give 64 hexadecimal digits in lower case")
    }
    self.bytes = bytes
  }
}

/// A log's head with its node's signature: what an auditor or a peer keeps, and checks the log against later.
///
/// A node can rewrite its own log and chain, but it cannot take back what it signed. The value alone needs no C;
/// the log on LMDB signs and verifies.
public struct SignedHead: Hashable, Sendable {
  /// The version of the signed bytes and of the text.
  public static let formatVersion: UInt16 = 1
  /// How many bytes a signature has.
  public static let signatureByteCount = 64

  /// What was signed.
  public let head: LogHead
  /// When it was signed, on the node's hybrid clock.
  public let signedAt: Timestamp
  /// The key that checks the signature. It says nothing of whose key it is: compare it with the one that the node's
  /// operator gave.
  public let key: NodePublicKey
  /// The signature of ``signedBytes``.
  public let signature: [UInt8]

  /// A signed head by its parts, whose signature nobody has checked.
  public init(_ head: LogHead, signedAt: Timestamp, key: NodePublicKey, signature: [UInt8]) {
    self.head = head
    self.signedAt = signedAt
    self.key = key
    self.signature = signature
  }

  /// What the signature covers. Integers are little-endian.
  ///
  /// | bytes | what |
  /// |---:|---|
  /// | 16 | `hypha.log.head\0\0`, which nothing else that a node signs begins with |
  /// | 2 | version, 1 |
  /// | 16 | log id, as a UUID's bytes |
  /// | 1 + n | length of the node's name, and the name |
  /// | 8 | position |
  /// | 32 | link of the chain |
  /// | 8 | time of the newest entry, as a record has it |
  /// | 8 | time of signing |
  /// | 32 | public key |
  public var signedBytes: [UInt8] {
    var writer = ByteWriter(capacity: 192)
    writer.write("hypha.log.head\0\0")
    writer.write(Self.formatVersion)
    writer.write(head.log.id)
    writer.writeShort(head.log.node.text)
    writer.write(head.position.rawValue)
    head.chain.withUnsafeBytes { writer.write($0) }
    writer.write(head.newestAt.rawValue)
    writer.write(signedAt.rawValue)
    writer.write(key.bytes)
    return writer.bytes
  }
}

// MARK: Text

extension SignedHead: CustomStringConvertible {
  /// No head's line is longer.
  private static let textByteCountMax = 1024

  /// One line of JSON, its members in a fixed order. Times are `MICROSECONDS+COUNTER` since 1970, as texts, since they
  /// exceed what every reader of JSON takes for a number.
  public var description: String {
    """
    {"hypha-log-head":\(Self.formatVersion),"log":"\(head.log.id)","node":"\(head.log.node)",\
    "position":\(head.position),"chain":"\(head.chain)","newest-at":"\(Self.text(of: head.newestAt))",\
    "signed-at":"\(Self.text(of: signedAt))","key":"\(key)","signature":"\(Hexadecimal.text(of: signature))"}
    """
  }

  /// The signed head that `text` spells, exactly as ``description`` does; a line end may follow. Its signature is not
  /// checked.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when it is anything else, of another version too.
  public init(_ text: String) throws {
    let line = text.hasSuffix("\n") ? text.dropLast() : text[...]
    guard line.utf8.count <= Self.textByteCountMax else {
      throw Self.malformed("it has \(line.utf8.count) bytes")
    }
    let members: Members
    do {
      members = try JSON.decode(Members.self, from: line.utf8)
    } catch {
      throw Self.malformed("it is not JSON, or a member is missing or of another kind")
    }
    guard members.version == Self.formatVersion else {
      throw HyphaError(
        .invalidInput,
        "the signed head has version \(members.version), this program knows \(Self.formatVersion)",
        remedy: "check it with the version of Hypha that printed it, or a newer one")
    }
    guard let signature = Hexadecimal.bytes(of: members.signature, count: Self.signatureByteCount) else {
      throw Self.malformed("its signature is not \(Self.signatureByteCount) bytes")
    }
    let head = LogHead(
      log: LogIdentity(id: members.log, node: members.node), position: members.position,
      chain: try Digest(members.chain), newestAt: try Self.time(members.newestAt))
    self.init(
      head, signedAt: try Self.time(members.signedAt), key: try NodePublicKey(members.key),
      signature: signature)
    // One head has one text: no member twice, none unknown, no other order, no other spelling of a number.
    guard description.utf8.elementsEqual(line.utf8) else { throw Self.malformed("it is spelt otherwise") }
  }

  private struct Members: Decodable {
    let version: UInt16
    let log: EventID
    let node: NodeID
    let position: Position
    let chain, newestAt, signedAt, key, signature: String

    enum CodingKeys: String, CodingKey {
      case version = "hypha-log-head"
      case newestAt = "newest-at"
      case signedAt = "signed-at"
      case log, node, position, chain, key, signature
    }
  }

  private static func text(of time: Timestamp) -> String { "\(time.microseconds)+\(time.counter)" }

  private static func time(_ text: String) throws -> Timestamp {
    let parts = text.split(separator: "+", omittingEmptySubsequences: false)
    guard parts.count == 2, let microseconds = UInt64(parts[0]), let counter = UInt64(parts[1]) else {
      throw malformed("it has a time that is none")
    }
    return Timestamp(microseconds: microseconds, counter: counter)
  }

  private static func malformed(_ cause: String) -> HyphaError {
    HyphaError(
      .invalidInput, "the text is not a signed head of a log",
      remedy: "give the line exactly as 'hypha log head' printed it", cause: cause)
  }
}
