import HyphaCore
public import HyphaLog

/// The chain that makes a log's history evident: each link stands for a block and for all blocks before it.
///
/// ```
/// link(0) = H("hypha.log.chain.0" || log id, 16 bytes || node name)
/// link(n) = H("hypha.log.chain.1" || link(n-1), 32 bytes || content of block n)
/// ```
///
/// H is SHA-256. Whoever holds link(n) can tell whether any byte of the blocks up to n was altered, removed,
/// inserted or moved: no other history gives the same link. The first link binds the chain to its log, so that
/// blocks of another log do not fit. A chain that goes on after a prune begins at the anchor, which is the link of
/// the last block that was removed.
///
/// What a block's content is, is its owner's matter; it must tell its own parts apart, since a link does not see
/// how its content was cut into pieces. Links exist at block ends alone: compaction must keep the blocks'
/// boundaries, or a head that was signed before it could no longer be checked.
public struct HashChain: Hashable, Sendable {
  private static let beginLabel: StaticString = "hypha.log.chain.0"
  private static let linkLabel: StaticString = "hypha.log.chain.1"

  /// The newest link.
  public private(set) var head: Digest

  /// A chain without a block.
  public init(of identity: LogIdentity) {
    var link = DigestBuilder()
    link.add(Self.beginLabel)
    withUnsafeBytes(of: identity.id.high.bigEndian) { link.add($0) }
    withUnsafeBytes(of: identity.id.low.bigEndian) { link.add($0) }
    Array(identity.node.text.utf8).withUnsafeBytes { link.add($0) }
    head = link.finish()
  }

  /// A chain that goes on after `head`: a link that is stored, or a prune's anchor.
  public init(head: Digest) { self.head = head }

  /// The next link before it was given the block's content, which may come in pieces; ``add(_:)-(DigestBuilder)``
  /// takes it.
  public func beginLink() -> DigestBuilder {
    var link = DigestBuilder()
    link.add(Self.linkLabel)
    link.add(head)
    return link
  }

  /// Adds the link that ``beginLink()`` began and that was given the block's content since.
  public mutating func add(_ link: consuming DigestBuilder) { head = link.finish() }

  /// Adds the link of a block whose content lies in one piece.
  public mutating func add(_ content: UnsafeRawBufferPointer) {
    var link = beginLink()
    link.add(content)
    add(link)
  }
}

extension DigestBuilder {
  /// Takes a label, which tells apart what hashes are made for.
  mutating func add(_ label: StaticString) {
    add(UnsafeRawBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount))
  }
}
