import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What moves and revisions a log has from other nodes than its own, for a node that orders them in the place of one that leaves: it
/// says all of that again under its own name.
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
  /// - Throws: what reading throws.
  init(_ log: any LogReader) throws {
    let own = log.identity.node.author
    var said: Set<Key> = []
    var heard: [Key: (order: Order, cause: Cause, position: Position)] = [:]
    var parts = EventParts()
    var positions: Set<Position> = []
    for lane in try log.laneHeads().keys where Self.isOfOrders(lane) {
      positions.formUnion(try log.positions(ofLane: lane, after: .start))
    }
    for position in positions.sorted() {
      guard let record = try log.entry(at: position)?.record, let whole = parts.take(record),
        // What does not decode was passed over when it came, too.
        let (key, order) = try? Self.order(whole)
      else { continue }
      let cause = Cause(event: whole.header.causation, correlation: whole.header.correlation)
      if record.agent == own {
        said.insert(key)
      } else if heard[key] == nil {
        heard[key] = (order, cause, position)
      }
    }
    unsaid = heard.filter { !said.contains($0.key) }.values
      .sorted { ($0.order.rank, $0.position) < ($1.order.rank, $1.position) }
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

  private static func isOfOrders(_ lane: Lane) -> Bool {
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

/// How far a node is that may order moves and revisions.
enum Ordering: Equatable {
  /// The one that has ordered before it leaves, and has not said how far its lanes go, or this node lacks some of them.
  case waits
  /// It says again what was ordered before.
  case succeeds
  /// It answers what operators ask for.
  case orders
}

extension Node {
  /// Whether this node orders moves and revisions, and knows all that were ordered before.
  var mayOrder: Bool {
    routes.node == topology.moveSeat && !isStopped
      && desks.moves.state.withLock { $0.ordering == .orders }
  }

  /// Goes on with taking the place of a node that has ordered before, on the one that orders from then on.
  func lookAfterSuccession() {
    guard routes.node == topology.moveSeat, !isStopped, desks.own.openCount == 0 else { return }
    do {
      switch desks.moves.state.withLock({ $0.ordering }) {
      case .orders: return
      case .waits: try awaitOrders()
      case .succeeds: try sayOrders()
      }
    } catch {
      note(error)
    }
  }

  /// Waits for all that was ordered before.
  private func awaitOrders() throws {
    // What the ones before it had ordered it has said again.
    guard let former = topology.lastOrderer else { return }
    guard let bytes = desks.moves.state.withLock({ $0.reading.departures.ends(of: former) }),
      let ends = try? JSON.decode([Handover.End].self, from: bytes),
      try OrderSuccession.hasAll(of: Handover.points(ends), in: log)
    else {
      guard silentNodes.contains(former.node) else { return }
      return note(
        "this node is to order moves and files in the place of '\(former.node)', and waits for it: start it, so that what it has ordered is known"
      )
    }
    desks.moves.state.withLock { $0.ordering = .succeeds }
    lookAfterSuccession()
  }

  /// Says again what was ordered before, some at a time; when all of it is in the log, orders.
  private func sayOrders() throws {
    let unsaid = try OrderSuccession(log).unsaid
    guard !unsaid.isEmpty else {
      desks.moves.state.withLock { $0.ordering = .orders }
      answerMoves()
      return answerRevisions()
    }
    for (order, cause) in unsaid.prefix(Self.saidCountMax) {
      switch order {
      case .revised(let event): state(own: event, because: cause)
      case .moved(let event): state(own: event, because: cause)
      case .retired(let event): state(own: event, because: cause)
      case .fileRefused(let event): state(own: event, because: cause)
      case .moveRefused(let event): state(own: event, because: cause)
      }
    }
  }

  /// The most orders that are said again in one go: far less than may wait for the log, whose records may each hold little.
  private static let saidCountMax = 64
}
