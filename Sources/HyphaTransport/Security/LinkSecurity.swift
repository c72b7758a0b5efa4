public import HyphaCore

/// What a node proves itself with on TCP links, and whom it lets in: nodes of the topology, known by their keys.
public struct LinkSecurity: Sendable, Hashable {
  /// The node's own pair.
  public let own: LinkKeyPair
  /// The public keys of all nodes of the deployment.
  public let keys: [NodeID: LinkKey]
  private let nodes: [LinkKey: NodeID]

  /// The security of a node of a deployment.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` where two nodes have one key: it would not tell who is there.
  public init(own: LinkKeyPair, keys: [NodeID: LinkKey]) throws {
    self.own = own
    self.keys = keys
    var nodes: [LinkKey: NodeID] = [:]
    for (node, key) in keys.sorted(by: { $0.key < $1.key }) {
      if let other = nodes.updateValue(node, forKey: key) {
        throw HyphaError(
          .invalidTopology, "the nodes '\(other)' and '\(node)' have the same key",
          remedy: "make each a pair of its own: hypha keys generate \(node)")
      }
    }
    self.nodes = nodes
  }

  /// The node that proves itself with the private key behind `key`; nil for a stranger's.
  public func node(with key: LinkKey) -> NodeID? { nodes[key] }
}

/// Makes link keys; the library behind the transport has what it takes.
public protocol LinkKeyMaking: Sendable {
  /// A new pair, from the system's randomness.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed`` where the library was built without CURVE.
  func makePair() throws -> LinkKeyPair
  /// The public key that belongs to a private one.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed``.
  func key(of secret: LinkSecret) throws -> LinkKey
}
