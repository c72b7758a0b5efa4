import HyphaCore

/// What a file changes of where nodes are.
extension TopologyPlan {
  mutating func compareAddresses(_ old: Topology, _ new: Topology, _ past: Past) {
    func text(_ node: NodeSpec) -> String {
      node.address.fileText + (node.listen.map { ", listening at \($0.fileText)" } ?? "")
    }
    for isNow in new.nodes {
      guard let was = old.node(isNow.id), (was.address, was.listen) != (isNow.address, isNow.listen) else {
        continue
      }
      var cost: String?
      if isNow.id == past.seat, was.listeningAddress != isNow.listeningAddress {
        cost =
          "it orders what is applied: until a later file it goes on listening at \(was.listeningAddress.fileText), where this machine has that, for nodes that have not heard of this one"
        compareKinds(was, isNow)
      }
      add(
        .node, "node '\(isNow.id)' is at \(text(isNow)), was at \(text(was))", of: isNow.id.text, cost: cost)
    }
    let seat = past.seat.flatMap { old.node($0) }.map { [FormerPlace($0)] } ?? []
    for place in Set(past.former + seat) { compare(place, with: new) }
  }

  /// One socket cannot ask for keys at one address and for none at another.
  private mutating func compareKinds(_ was: NodeSpec, _ isNow: NodeSpec) {
    guard isNow.key != nil, (was.address == .local) != (isNow.address == .local) else { return }
    refuse(
      "node '\(isNow.id)' orders what is applied, and is at \(isNow.address.fileText), was at \(was.address.fileText): links over TCP have keys and local ones have not, so nodes that have not heard of the file would not find it",
      "leave its address, or have another node order: take this one out of the file, and add it again when it has left"
    )
  }

  /// Nobody else can listen where a node goes on listening, nor that node itself with another of its four ports.
  private mutating func compare(_ place: FormerPlace, with new: Topology) {
    guard let former = try? place.address() else { return }
    for node in new.nodes {
      let isNow = node.listeningAddress
      guard former.shares(portsWith: isNow), node.id != place.node || !isNow.isAlike(former) else { continue }
      if node.id == place.node {
        refuse(
          "node '\(node.id)' is to listen at \(isNow.fileText), and goes on listening at \(place.listen) for nodes that have not heard of the file; a node takes four ports in a row",
          "give it a port that is at least four away")
      } else {
        refuse(
          "node '\(node.id)' is to listen at \(isNow.fileText), and node '\(place.node)' goes on listening at \(place.listen) for nodes that have not heard of the file",
          "give node '\(node.id)' another port, or apply this when all nodes have followed the file that moves '\(place.node)'"
        )
      }
    }
  }
}

extension NodeAddress {
  /// Whether they begin with the same port.
  fileprivate func isAlike(_ other: NodeAddress) -> Bool {
    guard case .tcp(_, let port) = self, case .tcp(_, let otherPort) = other else { return self == other }
    return port == otherPort
  }

  /// Whether two nodes could not listen at both on one machine.
  fileprivate func shares(portsWith other: NodeAddress) -> Bool {
    guard case .tcp(let host, let port) = self, case .tcp(let otherHost, let otherPort) = other else {
      return false
    }
    let isOneHost =
      host == otherHost || isWildcard || other.isWildcard || isLoopback && other.isLoopback
    return isOneHost && abs(Int(port) - Int(otherPort)) < 4
  }
}
