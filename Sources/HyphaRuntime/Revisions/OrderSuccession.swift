import HyphaCore
import HyphaLog
import HyphaTopology

/// What moves and revisions were ordered that a node's log does not have as its own: for one that orders in the place of another, or that
/// has lost what it had ordered. It says all of that again under its own name.
///
/// What a node states under its name comes from that node alone. So who comes later, or begins with an empty log, would never know
/// what was ordered by one that has left.
struct OrderSuccession {
  /// An order, or an answer that is none.
  enum Order: Equatable {
    case revised(TopologyRevised)
    case moved(AgentMoved)
    case retired(NodeRetired)
    case fileRefused(RevisionRefused)
    case moveRefused(MoveRefused)
  }

  /// What an order is known by, whoever says it.
  private enum Key: Hashable {
    case file(UInt32)
    case move(UInt32)
    case leave(Departures.Leave)
    case refusal(of: EventID)
  }

  /// What this node has not said yet. The newest file comes first: who takes it follows it, and takes what comes after from this node.
  private(set) var unsaid: [(order: Order, cause: Cause)] = []

  /// The types of what is ordered, and of answers.
  static let types: Set<EventTypeName> = [
    TopologyRevised.eventType, AgentMoved.eventType, NodeRetired.eventType, RevisionRefused.eventType,
    MoveRefused.eventType,
  ]

  /// Reads a log.
  ///
  /// - Parameter recalled: what was ordered besides (``OrderRecall``).
  /// - Throws: what reading throws.
  init(_ log: any LogReader, recalled: [Record] = []) throws {
    let own = log.identity.node.author
    var said: Set<Key> = []
    var heard: [Key: (order: Order, cause: Cause, rank: Int)] = [:]
    var parts = EventParts()
    func take(_ record: Record, isSaid: Bool) {
      // What does not decode was passed over when it came, too.
      guard let whole = parts.take(record), let (key, order) = try? Self.order(whole) else { return }
      let cause = Cause(event: whole.header.causation, correlation: whole.header.correlation)
      if isSaid { said.insert(key) } else if heard[key] == nil { heard[key] = (order, cause, heard.count) }
    }
    var positions: Set<Position> = []
    for lane in try log.laneHeads().keys where Self.isOfOrders(lane) {
      positions.formUnion(try log.positions(ofLane: lane, after: .start))
    }
    for position in positions.sorted() {
      guard let record = try log.entry(at: position)?.record else { continue }
      take(record, isSaid: record.agent == own)
    }
    parts = EventParts()
    for record in recalled { take(record, isSaid: false) }
    unsaid = heard.filter { !said.contains($0.key) }.values
      .sorted { ($0.order.rank, $0.rank) < ($1.order.rank, $1.rank) }
      .map { ($0.order, $0.cause) }
  }

  /// Whether a log has all that a node has ordered which has said how far its lanes go.
  ///
  /// - Throws: what reading throws.
  static func hasAll(of ends: [Lane: LanePoint], in log: any LogReader) throws -> Bool {
    try ends.allSatisfy { lane, end in
      guard isOfOrders(lane) else { return true }
      return try log.laneHead(lane)?.point ?? .start >= end
    }
  }

  static func isOfOrders(_ lane: Lane) -> Bool {
    guard lane.channel == .persistent, lane.agent.text.hasPrefix(NodeID.authorPrefix),
      case .type(let type) = lane.target
    else { return false }
    return types.contains(type)
  }

  private static func order(_ record: Record) throws -> (Key, Order)? {
    switch record.type {
    case TopologyRevised.eventType:
      let event = try TopologyRevised.decode(record)
      return (.file(event.revision), .revised(event))
    case AgentMoved.eventType:
      let event = try AgentMoved.decode(record)
      return (.move(event.move), .moved(event))
    case NodeRetired.eventType:
      let event = try NodeRetired.decode(record)
      return (.leave(.init(node: event.node, since: event.since)), .retired(event))
    case RevisionRefused.eventType:
      return (.refusal(of: record.header.causation), .fileRefused(try RevisionRefused.decode(record)))
    case MoveRefused.eventType:
      return (.refusal(of: record.header.causation), .moveRefused(try MoveRefused.decode(record)))
    default: return nil
    }
  }
}

extension OrderSuccession.Order {
  /// Files from the newest on, then all else.
  fileprivate var rank: UInt32 {
    if case .revised(let order) = self { .max - max(order.revision, 1) } else { .max }
  }
}
