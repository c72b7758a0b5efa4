public import HyphaCore

/// A node that an earlier file had and a revision has no more: where it is, so that others find what they have not taken of its log,
/// and what proves what it has stated.
public struct LeavingNode: Hashable, Sendable, Codable {
  public var node: NodeID
  /// The revision with which it began to leave.
  public var since: UInt32
  /// Its place, as topology files have it.
  var address: String
  var listen: String?
  var key: LinkKey?
  /// Who holds copies of what its agents have stated.
  var replicas: [NodeID]
  /// Whether nobody waits for it any more: it has left, or an operator has given it up.
  public var isGone: Bool
  /// Whether it has ordered moves and revisions, up to the one with which it began to leave; nil for no.
  var hasOrdered: Bool?

  init(_ spec: NodeSpec, since: UInt32, isGone: Bool, hasOrdered: Bool) {
    (node, self.since, self.isGone) = (spec.id, since, isGone)
    self.hasOrdered = hasOrdered ? true : nil
    (address, listen, key) = (spec.address.fileText, spec.listen?.fileText, spec.key)
    replicas = spec.replicas.nodes
  }

  /// The node as a topology has it.
  func spec(among nodes: Set<NodeID>) throws -> NodeSpec {
    NodeSpec(
      id: node, address: try NodeAddress(fileText: address),
      listen: try listen.map { try NodeAddress(fileText: $0, listens: true) }, key: key,
      replicas: ReplicationSettings(nodes: replicas.filter { nodes.contains($0) && $0 != node }))
  }
}

/// Part of how far the lanes go that a node has stated which leaves: it states nothing more that is for others.
public struct NodeEnding: TopologyEvent, Hashable {
  public var node: NodeID
  /// The revision with which it began to leave.
  public var since: UInt32
  /// The node's epoch: parts of different ones do not go together.
  public var epoch: UInt64
  /// Which part of how many this is, from 0.
  public var part, partCount: Int
  /// The part's bytes.
  public var bytes: Base64Bytes

  /// The parts that carry some bytes.
  public static func parts(of bytes: [UInt8], node: NodeID, since: UInt32, epoch: UInt64) -> [NodeEnding] {
    let parts = AgentHandedOver.pieces(of: bytes)
    return parts.enumerated().map { part, bytes in
      NodeEnding(
        node: node, since: since, epoch: epoch, part: part, partCount: parts.count, bytes: Base64Bytes(bytes))
    }
  }
}

/// A node has in its log all that it wants of one that leaves.
public struct NodeReleased: TopologyEvent, Hashable {
  /// The one that leaves, and the one that has all.
  public var node, by: NodeID
  /// The revision under which it wants no more.
  public var revision: UInt32

  public init(node: NodeID, by: NodeID, revision: UInt32) {
    (self.node, self.by, self.revision) = (node, by, revision)
  }
}

/// A node has left the deployment: all others have what they want of its log, and wait for it no more.
public struct NodeRetired: TopologyEvent, Hashable {
  public var node: NodeID
  /// The revision with which it began to leave.
  public var since: UInt32

  public init(node: NodeID, since: UInt32) { (self.node, self.since) = (node, since) }
}
