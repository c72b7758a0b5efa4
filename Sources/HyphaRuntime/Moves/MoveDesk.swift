import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What a node knows of moves, and by which of them it runs.
///
/// A node follows one placement from its start to its end. Where it learns of another it has itself started anew
/// (``Node/whenReplaced(_:)``): in order, on the same log.
final class MoveDesk: Sendable {
  struct State {
    var reading: MoveReading
    /// What agents had that leave, as this start has stated it for the node's replicas.
    var kept: [UInt32: Handover] = [:]
    /// That agents work here, as is said once replicas have all of them.
    var arrivals: [AgentArrived] = []
    /// Wishes that were answered, and whose answers are on their way into the log.
    var given: Set<EventID> = []
    /// The orders among those answers.
    var ordered: [AgentMoved] = []
    /// Whether this node answers wishes, where it is the one that does.
    var ordering: Ordering
    /// What it asks others before, where it may have lost what it had ordered.
    var recall: OrderRecall
    /// Whether another file was ordered, or a node has left, which is on its way into the log.
    var isRevised = false
    /// What of the nodes that leave this one has still to get; and those that it has released.
    var wanted: [Departures.Leave: [Lane: LanePoint]] = [:]
    var released: Set<Departures.Leave> = []
    /// Whether this node leaves, and has said how far its lanes go since it began.
    var hasEnded = false
    /// The nodes that follow another topology, since when.
    var unlike: [NodeID: Timestamp] = [:]
    /// What has still to come of each agent that arrives.
    var missing: [AgentID: [Lane: LanePoint]] = [:]
    /// Whether the node's agents have begun.
    var isBegun = false
    /// Whether the node is to start anew; and who is told, once.
    var isReplaced = false
    var whenReplaced: (@Sendable () -> Void)?
  }

  let state: Mutex<State>
  /// The topology with agents where they belong by what the log has had of moves.
  let topology: Topology
  let moving: MovingAgents
  /// The agents that begin on this node with this start, and what they had.
  let adopted: [AgentID: (order: AgentMoved, handover: Handover)]
  /// The agents that this node has still to hand over.
  let leaving: [AgentMoves.Move]
  /// The agents that it has handed over, and that do not come back.
  let handedOver: Set<AgentID>
  /// The agents that were moved here at any time, where they began in this log, and what they had.
  let arrived: [AgentID: (position: Position, handover: Handover)]
  /// Those of them of whom this log has not said to others that they have arrived.
  let untold: [AgentID: AgentMoved]
  /// What those of them had handled before; of those that have come back from replicas, what they were to be given again lies open.
  let handledElsewhere: [AgentID: HandledElsewhere]
  /// What agents had when they came here that are to be handed over now; and what of that they were to be given again, where they have
  /// come back from replicas.
  let brought: [AgentID: Handover]
  let owed: [AgentID: [Handover.Retry]]

