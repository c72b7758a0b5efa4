public import HyphaCore
public import HyphaLog

/// Tells what a log took of the past from what came to it as it happened: the node that an agent is moved to takes what was stated
/// before, which says nothing of how long events travel. Pure.
public struct HistoryWatch: Sendable {
  /// When an agent has last arrived on each log's node.
  private var arrivals: [NodeID: Timestamp] = [:]

  /// A watch over logs that were not looked at.
  public init() {}

  /// Takes the next entry of a node's log, in the log's order, and says whether it is of the past.
  public mutating func isHistory(_ entry: EntryView, of node: NodeID) -> Bool {
    if entry.source == .stated {
      if entry.record.type.elementsEqual(Self.arrived) {
        arrivals[node] = max(arrivals[node] ?? .zero, entry.record.time)
      }
      return false
    }
    return arrivals[node].map { entry.record.time < $0 } ?? false
  }

  private static let arrived = Array(EventTypeName.agentArrived.text.utf8)
}
