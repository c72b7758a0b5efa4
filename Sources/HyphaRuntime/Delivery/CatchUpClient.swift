import HyphaCore
import HyphaTransport

/// Decides when to ask which node how far its lanes go. A pure state machine.
struct CatchUpClient: Sendable {
  private struct Peer: Sendable {
    var log = EventID.none
    var since: UInt64 = 0
    var askedAt: Timestamp?
    var isGreeted = false
  }

  /// How often a node is asked.
  let interval: Duration
  private var peers: [NodeID: Peer]
  private let greeting: ControlMessage

  init(peers: [NodeID], greeting: ControlMessage, interval: Duration = .milliseconds(200)) {
    self.interval = interval
    self.greeting = greeting
    self.peers = Dictionary(uniqueKeysWithValues: peers.map { ($0, Peer()) })
  }

  /// The questions that are due.
  mutating func due(now: Timestamp) -> [(NodeID, ControlMessage)] {
    var due: [(NodeID, ControlMessage)] = []
    for node in peers.keys.sorted() {
      guard var peer = peers[node], peer.askedAt.map({ now.since($0) >= interval }) ?? true else { continue }
      peer.askedAt = now
      peers[node] = peer
      if !peer.isGreeted { due.append((node, greeting)) }
      due.append((node, .sync(log: peer.log, since: peer.since)))
    }
    return due
  }

  /// How far into each node's log this one was told of lanes.
  var toldThrough: [NodeID: UInt64] { peers.mapValues(\.since) }

  /// A node that has started again does not know this one any more. Returns whether it did before.
  mutating func mustGreet(_ node: NodeID) -> Bool {
    let wasGreeted = peers[node]?.isGreeted ?? false
    peers[node]?.isGreeted = false
    return wasGreeted
  }

  /// Whether a node has answered a greeting, and knows this one still for all that is known.
  func isGreeted(by node: NodeID) -> Bool { peers[node]?.isGreeted ?? false }

  mutating func welcomed(by node: NodeID) { peers[node]?.isGreeted = true }

  /// A node has told of lanes up to a position. A full answer means that there is more to ask for.
  mutating func told(by node: NodeID, log: EventID, through: UInt64, isFull: Bool) {
    peers[node]?.log = log
    peers[node]?.since = through
    if isFull { peers[node]?.askedAt = nil }
  }
}
