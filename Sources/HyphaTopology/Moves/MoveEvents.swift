public import HyphaCore

/// Events about where agents run. Nodes state them under their own names, as ``TopologyEvent``, and fetch them from each
/// other directly.
///
/// A move has three of them, each caused by the one before: ``AgentMoved`` says where the agent is to run, ``AgentHandedOver``
/// what it had when its former node ran it last, ``AgentArrived`` that its new node runs it.
public enum MoveEvents {
  /// What is for the node that orders moves (``Topology/moveSeat``).
  public static let forSeat = RevisionEvents.forSeat.union([MoveAsked.eventType])
  /// What is for every node.
  public static let forAll = RevisionEvents.forAll.union([
    AgentMoved.eventType, MoveRefused.eventType, AgentArrived.eventType,
  ])
  /// All of them.
  public static let all = forSeat.union(forAll).union([AgentHandedOver.eventType])
}

/// An operator wants an agent to run on another node. Stated by the node that the operator has spoken to, on the operator's
/// authority; the node that orders moves answers with ``AgentMoved`` or ``MoveRefused``, caused by this.
public struct MoveAsked: TopologyEvent, Hashable {
  public var agent: AgentID
  /// The node that is to run it.
  public var to: NodeID
  /// Why, in the operator's words.
  public var note: String?

  /// A wish, with a reason where there is one.
  public init(agent: AgentID, to node: NodeID, note: String? = nil) {
    self.agent = agent
    to = node
    self.note = note
  }
}

/// From now on an agent belongs to another node.
public struct AgentMoved: TopologyEvent, Hashable {
  /// The number of the move in its deployment; they count from 1.
  public var move: UInt32
  public var agent: AgentID
  /// The node that hands it over, and the node that runs it then.
  public var from, to: NodeID

  /// A move by its parts.
  public init(move: UInt32, agent: AgentID, from: NodeID, to: NodeID) {
    self.move = move
    self.agent = agent
    self.from = from
    self.to = to
  }
}

/// What an operator asked for cannot be.
public struct MoveRefused: TopologyEvent, Hashable {
  public var agent: AgentID
  public var to: NodeID
  public var reason: String
}

/// Part of what an agent had when its former node ran it last: that node never runs it again, unless it is moved back.
///
/// Stated to the agent's new node alone, in one commit with all other parts and the end of the agent's work there.
public struct AgentHandedOver: TopologyEvent, Hashable {
  /// The number of the move, and whose it is.
  public var move: UInt32
  public var agent: AgentID
  /// Which part of how many this is, from 0.
  public var part, partCount: Int
  /// The part's bytes.
  public var bytes: Base64Bytes

  /// The most bytes of one part: it fits into a record of any deployment, as text, too.
  public static let byteCountMax = 256 << 10

  /// The parts that carry some bytes.
  public static func parts(of bytes: [UInt8], move: AgentMoved) -> [AgentHandedOver] {
    let count = max(1, (bytes.count + byteCountMax - 1) / byteCountMax)
    return (0..<count).map { part in
      let range = part * byteCountMax..<min(bytes.count, (part + 1) * byteCountMax)
      return AgentHandedOver(
        move: move.move, agent: move.agent, part: part, partCount: count,
        bytes: Base64Bytes(Array(bytes[range])))
    }
  }
}

/// An agent that was moved works on its new node. In one commit with the ``AgentMoved/move``'s first activation there.
public struct AgentArrived: TopologyEvent, Hashable {
  public static let eventType = EventTypeName.agentArrived
  /// The number of the move, and whose it is.
  public var move: UInt32
  public var agent: AgentID
  /// The node that runs it.
  public var node: NodeID
  /// The epoch that it has entered there.
  public var epoch: UInt64

  /// An arrival by its parts.
  public init(move: UInt32, agent: AgentID, node: NodeID, epoch: UInt64) {
    self.move = move
    self.agent = agent
    self.node = node
    self.epoch = epoch
  }
}
