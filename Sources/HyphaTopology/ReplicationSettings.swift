public import HyphaCore

/// Which nodes hold copies of all that a node's agents state, and how many must have it before it leaves.
public struct ReplicationSettings: Sendable, Hashable {
  /// The nodes that take whole streams of this one, in the order of the file.
  public var nodes: [NodeID]
  /// How many of them must have an event in their synced logs before it leaves, unless its publisher says otherwise; 0 for
  /// none: then they get it as they can.
  public var level: Int
  /// How long that may take. Then the event leaves in doubt.
  public var within: Duration

  /// By default there are no replicas. Where there are, none is waited for, and 5 s where one is.
  public init(nodes: [NodeID] = [], level: Int = 0, within: Duration = .seconds(5)) {
    self.nodes = nodes
    self.level = level
    self.within = within
  }

  /// Checks that the settings make sense for `node` of a deployment.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology``, naming the node and what is wrong.
  func check(for node: NodeID, among all: [NodeID]) throws {
    if nodes.contains(node) {
      throw HyphaError(
        .invalidTopology, "node '\(node)' is its own replica",
        remedy: "name other nodes: its own log is no copy")
    }
    if let unknown = nodes.first(where: { !all.contains($0) }) {
      throw HyphaError(
        .invalidTopology, "node '\(node)' has the replica '\(unknown)', which does not exist",
        remedy: "add it under nodes:, or name one of \(all.map(\.text).joined(separator: ", "))")
    }
    if let twice = nodes.indices.first(where: { nodes[..<$0].contains(nodes[$0]) }) {
      throw HyphaError(
        .invalidTopology, "node '\(node)' has the replica '\(nodes[twice])' twice", remedy: "name it once")
    }
    guard (0...nodes.count).contains(level) else {
      throw HyphaError(
        .invalidTopology,
        "node '\(node)' is to have its events on \(level) replicas, and has \(nodes.count)",
        remedy: "name more replicas, or ask for \(nodes.count == 1 ? "1" : "0 to \(nodes.count)")")
    }
  }
}
