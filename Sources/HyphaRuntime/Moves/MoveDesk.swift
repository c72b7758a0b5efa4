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
    /// Wishes that were answered, and whose answers are on their way into the log.
    var given: Set<EventID> = []
    /// The orders among those answers.
    var ordered: [AgentMoved] = []
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
  /// The agents that were moved here at any time, where they began in this log, and what they had.
  let arrived: [AgentID: (position: Position, handover: Handover)]
  /// What agents had when they came here that are to be handed over now.
  let brought: [AgentID: Handover]

  /// What a log says, for a node of the topology that its file says.
  ///
  /// - Throws: what reading the log throws.
  init(_ file: Topology, node: NodeID, log: any LogReader) throws {
    let heads = try log.laneHeads()
    let reading = try MoveReading(log, lanes: heads)
    topology = try reading.moves.placing(file)
    var adopted: [AgentID: (order: AgentMoved, handover: Handover)] = [:]
    var moving = MovingAgents()
    var missing: [AgentID: [Lane: LanePoint]] = [:]
    for move in reading.arriving where file.agent(move.order.agent) != nil {
      let (agent, handover) = (move.order.agent, reading.handover(move.order))
      let open = handover?.goals.filter { heads[$0.key]?.point ?? .start < $0.value }
      if let handover, let open, open.isEmpty {
        adopted[agent] = (move.order, handover)
      } else {
        moving.arriving[agent] = move.order.from
        missing[agent] = open
      }
    }
    for move in reading.departed { moving.departed[move.order.agent] = move.order.to }
    self.adopted = adopted
    self.moving = moving
    leaving = reading.departed.filter {
      !reading.handedOver.contains($0.order.move) && file.agent($0.order.agent) != nil
    }
    arrived = reading.arrived.reduce(into: [:]) { arrived, move in
      guard let position = reading.arrivals[move.order.move],
        let handover = reading.handover(move.order)
      else { return }
      arrived[move.order.agent] = (position, handover)
    }
    brought = leaving.reduce(into: [:]) { brought, move in
      let earlier = reading.moves.moves.last {
        $0.order.agent == move.order.agent && $0.order.to == node && $0.order.move < move.order.move
      }
      brought[move.order.agent] = earlier.flatMap { reading.handover($0.order) }
    }
    state = Mutex(State(reading: reading, missing: missing))
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

/// The agents of one node that are between two nodes while it runs.
struct MovingAgents: Sendable, Equatable {
  /// Those that belong here and do not work here yet, with the nodes that they come from.
  var arriving: [AgentID: NodeID] = [:]
  /// Those that have belonged here, with the nodes that they belong to.
  var departed: [AgentID: NodeID] = [:]
}
