/// What an observer knows of a possible link: why it is there, or why it is not.
public struct LinkEvidence: Sendable, Hashable {
  /// One end of the link.
  public struct End: Sendable, Hashable {
    public var agent: Int32
    /// How many links it has, and may have.
    public var linkCount, linkCountMax: Int
  }

  /// What stands in the way of a link that is not there.
  public enum Obstacle: Sendable, Hashable {
    /// Its ends are neighbours in the tree, or the same agent.
    case neighbours
    /// It would lead around this supervisor, who must be passed.
    case gate(Int32)
    /// More than sixteen edges lie between its ends.
    case tooFar
    /// An operator, or the policy, has forbidden it.
    case forbidden
    /// The policy does not make links of its kind.
    case kind
    /// The observer is off, or operators have frozen the topology.
    case off, frozen
    /// No event has passed both ends since it was last forgotten.
    case unseen
    /// Its evidence is below the threshold.
    case evidence
    /// All links at this end are pinned.
    case pinned(Int32)
    /// It would displace links that have saved nearly as much.
    case displaces(score: Int64)
    /// Savings have not paid for another change yet.
    case ledger
    /// Nothing: the next event on its path makes it, or an operator's approval.
    case none
  }

  public var kind: LinkKind
  /// The edges of the tree between its ends.
  public var distance: Int
  /// What it saved or would have saved, decayed: in all, and since it last came, went or was suggested; in 1/65,536 hop.
  public var score, credit: Int64
  /// What both have to reach, in 1/65,536 hop.
  public var threshold: Int64
  /// The hops that it saved or would have saved, not decayed.
  public var total: Int64
  public var isLinked, isPinned: Bool
  /// How many events were observed when it became a link.
  public var linkedAt: Int64
  public var ends: [End]
  /// What links have saved less what changes have cost, in hops, and how low it may fall.
  public var ledger, ledgerMin: Int64
  public var obstacle: Obstacle
}

extension Observer {
  /// What is known of the link of two agents; changes nothing.
  public func evidence(_ pair: AgentPair) -> LinkEvidence {
    let slot = table.find(pair)
    let kind = LinkKind(tree.role(pair.low), tree.role(pair.high))
    var evidence = LinkEvidence(
      kind: kind, distance: tree.distance(pair.low, pair.high), score: 0, credit: 0, threshold: 0, total: 0,
      isLinked: false, isPinned: false, linkedAt: 0, ends: [], ledger: ledger,
      ledgerMin: -Int64(policy.overdraft) * Int64(policy.charge), obstacle: .unseen)
    evidence.threshold = threshold(kind, distance: evidence.distance)
    for agent in [pair.low, pair.high] {
      let most = policy.linksMax(tree.role(agent))
      evidence.ends.append(.init(agent: agent, linkCount: degree(agent), linkCountMax: most))
    }
    if slot >= 0 {
      let item = decayed(slot)
      (evidence.score, evidence.credit, evidence.total) = (item.score, item.credit, item.total)
      (evidence.isLinked, evidence.isPinned, evidence.linkedAt) = (
        item.isLinked, item.isPinned, item.linkedAt
      )
    }
    evidence.obstacle = obstacle(pair, evidence, isSeen: slot >= 0)
    return evidence
  }

  private func obstacle(_ pair: AgentPair, _ evidence: LinkEvidence, isSeen: Bool) -> LinkEvidence.Obstacle {
    if evidence.isLinked { return .none }
    var agents = [Int32](repeating: -1, count: LinkedPath.edgeCountMax + 1)
    guard let distance = tree.fill(&agents, from: pair.low, to: pair.high) else { return .tooFar }
    guard distance >= 2 else { return .neighbours }
    if let gate = agents[1..<distance].first(where: tree.gates.contains) { return .gate(gate) }
    if forbidden.contains(pair) { return .forbidden }
    guard policy.kinds.contains(evidence.kind) else { return .kind }
    if policy.mode == .off { return .off }
    if isFrozen { return .frozen }
    guard isSeen else { return .unseen }
    guard min(evidence.score, evidence.credit) >= evidence.threshold else { return .evidence }
    var displaced: Int64 = 0
    var count: Int64 = 1
    for end in evidence.ends where end.linkCount >= end.linkCountMax {
      guard let weakest = weakestScore(at: end.agent) else { return .pinned(end.agent) }
      displaced += weakest
      count += 1
    }
    let cost = count * Int64(policy.charge) * Decay.one
    if count > 1, evidence.credit < cost || evidence.score < displaced + cost * 3 / 4 {
      return .displaces(score: displaced)
    }
    return ledger - count * Int64(policy.charge) < evidence.ledgerMin ? .ledger : .none
  }
}
