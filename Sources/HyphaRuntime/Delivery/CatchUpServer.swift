import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// Answers other nodes' questions: how far lanes go, and what they have after a point.
///
/// It tells a node only of lanes that the topology sends there, and only once that node has greeted and fits. Those are
/// lanes of agents of this node, and of others the lanes that agents of this node take, too: copies, for when their origin
/// is silent.
final class CatchUpServer: Sendable {
  private struct State {
    var heads: [Lane: LaneHead] = [:]
    /// How far lanes may be read by others than replicas, where something of them is held back; and how many times it is.
    var visible: [Lane: LaneHead] = [:]
    var holdCounts: [Lane: Int] = [:]
    /// Where what is held back begins, each time that something was.
    var heldFrom = Queue<UInt64>()
    /// The nodes whose greeting was understood: others are told nothing.
    var greeted: Set<NodeID> = []
    /// The nodes whose newest greeting did not fit: nothing is taken of them either.
    var unfit: Set<NodeID> = []
    /// The nodes whose newest greeting was of this very topology, and not of an earlier revision.
    var alike: Set<NodeID> = []
    /// Walks over a lane that were not finished in one answer, and the point to go on after.
    var walks: [Walker: (after: LanePoint, rest: ArraySlice<Position>)] = [:]

    /// Holds back what comes of a lane from here on.
    mutating func hold(_ lane: Lane, behind end: LaneHead) {
      holdCounts[lane, default: 0] += 1
      if visible[lane] == nil { visible[lane] = end }
    }
  }

  private struct Walker: Hashable {
    let node: NodeID
    let lane: Lane
  }

  private let log: any LogReader
  private let routes: RouteTable
  private let state: Mutex<State>
  private let unfitCount = Atomic<Int>(0)
  /// Vouches for this node's lanes; nil where nodes have no keys.
  private let runs: RunServer?

  /// The most bytes of records in one answer.
  static var answerByteCountMax: Int { RepairPace.answerByteCountMax }
  /// The most events in one answer.
  static var answerCountMax: Int { 512 }
  /// The most unfinished walks that are remembered.
  static var walkCountMax: Int { 64 }
  /// The most positions that one of them is made of, 8 bytes each: those of some answers, so that who is far behind a
  /// long lane is answered in parts.
  static var walkPositionCountMax: Int { 8 * answerCountMax }

  /// What is told is told of this log; and, where agents have moved, anew with each move that the node runs by.
  private let told: EventID

  /// - Parameter moveCount: grows with what has moved: then other lanes go to other nodes than those that were told.
  init(log: any LogReader, routes: RouteTable, notary: (any Notary)? = nil, moveCount: Int = 0) throws {
    self.log = log
    self.routes = routes
    told = EventID(high: log.identity.id.high, low: log.identity.id.low ^ UInt64(moveCount))
    runs = notary.map { RunServer(log: log, routes: routes, notary: $0) }
    // Of an agent that leaves its replicas are still to take what it has stated here.
    let stated = try log.laneHeads().filter {
      routes.isOwn($0.key.agent) || routes.keeper(of: $0.key.agent) == routes.node
    }
    state = Mutex(State(heads: stated))
  }

  /// Notes what was committed from a position on; the last event of each lane counts. What is held back is for replicas
  /// alone until ``letGo(_:)``.
  func committed(_ records: [Record], from first: Position, isHeld: Bool = false) {
    state.withLock { state in
      if isHeld {
        state.heldFrom.append(first.rawValue)
        for lane in Set(records.map(\.lane)) { state.hold(lane, behind: state.heads[lane] ?? Self.nothing) }
      }
      for run in records.laneRuns {
        let last = records[run.upperBound - 1]
        let count = (state.heads[last.lane]?.count ?? 0) + UInt64(run.count)
        let position = Position(rawValue: first.rawValue + UInt64(run.upperBound - 1))
        state.heads[last.lane] = LaneHead(point: last.point, position: position, count: count)
      }
    }
  }

  private static let nothing = LaneHead(point: .start, position: .start, count: 0)

