public import HyphaCore

/// Whom the branch of a supervisor reports to while the supervisor's node is away.
///
/// Only the way of events follows it. Whom they are for, who oversees them and to whom alerts escalate stays as the topology file
/// says.
public struct BranchAttachment: Sendable, Hashable, Codable {
  public var supervisor: AgentID
  /// Who passes on in its place what its branch and the rest have for each other.
  public var to: AgentID
  /// The supervisor's node.
  public var node: NodeID

  /// An attachment by its parts.
  public init(_ supervisor: AgentID, to: AgentID, node: NodeID) {
    (self.supervisor, self.to, self.node) = (supervisor, to, node)
  }
}

/// Branches are attached otherwise than before: part of ``LinksChanged``.
public struct AttachmentsChange: Hashable, Sendable, Codable {
  /// The branches that report to others from now on.
  public var attached: [BranchAttachment]
  /// The supervisors whose branches report to them again: they are back, or nobody is left to stand in for them.
  public var returned: [AgentID]
  /// The node that has come or gone, for which this is.
  public var turn: Turn?

  /// A node has come or gone.
  public struct Turn: Hashable, Sendable, Codable {
    public var node: NodeID
    public var isGone: Bool
  }

  /// What leads from some attachments to others, in the order of the supervisors' names; nil where nothing does.
  public init?(from known: [BranchAttachment], to wanted: [BranchAttachment]) {
    let (old, new) = (Set(known), Set(wanted))
    attached = new.subtracting(old).sorted { $0.supervisor < $1.supervisor }
    returned = Set(known.map(\.supervisor)).subtracting(wanted.map(\.supervisor)).sorted()
    if attached.isEmpty && returned.isEmpty { return nil }
  }
}

extension Topology {
  /// The attachments that the absence of some nodes calls for: a pure function of the file and these nodes.
  ///
  /// The branch of a supervisor on one of them reports to the supervisor's standby, where the file declares one and that is there, or
  /// else to whom the supervisor reports to, or to whoever stands in for that one. Where there is nobody, as below a root without a
  /// standby, and below a supervisor that all have to pass, the branch waits.
  public func attachments(without away: Set<NodeID>) -> [BranchAttachment] {
    guard !away.isEmpty else { return [] }
    let mustPass = Set(observer.mustPass)
    func isThere(_ agent: AgentID) -> Bool { self.agent(agent).map { !away.contains($0.node) } ?? false }
    func place(of supervisor: AgentSpec) -> AgentID? {
      if let standby = supervisor.standby, isThere(standby) { return standby }
      guard !mustPass.contains(supervisor.id), let up = supervisor.reportsTo.flatMap(self.agent) else {
        return nil
      }
      return isThere(up.id) ? up.id : place(of: up)
    }
    return agents.compactMap { agent in
      guard away.contains(agent.node), hasBranch(agent), let place = place(of: agent) else { return nil }
      return BranchAttachment(agent.id, to: place, node: agent.node)
    }
  }

  /// Whether an agent on another node is below this one.
  private func hasBranch(_ agent: AgentSpec) -> Bool {
    var open = children(of: agent.id)
    while let next = open.popLast() {
      guard let below = self.agent(next), below.node == agent.node else { return true }
      open += children(of: next)
    }
    return false
  }

  /// Whether there is anything to attach, whatever node is away.
  public var canAttach: Bool {
    nodes.contains { !attachments(without: [$0.id]).isEmpty }
  }

  /// The node that decides about attachments: that of the observer's seat; where nobody observes, the one that orders moves.
  public var branchSeat: NodeID { observer.node ?? moveSeat }
}

