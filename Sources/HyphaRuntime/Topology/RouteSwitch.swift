import HyphaCore
import HyphaTopology

/// By which version of the routes a node sends: a pure state machine, make before break.
///
/// A node that learns of a version opens its links beside those that it has, and says that it is *ready* for the version
/// once every node that takes frames over them does. A node sends by the newest version that it and all nodes that it
/// hears are ready for; so what is sent under a version finds its way open. Older versions stay known, and their links
/// open, until nobody sends by them any more and what was sent has had the time to arrive.
///
/// The plain tree is version ``tree``, for which every node is ready at all times: when a link fails, its node is ready for
/// no version that has it, and all go back to the newest that has not.
///
/// Versions of different terms of the observer's seat are not compared: a node that is in another term than this one counts as
/// ready for the tree alone, so all send by the tree until they have heard of the later term.
///
/// A node that was not heard for ``silence`` is not waited for, and its links need not be open; nor is one that is ready for the tree
/// alone while the newest version leads around it. A node that starts is ready
/// for no version but the tree until its links were open once, those of the tree among them.
///
/// Bounds: at most ``keptCountMax`` versions are known; beyond that the oldest is forgotten, and what is still under way by
/// it is refused and fetched.
struct RouteSwitch: Sendable {
  /// What a node says of itself.
  struct Progress: Sendable, Hashable {
    /// The newest version for which its links are open.
    var ready: UInt32
    /// The version that it sends by.
    var sending: UInt32

    /// Of a node that knows none of the versions that are known here.
    static let tree = Progress(ready: RouteSwitch.tree, sending: RouteSwitch.tree)
  }

  private struct Version: Sendable {
    var number: UInt32
    var links: Set<DirectLink>
    /// The agents of other nodes to which links lead from agents of this one.
    var farEnds: Set<AgentID>
    /// The nodes whose supervisors' branches are attached elsewhere.
    var away: Set<NodeID>
    /// Since when no node is known to send by it; nil while one does.
    var unusedSince: Timestamp?
  }

  private struct Peer: Sendable {
    var progress: Progress
    var heardAt: Timestamp
  }

  /// The plain tree.
  static let tree: UInt32 = 0
  /// How long a node may be silent and still be waited for.
  static let silence = Duration.seconds(2)
  /// How long a version stays known that nobody sends by.
  static let drain = Duration.seconds(5)
  /// The most versions that are known, the tree's not among them.
  static let keptCountMax = 64

  private let nodeOf: @Sendable (AgentID) -> NodeID?
  private let node: NodeID
  private var kept: [Version] = []
  /// How many of the known versions have each link.
  private var linkCounts: [DirectLink: Int] = [:]
  private var peers: [NodeID: Peer] = [:]
  /// The agents of other nodes whose frames are not taken there when this node sends them.
  private var missing: Set<AgentID> = []
  /// The versions whose links the transport has been told of: those up to this one.
  private var plannedThrough: UInt32
  /// The version that this node sends by.
  private(set) var sending: UInt32
  /// Whether all that it sends was taken at some moment since it started.
  private var hasOpened = false

  /// A node that knows one version and sends by the tree.
  ///
  /// - Parameter nodeOf: the node of an agent.
  init(
    of node: NodeID, version: UInt32, links: Set<DirectLink>, nodeOf: @escaping @Sendable (AgentID) -> NodeID?
  ) {
    self.node = node
    self.nodeOf = nodeOf
    sending = Self.tree
    plannedThrough = Self.tree
    add(version, links, away: [])
  }

  /// The newest version that is known.
  var newest: UInt32 { kept.last?.number ?? Self.tree }
  /// All versions that are known, the tree's not among them, the oldest first.
  var known: [UInt32] { kept.map(\.number) }
  /// The links that must be open, over all known versions.
  var links: Set<DirectLink> { Set(linkCounts.keys) }
  /// What this node says of itself.
  func progress(now: Timestamp) -> Progress { Progress(ready: ready(now: now), sending: sending) }