  /// Holds back all persistent events that agents of this node have stated, and returns how far they go.
  ///
  /// - Parameter handedOver: agents whose events had left before the node that they have moved to took them.
  func withhold(besides handedOver: Set<AgentID> = []) -> [Lane: LaneHead] {
    state.withLock { state in
      let own = state.heads.filter {
        $0.key.channel == .persistent && routes.topology.agent($0.key.agent) != nil
          && !handedOver.contains($0.key.agent)
      }
      for lane in own.keys { state.hold(lane, behind: Self.nothing) }
      if !own.isEmpty { state.heldFrom.append(0) }
      return own
    }
  }

  /// What was held back first may be read by all whom it is for, up to these heads.
  func letGo(_ heads: [Lane: LaneHead]) {
    state.withLock { state in
      _ = state.heldFrom.take(upTo: 1)
      for (lane, head) in heads {
        let count = (state.holdCounts[lane] ?? 1) - 1
        state.holdCounts[lane] = count > 0 ? count : nil
        state.visible[lane] = count > 0 ? head : nil
      }
    }
  }

  /// How many events the node's agents have stated in all on a channel that are for someone.
  func statedCount(_ channel: Channel) -> UInt64 {
    state.withLock { state in
      state.heads.reduce(0) { sum, head in
        guard head.key.channel == channel, routes.isOwn(head.key.agent),
          routes.plan(of: head.key).destinationCount > 0
        else { return sum }
        return sum + head.value.count
      }
    }
  }

  /// How many events the node's agents have stated in all on a channel, once for each destination.
  func statedPairCount(_ channel: Channel) -> UInt64 {
    state.withLock { state in
      state.heads.reduce(0) { sum, head in
        guard head.key.channel == channel, routes.isOwn(head.key.agent) else { return sum }
        return sum + head.value.count * UInt64(routes.plan(of: head.key).destinationCount)
      }
    }
  }

  /// The position of the newest event for agents of each other node.
  var newestPositions: [NodeID: UInt64] {
    state.withLock { state in
      var newest: [NodeID: UInt64] = [:]
      for (lane, head) in state.heads where routes.isOwn(lane.agent) {
        for node in routes.plan(of: lane).nodes where !routes.topology.hasLeft(node) {
          newest[node] = max(newest[node] ?? 0, head.position.rawValue)
        }
      }
      return newest
    }
  }

  /// The answer to a request of `node`; nil where it asks for nothing that is answered here.
  ///
  /// - Parameter tell: takes what is refused of it, where the rest is answered.
  func answer(
    _ request: ControlMessage, from node: NodeID, tell: (String) -> Void = { _ in }
  ) -> ControlMessage? {
    switch request {
    case .sync, .fetch, .vouch, .copies:
      guard state.withLock({ $0.greeted.contains(node) }) else { return Self.greetFirst }
    default: break
    }
    switch request {
    case .sync(let id, let since): return heads(for: node, after: id == told ? since : 0)
    case .fetch(let lane, let after): return records(of: lane, after: after, for: node)
    case .copies(let origin, let id, let since):
      return copies(of: origin, for: node, after: id == told ? since : 0)
    case .hello(let greeting): return greet(node, greeting)
    case .vouch(let runs):
      return self.runs?.answer(runs, for: node, tell: tell)
        ?? .refused(.other, reason: "node '\(routes.node)' has no key to sign with")
    case .welcome, .refused, .heads, .records, .vouched, .copied, .goodbye, .progress, .incarnation:
      return nil
    }
  }

  /// What a node is told that asks before it greets, as after a restart of this one.
  static let greetFirst = ControlMessage.refused(.greetFirst, reason: "greet first")

  /// Whether a node's newest greeting did not fit: it speaks another protocol, or follows another topology.
  func refuses(_ node: NodeID) -> Bool {
    // Asked for each frame, and hardly ever so.
    unfitCount.load(ordering: .relaxed) > 0 && state.withLock { $0.unfit.contains(node) }
  }