/// Which branches are to be attached where: a pure machine of what one node takes the others for.
///
/// Invariants, for any sequence of calls:
/// 1. what is wanted follows from the topology and the nodes that are away alone (``Topology/attachments(without:)``);
/// 2. a node is away once it counts as gone, here or, where its branch is attached, for who has attached that; and there again after it
///    was up for `returnAfter` without a break, from its first look as up to its newest answer: a node that comes and goes more often
///    than that changes nothing. What has passed since that answer does not count: it may have gone, and even be back as another
///    process, and nobody has noticed yet;
/// 3. nothing changes while all others are silent, when the one that judges may be cut off itself, nor before it has a judgement of
///    each.
public struct BranchWatch: Sendable {
  /// What a node is taken for.
  public enum Standing: Sendable, Hashable {
    /// Up, and how long ago it has last answered the judging node, in microseconds.
    case up(answered: UInt64 = 0)
    case gone
    /// Suspected, or about to be judged: as it was before.
    case unclear
    /// It was not heard since the judging node started, and is not missed yet.
    case unheard
  }

  /// What is to be stated, and the node whose judgement has caused it.
  public struct Decision: Sendable, Hashable {
    public var change: AttachmentsChange
    public var because: NodeID
  }

  /// How long a node must have been up to be there again, in microseconds.
  private let returnAfter: UInt64
  /// The nodes that have counted as gone and have not stayed since.
  private var gone: Set<NodeID> = []
  /// Since when nodes are looked at as up, and when they have answered last.
  private var upSince: [NodeID: UInt64] = [:]
  private var answeredAt: [NodeID: UInt64] = [:]
  private var judged: [NodeID: EventID] = [:]
  /// The node that has come or gone last.
  private var turned: AttachmentsChange.Turn?
  /// What was looked at last, and what it calls for.
  private var seen: (away: Set<NodeID>, wanted: [BranchAttachment]) = ([], [])

  /// A machine that knows of nobody.
  public init(returnAfter: Duration) { self.returnAfter = returnAfter.wholeMicroseconds }

  /// Looks at what the others are taken for.
  ///
  /// - Parameters:
  ///   - judgements: the events that say so: a node that has started anew is up by another one than before.
  ///   - now: microseconds in which the judging node was awake.
  ///   - isAlone: whether all others are silent.
  ///   - known: the attachments that there are.
  /// - Returns: what is to be changed of them; nil where nothing is.
  /// - Complexity: that of the number of nodes, and of agents where one of them has come or gone.
  public mutating func look(
    _ standings: [NodeID: Standing], judgements: [NodeID: EventID] = [:], at now: UInt64, isAlone: Bool,
    in topology: Topology,
    known: [BranchAttachment]
  ) -> Decision? {
    gone.formIntersection(standings.keys)
    for (node, standing) in standings.sorted(by: { $0.key < $1.key }) {
      switch standing {
      case .up(let silence):
        if judged[node] != judgements[node] { upSince[node] = nil }
        upSince[node] = upSince[node] ?? now
        answeredAt[node] = now - min(now, silence)
        if hasStayed(node) { gone.remove(node) }
      case .gone:
        upSince[node] = nil
        gone.insert(node)
      case .unclear, .unheard: upSince[node] = nil
      }
    }
    judged = judgements
    guard !isAlone, !standings.values.contains(.unheard) else { return nil }
    // Another seat, or this one before it started anew, has taken them for gone.
    let attached = known.map(\.node).filter { standings[$0] != nil && !hasStayed($0) }
    let away = gone.union(attached)
    if let node = away.symmetricDifference(seen.away).max() {
      turned = .init(node: node, isGone: away.contains(node))
      seen = (away, topology.attachments(without: away))
    }
    guard seen.wanted != known, var change = AttachmentsChange(from: known, to: seen.wanted) else {
      return nil
    }
    let first = change.attached.first?.node ?? known.first { change.returned.contains($0.supervisor) }?.node
    change.turn = turned
    return (turned?.node ?? first).map { Decision(change: change, because: $0) }
  }

  /// Whether a node that is up was there for long enough, as far as it has answered.
  private func hasStayed(_ node: NodeID) -> Bool {
    guard let since = upSince[node] else { return false }
    return answeredAt[node] ?? 0 >= since + returnAfter
  }
}
