public import HyphaCore

/// How far nodes have got that leave a deployment: a fold of ``NodeEnding``, ``NodeReleased`` and ``NodeRetired``, in whatever order
/// they become known. Pure.
///
/// Invariants, for any order of the events:
/// 1. nobody releases a node before that has said how far its lanes go, and has all of them that it wants by the revision that it
///    runs under;
/// 2. a node has left only once every other node that stays has released it under the revision of the one that says so, and all
///    agents that it had work elsewhere;
/// 3. what was said of an earlier leave of a node counts for no later one.
public struct Departures: Sendable, Hashable {
  /// A leave: a node that was there again meanwhile leaves anew.
  public struct Leave: Sendable, Hashable {
    public var node: NodeID
    public var since: UInt32

    public init(node: NodeID, since: UInt32) { (self.node, self.since) = (node, since) }
  }

  private var parts: [Leave: [Int: NodeEnding]] = [:]
  /// By the node that leaves, the newest revision under which each other one has released it.
  private var released: [NodeID: [NodeID: UInt32]] = [:]
  private var retired: Set<Leave> = []

  public init() {}

  // MARK: Learning

  public mutating func take(_ ending: NodeEnding) {
    let leave = Leave(node: ending.node, since: ending.since)
    guard ending.part >= 0, ending.part < ending.partCount, ends(of: leave) == nil else { return }
    // Who has died over it says it anew.
    let known = parts[leave]?.values.first?.epoch ?? 0
    guard ending.epoch >= known else { return }
    if ending.epoch > known { parts[leave] = [:] }
    parts[leave, default: [:]][ending.part] = ending
  }

  public mutating func take(_ event: NodeReleased) {
    released[event.node, default: [:]][event.by] = max(
      event.revision, released[event.node]?[event.by] ?? 0)
  }

  /// Returns whether it was new.
  @discardableResult
  public mutating func take(_ event: NodeRetired) -> Bool {
    retired.insert(Leave(node: event.node, since: event.since)).inserted
  }

  /// Takes what is known elsewhere.
  public mutating func merge(_ other: Departures) {
    for part in other.parts.values.flatMap(\.values) { take(part) }
    for (node, all) in other.released {
      released[node, default: [:]].merge(all) { max($0, $1) }
    }
    retired.formUnion(other.retired)
  }

  // MARK: Asking

  /// What a node that leaves has said of its lanes' ends; nil where that has not come whole.
  public func ends(of leave: Leave) -> [UInt8]? {
    guard let all = parts[leave], let count = all.values.first?.partCount, all.count == count else {
      return nil
    }
    return (0..<count).flatMap { all[$0]?.bytes.bytes ?? [] }
  }

  /// Whether a node has released one that leaves, under a revision or a later one.
  public func hasReleased(_ node: NodeID, by other: NodeID, under revision: UInt32) -> Bool {
    released[node]?[other] ?? 0 >= revision
  }

  /// Whether a leave is over.
  public func hasLeft(_ leave: Leave) -> Bool { retired.contains(leave) }

  /// Those that have still to release a node that leaves, in the order of the topology.
  public func awaited(by node: NodeID, in topology: Topology) -> [NodeID] {
    topology.stayingNodes.map(\.id).filter {
      !hasReleased(node, by: $0, under: topology.revision)
    }
  }

  /// The leaves that are over now, for the node that orders revisions to say so.
  public func ended(in topology: Topology, moves: AgentMoves) -> [Leave] {
    topology.leaves.filter { leave in
      ends(of: leave) != nil && awaited(by: leave.node, in: topology).isEmpty
        && moves.newest.allSatisfy {
          // Nor is it waited for any less while an agent is to work on it: a move that was ordered before the file was known.
          ($0.order.from != leave.node || $0.stage == .arrived) && $0.order.to != leave.node
            || topology.agent($0.order.agent) == nil || topology.isRetired($0.order.agent)
        }
    }
  }
}

extension Topology {
  /// The leaves of nodes that the file has no more and that are still waited for, by the names of the nodes.
  public var leaves: [Departures.Leave] {
    (filed?.leaving ?? [:]).filter { !hasLeft($0.key) }.map { .init(node: $0.key, since: $0.value) }
      .sorted { $0.node < $1.node }
  }

  /// Whether a node leaves, or has left.
  public func isLeaving(_ node: NodeID) -> Bool { filed?.leaving[node] != nil }

  /// Whether a node was in an earlier file and is not waited for any more.
  public func hasLeft(_ node: NodeID) -> Bool { filed?.left.contains(node) ?? false }

  /// The nodes that are there, those that leave among them; not those that have left.
  public var presentNodes: [NodeSpec] {
    guard let filed, !filed.left.isEmpty else { return nodes }
    return nodes.filter { !filed.left.contains($0.id) }
  }

  /// The nodes of the file.
  public var stayingNodes: [NodeSpec] {
    guard let filed, !filed.leaving.isEmpty else { return nodes }
    return nodes.filter { filed.leaving[$0.id] == nil }
  }

  /// The nodes that have left.
  public var leftNodes: Set<NodeID> { filed?.left ?? [] }

  /// The same deployment without those that have left.
  public func without(_ departures: Departures) -> Topology {
    let gone = leaves.filter(departures.hasLeft).map(\.node)
    guard !gone.isEmpty, var filed else { return self }
    filed.left.formUnion(gone)
    var topology = self
    topology.revise(filed)
    return topology
  }
}
