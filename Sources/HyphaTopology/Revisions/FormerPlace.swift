public import HyphaCore

/// Where a node listened by an earlier file that orders revisions, or has ordered them. It goes on listening there, beside its own address:
/// a node that has not heard of the file looks for it there, and learns of the file from nobody else.
public struct FormerPlace: Hashable, Sendable, Codable {
  public var node: NodeID
  /// The address, as topology files have it.
  var listen: String

  init(_ spec: NodeSpec) { (node, listen) = (spec.id, spec.listeningAddress.fileText) }

  /// - Throws: ``HyphaError/Code/invalidTopology`` where it is none.
  func address() throws -> NodeAddress { try NodeAddress(fileText: listen, listens: listen != "local") }
}

extension NodeSpec {
  /// Where it listens, whatever others connect to.
  var listeningAddress: NodeAddress { listen ?? address }
}

extension Revisions {
  /// Where nodes are to listen beside their addresses under a new file.
  ///
  /// - Parameter isKnownToAll: whether all nodes have been heard under the file that counts: nobody looks for a node anywhere else then.
  func former(
    from old: Topology, to new: Topology, leaving: [LeavingNode], seat: NodeID, isKnownToAll: Bool
  ) -> [FormerPlace]? {
    var former = isKnownToAll ? [] : newest?.former ?? []
    if let was = old.node(seat) { former.append(FormerPlace(was)) }
    let there = Set(leaving.filter { !$0.isGone }.map(\.node)).union(new.nodes.map(\.id))
    var seen: Set<FormerPlace> = []
    former = former.filter {
      there.contains($0.node) && seen.insert($0).inserted
        && $0.listen != (new.node($0.node) ?? old.node($0.node))?.listeningAddress.fileText
    }
    return former.isEmpty ? nil : former
  }
}

extension Topology {
  /// Where a node listens beside its address, as it did by earlier files.
  public func formerAddresses(of node: NodeID) -> [NodeAddress] { filed?.former[node] ?? [] }
}
