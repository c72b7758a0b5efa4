public import HyphaCore

/// One run of a node, from its start to its end, as the node itself says. Of two of one node the greater is the newer: what the
/// lesser one does is fenced off.
public struct Incarnation: Sendable, Hashable, Comparable {
  /// Whose it is.
  public var node: NodeID
  /// Higher than all epochs that the node and its agents had been in, as far as the node knows; as a rule the milliseconds since
  /// 1970 at which it began.
  public var epoch: UInt64
  /// Made at the start: tells two apart that began in one epoch.
  public var id: EventID
  /// The Ed25519 signature of ``statement`` with the node's key, 64 bytes; zeros where nodes have no keys.
  public private(set) var signature: [UInt8]

  static let signatureByteCount = 64

  /// An incarnation that `sign` signs; nil where nodes have no keys.
  public init(node: NodeID, epoch: UInt64, id: EventID, sign: (([UInt8]) -> [UInt8])?) {
    self.node = node
    self.epoch = epoch
    self.id = id
    signature = [UInt8](repeating: 0, count: Self.signatureByteCount)
    if let sign { signature = sign(statement) }
  }

  /// What is signed: `hypha.incarnate\0`, then the incarnation as in its control message, up to the signature.
  public var statement: [UInt8] {
    var writer = ByteWriter()
    writer.write("hypha.incarnate\0")
    writer.write(unsigned: self)
    return writer.bytes
  }

  public static func < (left: Incarnation, right: Incarnation) -> Bool {
    (left.node, left.epoch, left.id) < (right.node, right.epoch, right.id)
  }
}

extension ByteWriter {
  /// An incarnation without its signature.
  mutating func write(unsigned incarnation: Incarnation) {
    writeShort(incarnation.node.text)
    write(incarnation.epoch)
    write(incarnation.id)
  }
}

extension ByteReader {
  mutating func readIncarnation() throws -> Incarnation {
    let (node, epoch, id) = (try NodeID(readShort()), try read(UInt64.self), try readEventID())
    let signature = Array(try read(count: Incarnation.signatureByteCount))
    return Incarnation(node: node, epoch: epoch, id: id) { _ in signature }
  }
}
