public import HyphaCore

/// The topology files that a deployment has run under: a fold of ``TopologyRevised``, and the one place that answers what
/// operators want to apply. Pure.
public struct Revisions: Sendable, Hashable {
  /// A revision, and when it was ordered.
  public struct Revision: Sendable, Hashable {
    public let order: TopologyRevised
    public fileprivate(set) var orderedAt: Timestamp
  }

  /// Those that are known, by number, from 2.
  public private(set) var revisions: [Revision] = []

  public init() {}

  /// The newest one; nil where the deployment runs under the file that it began with, as far as is known.
  public var newest: TopologyRevised? { revisions.last?.order }
  /// The number of the newest file.
  public var number: UInt32 { newest?.revision ?? 1 }

  /// Takes note of an order. Returns whether it was new; one that was said again counts as ordered when it was first.
  @discardableResult
  public mutating func take(_ order: TopologyRevised, at time: Timestamp) -> Bool {
    if let known = revisions.firstIndex(where: { $0.order.revision == order.revision }) {
      revisions[known].orderedAt = min(time, revisions[known].orderedAt)
      return false
    }
    let place = revisions.firstIndex { $0.order.revision > order.revision } ?? revisions.endIndex
    revisions.insert(Revision(order: order, orderedAt: time), at: place)
    return true
  }

  /// Takes what is known elsewhere.
  public mutating func merge(_ other: Revisions) {
    for revision in other.revisions { take(revision.order, at: revision.orderedAt) }
  }

  /// The fingerprints of all files that are known, but for the newest one's.
  public var replaced: Set<String> {
    Set(revisions.map(\.order.replacedFingerprint)).subtracting(newest.map { [$0.fingerprint] } ?? [])
  }

  /// The text of a revision; nil where it is not known.
  public func text(of revision: UInt32) -> String? {
    revisions.first { $0.order.revision == revision }?.order.file
      ?? revisions.first { $0.order.revision == revision + 1 }?.order.replaced
  }

  // MARK: Taking

  /// What a node is to run under whose log has these revisions.
  public enum Taking: Sendable {
    /// Under the newest revision, or the file as it is where there is none; and whether the file says something else.
    case runs(Topology, isOther: Bool)
    /// Under none: the file is of no revision.
    case differs(from: Topology)
  }

  /// The topology to run under.
  ///
  /// - Parameters:
  ///   - file: what the node was started with.
  ///   - followsLog: whether a file of no revision is passed over.
  ///   - read: makes a topology of a text.
  /// - Throws: what reading throws.
  public func taking(
    _ file: Topology, followsLog: Bool = false, read: (String) throws -> Topology
  ) throws -> Taking {
    guard let newest else { return .runs(file, isOther: false) }
    let known = try read(newest.file)
    let isKnown = file.hash == known.hash || replaced.contains(file.fingerprint)
    guard isKnown || followsLog else { return .differs(from: known) }
    return .runs(try known.revised(by: newest, after: replaced), isOther: file != known)
  }

  // MARK: Ordering

  /// What the node that orders revisions answers to a wish.
  public enum Answer: Sendable, Hashable {
    case revised(TopologyRevised)
    case refused(RevisionRefused)
  }

