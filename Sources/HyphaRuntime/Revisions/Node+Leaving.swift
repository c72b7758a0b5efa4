import HyphaCore
public import HyphaLog
public import HyphaTopology
import HyphaTransport
import Synchronization

/// A node leaves the running deployment: it says how far its lanes go, the others take what they lack, and the node that orders
/// revisions says when nobody waits for it any more.
extension Node {
  /// Goes on with what a restart has interrupted. The transport runs.
  func beginLeaving() { beginToRelease() }

  /// Says how far the lanes go that this node has stated, where it leaves, once all that it owes is among it. No agent of its own
  /// works, so they end there.
  private func stateEnds() {
    let node = routes.node
    guard let leave = topology.leaves.first(where: { $0.node == node }), desks.oversight.isClosed,
      desks.own.openCount == 0,
      desks.moves.state.withLock({ state in
        guard !state.hasEnded, state.reading.departures.ends(of: leave) == nil else { return false }
        state.hasEnded = true
        return true
      })
    else { return }
    do {
      // Its word about them is no part of it.
      let own = LaneTarget.type(NodeEnding.eventType)
      let ends = try log.laneHeads().filter { lane, _ in
        // A later file may have others want what agents have stated.
        lane.channel.isLogged && routes.isOwn(lane.agent)
          && (lane.agent != node.author || lane.target != own && !routes.plan(of: lane).nodes.isEmpty)
      }
      let bytes = Array(try JSON.encode(ends.map { Handover.End($0, $1.point) }.sorted { $0.key < $1.key }))
      let epoch = desks.own.state.withLock { $0.outbox?.epoch ?? 0 }
      for part in NodeEnding.parts(of: bytes, node: node, since: leave.since, epoch: epoch) {
        state(own: part, because: nil)
      }
    } catch {
      note(error)
    }
  }

  /// Takes what this node wants and lacks of those that leave and have said how far their lanes go.
  func beginToRelease() {
    guard !topology.isLeaving(routes.node) else { return noteAwaited() }
    let news = desks.moves.state.withLock { state -> [Departures.Leave: [Lane: LanePoint]] in
      let departures = state.reading.departures
      var news: [Departures.Leave: [Lane: LanePoint]] = [:]
      for leave in topology.leaves where state.wanted[leave] == nil && !state.released.contains(leave) {
        guard !departures.hasReleased(leave.node, by: routes.node, under: topology.revision),
          let bytes = departures.ends(of: leave),
          let ends = try? JSON.decode([Handover.End].self, from: bytes)
        else { continue }
        news[leave] = Handover.points(ends).filter {
          routes.node(of: $0.key.agent) == leave.node && routes.plan(of: $0.key).isTaken
        }
      }
      state.wanted.merge(news) { $1 }
      return news
    }
    for (leave, lanes) in news.sorted(by: { $0.key.node < $1.key.node }) {
      for (lane, point) in lanes.sorted(by: { "\($0.key)" < "\($1.key)" }) {
        couriers[lane.channel]?.courier.withLock { $0.announce(lane, point, by: leave.node, now: now()) }
      }
    }
    lookAfterLeaving()
  }

  /// Looks whether this node has all that it wants of those that leave, and whether they are not waited for any more, again and
  /// again.
  func lookAfterLeaving() {
    guard !topology.leaves.isEmpty, !isStopped else { return }
    stateEnds()
    release()
    guard mayOrder else { return }
    let ended = desks.moves.state.withLock { state -> [Departures.Leave] in
      guard !state.isRevised, !state.isReplaced else { return [] }
      let ended = state.reading.departures.ended(in: topology, moves: state.reading.moves)
      // Nothing else is ordered until it is there.
      if !ended.isEmpty { state.isRevised = true }
      return ended
    }
    for leave in ended { state(own: NodeRetired(node: leave.node, since: leave.since), because: nil) }
  }

  private func release() {
    let released = desks.moves.state.withLock { state -> [Departures.Leave] in
      guard !state.isReplaced else { return [] }
      var released: [Departures.Leave] = []
      for (leave, lanes) in state.wanted {
        // A lane that cannot be read now is looked at again.
        let open = lanes.filter { ((try? log.laneHead($0.key))??.point ?? .start) < $0.value }
        state.wanted[leave] = open
        guard open.isEmpty, !desks.moves.moving.arriving.values.contains(leave.node) else { continue }
        // Nobody else can confirm what came by way of others. What the log has shown above is known there.
        guard auditor?.awaits(leave.node) != true else { continue }
        state.wanted[leave] = nil
        state.released.insert(leave)
        released.append(leave)
      }
      return released.sorted { $0.node < $1.node }
    }
    for leave in released {
      state(
        own: NodeReleased(node: leave.node, by: routes.node, revision: topology.revision), because: nil)
    }
  }

  /// Tells the operator of a node that leaves whom it waits for.
  private func noteAwaited() {
    let awaited = desks.moves.state.withLock {
      $0.reading.departures.awaited(by: routes.node, in: topology)
    }
    guard !awaited.isEmpty else { return }
    note("this node leaves, and waits for \(awaited.map(\.text).joined(separator: ", ")) to have its events")
  }

  /// Whether this node has left the deployment.
  public var hasLeft: Bool {
    desks.moves.state.withLock { state in
      topology.leaves.contains { $0.node == routes.node && state.reading.departures.hasLeft($0) }
        || state.reading.revisions.newest?.leaving?.contains { $0.node == routes.node && $0.isGone } ?? false
    }
  }

  /// Whether a log's node has left the deployment, so that it does nothing any more.
  ///
  /// - Parameter topology: what it would run under (``current(_:_:by:followsLog:)``).
  /// - Throws: what reading the log throws.
  public static func hasLeft(_ topology: Topology, by log: any EventLog) throws -> Bool {
    try MoveReading(log).placing(topology).hasLeft(log.identity.node)
  }

  /// How many events of nodes that have left are for agents of this node, once for each: what they stated nobody else counts.
  func statedPairCounts(ofLeft topology: Topology) -> [Channel: UInt64] {
    guard !topology.leftNodes.isEmpty, let heads = try? log.laneHeads() else { return [:] }
    var counts: [Channel: UInt64] = [:]
    for (lane, head) in heads where lane.channel.isLogged {
      // What it has stated under its own name, too, as digests.
      guard routes.hasLeft(originOf: lane) else { continue }
      counts[lane.channel, default: 0] += head.count * UInt64(routes.plan(of: lane).local.count)
    }
    return counts
  }
}
