public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// What a node's log has of moves: from the log alone, while the node runs or not.
public struct MoveReading: Sendable {
  /// All moves that the log knows of, and how far they have got as far as it knows.
  public private(set) var moves = AgentMoves()
  /// The operators' words for moves.
  public private(set) var notes: [UInt32: String] = [:]
  /// The events that ordered them, as causes of others.
  private(set) var orders: [UInt32: Cause] = [:]
  /// What agents had that were moved to this node; whole ones.
  private var handovers: [Part: Handover] = [:]
  /// Where agents that were moved here began; the log's begin where it came back from replicas, and they had begun before.
  private(set) var arrivals: [UInt32: Position] = [:]
  /// Those of which this log says so.
  private(set) var toldArrivals: Set<UInt32> = []
  /// The moves to this node that its replicas are to know of.
  private(set) var keptArrivals: Set<UInt32> = []
  /// What agents had that leave, as this node's replicas are to know it before it hands them over.
  private(set) var keptDepartures: [UInt32: Handover] = [:]
  /// The moves for which this node has handed its agent over.
  private(set) var handedOver: Set<UInt32> = []
  /// What operators have asked for and nobody has answered, the oldest first; on the node that orders moves.
  private(set) var unanswered: [(asked: MoveAsked, cause: Cause)] = []
  /// The files that the deployment has run under since it began, and what operators wanted to apply and nobody has answered.
  public private(set) var revisions = Revisions()
  private(set) var unansweredRevisions: [(asked: RevisionAsked, cause: Cause)] = []
  /// The wishes that were answered: who orders newly gets them after the answers.
  private var answers: Set<EventID> = []
  /// How far nodes have got that leave.
  public private(set) var departures = Departures()
  /// The entries that all this was read from.
  private(set) var positions: Set<Position> = []

  private let node: NodeID
  private var parts: [Part: [Int: [UInt8]]] = [:]
  private var keptParts: [KeptPart: [Int: [UInt8]]] = [:]
  private var returned: [Returned] = []
  private var eventParts = EventParts()

  /// Whose parts go together: what another node than the agent's former one says is not mixed with what that says.
  private struct Part: Hashable {
    let move: UInt32
    let author: AgentID
  }

  /// What has come back from replicas of a move.
  private struct Returned {
    let order: AgentMoved
    let time: Timestamp
    let handover: Handover
    let hasArrived: Bool
  }

  /// What is kept of a move in one commit: one that broke off has come back in part.
  private struct KeptPart: Hashable {
    let order: AgentMoved
    let hasArrived: Bool
    let epoch: UInt64
  }

  /// Reads a log.
  ///
  /// - Complexity: looks at the heads of all lanes, and reads the few entries that are about moves.
  /// - Throws: what reading throws.
  ///
  /// - Parameter end: reads up to this position or this time; nil reads all.
  public init(_ log: any LogReader, through end: TopologyReading.End? = nil) throws {
    try self.init(log, lanes: log.laneHeads(), through: end)
  }

  /// Reads a log whose lanes have been read.
  public init(_ log: any LogReader, lanes: [Lane: LaneHead], through end: TopologyReading.End? = nil) throws {
    node = log.identity.node
    var positions: Set<Position> = []
    for lane in lanes.keys where Self.isAboutMoves(lane) {
      positions.formUnion(try log.positions(ofLane: lane, after: .start))
    }
    for position in positions.sorted() {
      guard let entry = try log.entry(at: position) else { continue }
      switch end {
      case .position(let last)? where position > last: continue
      case .time(let last)? where entry.record.time > last: continue
      default: break
      }
      // What does not decode was passed over when it came, too.
      _ = try? take(entry.record, at: position, isStated: entry.source == .stated)
    }
    try takeReturned(in: log)
  }

  private static func isAboutMoves(_ lane: Lane) -> Bool {
    guard lane.channel == .persistent else { return false }
    if lane.target == .type(.moveKept) { return true }
    guard lane.agent.text.hasPrefix(NodeID.authorPrefix) else { return false }
    switch lane.target {
    case .type(let type): return MoveEvents.all.contains(type)
    case .addressee(let agent): return agent.text.hasPrefix(NodeID.authorPrefix)
    }
  }

  /// What an entry has brought.
  enum News: Equatable {
    case moved(AgentMoved)
    /// There is a newer file, or a node has left.
    case revised
    /// A node that leaves has got on.
    case leaving
    case asked
    case handedOver(UInt32)
    case other
  }

  /// Takes note of an entry of the log, in the order of the log. Nil where it is not about moves.
  mutating func take(_ record: Record, at position: Position, isStated: Bool) throws -> News? {
    let header = record.header
    if header.type == MoveKept.eventType {
      try take(MoveKept.decode(record), record, at: position, isStated: isStated)
      return .other
    }
    guard MoveEvents.all.contains(header.type) else { return nil }
    positions.insert(position)
    guard let record = eventParts.take(record) else { return .other }
    func answered() {
      answers.insert(header.causation)
      unanswered.removeAll { $0.cause.event == header.causation }
      unansweredRevisions.removeAll { $0.cause.event == header.causation }
    }
    switch header.type {
    case MoveAsked.eventType:
      let asked = try MoveAsked.decode(record)
      guard !answers.contains(header.id) else { return .other }
      unanswered.append((asked, Cause(event: header.id, correlation: header.correlation)))
      return .asked
    case AgentMoved.eventType:
      let order = try AgentMoved.decode(record)
      answered()
      guard moves.take(order, at: header.time) else { return .other }
      orders[order.move] = Cause(event: header.id, correlation: header.correlation)
      return .moved(order)
    case MoveRefused.eventType, RevisionRefused.eventType: answered()
    case RevisionAsked.eventType:
      let asked = try RevisionAsked.decode(record)
      guard !answers.contains(header.id) else { return .other }
      unansweredRevisions.append((asked, Cause(event: header.id, correlation: header.correlation)))
      return .asked
    case TopologyRevised.eventType:
      let order = try TopologyRevised.decode(record)
      answered()
      let cause = Cause(event: header.id, correlation: header.correlation)
      for move in order.moves where moves.take(move, at: header.time) { orders[move.move] = cause }
      guard revisions.take(order, at: header.time), order == revisions.newest else { return .other }
      return .revised
    case NodeEnding.eventType, NodeReleased.eventType, NodeRetired.eventType:
      return try takeLeaving(record)
    case AgentArrived.eventType:
      let event = try AgentArrived.decode(record)
      moves.note(event.move, .arrived)
      guard isStated else { break }
      toldArrivals.insert(event.move)
      if arrivals[event.move] == nil { arrivals[event.move] = position }
    case AgentHandedOver.eventType:
      return try take(AgentHandedOver.decode(record), by: header.agent, isStated: isStated)
    default: break
    }
    return .other
  }

