import HyphaCore
import HyphaTopology

/// Decides which other nodes are up, suspected or down, from when they were heard. A pure state machine.
///
/// Invariants, for any sequence of calls, where a silence is counted on an ``AwakeClock``:
/// 1. a node is suspected only after a silence that its settings allow for, and down only after
///    ``MembershipSettings/downAfter``; what this node itself slept through is no silence of others;
/// 2. a node that was heard is up at once, whatever it was before; only one that has said goodbye must begin anew;
/// 3. every change is told once, and its `from` is what was told before.
///
/// It needs ``tick(at:)`` several times a heartbeat. Memory is bounded by ``ArrivalWindow/countMax`` spans a node.
struct FailureDetector: Sendable {
  /// What a node is taken for.
  enum Standing: String, Sendable, Codable {
    /// It was not heard since this node started.
    case unknown
    /// It was heard lately.
    case up
    /// It has been silent for longer than is usual.
    case suspected
    /// It has been silent for so long that others do without it.
    case down
    /// It has said goodbye.
    case left
  }

  /// Why a node's standing changed.
  enum Reason: String, Sendable, Codable {
    /// It was heard for the first time since this node started.
    case firstHeard
    /// It was heard again.
    case heardAgain
    /// It does not know this node any more, so it has started anew.
    case startedAgain
    /// It was silent for too long.
    case silent
    /// It was silent for too long, and so was every other node: this one may be the one that is cut off.
    case allSilent
    /// It was not heard at all since this node started.
    case neverHeard
    /// It stops in order.
    case goodbye
  }

  /// A node's standing has changed.
  struct Change: Sendable, Hashable {
    var node: NodeID
    var from: Standing
    var to: Standing
    var reason: Reason
    /// For how long it was not heard, in microseconds in which this node was awake.
    var silence: UInt64
    /// The silence that would have been borne without suspicion, in microseconds.
    var allowed: UInt64
  }

  /// What is known of one node.
  struct Peer: Sendable {
    fileprivate(set) var standing = Standing.unknown
    /// When it was last heard, in microseconds of the clock.
    fileprivate(set) var heardAt: UInt64
    /// When it has last answered: a process that has begun anew says so with its first answer, and may have said much before.
    fileprivate(set) var answeredAt: UInt64 = 0
    /// The silence that is borne without suspicion, in microseconds.
    fileprivate(set) var allowed: UInt64
    /// How many times it fell under suspicion, and how many times it counted as down.
    fileprivate(set) var suspicionCount: UInt64 = 0
    fileprivate(set) var downCount: UInt64 = 0
    fileprivate var beatAt: UInt64?
    fileprivate var window: ArrivalWindow
  }

  /// How many times as long as others a node may be silent that was never heard: a deployment takes a while to start.
  static let arrivalPatience: UInt64 = 3

  private let settings: MembershipSettings
  private let downAfter: UInt64
  private(set) var clock: AwakeClock
  private(set) var peers: [NodeID: Peer]
  /// The peers in an order of their own, so that changes come in the same order each time.
  private let order: [NodeID]

  /// A detector that has heard nobody, made when the machine's clock shows `start`, in microseconds.
  init(_ nodes: [NodeID], settings: MembershipSettings, start: UInt64) {
    self.settings = settings
    downAfter = settings.downAfter.wholeMicroseconds
    order = nodes.sorted()
    let heartbeat = settings.heartbeat.wholeMicroseconds
    clock = AwakeClock(start: start, strideMax: heartbeat)
    let window = ArrivalWindow(expected: heartbeat)
    let allowed = Self.allowance(window, settings)
    peers = Dictionary(
      uniqueKeysWithValues: order.map { ($0, Peer(heardAt: 0, allowed: allowed, window: window)) })
  }

  /// For how long a node is silent, in microseconds.
  func silence(of node: NodeID) -> UInt64 { peers[node].map { clock.now - $0.heardAt } ?? 0 }