  /// Whether a node has greeted under this very topology: what it says of versions of the routes is about the same ones.
  func isAlike(_ node: NodeID) -> Bool { state.withLock { $0.alike.contains(node) } }

  private func greet(_ node: NodeID, _ greeting: Greeting) -> ControlMessage {
    let own = routes.greeting
    let answer = own.answer(to: greeting, from: node, accepts: routes.topology.accepts)
    if greeting.node == node { routes.peers.greeted(node, greeting.versions) }
    let follows = (greeting.topologyVersion, greeting.topologyHash)
    let isAlike = greeting.node == node && follows == (own.topologyVersion, own.topologyHash)
    state.withLock { state in
      if isAlike { state.alike.insert(node) } else { state.alike.remove(node) }
      if case .welcome = answer {
        state.greeted.insert(node)
        state.unfit.remove(node)
      } else {
        state.greeted.remove(node)
        state.unfit.insert(node)
      }
      unfitCount.store(state.unfit.count, ordering: .relaxed)
    }
    return answer
  }

  private func heads(for node: NodeID, after position: UInt64) -> ControlMessage {
    let (moved, limit) = state.withLock { state -> ([Lane: LaneHead], UInt64) in
      let isHolder = replicas.contains(node)
      let heads = isHolder ? state.heads : state.heads.merging(state.visible) { $1 }
      let moved = heads.filter {
        $0.value.position.rawValue > position && routes.plan(of: $0.key).nodes.contains(node)
          && (isHolder || routes.isOwn($0.key.agent))
      }
      // What is held back now has moved since then.
      return (moved, isHolder ? .max : state.heldFrom.first.map { max($0, 1) - 1 } ?? .max)
    }
    let oldest = Self.oldest(moved)
    let through = min(oldest.last?.position.rawValue ?? position, max(limit, position))
    return .heads(log: told, through: through, heads: oldest.map(\.end))
  }

  /// The nodes that hold copies of what agents of this node state.
  private var replicas: [NodeID] { routes.topology.node(routes.node)?.replicas.nodes ?? [] }

  /// Up to where a node may read a lane; nil where that is its end.
  private func end(of lane: Lane, for node: NodeID) -> LanePoint? {
    replicas.contains(node) ? nil : state.withLock { $0.visible[lane]?.point }
  }

  private static func oldest(_ moved: [Lane: LaneHead]) -> [(
    position: Position, end: ControlMessage.LaneEnd
  )] {
    moved.sorted { $0.value.position < $1.value.position }.prefix(ControlMessage.headCountMax)
      .map { ($0.value.position, .init(lane: $0.key, point: $0.value.point)) }
  }

  /// How far this node has got with lanes of `origin` that go to `node`, too.
  ///
  /// - Complexity: reads the heads of all lanes where the log has moved. It is asked while an origin is silent, by each
  ///   node once a second.
  private func copies(of origin: NodeID, for node: NodeID, after position: UInt64) -> ControlMessage {
    let isReplica = routes.topology.node(origin)?.replicas.nodes.contains(routes.node) ?? false
    guard origin != routes.node, origin != node || isReplica else {
      return .refused(
        .other, reason: "node '\(node)' asks '\(routes.node)' for copies of what '\(origin)' states")
    }
    do {
      let end = try log.head().rawValue
      var moved =
        end <= position
        ? [:]
        : try log.laneHeads().filter { lane, head in
          guard head.position.rawValue > position else { return false }
          return origin == node
            ? routes.hasBeen(lane.agent, on: node)
            : routes.node(of: lane.agent) == origin && mayServe(lane, to: node)
        }
      for (lane, head) in moved where origin == node && !isFor(node, lane) {
        guard let stay = try stay(of: lane.agent, on: node), stay.isOver else { continue }
        if head.point.epoch > stay.lastEpoch {
          moved[lane]?.point = try log.point(of: lane, throughEpoch: stay.lastEpoch)
        }
      }
      let oldest = Self.oldest(moved.filter { $0.value.point > .start })
      let through = oldest.count < ControlMessage.headCountMax ? max(end, position) : nil
      return .copied(
        of: origin, log: told,
        through: through ?? oldest.last?.position.rawValue ?? position, heads: oldest.map(\.end))
    } catch {
      return .refused(.other, reason: "\(error)")
    }
  }

