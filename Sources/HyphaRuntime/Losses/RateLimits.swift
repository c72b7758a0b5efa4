import HyphaCore
import HyphaTopology
import HyphaTransport

/// What a node takes of each agent's realtime events: twice as many a second as the agent's own node lets it send, and at once what that is
/// in two seconds, for events bunch up on their way. Who is held to that has a node that does not hold it to its limit.
struct RateLimits: Sendable {
  private let limits: [AgentID: RealtimeLimit]
  private var buckets: [Way: TokenBucket] = [:]

  /// Each event comes once for each agent that it is passed on by here.
  private struct Way: Hashable {
    let agent, via: AgentID
  }

  init(_ topology: Topology) {
    limits = Dictionary(
      topology.agents.compactMap { agent in topology.realtimeLimit(of: agent).map { (agent.id, $0) } }
    ) { first, _ in first }
  }

  /// Whether so many events of an agent may pass now, by one that the routes lead them by.
  mutating func mayPass(_ count: Int, of agent: AgentID, by via: AgentID, now: Timestamp) -> Bool {
    guard let limit = limits[agent] else { return true }
    return buckets[Way(agent: agent, via: via), default: TokenBucket(onTheWay: limit)].take(
      count, now: .microseconds(Int64(clamping: now.microseconds)))
  }
}

extension TokenBucket {
  /// Where the agent is.
  init(_ limit: RealtimeLimit) { self.init(capacity: limit.burst, perSecond: Double(limit.perSecond)) }

  /// How many may come at once whatever the limit is: those of some moments, whom the way has held up, may come together.
  private static let onTheWayMin = 64

  /// Where its events come from another node.
  init(onTheWay limit: RealtimeLimit) {
    let capacity = max(2 * (limit.burst + 2 * limit.perSecond), Self.onTheWayMin)
    self.init(capacity: capacity, perSecond: 2 * Double(limit.perSecond))
  }
}

extension Topology {
  /// How many realtime events an agent may send; nil for any number.
  func realtimeLimit(of agent: AgentSpec) -> RealtimeLimit? { agent.realtime ?? realtime }
}

extension Node {
  /// Counts a realtime event that its agent may not send: published, and lost for all whom it was for.
  func limited(_ lane: RealtimeLane, _ subject: Subject) {
    countRealtime(pairCount: lane.plan.destinationCount(of: subject))
    lane.sent?.add(subject)
    for (agent, subjects) in routes.subscribers(of: lane.lane)
    where subjects.isEmpty || subjects.contains(where: { $0.matches(subject) }) {
      ledger.lost(
        lane.lane, for: agent, .rateLimited, isAtHome: routes.node(of: agent) == configuration.node)
    }
  }
}