  /// The nodes that do not look as if they would answer: silent for longer than is borne without suspicion, or gone. Lanes
  /// of theirs are repaired from others.
  var silentNodes: Set<NodeID> {
    Set(
      order.filter { node in
        peers[node].map { $0.standing == .left || clock.now - $0.heardAt > $0.allowed } ?? false
      })
  }

  /// Takes note of a message of a node; `isHeartbeat` says that it was one of those that come regularly, `isAnswer` that it
  /// answers this one.
  mutating func heard(_ node: NodeID, isHeartbeat: Bool, isAnswer: Bool = false, at machine: UInt64)
    -> Change?
  {
    let now = clock.look(at: machine)
    // What was on its way when a node said goodbye, an answer or an event, does not bring it back.
    guard var peer = peers[node], peer.standing != .left || isHeartbeat else { return nil }
    if isHeartbeat {
      if let beatAt = peer.beatAt { peer.window.add(now - beatAt) }
      peer.beatAt = now
      peer.allowed = Self.allowance(peer.window, settings)
    }
    let silence = now - peer.heardAt
    peer.heardAt = now
    if isAnswer { peer.answeredAt = now }
    peers[node] = peer
    let reason: Reason = peer.standing == .unknown ? .firstHeard : .heardAgain
    return peer.standing == .up ? nil : change(node, to: .up, reason, silence: silence)
  }

  /// Takes note that a node has started anew.
  mutating func restarted(_ node: NodeID, at machine: UInt64) -> Change? {
    let now = clock.look(at: machine)
    guard let peer = peers[node], peer.standing != .unknown else { return nil }
    peers[node]?.heardAt = now
    peers[node]?.beatAt = nil
    return change(node, to: .up, .startedAgain, silence: now - peer.heardAt)
  }

  /// Takes note that a node stops in order.
  mutating func left(_ node: NodeID, at machine: UInt64) -> Change? {
    let now = clock.look(at: machine)
    guard let peer = peers[node], peer.standing != .left else { return nil }
    peers[node]?.beatAt = nil
    return change(node, to: .left, .goodbye, silence: now - peer.heardAt)
  }

  /// Looks at who has been silent for how long. Each node's standing changes by one step at most.
  mutating func tick(at machine: UInt64) -> [Change] {
    let now = clock.look(at: machine)
    let isAlone =
      peers.count > 1 && peers.values.allSatisfy { $0.standing == .left || now - $0.heardAt > $0.allowed }
    return order.compactMap { node in
      guard let peer = peers[node] else { return nil }
      let silence = now - peer.heardAt
      switch peer.standing {
      case .up where silence > peer.allowed:
        return change(node, to: .suspected, isAlone ? .allSilent : .silent, silence: silence)
      case .suspected where silence > downAfter:
        return change(node, to: .down, isAlone ? .allSilent : .silent, silence: silence)
      case .unknown where silence > Self.arrivalPatience * downAfter:
        return change(node, to: .down, .neverHeard, silence: silence)
      default: return nil
      }
    }
  }

  private mutating func change(_ node: NodeID, to standing: Standing, _ reason: Reason, silence: UInt64)
    -> Change?
  {
    guard var peer = peers[node] else { return nil }
    let change = Change(
      node: node, from: peer.standing, to: standing, reason: reason, silence: silence, allowed: peer.allowed)
    peer.standing = standing
    if standing == .suspected { peer.suspicionCount += 1 }
    if standing == .down { peer.downCount += 1 }
    peers[node] = peer
    return change
  }

  /// The silence that is borne without suspicion.
  private static func allowance(_ window: ArrivalWindow, _ settings: MembershipSettings) -> UInt64 {
    let allowed =
      switch settings.suspicion {
      case .fixed(let after): after.wholeMicroseconds
      case .phi(let level, let pause): window.silence(ofLevel: level) + pause.wholeMicroseconds
      }
    return min(allowed, settings.downAfter.wholeMicroseconds)
  }
}
