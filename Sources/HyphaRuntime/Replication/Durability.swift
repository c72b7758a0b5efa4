/// How durable a persistent event is before it leaves its node.
public enum Durability: Sendable, Hashable {
  /// In the node's own synced log. It does not wait for replicas, but for what its node committed before it.
  case synced
  /// In that, and in the synced logs of at least so many of the replicas that the topology file declares for the node; or
  /// in doubt at the deadline that it sets.
  case replicated(Int)

  /// How many replicas that are.
  var level: Int {
    switch self {
    case .synced: 0
    case .replicated(let count): count
    }
  }
}
