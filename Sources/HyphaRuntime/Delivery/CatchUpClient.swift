import HyphaCore
import HyphaTransport

/// Decides when to ask which node how far its lanes go. A pure state machine.
struct CatchUpClient: Sendable {
  private struct Peer: Sendable {
    var log = EventID.none
    var since: UInt64 = 0
    var askedAt: Timestamp?
    var isGreeted = false
    /// The version of the topology under which it has answered a greeting last.
    var version: UInt32?
    /// How far it has told of its copies of other nodes' lanes.
    var copies: [NodeID: Copies] = [:]
  }

  private struct Copies: Sendable {
    var log = EventID.none
    var since: UInt64 = 0
    var askedAt: Timestamp?
    /// Whether all was told of one that has left: it states nothing more.
    var isWhole = false
  }

  /// How often a node is asked.
  let interval: Duration
  /// How often a node is asked for its copies of one silent node's lanes.
  static let copiesInterval = Duration.seconds(1)
  /// The most such questions in one go; the others are due with the next.
  static let copiesCountMax = 16
  private var peers: [NodeID: Peer]
  private let greeting: ControlMessage
  /// The node itself and those that hold copies of what its agents state.
  private let own: (node: NodeID, replicas: [NodeID])?
  /// The nodes that have left: others may have copies of what they stated.
  private let left: Set<NodeID>

  init(
    peers: [NodeID], greeting: ControlMessage, interval: Duration = .milliseconds(200),
    own: (node: NodeID, replicas: [NodeID])? = nil, left: Set<NodeID> = []
  ) {
    self.interval = interval
    self.own = own
    self.left = left
    self.greeting = greeting
    self.peers = Dictionary(uniqueKeysWithValues: peers.map { ($0, Peer()) })
  }

  /// The questions that are due: how far each node's own lanes go, and of those that are silent how far others have got.
  mutating func due(now: Timestamp, silent: Set<NodeID> = []) -> [(NodeID, ControlMessage)] {
    var due: [(NodeID, ControlMessage)] = []
    for node in peers.keys.sorted() {
      guard var peer = peers[node], peer.askedAt.map({ now.since($0) >= interval }) ?? true else { continue }
      peer.askedAt = now
      peers[node] = peer
      if !peer.isGreeted { due.append((node, greeting)) }
      due.append((node, .sync(log: peer.log, since: peer.since)))
    }
    return due + copiesDue(now: now, silent: silent.union(left).sorted())
  }

  private mutating func copiesDue(now: Timestamp, silent: [NodeID]) -> [(NodeID, ControlMessage)] {
    guard !silent.isEmpty || own?.replicas.isEmpty == false else { return [] }
    var due: [(NodeID, ControlMessage)] = []
    for node in peers.keys.sorted() where isGreeted(by: node) && !silent.contains(node) {
      // Replicas tell what they have got as they get it; of what is lost on the way they are asked.
      let origins = silent + (own?.replicas.contains(node) == true ? own.map { [$0.node] } ?? [] : [])
      for origin in origins where due.count < Self.copiesCountMax {
        var copies = peers[node]?.copies[origin] ?? Copies()
        guard !copies.isWhole, copies.askedAt.map({ now.since($0) >= Self.copiesInterval }) ?? true else {
          continue
        }
        copies.askedAt = now
        peers[node]?.copies[origin] = copies
        due.append((node, .copies(of: origin, log: copies.log, since: copies.since)))
      }
    }
    return due
  }

  /// Whether a node was ever asked for its copies of another's lanes.
  func hasAsked(_ node: NodeID, forCopiesOf origin: NodeID) -> Bool {
    peers[node]?.copies[origin] != nil
  }

  /// A node has told of its copies of another's lanes, up to a position of its own log.
  mutating func told(by node: NodeID, copiesOf origin: NodeID, log: EventID, through: UInt64, isFull: Bool) {
    guard hasAsked(node, forCopiesOf: origin) else { return }
    peers[node]?.copies[origin]?.log = log
    peers[node]?.copies[origin]?.since = through
    if isFull { peers[node]?.copies[origin]?.askedAt = nil }
    peers[node]?.copies[origin]?.isWhole = left.contains(origin) && !isFull
  }

  /// How far into each node's log this one was told of lanes.
  var toldThrough: [NodeID: UInt64] { peers.mapValues(\.since) }

  /// A node that has started again does not know this one any more, and is asked with the next look. Returns whether it did
  /// before.
  mutating func mustGreet(_ node: NodeID) -> Bool {
    let wasGreeted = peers[node]?.isGreeted ?? false
    peers[node]?.isGreeted = false
    // Once: one that refuses the greeting, too, is asked no more often for that.
    if wasGreeted { peers[node]?.askedAt = nil }
    return wasGreeted
  }

  /// Whether a node has answered a greeting, and knows this one still for all that is known.
  func isGreeted(by node: NodeID) -> Bool { peers[node]?.isGreeted ?? false }

  mutating func welcomed(by node: NodeID, under version: UInt32) {
    peers[node]?.isGreeted = true
    peers[node]?.version = version
  }

  /// The version of the topology under which a node has answered a greeting last.
  func version(of node: NodeID) -> UInt32? { peers[node]?.version }

  /// Whether a node has answered a greeting under a version of the topology: what it has told since is told under that.
  func wasGreeted(by node: NodeID, under version: UInt32) -> Bool { peers[node]?.version == version }

  /// A node has told of lanes up to a position. A full answer means that there is more to ask for.
  mutating func told(by node: NodeID, log: EventID, through: UInt64, isFull: Bool) {
    peers[node]?.log = log
    peers[node]?.since = through
    if isFull { peers[node]?.askedAt = nil }
  }
}
