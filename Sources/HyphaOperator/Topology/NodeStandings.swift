import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What nodes take each other for, as their logs have it.
enum NodeStandings {
  /// Whether the newest judgement of a node that any other one's log has is that it is down or has stopped.
  ///
  /// - Throws: what reading the logs throws.
  static func isAway(_ node: NodeID, in logs: [any LogReader]) throws -> Bool {
    var newest: (time: Timestamp, isAway: Bool)?
    for log in logs where log.identity.node != node {
      let author = log.identity.node.author
      for (lane, _) in try log.laneHeads() where lane.agent == author {
        guard case .type(let type) = lane.target, MembershipEvents.all.contains(type) else { continue }
        for position in try log.positions(ofLane: lane, after: .start).suffix(lookedAtCount) {
          guard let record = try log.entry(at: position)?.record,
            record.subject == Subject(slug: "hypha.node.\(node)"), record.time > newest?.time ?? .zero
          else { continue }
          newest = (record.time, type == NodeDown.eventType || type == NodeLeft.eventType)
        }
      }
    }
    return newest?.isAway ?? false
  }

  /// How many judgements of each kind are looked at in each log.
  private static let lookedAtCount = 64
}
