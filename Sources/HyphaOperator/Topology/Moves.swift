import HyphaCore
import HyphaRuntime
import HyphaTopology

/// The moves of a deployment's agents, as all of its logs together have them.
struct Moves {
  /// One agent's newest move, for people and programs.
  struct Line: Encodable {
    let agent: AgentID
    let from, to: NodeID
    let move: UInt32
    let stage: String
    let orderedAt: String
    let text: String

    static let arrived = "arrived"

    private enum CodingKeys: String, CodingKey { case agent, from, to, move, stage, orderedAt }
  }

  private(set) var moves = AgentMoves()
  /// The files that the deployment has run under since it began.
  private(set) var revisions = Revisions()
  /// How far nodes have got that leave.
  private(set) var departures = Departures()

  /// What the logs in some directories have.
  static func read(_ paths: [String], through end: TopologyReading.End? = nil) throws -> Moves {
    let program = try Program.require()
    var all = Moves()
    for path in paths {
      let reading = try MoveReading(program.readLog(path), through: end)
      all.moves.merge(reading.moves)
      all.revisions.merge(reading.revisions)
      all.departures.merge(reading.departures)
    }
    return all
  }

  /// The newest move of each agent.
  var lines: [Line] {
    moves.newest.map { move in
      let order = move.order
      let (stage, how) =
        switch move.stage {
        case .ordered:
          ("ordered", "is to move from \(order.from) to \(order.to); \(order.from) has not handed it over")
        case .handedOver:
          ("handed-over", "is moving from \(order.from) to \(order.to); \(order.to) takes what it had")
        case .arrived: (Line.arrived, "moved from \(order.from) to \(order.to)")
        }
      return Line(
        agent: order.agent, from: order.from, to: order.to, move: order.move, stage: stage,
        orderedAt: move.orderedAt.text, text: "\(order.agent) \(how) (move \(order.move))")
    }
  }
}
