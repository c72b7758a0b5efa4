public import HyphaCore
public import HyphaLog
import HyphaTopology

/// Tells what a log took of the past from what came to it as it happened: the node that an agent is moved to takes all that was
/// stated before by and for the agent, which says nothing of how long events travel.
public struct HistoryWatch: Sendable {
  /// A move to a node: what stands in its log between the order and the agent's arrival, and is older than the order, is of the past.
  private struct Move {
    let positions: ClosedRange<Position>
    let orderedAt: Timestamp
  }

  private var moves: [NodeID: [Move]] = [:]

  /// A watch over logs to whose nodes no agent was moved.
  public init() {}

  /// A watch over logs.
  ///
  /// - Complexity: a lookup for each log; where agents were moved to its node the heads of its lanes, and a lookup for each move.
  /// - Throws: what reading throws.
  public init(over logs: [any LogReader]) throws {
    for log in logs {
      let node = log.identity.node
      let arrivals = try Self.entries(of: Self.lane(node.author, AgentArrived.eventType), in: log)
      guard !arrivals.isEmpty else { continue }
      var orders: [UInt32: LogEntry] = [:]
      for lane in try log.laneHeads().keys where lane == Self.lane(lane.agent, AgentMoved.eventType) {
        for entry in try Self.entries(of: lane, in: log) {
          guard let order = try? AgentMoved.decode(entry.record), order.to == node,
            // Who orders in the place of another says it again.
            entry.position < orders[order.move]?.position ?? .init(rawValue: .max)
          else { continue }
          orders[order.move] = entry
        }
      }
      for entry in arrivals {
        guard let arrival = try? AgentArrived.decode(entry.record), let order = orders[arrival.move],
          order.position <= entry.position
        else { continue }
        moves[node, default: []].append(
          Move(positions: order.position...entry.position, orderedAt: order.record.time))
      }
    }
  }

  private static func lane(_ agent: AgentID, _ type: EventTypeName) -> Lane {
    Lane(agent: agent, channel: .persistent, target: .type(type))
  }

  private static func entries(of lane: Lane, in log: any LogReader) throws -> [LogEntry] {
    var entries: [LogEntry] = []
    var next = try log.laneHead(lane)?.position ?? .start
    while next > .start, let entry = try log.entry(at: next) {
      entries.append(entry)
      next = entry.previousInLane
    }
    return entries
  }

  /// Whether an entry of a node's log is of the past.
  public func isHistory(_ entry: EntryView, of node: NodeID) -> Bool {
    guard let moves = moves[node] else { return false }
    return Self.isHistory(entry.source, entry.position, entry.record.time, moves)
  }

  func isHistory(_ entry: LogEntry, of node: NodeID) -> Bool {
    guard let moves = moves[node] else { return false }
    return Self.isHistory(entry.source, entry.position, entry.record.time, moves)
  }

  private static func isHistory(
    _ source: EntrySource, _ position: Position, _ time: Timestamp, _ moves: [Move]
  ) -> Bool {
    source != .stated && moves.contains { $0.positions.contains(position) && time < $0.orderedAt }
  }
}