  /// The answer to a wish, as a next revision or the reasons why not.
  ///
  /// - Parameters:
  ///   - now: what the deployment runs under: its text and what that says.
  ///   - new: what the wanted file says.
  ///   - running: the topology with retired agents, and with agents where they were moved.
  ///   - version: the newest version of the links.
  ///   - isKnownToAll: whether all nodes that stay have been heard under the newest revision.
  public func answer(
    to asked: RevisionAsked, now: (text: String, topology: Topology), new: Topology, running: Topology,
    moves: AgentMoves, departures: Departures = Departures(), version: UInt32,
    isKnownToAll: Bool = false
  ) -> Answer {
    func refused(_ reasons: [String]) -> Answer { .refused(RevisionRefused(reasons: reasons)) }
    guard asked.after == number else {
      return refused(["revision \(number) is the newest, and the plan was made after revision \(asked.after)"]
      )
    }
    let (size, replacedSize) = (asked.file.utf8.count, now.text.utf8.count)
    guard size + replacedSize <= RevisionEvents.byteCountMax else {
      return refused([
        "the file has \(size) bytes and the one that it replaces \(replacedSize), together more than \(RevisionEvents.byteCountMax); leave comments out"
      ])
    }
    let seat = running.moveSeat
    let nextSeat = new.orderer(after: seat, in: now.topology) ?? seat
    let was = newest?.retired ?? []
    let past = past(moves, departures, seat: seat, lost: Set(asked.lost ?? []), isKnownToAll: isKnownToAll)
    let plan = TopologyPlan(from: now.topology, to: new, past)
    guard plan.obstacles.isEmpty else {
      return refused(plan.obstacles.map { "\($0.problem); \($0.remedy)" })
    }
    guard !plan.isEmpty else { return refused(["the file changes nothing"]) }
    let gone = now.topology.agents.filter { new.agent($0.id) == nil }.compactMap { agent in
      running.agent(agent.id).map { spec in
        TopologyRevised.Retired(
          agent: spec.id, kind: spec.kind, node: spec.node, reportsTo: spec.reportsTo,
          publishes: spec.publishes?.sorted())
      }
    }
    var number = moves.moves.last?.order.move ?? 0
    let orders = plan.moves.map { move in
      number += 1
      return AgentMoved(move: number, agent: move.agent, from: move.from, to: move.to)
    }
    guard let next = Self.version(after: version, of: new, from: running) else {
      return refused(["there is no later version of the links than \(version)"])
    }
    let leaving = leaving(from: now.topology, to: new, past)
    let order = TopologyRevised(
      revision: self.number + 1, file: asked.file, replaced: now.text, fingerprint: new.fingerprint,
      replacedFingerprint: now.topology.fingerprint, version: next,
      retired: was.filter { new.agent($0.agent) == nil } + gone, moves: orders, seat: nextSeat,
      leaving: leaving,
      former: former(
        from: now.topology, to: new, leaving: leaving ?? [], seat: seat, isKnownToAll: isKnownToAll))
    // What nodes cannot run under could not be taken back: none would order another file.
    do {
      let runs = try new.revised(by: order, after: replaced.union([now.topology.fingerprint]))
      for seat in runs.observer.seats { _ = try ObserverSeat(runs, at: seat) }
    } catch {
      return refused(["nodes could not run under it: \(error)"])
    }
    return .revised(order)
  }
}

extension Revisions {
  /// The version with which a new file begins: above all that anybody has stated, or may state before it follows the file. Where another
  /// node than the one that orders revisions may state versions, that is in a later term of the seat, one of the file's node.
  ///
  /// - Parameter version: the newest one that is known.
  static func version(after version: UInt32, of new: Topology, from running: Topology) -> UInt32? {
    let (next, isTooGreat) = version.addingReportingOverflow(1)
    let others = Set(running.observer.seats + new.observer.seats).subtracting([running.moveSeat])
    let isElsewhere =
      new.node(running.moveSeat) == nil
      || running.observer.seats.first != new.observer.seats.first && !others.isEmpty
      || SeatTerm.of(isTooGreat ? version : next).isMultiple(of: 2)
      || running.observer.node.map { $0 != running.moveSeat } ?? false
    guard isElsewhere else { return next }
    // The file's node has the odd terms.
    let term = (SeatTerm.of(version) + 2) | 1
    return term <= SeatTerm.last ? SeatTerm.firstVersion(of: term) : nil
  }

  /// What has happened beside the files.
  ///
  /// - Parameters:
  ///   - lost: the nodes that an operator gives up.
  ///   - isKnownToAll: whether all nodes that stay have been heard under the newest revision.
  public func past(
    _ moves: AgentMoves, _ departures: Departures, seat: NodeID, lost: Set<NodeID> = [], isKnownToAll: Bool
  ) -> TopologyPlan.Past {
    var past = TopologyPlan.Past(
      moves: moves, retired: Dictionary((newest?.retired ?? []).map { ($0.agent, $0.node) }) { $1 },
      seat: seat)
    for leaving in newest?.leaving ?? [] {
      let hasLeft = departures.hasLeft(.init(node: leaving.node, since: leaving.since))
      past.leaving[leaving.node] = leaving.isGone || hasLeft
      if leaving.hasOrdered ?? false { past.formerSeats.insert(leaving.node) }
    }
    past.lost = lost
    past.former = isKnownToAll ? [] : newest?.former ?? []
    return past
  }

