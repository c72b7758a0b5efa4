import HyphaCore

/// Addresses that the environment gives in place of the topology file's, for containers and the like.
///
/// `HYPHA_ADDRESS_<NODE>` is where others connect to, `HYPHA_LISTEN_<NODE>` where the node listens, both as the file has
/// them: `tcp://HOST:PORT`, or `local` for an address. `<NODE>` is the node's name in upper case, with `_` in place of
/// `.` and `-`. An empty variable counts as not set. Every node needs the same addresses; only a node itself needs its own
/// listening address.
public struct AddressOverrides: Sendable, Hashable {
  private static let prefixes = (address: "HYPHA_ADDRESS_", listen: "HYPHA_LISTEN_")

  private let variables: [String: String]

  /// The overrides among the variables of an environment.
  public init(environment: [String: String]) {
    variables = environment.filter { entry in
      !entry.value.isEmpty
        && (entry.key.hasPrefix(Self.prefixes.address) || entry.key.hasPrefix(Self.prefixes.listen))
    }
  }

  /// No overrides.
  public static let none = AddressOverrides(environment: [:])

  /// The topology with these addresses.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that names the variable: for a node that does not exist, for one name
  ///   of two nodes, and for what is no address.
  public func applied(to topology: Topology) throws -> Topology {
    guard !variables.isEmpty else { return topology }
    var nodes = topology.nodes
    for (variable, value) in variables.sorted(by: { $0.key < $1.key }) {
      let isListen = variable.hasPrefix(Self.prefixes.listen)
      let wanted = variable.dropFirst((isListen ? Self.prefixes.listen : Self.prefixes.address).count)
      let places = nodes.indices.filter { Self.form(of: nodes[$0].id) == wanted }
      guard let place = places.first else { throw unknown(variable, topology) }
      guard places.count == 1 else {
        throw HyphaError(
          .invalidTopology,
          "\(variable) could mean node \(places.map { "'\(nodes[$0].id)'" }.joined(separator: " or "))",
          remedy: "write that address into the topology file, or rename one of the nodes")
      }
      do {
        let address = try NodeAddress(fileText: value, listens: isListen)
        if isListen {
          nodes[place].listen = address
        } else {
          nodes[place].address = address
          // What the file says of a port is not about Unix-domain sockets. HYPHA_LISTEN_ sorts, and comes, later.
          if address == .local { nodes[place].listen = nil }
        }
      } catch let error as HyphaError {
        throw HyphaError(.invalidTopology, "\(variable): \(error.problem)", remedy: error.remedy)
      }
    }
    return try topology.replacing(nodes: nodes)
  }

  private func unknown(_ variable: String, _ topology: Topology) -> HyphaError {
    let prefix = variable.hasPrefix(Self.prefixes.listen) ? Self.prefixes.listen : Self.prefixes.address
    let known = topology.nodes.map { prefix + Self.form(of: $0.id) }
    return HyphaError(
      .invalidTopology, "\(variable.shown(80)) names no node of '\(topology.name)'",
      remedy: nearest(to: variable, among: known).map { "did you mean \($0)?" }
        ?? "use one of \(listed(known)), or unset it")
  }

  /// A node's name as variables have it.
  static func form(of node: NodeID) -> String {
    String(node.text.uppercased().map { $0 == "." || $0 == "-" ? "_" : $0 })
  }
}
