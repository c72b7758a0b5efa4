import Foundation
import HyphaCore
import HyphaTopology
import HyphaTransport

/// Where a node that runs here finds its private key: the option `--key`, else the file that `HYPHA_KEY` names, else
/// `NODE.private` in the topology's directory of keys.
struct NodeSecurity {
  /// The environment variable with the path of the private key.
  static let variable = "HYPHA_KEY"

  let topology: Topology
  let node: NodeID
  /// What `--key` says.
  let option: String?
  var environment = ProcessInfo.processInfo.environment

  /// The keys of the node's links; nil where the topology has none.
  ///
  /// - Throws: ``HyphaError`` where there is no private key, or not that of the node's public key in the topology.
  func load(_ keys: any LinkKeyMaking) throws -> LinkSecurity? {
    guard topology.isKeyed else {
      guard option == nil else {
        throw HyphaError(
          .usage, "--key is given, and the topology '\(topology.name)' has no keys",
          remedy: "leave it out, or name the directory of keys in the topology file: 'security: {keys: keys}'"
        )
      }
      return nil
    }
    let known = Dictionary(
      topology.nodes.compactMap { node in node.key.map { (node.id, $0) } }, uniquingKeysWith: { $1 })
    let path = try path()
    let secret = try KeyFiles.secret(at: path)
    let key = keys.key(of: secret)
    guard key == known[node] else {
      throw HyphaError(
        .invalidInput,
        "the private key \(path) is not that of node '\(node)': it belongs to \(key), and the topology has "
          + "\(known[node]?.text ?? "none")",
        remedy: "give the node its own key, or put \(key) in the topology on all nodes")
    }
    return try LinkSecurity(own: LinkKeyPair(key: key, secret: secret), keys: known)
  }

  private func path() throws -> String {
    if let option { return option }
    if let path = environment[Self.variable], !path.isEmpty { return path }
    if let directory = topology.security.keysDirectory {
      return KeyFiles(directory: directory).privatePath(of: node)
    }
    throw HyphaError(
      .fileUnavailable,
      "the topology has a public key for node '\(node)', and its private key is not known here",
      remedy:
        "give its file with --key FILE or in \(Self.variable), or name the directory of keys in the topology file"
    )
  }
}
