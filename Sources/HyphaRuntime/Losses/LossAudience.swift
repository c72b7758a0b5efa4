import HyphaCore
import HyphaLog
import HyphaTopology

/// How many agents a lane of one node is for, kept in the node's log: with it the log alone says what was published and
/// what was delivered on the logged channels.
///
/// A log belongs to one topology, so it is written when the node starts, and changes only where agents move.
struct LossAudience: Sendable, Hashable, Codable {
  /// The name under which the log keeps it, beside the snapshots of agents.
  static let owner: AgentID = "hypha.losses.audience"

  /// The agents on the node.
  let agents: [AgentID]
  /// The agents on all nodes.
  private let all: [AgentID]
  private let audience: Audience

  /// The audience of all lanes, seen from a node with some agents.
  init(_ topology: Topology, agents: [AgentID]) {
    self.agents = agents
    all = topology.agents.map(\.id)
    audience = Audience(topology)
  }

  /// What the node's agents have published and are done with on the logged channels, each event counted once for each
  /// agent that it is for.
  func totals(in log: any LogReader) throws -> [String: NodeLosses.Totals] {
    let (own, all, author) = (Set(agents), Set(all), log.identity.node.author)
    func destinationCount(of lane: Lane) -> Int {
      switch lane.target {
      // What a node takes others for is for its own agents.
      case .type(let type) where lane.agent == author:
        MembershipEvents.all.contains(type)
          ? audience.agents(for: type, by: author).count(where: own.contains) : 0
      case .addressee(let agent): all.contains(agent) ? 1 : 0
      case .type(let type): audience.agents(for: type, by: lane.agent).count
      }
    }
    var totals: [String: NodeLosses.Totals] = [:]
    for channel in Channel.allCases where channel.isLogged { totals[channel.description] = .init() }
    for (lane, head) in try log.laneHeads() where own.contains(lane.agent) || lane.agent == author {
      totals[lane.channel.description]?.published += head.count * UInt64(destinationCount(of: lane))
    }
    for (key, cursor) in try log.cursors() {
      totals[key.channel.description]?.delivered += cursor.handledCount
    }
    return totals
  }
}