  /// What a log says, for a node of the topology that its file says.
  ///
  /// - Throws: what reading the log throws.
  init(_ file: Topology, node: NodeID, log: any LogReader) throws {
    let heads = try log.laneHeads()
    let reading = try MoveReading(log, lanes: heads)
    topology = try reading.placing(file)
    var adopted: [AgentID: (order: AgentMoved, handover: Handover)] = [:]
    var moving = MovingAgents()
    var missing: [AgentID: [Lane: LanePoint]] = [:]
    let routes = reading.arriving.isEmpty ? nil : Routes(topology)
    for move in reading.arriving
    where file.agent(move.order.agent) != nil && !file.isRetired(move.order.agent) {
      let (agent, handover) = (move.order.agent, reading.handover(move.order))
      let goals = handover?.goals { !$0.isJudgement && routes?.destinations(of: $0).contains(agent) ?? false }
      let open = goals?.filter { heads[$0.key]?.point ?? .start < $0.value }
      if let handover, let open, open.isEmpty {
        adopted[agent] = (move.order, handover)
      } else {
        moving.arriving[agent] = move.order.from
        missing[agent] = open
      }
    }
    for move in reading.departed { moving.departed[move.order.agent] = move.order.to }
    for order in reading.moves.moves.map(\.order) {
      for node in [order.from, order.to] { moving.stays[order.agent, default: [:]][node] = order.move }
    }
    for move in reading.moves.newest where move.stage != .arrived {
      // One that works here from this start on has all that its former node has.
      let isHere = move.order.to == node && moving.arriving[move.order.agent] == nil
      guard !isHere, topology.node(move.order.from)?.replicas.nodes.isEmpty == false else { continue }
      moving.keepers[move.order.agent] = move.order
    }
    self.adopted = adopted
    self.moving = moving
    leaving = reading.departed.filter {
      !reading.handedOver.contains($0.order.move) && file.agent($0.order.agent) != nil
    }
    let given = reading.departed.filter { reading.handedOver.contains($0.order.move) }
    handedOver = Set(given.map(\.order.agent))
    arrived = reading.arrived.reduce(into: [:]) { arrived, move in
      guard let position = reading.arrivals[move.order.move],
        let handover = reading.handover(move.order)
      else { return }
      arrived[move.order.agent] = (position, handover)
    }
    let untold = reading.arrived.map(\.order).filter { !reading.toldArrivals.contains($0.move) }
    self.untold = Dictionary(untold.map { ($0.agent, $0) }, uniquingKeysWith: { $1 })
    handledElsewhere = arrived.mapValues { position, handover in
      var handled = HandledElsewhere(position, handover.allHandled)
      if position == .start { handled.open = Set(handover.retries.map(\.id)) }
      return handled
    }
    var (brought, owed): ([AgentID: Handover], [AgentID: [Handover.Retry]]) = ([:], [:])
    for move in leaving {
      let earlier = reading.moves.moves.last {
        $0.order.agent == move.order.agent && $0.order.to == node && $0.order.move < move.order.move
      }
      guard let order = earlier?.order, let handover = reading.handover(order) else { continue }
      brought[order.agent] = handover
      if reading.arrivals[order.move] == .start { owed[order.agent] = handover.retries }
    }
    (self.brought, self.owed) = (brought, owed)
    state = Mutex(
      State(
        reading: reading, ordering: try Ordering.atStart(of: log, under: file),
        recall: OrderRecall(of: node.author), missing: missing))
  }

  /// What agents had when they came here last.
  var handovers: [AgentID: Handover] {
    arrived.mapValues(\.handover).merging(adopted.mapValues(\.handover)) { $1 }
  }

  /// What an agent had that leaves, as it was stated for this node's replicas; nil where it was not.
  func keptDeparture(_ order: AgentMoved) -> Handover? {
    state.withLock { state in state.kept[order.move] ?? state.reading.keptDepartures[order.move] }
  }

  /// The move by which an agent has come here, and what it had, where this node's replicas do not know that.
  func unkeptArrival(of agent: AgentID) -> (order: AgentMoved, handover: Handover)? {
    if let adopted = adopted[agent] { return adopted }
    return state.withLock { state in
      guard let order = state.reading.arrived.first(where: { $0.order.agent == agent })?.order,
        !state.reading.keptArrivals.contains(order.move), let handover = state.reading.handover(order)
      else { return nil }
      return (order, handover)
    }
  }

  /// What of an agent's own lanes stands in this log and was stated: of what came from its former node some may have been
  /// lost there in a crash, and lies beside.
  func ownLanes(of agent: AgentID, _ heads: [Lane: LanePoint]) -> [Lane: LanePoint] {
    guard let handover = adopted[agent]?.handover ?? arrived[agent]?.handover ?? brought[agent] else {
      return heads
    }
    let known = Handover.points(handover.stated)
    return heads.merging(known) { head, _ in head }.reduce(into: [:]) { lanes, head in
      let point = head.value.epoch > handover.epoch ? head.value : known[head.key] ?? .start
      if point > .start { lanes[head.key] = point }
    }
  }
}

extension Lane {
  /// Whether it has what a node states under its own name, to nobody in particular.
  fileprivate var isJudgement: Bool {
    if case .type = target { agent.text.hasPrefix(NodeID.authorPrefix) } else { false }
  }
}

/// The agents of one node that are between two nodes while it runs.
struct MovingAgents: Sendable, Equatable {
  /// Those that belong here and do not work here yet, with the nodes that they come from.
  var arriving: [AgentID: NodeID] = [:]
  /// Those that have belonged here, with the nodes that they belong to.
  var departed: [AgentID: NodeID] = [:]
  /// Those, of any node, that leave one with replicas and are not known to work elsewhere.
  var keepers: [AgentID: AgentMoved] = [:]
  /// The nodes that moved agents are on, or were, with the number of the newest move from there or to there.
  var stays: [AgentID: [NodeID: UInt32]] = [:]
}
