public import HyphaCore
public import HyphaLog
import HyphaTopology
import Synchronization

/// A node has dropped events since it last said so: for whom, of which lane, why, and how many.
///
/// Each node states what it drops under its own name (`hypha.node.NAME`), at most once in ``interval`` and when it stops. So when
/// something was lost stands in its log, and agents on the node that subscribe to it take it. What no node has dropped (lost on a
/// link) is in no receipt: only the counts of two nodes tell.
public struct EventsLost: Event, Hashable {
  public static let eventType: EventTypeName = "hypha.EventsLost"

  /// Events of one path, lost for one reason.
  public struct Receipt: Sendable, Hashable, Codable {
    public var path: LanePath
    public var cause: LossCause
    /// At least 1.
    public var count: UInt64
  }

  /// The node that has dropped them.
  public var node: NodeID
  /// By path and cause, the greatest first; at most ``receiptCountMax``.
  public var receipts: [Receipt]
  /// Events of further paths.
  public var otherCount: UInt64
  public var subject: Subject { Subject(slug: "hypha.node.\(node)") }

  /// The most paths of one event.
  public static let receiptCountMax = 64
  /// The least time between two of one node.
  public static let interval = Duration.seconds(1)
}

extension LossLedger {
  /// What was lost since this was last asked for, as an event of `node`; nil for nothing.
  func receipts(of node: NodeID) -> EventsLost? {
    let (rows, other) = takeUnsaid()
    guard !rows.isEmpty || other > 0 else { return nil }
    let all = rows.sorted { $0.order < $1.order }
    let rest = all.dropFirst(EventsLost.receiptCountMax).reduce(other) { $0 + $1.count }
    return EventsLost(
      node: node, receipts: Array(all.prefix(EventsLost.receiptCountMax)), otherCount: rest)
  }
}

extension EventsLost.Receipt {
  fileprivate var order: (UInt64, String, String, String, String) {
    (
      .max - count, path.subscriber.text, path.from.text, "\(path.channel)\(path.target)", cause.rawValue
    )
  }
}

extension Node {
  /// States what was lost since the last time, where that is due.
  func stateLosses(now: Timestamp) {
    let isDue = state.withLock { state in
      let since = now.since(state.lossesSaidAt)
      guard since >= EventsLost.interval || since < .zero else { return false }
      state.lossesSaidAt = now
      return true
    }
    if isDue { stateLosses() }
  }

  /// States what was lost since the last time; any thread.
  func stateLosses() {
    guard let lost = ledger.receipts(of: configuration.node) else { return }
    state(own: lost, because: nil)
  }
}

extension LossReading {
  /// What the log's node has said of its losses, in the order of the log: where, when, and what.
  ///
  /// - Throws: what reading the log throws.
  public static func receipts(
    in log: any LogReader
  ) throws -> [(position: Position, time: Timestamp, lost: EventsLost)] {
    let lane = Lane(
      agent: log.identity.node.author, channel: .persistent, target: .type(EventsLost.eventType))
    return try log.positions(ofLane: lane, after: .start).sorted().compactMap { position in
      guard let record = try log.entry(at: position)?.record,
        // What does not decode is of a later version.
        let lost = try? EventsLost.decode(record)
      else { return nil }
      return (position, record.time, lost)
    }
  }
}
