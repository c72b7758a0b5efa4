import HyphaCore
import HyphaLog
import HyphaTopology

/// Makes the digests that one node owes to those who oversee types of its agents `after`: a fold of the node's log, entry by
/// entry, with no clock and no disk in it.
struct DigestMaker: Sendable {
  /// What one rule asks of this node.
  struct Duty: Sendable {
    let rule: OversightRule
    /// The agents of this node that are below the supervisor.
    let agents: Set<AgentID>
    /// Where the digest before has ended.
    fileprivate(set) var after = Position.start
    /// The time of that digest, or that of the node's start.
    fileprivate(set) var lastTime: Timestamp
    fileprivate(set) var counts: [AgentID: OversightDigest.Count] = [:]
    fileprivate(set) var otherCount: UInt64 = 0

    fileprivate mutating func add(_ agent: AgentID, _ id: EventID) {
      if counts[agent] == nil, counts.count >= OversightDigest.agentCountMax {
        otherCount += 1
      } else {
        let count = (counts[agent]?.count ?? 0) + 1
        counts[agent] = OversightDigest.Count(agent: agent, count: count, newest: id)
      }
    }
  }

  let node: NodeID
  private(set) var duties: [Duty]
  /// The place up to which entries were looked at.
  private(set) var through = Position.start
  private let types: Set<EventTypeName>

  /// The duties of `node` by a topology; nil where it has none.
  ///
  /// - Parameter departed: agents that were moved away: what they have stated here counts here.
  init?(_ topology: Topology, on node: NodeID, departed: Set<AgentID> = [], now: Timestamp) {
    let rules = topology.oversight.filter { $0.mode == .after }
    duties = rules.compactMap { rule in
      let here = topology.agents.filter { $0.node == node || departed.contains($0.id) }.map(\.id)
      let agents = here.filter { agent in
        sequence(first: agent) { topology.agent($0)?.reportsTo }.dropFirst().contains(rule.by)
      }
      return agents.isEmpty ? nil : Duty(rule: rule, agents: Set(agents), lastTime: now)
    }
    guard !duties.isEmpty else { return nil }
    self.node = node
    types = Set(duties.map(\.rule.type))
  }

  /// Goes on where the digests before have ended.
  ///
  /// - Parameter digests: the newest of each rule that the log has, and the time of each.
  mutating func resume(_ digests: [(digest: OversightDigest, time: Timestamp)]) {
    for (digest, time) in digests {
      guard let place = duties.firstIndex(where: { $0.rule.by == digest.by && $0.rule.type == digest.type })
      else { continue }
      duties[place].after = Position(rawValue: digest.through)
      duties[place].lastTime = time
    }
    through = duties.map(\.after).min() ?? .start
  }

  /// Whether entries of this type count.
  func counts(_ type: EventTypeName) -> Bool { types.contains(type) }

  /// Takes the entry at a place, which is the next one that counts.
  mutating func take(_ type: EventTypeName, by agent: AgentID, id: EventID, at position: Position) {
    for place in duties.indices where duties[place].rule.type == type && position > duties[place].after {
      if duties[place].agents.contains(agent) { duties[place].add(agent, id) }
    }
  }

  /// Takes note that all entries up to a place were looked at.
  mutating func advance(to position: Position) { through = max(through, position) }

  /// Whether a digest is to come within a span of time.
  func isDue(within span: Duration, now: Timestamp) -> Bool {
    duties.contains { !$0.counts.isEmpty && now.since($0.lastTime) + span >= $0.rule.every }
  }

  /// The digests that are due, with the supervisors whom they are for.
  ///
  /// - Parameter isLast: whether none will follow, so that all are due.
  mutating func due(now: Timestamp, isLast: Bool = false) -> [OversightDigest] {
    var digests: [OversightDigest] = []
    for place in duties.indices {
      let duty = duties[place]
      guard !duty.counts.isEmpty, isLast || now.since(duty.lastTime) >= duty.rule.every else { continue }
      digests.append(
        OversightDigest(
          by: duty.rule.by, type: duty.rule.type, node: node, after: duty.after.rawValue,
          through: through.rawValue, agents: duty.counts.values.sorted { $0.agent < $1.agent },
          otherCount: duty.otherCount))
      var next = Duty(rule: duty.rule, agents: duty.agents, lastTime: now)
      next.after = through
      duties[place] = next
    }
    return digests
  }
}
