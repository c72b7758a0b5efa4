import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// Moves from and to a node with replicas, which are to know of them: else a node whose disk is lost would begin agents again that have
/// left it, and not those that have come (move-kept in docs/guarantees.md).
extension Node {
  /// What is stated of an agent that leaves, before it is handed over: what it had, as the last that this node states of it.
  func keptDeparture(_ order: AgentMoved, _ handover: Handover) throws -> [Stated] {
    var handover = handover
    var stated: [Stated] = []
    var outbox = Outbox(
      agent: order.agent, epoch: handover.epoch, lanes: Handover.points(handover.stated),
      policyVersion: topology.version, committed: handover.committed)
    if handover.epoch == 0, let spec = topology.agent(order.agent) {
      // It has never worked here, so it has no epoch to end.
      let heardOf = try RejoinRecord.read(in: log)?.epoch ?? 0
      outbox = Outbox(
        agent: order.agent, epoch: epoch(after: heardOf), lanes: [:], policyVersion: topology.version)
      let opening = try activation(of: spec, outbox.epoch, after: 0, [:], handled: nil, &outbox)
      handover.end(with: opening.record)
      stated = [opening]
    }
    return try stated + keep(handover, order, hasArrived: false, &outbox)
  }

  /// What was stated of agents that leave is in lanes that this node may take from elsewhere now, from there on.
  func passKeptDepartures() throws {
    let moves = desks.moves.state.withLock { $0.kept.keys }
    let agents = Set(desks.moves.leaving.lazy.filter { moves.contains($0.order.move) }.map(\.order.agent))
    guard !agents.isEmpty else { return }
    let heads = try log.laneHeads().filter { agents.contains($0.key.agent) && $0.key.channel == .persistent }
    couriers[.persistent]?.courier.withLock {
      $0.reset(heads.mapValues(\.point), now: now(), pause: .zero)
    }
  }

  /// What is stated of an agent of this node that has come from another, where its replicas do not know it: with its first activation,
  /// or when the node has got replicas.
  func keptArrival(of agent: AgentID, _ outbox: inout Outbox) throws -> [Stated] {
    guard replication != nil, let (order, handover) = desks.moves.unkeptArrival(of: agent) else { return [] }
    return try keep(handover, order, hasArrived: true, &outbox)
  }

  private func keep(
    _ handover: Handover, _ order: AgentMoved, hasArrived: Bool, _ outbox: inout Outbox
  ) throws -> [Stated] {
    let bytes = Array(try JSON.encode(handover))
    return try MoveKept.parts(of: bytes, order, hasArrived: hasArrived).map { part in
      let draft = try Draft(bus: part, to: nil, newEvent(), because: nil)
      return Stated(
        record: try Record(outbox.number(draft), payload: draft.payload, limits: limits), event: part)
    }
  }

  /// Says what waited for replicas to have all that this node has stated: that agents have come here, and what those had that leave.
  func tellKeptMoves() {
    guard replication != nil else { return }
    for event in desks.moves.state.withLock({ $0.arrivals }) {
      state(own: event, because: desks.moves.state.withLock { $0.reading.orders[event.move] })
    }
    for move in desks.moves.leaving {
      guard let handover = desks.moves.keptDeparture(move.order) else { continue }
      do {
        for part in AgentHandedOver.parts(of: Array(try JSON.encode(handover)), move: move.order) {
          let cause = desks.moves.state.withLock { $0.reading.orders[move.order.move] }
          state(own: part, to: move.order.to.author, because: cause)
        }
      } catch {
        note(error)
      }
    }
  }
}
