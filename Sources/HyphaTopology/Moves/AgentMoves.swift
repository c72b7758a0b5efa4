public import HyphaCore

/// Where agents were moved: a fold of ``AgentMoved``, ``AgentHandedOver`` and ``AgentArrived``, in whatever order they become
/// known. Pure.
///
/// The topology file says where agents begin; moves come on top of it, by their numbers. The hash by which nodes tell
/// whether they follow one topology stays that of the file.
public struct AgentMoves: Sendable, Hashable {
  /// How far a move has got, as far as is known.
  public enum Stage: Int, Sendable, Hashable, Comparable {
    /// Ordered: its former node has to hand it over.
    case ordered
    /// Handed over: its new node takes what it had.
    case handedOver
    /// Its new node runs it.
    case arrived

    /// By how far a move has got.
    public static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }
  }

  /// A move.
  public struct Move: Sendable, Hashable {
    public let order: AgentMoved
    /// When it was ordered.
    public fileprivate(set) var orderedAt: Timestamp
    public fileprivate(set) var stage: Stage
  }

  /// The moves that are known, by number.
  public private(set) var moves: [Move] = []
  /// The numbers of moves that have got so far and may not be known themselves yet.
  private var stages: [UInt32: Stage] = [:]

  /// No moves.
  public init() {}

  /// Takes note of an order. Returns whether it was new; one that was said again counts as ordered when it was first.
  @discardableResult
  public mutating func take(_ order: AgentMoved, at time: Timestamp) -> Bool {
    if let known = moves.firstIndex(where: { $0.order.move == order.move }) {
      moves[known].orderedAt = min(time, moves[known].orderedAt)
      return false
    }
    let place = moves.firstIndex { $0.order.move > order.move } ?? moves.endIndex
    moves.insert(Move(order: order, orderedAt: time, stage: stages[order.move] ?? .ordered), at: place)
    return true
  }

  /// Takes note that a move has got to a stage; one that is past it stays there.
  public mutating func note(_ move: UInt32, _ stage: Stage) {
    guard stage > stages[move] ?? .ordered else { return }
    stages[move] = stage
    if let place = moves.firstIndex(where: { $0.order.move == move }) { moves[place].stage = stage }
  }

  /// Takes what is known elsewhere.
  public mutating func merge(_ other: AgentMoves) {
    for move in other.moves { take(move.order, at: move.orderedAt) }
    for (move, stage) in other.stages { note(move, stage) }
  }

  /// The newest move of an agent; nil where it was never moved.
  public func newest(of agent: AgentID) -> Move? { moves.last { $0.order.agent == agent } }

  /// The newest move of each agent that was moved, in the order of the moves.
  public var newest: [Move] { moves.filter { $0 == newest(of: $0.order.agent) } }

  /// Where the agents that were moved belong.
  public var places: [AgentID: NodeID] {
    Dictionary(moves.map { ($0.order.agent, $0.order.to) }, uniquingKeysWith: { $1 })
  }

  /// A topology with agents where they were moved. Moves of agents and nodes that it does not have are passed over.
  public func placing(_ topology: Topology) throws -> Topology {
    try topology.placing(places.filter { topology.node($0.value) != nil })
  }

  // MARK: Ordering

  /// What the node that orders moves answers to a wish.
  public enum Answer: Sendable, Hashable {
    case moved(AgentMoved)
    case refused(MoveRefused)
  }

  /// The answer to a wish, as a next move or a reason why not.
  ///
  /// - Parameter topology: the file's, or one that it was placed by.
  public func answer(to asked: MoveAsked, in topology: Topology) -> Answer {
    func refused(_ reason: String) -> Answer {
      .refused(MoveRefused(agent: asked.agent, to: asked.to, reason: reason))
    }
    guard let spec = topology.agent(asked.agent), !topology.isRetired(asked.agent) else {
      return refused("there is no agent '\(asked.agent)'")
    }
    let places = topology.stayingNodes.map(\.id.text).joined(separator: ", ")
    guard topology.node(asked.to) != nil else {
      return refused("there is no node '\(asked.to)'; name one of \(places)")
    }
    guard !topology.isLeaving(asked.to) else {
      return refused("node '\(asked.to)' leaves; name one of \(places)")
    }
    let newest = newest(of: asked.agent)
    let from = newest?.order.to ?? spec.node
    if let newest, newest.stage != .arrived {
      return refused(
        "it is on its way from '\(newest.order.from)' to '\(from)' (move \(newest.order.move)); wait until it is there"
      )
    }
    guard from != asked.to else { return refused("it is there already") }
    let number = (moves.last?.order.move ?? 0) + 1
    return .moved(AgentMoved(move: number, agent: asked.agent, from: from, to: asked.to))
  }
}