  /// The nodes that earlier files had and a new one has not; nil for none.
  private func leaving(from old: Topology, to new: Topology, _ past: TopologyPlan.Past) -> [LeavingNode]? {
    let known = (newest?.leaving ?? []).filter { new.node($0.node) == nil }.map { leaving in
      var leaving = leaving
      leaving.isGone = past.leaving[leaving.node] ?? false || past.lost.contains(leaving.node)
      return leaving
    }
    let gone = old.nodes.filter { new.node($0.id) == nil }.map {
      LeavingNode(
        $0, since: number + 1, isGone: past.lost.contains($0.id), hasOrdered: $0.id == past.seat)
    }
    return known.isEmpty && gone.isEmpty ? nil : known + gone
  }
}

extension Topology {
  /// What a revision's file says, as nodes run it: with the version that its frames carry, and with the agents and nodes that earlier
  /// files had, who take nothing and do nothing, so that what they have stated finds its way.
  ///
  /// - Parameter replaced: the fingerprints of the earlier files.
  /// - Throws: what the initialiser throws.
  public func revised(by order: TopologyRevised, after replaced: Set<String>) throws -> Topology {
    let leaving = (order.leaving ?? []).filter { node($0.node) == nil }
    let there = Set(nodes.map(\.id)).union(leaving.map(\.node))
    let retired = order.retired.filter { agent($0.agent) == nil && there.contains($0.node) }
    let all = Set(agents.map(\.id)).union(retired.map(\.agent))
    let specs = retired.map { agent in
      AgentSpec(
        id: agent.agent, kind: agent.kind, node: agent.node,
        reportsTo: agent.reportsTo.flatMap { all.contains($0) ? $0 : nil } ?? root,
        publishes: agent.publishes.map(Set.init))
    }
    var topology = try replacing(
      nodes: nodes + leaving.map { try $0.spec(among: there) }, agents: agents + specs,
      version: order.version)
    topology.revise(
      Filed(
        hash: hash, moveSeat: order.seat, revision: order.revision, replaced: replaced,
        retired: Set(retired.map(\.agent)), leaving: Dictionary(leaving.map { ($0.node, $0.since) }) { $1 },
        left: Set(leaving.filter(\.isGone).map(\.node)),
        orderers: leaving.filter { $0.hasOrdered ?? false }.map { .init(node: $0.node, since: $0.since) },
        former: try (order.former ?? []).reduce(into: [:]) {
          $0[$1.node, default: []].append(try $1.address())
        }))
    return topology
  }

  /// The node that orders moves and revisions under this file: the one that did, while the file has it; else one that was there already,
  /// that of the observer's seat or of the root before any other. Nil where none was.
  func orderer(after seat: NodeID, in old: Topology) -> NodeID? {
    if node(seat) != nil { return seat }
    let first = observer.seats + [agent(root)?.node].compactMap(\.self)
    return (first + nodes.map(\.id)).first { old.node($0) != nil && node($0) != nil }
  }

  /// Whether a node that leaves, or has left, has ordered moves and revisions before.
  public func hasOrdered(_ node: NodeID) -> Bool { filed?.orderers.contains { $0.node == node } ?? false }

  /// The last one of those; nil where the same node has always ordered.
  public var lastOrderer: Departures.Leave? { filed?.orderers.max { $0.since < $1.since } }

  /// Which revision of the deployment's file it is.
  public var revision: UInt32 { filed?.revision ?? 1 }

  /// Whether the file has an agent no more.
  public func isRetired(_ agent: AgentID) -> Bool { filed?.retired.contains(agent) ?? false }

  /// Whether a log that was written under a file of this fingerprint, or a node that follows one, is of an earlier revision.
  public func hasReplaced(_ fingerprint: String) -> Bool { filed?.replaced.contains(fingerprint) ?? false }

  /// Whether a node is answered that follows a topology of this version and hash: one of an earlier revision, or one that was
  /// started with the file of this one and does not know yet that it is that.
  public func accepts(_ version: UInt32, _ hash: UInt64) -> Bool {
    revision > 1
      && (hasReplaced(String(hash, radix: 16)) || hash == self.hash && version < self.version)
  }

  /// Whether what was said about links under a version is of an earlier revision, and counts no more.
  public func isOutdated(_ version: UInt32) -> Bool { revision > 1 && version < self.version }

  /// The agents of the file, in its order.
  public var filedAgents: [AgentSpec] { agents.filter { !isRetired($0.id) } }
}