  /// What a node whose disk was lost had stated of an agent that has left it, as far as is known here: up to which epoch, whatever is
  /// held back here of what followed; and whether that is all that is for it.
  private func stay(of agent: AgentID, on other: NodeID) throws -> (lastEpoch: UInt64, isOver: Bool)? {
    let departure = routes.moving.stays[agent]?[other]
    // While it is on its way it may state more there.
    var isGone = routes.topology.agent(agent)?.node != other && routes.keeper(of: agent) != other
    let lane = Lane(agent: agent, channel: .persistent, target: .type(.moveKept))
    var next = try log.laneHead(lane)?.position ?? .start
    while next > .start, let entry = try log.entry(at: next), let kept = try? MoveKept.decode(entry.record) {
      if kept.hasArrived, kept.order.from == other, kept.order.move == departure { isGone = true }
      if !kept.hasArrived, kept.node == other {
        return (entry.record.epoch, isGone && kept.order.move == departure)
      }
      next = entry.previousInLane
    }
    return nil
  }

  /// Whether a node is one whose disk was lost, to which its replicas, of which this is one, give a lane back.
  private func givesBack(_ lane: Lane, to node: NodeID) -> Bool {
    routes.hasBeen(lane.agent, on: node)
      && routes.topology.node(node)?.replicas.nodes.contains(routes.node) ?? false
  }

  /// Whether a lane begins here, or agents of this node take it, and it goes to `node`. What nodes state under their own
  /// names is served by themselves alone; but who has ordered something, and lost that, has it back from anybody.
  private func mayServe(_ lane: Lane, to node: NodeID) -> Bool {
    if lane.agent == node.author, OrderSuccession.isOfOrders(lane) { return true }
    if routes.hasHandedOver(lane, to: node) { return true }
    return givesBack(lane, to: node) || isFor(node, lane)
  }

  /// Whether a lane leads to a node, and this one has it to give.
  private func isFor(_ node: NodeID, _ lane: Lane) -> Bool {
    let plan = routes.plan(of: lane)
    guard plan.nodes.contains(node) else { return false }
    return routes.node(of: lane.agent) == routes.node || plan.isHeld
      || routes.keeper(of: lane.agent) == routes.node && replicas.contains(node)
  }

  private func records(of lane: Lane, after: LanePoint, for node: NodeID) -> ControlMessage {
    guard mayServe(lane, to: node) else {
      return .refused(.unauthorized, reason: "lane \(lane) does not go from '\(routes.node)' to '\(node)'")
    }
    do {
      let walker = Walker(node: node, lane: lane)
      let known = state.withLock { $0.walks.removeValue(forKey: walker) }
      var rest = known?.after == after ? known?.rest ?? [] : []
      if rest.isEmpty {
        rest = try log.positions(ofLane: lane, after: after, limit: Self.walkPositionCountMax)[...]
      }
      var records: [Record] = []
      var byteCount = 0
      let end = end(of: lane, for: node)
      let stay = givesBack(lane, to: node) ? try stay(of: lane.agent, on: node) : nil
      let isOver = stay?.isOver == true && !isFor(node, lane)
      while let position = rest.first, records.count < Self.answerCountMax {
        guard let record = try log.entry(at: position)?.record else { break }
        if record.epoch > stay?.lastEpoch ?? 0, isOver || record.point > end ?? record.point {
          break
        }
        byteCount += record.byteCount
        if byteCount > Self.answerByteCountMax && !records.isEmpty { break }
        records.append(record)
        rest.removeFirst()
      }
      if let last = records.last, !rest.isEmpty {
        state.withLock { state in
          if state.walks.count >= Self.walkCountMax { state.walks = [:] }
          state.walks[walker] = (last.point, rest)
        }
      }
      return .records(lane: lane, after: after, records: records)
    } catch {
      return .refused(.other, reason: "\(error)")
    }
  }
}
