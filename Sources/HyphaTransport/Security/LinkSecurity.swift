public import HyphaCore

/// What a node proves itself with on TCP links, and whom it lets in: nodes of the topology, known by their keys.
public struct LinkSecurity: Sendable, Hashable {
  /// The node's own pair.
  public let own: LinkKeyPair
  /// The public keys of all nodes of the deployment.
  public let keys: [NodeID: LinkKey]

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
  }
}

/// Makes nodes' keys; the libraries behind the transport have what it takes.
public protocol LinkKeyMaking: Sendable {
  /// A new pair, from the system's randomness.
  ///
  /// - Throws: ``HyphaError/Code/transportFailed`` where the library was built without CURVE.
  func makePair() throws -> LinkKeyPair
  /// The public key that belongs to a private one.
  ///
  func key(of secret: LinkSecret) -> LinkKey
  /// The public key that CurveZMQ has on this node's links, as 32 bytes.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` where `key` is no point of the curve.
  func curveKey(of key: LinkKey) throws -> [UInt8]
}