  // MARK: Learning

  /// Learns of a version. Returns whether it is new.
  ///
  /// - Parameters:
  ///   - away: the nodes around which it leads.
  ///   - replacing: whether nothing was ever sent by those that are known.
  mutating func learn(
    _ version: UInt32, links: Set<DirectLink>, away: Set<NodeID> = [], replacing: Bool = false
  ) -> Bool {
    guard version > newest else { return false }
    if replacing { while !kept.isEmpty { removeFirst() } }
    add(version, links, away: away)
    if kept.count > Self.keptCountMax { removeFirst() }
    return true
  }

  private mutating func add(_ version: UInt32, _ links: Set<DirectLink>, away: Set<NodeID>) {
    var farEnds: Set<AgentID> = []
    for link in links {
      linkCounts[link, default: 0] += 1
      if nodeOf(link.one) == node { farEnds.insert(link.other) }
      if nodeOf(link.other) == node { farEnds.insert(link.one) }
    }
    kept.append(Version(number: version, links: links, farEnds: farEnds, away: away))
  }

  private mutating func removeFirst() {
    for link in kept.removeFirst().links {
      let count = linkCounts[link] ?? 0
      linkCounts[link] = count > 1 ? count - 1 : nil
    }
  }

  /// The transport has a plan with the links of all versions up to `version`; what it sends for the agents in `missing` is
  /// not taken on some channel.
  mutating func linksChanged(through version: UInt32, missing: Set<AgentID>) {
    plannedThrough = max(plannedThrough, version)
    self.missing = missing
  }

  /// A node has said how far it is.
  mutating func heard(_ node: NodeID, _ progress: Progress, now: Timestamp) {
    peers[node] = Peer(progress: progress, heardAt: now)
  }

  // MARK: Deciding

  /// Looks again at what is sent by and what may be forgotten. Returns whether either has changed.
  mutating func tick(now: Timestamp) -> (isSwitched: Bool, isForgotten: Bool) {
    let before = sending
    if plannedThrough > Self.tree && awaited(now: now).isEmpty { hasOpened = true }
    let away = kept.last?.away ?? []
    // One that starts anew while the newest version leads around it takes nobody back to the tree, which leads by way of it.
    let heard = peers.filter { node, peer in
      now.since(peer.heardAt) < Self.silence
        && !(peer.progress.ready == Self.tree && away.contains(node))
    }.map(\.value)
    let term = SeatTerm.of(newest)
    let common = heard.reduce(ready(now: now)) { common, peer in
      min(common, SeatTerm.of(peer.progress.ready) == term ? peer.progress.ready : Self.tree)
    }
    sending = kept.last { $0.number <= common && SeatTerm.of($0.number) == term }?.number ?? Self.tree
    let used = Set(heard.map(\.progress.sending) + [sending])
    let newest = newest
    for place in kept.indices {
      if used.contains(kept[place].number) || kept[place].number == newest {
        kept[place].unusedSince = nil
      } else if kept[place].unusedSince == nil {
        kept[place].unusedSince = now
      }
    }
    let count = kept.count
    // A version between may still be switched to, by a node that is behind.
    while kept.count > 1, let since = kept[0].unusedSince, now.since(since) >= Self.drain {
      removeFirst()
    }
    return (before != sending, count != kept.count)
  }

  /// The agents whose frames are missed by nodes that are heard.
  private func awaited(now: Timestamp) -> Set<AgentID> {
    missing.filter { agent in
      nodeOf(agent).flatMap { peers[$0] }.map { now.since($0.heardAt) < Self.silence } ?? false
    }
  }

  /// The newest version for which this node's links to those that it hears are open.
  private func ready(now: Timestamp) -> UInt32 {
    guard hasOpened else { return Self.tree }
    let awaited = awaited(now: now)
    return kept.last { $0.number <= plannedThrough && $0.farEnds.isDisjoint(with: awaited) }?.number
      ?? Self.tree
  }
}
