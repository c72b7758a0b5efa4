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
    let parts = pieces(of: bytes)
    return parts.enumerated().map { part, bytes in
      AgentHandedOver(
        move: move.move, agent: move.agent, part: part, partCount: parts.count, bytes: Base64Bytes(bytes))
    }
  }

  /// Bytes in pieces of at most ``byteCountMax``; at least one.
  static func pieces(of bytes: [UInt8]) -> [[UInt8]] {
    guard !bytes.isEmpty else { return [[]] }
    return stride(from: 0, to: bytes.count, by: byteCountMax).map { begin in
      Array(bytes[begin..<min(bytes.count, begin + byteCountMax)])
    }
  }
}

/// Part of what the replicas of a node are to know of an agent that leaves it, or has come to it: so that the node knows it again
/// when its disk is lost. An agent states it in its own stream, to nobody.
///
/// Where the agent leaves, it is the last that the node states of it, before it hands it over; where it has come, it is in one commit
/// with its first activation there. All parts are in one commit.
public struct MoveKept: Event, Hashable {
  public static let eventType = EventTypeName.moveKept
  /// The move.
  public var order: AgentMoved
  /// Whether it has come to the node that states this; it leaves it otherwise.
  public var hasArrived: Bool
  /// Which part of how many this is, from 0.
  public var part, partCount: Int
  /// The part's bytes: what the agent had when its former node ran it last.
  public var bytes: Base64Bytes

  public var subject: Subject { Subject(slug: "hypha.agent.\(order.agent)") }

  /// The node that states it.
  public var node: NodeID { hasArrived ? order.to : order.from }

  /// The parts that carry some bytes.
  public static func parts(of bytes: [UInt8], _ order: AgentMoved, hasArrived: Bool) -> [MoveKept] {
    let parts = AgentHandedOver.pieces(of: bytes)
    return parts.enumerated().map { part, bytes in
      MoveKept(
        order: order, hasArrived: hasArrived, part: part, partCount: parts.count, bytes: Base64Bytes(bytes))
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
