import HyphaCore
import HyphaLog
import HyphaTransport

/// Asks other nodes what a node has ordered which has lost its disk, or part of its log: all nodes have it. A pure state machine.
///
/// Invariants, for any sequence of calls:
/// 1. it is over only when one node has answered for all lanes of orders; where it has nothing, only if that follows no later topology
///    than this node;
/// 2. what it has found then is what that node has of each lane, from the first event on;
/// 3. who does not answer within ``patience`` is given up for the next one, and asked again in its turn.
struct OrderRecall: Sendable {
  private struct Asking {
    let node: NodeID
    /// Whether that node follows no later topology.
    let isAlike: Bool
    let since: Timestamp
    var askedAt: Timestamp?
    /// The lane that it is asked for, and after which event.
    var place = 0
    var after = LanePoint.start
    var found: [Record] = []
  }

  static let patience = Duration.seconds(5)
  static let askInterval = Duration.seconds(1)

  private let lanes: [Lane]
  private var asking: Asking?
  private var tried: Set<NodeID> = []
  /// What was found, when it is over; nil before.
  private(set) var found: [Record]?

  /// - Parameter author: the name under which the node states what it orders.
  init(of author: AgentID) {
    lanes = OrderSuccession.types.sorted().map {
      Lane(agent: author, channel: .persistent, target: .type($0))
    }
  }

  /// The question that is due.
  ///
  /// - Parameter peers: the nodes that answer, in the order in which they are asked, and whether each follows no later topology.
  mutating func due(now: Timestamp, peers: [(node: NodeID, isAlike: Bool)]) -> (
    node: NodeID, question: ControlMessage
  )? {
    guard found == nil else { return nil }
    if let asking,
      now.since(asking.since) >= Self.patience || !peers.contains(where: { $0.node == asking.node })
    {
      tried.insert(asking.node)
      self.asking = nil
    }
    if asking == nil {
      if peers.allSatisfy({ tried.contains($0.node) }) { tried = [] }
      asking = peers.first { !tried.contains($0.node) }.map {
        Asking(node: $0.node, isAlike: $0.isAlike, since: now)
      }
    }
    guard let asking, asking.askedAt.map({ now.since($0) >= Self.askInterval }) ?? true else { return nil }
    self.asking?.askedAt = now
    return (asking.node, .fetch(lane: lanes[asking.place], after: asking.after))
  }

  /// Takes a node's answer. Returns whether it is one to this.
  mutating func received(
    _ records: [Record], of lane: Lane, after: LanePoint, from node: NodeID, now: Timestamp
  ) -> Bool {
    guard found == nil, var asking, asking.node == node, lanes[asking.place] == lane, asking.after == after,
      records.allSatisfy({ $0.lane == lane && $0.point > after })
    else { return false }
    asking.found += records
    // It answers: it has all the time that it needs.
    asking = Asking(
      node: node, isAlike: asking.isAlike, since: now, place: asking.place, after: asking.after,
      found: asking.found)
    if let last = records.last {
      asking.after = last.point
    } else {
      (asking.place, asking.after) = (asking.place + 1, .start)
    }
    self.asking = asking
    if asking.place == lanes.count { end() }
    return true
  }

  /// A node refuses what it was asked, as those of earlier versions do: it says nothing of this. Returns whether it was asked.
  mutating func refused(by node: NodeID) -> Bool {
    guard found == nil, asking?.node == node else { return false }
    asking?.found = []
    end()
    return true
  }

  private mutating func end() {
    guard let asking else { return }
    self.asking = nil
    if asking.found.isEmpty && !asking.isAlike { tried.insert(asking.node) } else { found = asking.found }
  }
}
