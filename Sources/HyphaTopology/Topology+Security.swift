public import HyphaCore

/// How the links of a deployment are protected.
public struct SecuritySettings: Sendable, Hashable {
  /// The directory of the nodes' keys, as the topology file names it: `NODE.public` for every node that has no key in
  /// the file itself, and `NODE.private` where that node runs.
  public var keysDirectory: String?
  /// Whether TCP links without keys may leave their machine.
  public var allowsPlain: Bool

  /// Default: no directory, and plain links stay on their machine.
  public init(keysDirectory: String? = nil, allowsPlain: Bool = false) {
    self.keysDirectory = keysDirectory
    self.allowsPlain = allowsPlain
  }
}

extension Topology {
  /// Whether TCP links are encrypted and authenticated: then all nodes have keys.
  public var isKeyed: Bool { nodes.contains { $0.key != nil } }

  /// What is wrong with the nodes' addresses and keys together, node by node: keys that some lack or two share, links
  /// that would leave their machine unprotected, and names that nobody can listen at.
  public func linkProblems() -> [(node: NodeID, error: HyphaError)] {
    var owners: [LinkKey: NodeID] = [:]
    var problems: [(node: NodeID, error: HyphaError)] = []
    for node in nodes {
      if let key = node.key {
        if let other = owners[key] { problems.append((node.id, Self.sharedKey(other, node.id))) }
        owners[key] = owners[key] ?? node.id
      } else if isKeyed {
        problems.append((node.id, Self.missingKey(node.id)))
      }
      if let problem = Self.unbindable(node) { problems.append((node.id, problem)) }
      if !isKeyed, !security.allowsPlain,
        let exposed = [node.address, node.listen].compactMap({ $0 }).first(where: { !$0.isLoopback })
      {
        problems.append((node.id, exposure(of: node.id, at: exposed)))
      }
    }
    return problems
  }

  private static func sharedKey(_ first: NodeID, _ second: NodeID) -> HyphaError {
    HyphaError(
      .invalidTopology, "node '\(second)' has the same key as node '\(first)'",
      remedy: "make each a pair of its own: hypha keys generate --force \(second)")
  }

  private static func missingKey(_ node: NodeID) -> HyphaError {
    HyphaError(
      .invalidTopology, "node '\(node)' has no key, and other nodes have one",
      remedy:
        "make one with 'hypha keys generate \(node)', and give it as 'key:' or in the directory 'security: keys:'"
    )
  }

  private static func unbindable(_ node: NodeSpec) -> HyphaError? {
    if node.listen != nil, node.address == .local {
      return HyphaError(
        .invalidTopology, "node '\(node.id)' listens at a port, and its address is local",
        remedy: "give the address with its port at which others reach it, or no listening address")
    }
    guard node.listen == nil else { return nil }
    guard node.address.isNamed, case .tcp(_, let port) = node.address else { return nil }
    return HyphaError(
      .invalidTopology,
      "node '\(node.id)' is at \(node.address.fileText), and a node cannot listen at a name",
      remedy: "say where it listens, such as 'listen: tcp://0.0.0.0:\(port)'")
  }

  private func exposure(of node: NodeID, at address: NodeAddress) -> HyphaError {
    HyphaError(
      .invalidTopology,
      "node '\(node)' is at \(address.fileText), which other machines reach, and its links are not encrypted",
      remedy:
        "make keys with 'hypha keys generate --output keys \(nodes.map(\.id.text).joined(separator: " "))' and add "
        + "'security: {keys: keys}', or say 'security: {plain: allowed}'")
  }
}
