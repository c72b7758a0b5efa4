import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// How far a node is that orders moves and revisions.
enum Ordering: Equatable {
  /// Its log has just begun, or it has lost some of it: it asks others what it has ordered before.
  case recalls
  /// The one that has ordered before it leaves, and has not said how far its lanes go, or this node lacks some of them.
  case waits
  /// It says again what was ordered before.
  case succeeds
  /// It answers what operators ask for.
  case orders

  /// The name under which a log keeps that its node is not to order before it has asked.
  static let owner: AgentID = "hypha.orders"

  /// Where a node begins, as its log has it.
  static func atStart(of log: any LogReader, under topology: Topology) throws -> Ordering {
    let hasToAsk = try log.snapshot(of: owner).map { !$0.isEmpty } ?? false
    // An empty log, or one that replicas have given back: they have no orders.
    let isNew = try log.head() == .start || RejoinRecord.read(in: log)?.event != nil
    if hasToAsk || isNew { return .recalls }
    return topology.lastOrderer == nil ? .orders : .waits
  }
}

/// The one node that orders moves and revisions knows all that were ordered before it does.
extension Node {
  /// Whether this node orders moves and revisions, and knows all that were ordered before.
  var mayOrder: Bool {
    routes.node == topology.moveSeat && !isStopped
      && desks.moves.state.withLock { $0.ordering == .orders }
  }

  /// What the log is to keep from the first activations on: that a node which has just begun has still to ask.
  func keptOrdering() -> [AgentID: [UInt8]] {
    let recalls = desks.moves.state.withLock { $0.ordering == .recalls }
    return recalls && routes.node == topology.moveSeat ? [Ordering.owner: [1]] : [:]
  }

  /// Gets on with what has to be known before this node orders.
  func lookAfterOrdering() {
    guard routes.node == topology.moveSeat, !isStopped, desks.own.openCount == 0 else { return }
    do {
      switch desks.moves.state.withLock({ $0.ordering }) {
      case .orders: answerRevisions()
      case .recalls: recallOrders()
      case .waits: try awaitOrders()
      case .succeeds: try sayOrders()
      }
    } catch {
      note(error)
    }
  }

  // MARK: What it has ordered itself

  /// Another node has welcomed this one, under a version of the topology. One under a later version than the node that orders has taken
  /// an order which that has lost.
  func learnOrders(byVersion version: UInt32) {
    guard routes.node == topology.moveSeat, version > topology.version else { return }
    let isNew = desks.moves.state.withLock { state in
      guard state.ordering != .recalls, !state.isRevised, !state.isReplaced else { return false }
      (state.ordering, state.recall) = (.recalls, OrderRecall(of: routes.author))
      return true
    }
    // Also after the restart that the newest file brings.
    if isNew { log.submit(LogBatch(snapshots: [Ordering.owner: [1]])) { _ in } }
  }

  /// Asks others what this node has ordered before its log began.
  private func recallOrders() {
    let silent = silentNodes
    let peers = topology.presentNodes.map(\.id).filter { $0 != routes.node }
    let there = state.withLock { state in
      peers.compactMap { node -> (node: NodeID, isAlike: Bool)? in
        guard !silent.contains(node), state.client.isGreeted(by: node) else { return nil }
        return (node, state.client.version(of: node) ?? 0 <= topology.version)
      }
    }
    let now = now()
    let (isOver, question) = desks.moves.state.withLock { state in
      let question = peers.isEmpty ? nil : state.recall.due(now: now, peers: there)
      let isOver = peers.isEmpty || state.recall.found != nil
      if isOver { state.ordering = topology.lastOrderer == nil ? .succeeds : .waits }
      return (isOver, question)
    }
    if let question { transport.request(question.question.encoded(), of: question.node) }
    if isOver { lookAfterOrdering() }
  }

  /// Takes what a node answers of this node's own orders. Returns whether that was asked for.
  func take(recalled records: [Record], of lane: Lane, after: LanePoint, from node: NodeID) -> Bool {
    guard lane.agent == routes.author, OrderSuccession.isOfOrders(lane) else { return false }
    let now = now()
    let isTaken = desks.moves.state.withLock { state in
      state.ordering == .recalls
        && state.recall.received(records, of: lane, after: after, from: node, now: now)
    }
    if isTaken { lookAfterOrdering() }
    return isTaken
  }

  // MARK: What others have ordered

  /// Waits for all that was ordered before by one that leaves.
  private func awaitOrders() throws {
    // What the ones before it had ordered it has said again.
    guard let former = topology.lastOrderer else { return }
    // That it has left was said when all was known that it had ordered.
    guard !topology.hasLeft(former.node) else { return beginToSay() }
    guard let bytes = desks.moves.state.withLock({ $0.reading.departures.ends(of: former) }),
      let ends = try? JSON.decode([Handover.End].self, from: bytes),
      try OrderSuccession.hasAll(of: Handover.points(ends), in: log)
    else {
      guard silentNodes.contains(former.node) else { return }
      return note(
        "this node is to order moves and files in the place of '\(former.node)', and waits for it: start it, so that what it has ordered is known"
      )
    }
    beginToSay()
  }

  private func beginToSay() {
    desks.moves.state.withLock { $0.ordering = .succeeds }
    lookAfterOrdering()
  }

  /// Says again what was ordered before, some at a time; when all of it is in the log, orders.
  private func sayOrders() throws {
    let recalled = desks.moves.state.withLock { $0.recall.found ?? [] }
    let unsaid = try OrderSuccession(log, recalled: recalled).unsaid
    guard !unsaid.isEmpty else {
      if try log.snapshot(of: Ordering.owner).map({ !$0.isEmpty }) ?? false {
        log.submit(LogBatch(snapshots: [Ordering.owner: []])) { _ in }
      }
      desks.moves.state.withLock { ($0.ordering, $0.recall) = (.orders, OrderRecall(of: routes.author)) }
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