  /// What a node says of another's leave, or another of its own, is passed over.
  private mutating func takeLeaving(_ record: Record) throws -> News {
    switch record.type {
    case NodeEnding.eventType:
      let event = try NodeEnding.decode(record)
      guard record.agent == event.node.author else { return .other }
      departures.take(event)
    case NodeReleased.eventType:
      let event = try NodeReleased.decode(record)
      guard record.agent == event.by.author else { return .other }
      departures.take(event)
    default:
      let event = try NodeRetired.decode(record)
      let isFollowed = revisions.newest?.leaving?.contains {
        $0.node == event.node && $0.since == event.since && !$0.isGone
      }
      if departures.take(event), isFollowed == true { return .revised }
    }
    return .leaving
  }

  /// What an agent has said of a move for its node's replicas. What is not stated here has come back from these, and is all that this
  /// log has of the move; what concerns other nodes is passed over.
  private mutating func take(_ event: MoveKept, _ record: Record, at position: Position, isStated: Bool)
    throws
  {
    guard event.node == node, event.order.agent == record.agent else { return }
    let key = KeptPart(order: event.order, hasArrived: event.hasArrived, epoch: record.epoch)
    keptParts[key, default: [:]][event.part] = event.bytes.bytes
    guard let all = keptParts[key], all.count == event.partCount else { return }
    keptParts[key] = nil
    let (order, time) = (event.order, record.time)
    var handover = try JSON.decode(Handover.self, from: (0..<event.partCount).flatMap { all[$0] ?? [] })
    if !event.hasArrived { handover.end(with: record) }
    let returned = Returned(order: order, time: time, handover: handover, hasArrived: event.hasArrived)
    guard isStated else { return self.returned.append(returned) }
    guard event.hasArrived else { return keptDepartures[order.move] = handover }
    keptArrivals.insert(order.move)
    moves.note(order.move, .arrived)
    if arrivals[order.move] == nil { arrivals[order.move] = position }
  }

  /// Takes what replicas have given back of moves. It counts where all has come back that the agent had stated by then: before that it
  /// was not handed over, nor has anything left of what it did where it had come to.
  private mutating func takeReturned(in log: any LogReader) throws {
    for returned in returned {
      let (order, handover) = (returned.order, returned.handover)
      let isWhole = try Handover.points(handover.stated).allSatisfy {
        try log.point(of: $0.key, throughEpoch: handover.epoch) >= $0.value
      }
      guard isWhole else { continue }
      moves.take(order, at: returned.time)
      if returned.hasArrived {
        keptArrivals.insert(order.move)
        handovers[Part(move: order.move, author: order.from.author)] = handover
        arrivals[order.move] = .start
        moves.note(order.move, .arrived)
      } else if keptDepartures[order.move] == nil {
        keptDepartures[order.move] = handover
      }
    }
    returned = []
  }

  private mutating func take(_ event: AgentHandedOver, by author: AgentID, isStated: Bool) throws -> News {
    let key = Part(move: event.move, author: author)
    parts[key, default: [:]][event.part] = event.bytes.bytes
    guard let all = parts[key], all.count == event.partCount else { return .other }
    parts[key] = nil
    moves.note(event.move, .handedOver)
    if isStated {
      handedOver.insert(event.move)
      return .other
    }
    // A node whose disk was lost says it again; what the agent has begun with counts.
    guard arrivals[event.move] == nil else { return .other }
    let bytes = (0..<event.partCount).flatMap { all[$0] ?? [] }
    handovers[key] = try JSON.decode(Handover.self, from: bytes)
    return .handedOver(event.move)
  }
}

extension MoveReading {
  /// A topology with agents where they belong, and without the nodes that have left.
  public func placing(_ topology: Topology) throws -> Topology {
    try moves.placing(topology).without(departures)
  }

  /// What an agent had that was moved to this node, as its former node has said; nil where that has not come whole.
  func handover(_ order: AgentMoved) -> Handover? {
    handovers[Part(move: order.move, author: order.from.author)]
  }

  /// The agents that are to run on this node and were not begun here, with their moves.
  var arriving: [AgentMoves.Move] {
    moves.newest.filter { $0.order.to == node && arrivals[$0.order.move] == nil }
  }

  /// The agents that were moved away from this node, with their moves.
  var departed: [AgentMoves.Move] { moves.newest.filter { $0.order.from == node } }

  /// The agents that were moved here and have begun, with their moves.
  var arrived: [AgentMoves.Move] {
    moves.newest.filter { $0.order.to == node && arrivals[$0.order.move] != nil }
  }
}
