import HyphaCore
import HyphaLog

/// Decides when what a node has committed may leave it: a pure state machine, without log, clock or network.
///
/// What is committed together is a *group*. A group leaves once as many replicas as its level says have all of it in their
/// synced logs, and everything before it has left; or, at its deadline, in doubt. So whoever has an event of a node has
/// nothing that was caused by less than its level, and nothing that was in doubt without its being told.
///
/// Invariants, for any sequence of calls (replicated-means-n and in-doubt-kept in docs/guarantees.md):
/// 1. a group is released as replicated only where at least `level` replicas have acknowledged each of its lanes to its end, but for
///    those of agents that were moved and work elsewhere;
/// 2. groups are released in the order of the log, each once;
/// 3. a group is released in doubt only at its deadline or later, and every group is released by then or when its turn
///    comes; it is never taken back.
///
/// Bounds: an agent waits for its group before it commits another, so there are at most as many groups as agents, and
/// one of what the node finds at its start. Of each replica it keeps how far it has got in each lane, about 100 B.
struct ReplicationLedger: Sendable {
  /// What was committed together.
  struct Group: Sendable {
    /// The ends of the lanes that it has events of.
    var ends: [Lane: LanePoint]
    /// How many replicas must have it; 0 for none.
    var level: Int
    /// When it leaves at the latest.
    var dueAt: Timestamp
    /// The positions that it has in the node's log.
    var positions: ClosedRange<UInt64>
  }

  /// A group that may leave.
  struct Release: Sendable, Equatable {
    var number: UInt64
    /// How many replicas have it.
    var reached: Int
    /// Whether its deadline came first.
    var isInDoubt: Bool
    var level: Int
    var positions: ClosedRange<UInt64>
  }

  private let replicas: [NodeID]
  private var held: [(number: UInt64, group: Group)] = []
  private var number: UInt64 = 0
  private var ends: [NodeID: [Lane: LanePoint]] = [:]

  init(replicas: [NodeID]) { self.replicas = replicas }

  /// How many groups wait.
  var heldCount: Int { held.count }

  /// Holds a group back until ``due(now:)`` names its number. Groups come in the order of the log.
  mutating func hold(_ group: Group) -> UInt64 {
    number += 1
    held.append((number, group))
    return number
  }

  /// A replica says how far its synced log has got. What it said before stays true. Other nodes are not heard.
  mutating func acknowledged(_ heads: [(lane: Lane, point: LanePoint)], by node: NodeID) {
    guard replicas.contains(node) else { return }
    for (lane, point) in heads { ends[node, default: [:]][lane] = max(ends[node]?[lane] ?? .start, point) }
  }

  /// Forgets the lanes of an agent that works on another node now: its new node has them, and replicas take them from there.
  mutating func forget(_ agent: AgentID) {
    for place in held.indices {
      held[place].group.ends = held[place].group.ends.filter { $0.key.agent != agent }
    }
  }

  /// The groups that may leave now, in this order.
  mutating func due(now: Timestamp) -> [Release] {
    var releases: [Release] = []
    for (number, group) in held {
      let reached = replicas.count { has(group.ends, $0) }
      let isReplicated = reached >= group.level
      guard isReplicated || now >= group.dueAt else { break }
      releases.append(
        Release(
          number: number, reached: reached, isInDoubt: !isReplicated, level: group.level,
          positions: group.positions))
    }
    held.removeFirst(releases.count)
    return releases
  }

  /// How many of a node's own lanes each replica has not got to their ends.
  func lag(behind heads: [Lane: LanePoint]) -> [NodeID: Int] {
    Dictionary(
      uniqueKeysWithValues: replicas.map { replica in
        (replica, heads.count { $0.value > ends[replica]?[$0.key] ?? .start })
      })
  }

  private func has(_ wanted: [Lane: LanePoint], _ replica: NodeID) -> Bool {
    let known = ends[replica] ?? [:]
    return wanted.allSatisfy { known[$0.key] ?? .start >= $0.value }
  }
}
