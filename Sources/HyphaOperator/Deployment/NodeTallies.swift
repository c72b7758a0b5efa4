import HyphaCore
import HyphaRuntime

/// Keeps what nodes have counted beyond the ends of their processes, so that a run's figures neither begin anew nor go away with a
/// node that does. Pure.
struct NodeTallies {
  /// What the lives of a node that have ended had counted together.
  private var earlier: [NodeID: NodeStatus] = [:]
  /// What was last known of nodes that are not here.
  private var absent: [NodeID: NodeStatus] = [:]

  /// Takes note that a node's process has ended.
  ///
  /// - Parameter status: its last report; nil where it had none.
  mutating func ended(_ node: NodeID, _ status: NodeStatus?) {
    guard var status else { return }
    if let before = earlier[node] { status.add(earlier: before) }
    var last = status
    // What was in the process is gone with it.
    last.backlog = 0
    for channel in last.channels.keys { last.channels[channel]?.waitingCount = 0 }
    absent[node] = last
    if let before = earlier[node] { status.add(earlierNotes: before.notes) }
    earlier[node] = status
  }

  /// Takes note that a node has left: its figures stay.
  mutating func left(_ node: NodeID, _ status: NodeStatus) {
    ended(node, status)
    earlier[node] = nil
  }

  /// The figures of the run, given what the nodes that are here have reported.
  ///
  /// - Parameter isEnd: whether what nodes noted in earlier lives is part of it.
  func summary(_ statuses: [NodeStatus], isEnd: Bool = false) -> DeploymentSummary {
    var summary = DeploymentSummary(
      statuses.map { status in
        var status = status
        guard let before = earlier[status.node] else { return status }
        status.add(earlier: before)
        if isEnd { status.add(earlierNotes: before.notes) }
        return status
      })
    let here = Set(statuses.map(\.node))
    summary.absent = absent.filter { !here.contains($0.key) }.sorted { $0.key < $1.key }.map { node, status in
      var status = status
      if isEnd, let before = earlier[node] { status.add(earlierNotes: before.notes) }
      return status
    }
    return summary
  }
}
