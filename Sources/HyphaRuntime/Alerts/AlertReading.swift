import HyphaCore
public import HyphaLog
import HyphaTopology

/// The open alerts of a node, read from its log.
public enum AlertReading {
  /// The alerts that agents of the log's node have stated and that nobody has answered, the oldest first; from the
  /// log alone, while the node runs or not.
  ///
  /// - Complexity: reads what came since the log's newest snapshot of them, which a running node makes every 10 s or
  ///   65,536 entries; nothing where the node never ran.
  public static func openAlerts(in log: any LogReader) throws -> [OpenAlert] {
    guard let snapshot = try snapshot(in: log) else { return [] }
    var tracker = AlertTracker(
      snapshot.audience,
      settings: AlertSettings(deadline: .microseconds(Int64(clamping: snapshot.deadlineMicroseconds)))
    ) { _ in nil }
    try fold(log, from: snapshot, into: &tracker)
    return tracker.open.values.sorted { $0.position < $1.position }
  }

  /// What must stay in the log for open alerts: the oldest of them and all behind it.
  public static func guards(_ open: [OpenAlert]) -> [PruneGuard] {
    guard let oldest = open.filter({ !$0.isGivenUp }).map(\.position).min() else { return [] }
    return [
      PruneGuard(
        "an alert that waits for an answer", through: Position(rawValue: oldest - min(oldest, 1)))
    ]
  }

  /// The newest snapshot; nil where there is none that this version reads.
  static func snapshot(in log: any LogReader) throws -> AlertTracker.Snapshot? {
    try log.snapshot(of: AlertTracker.owner).flatMap {
      try? JSON.decode(AlertTracker.Snapshot.self, from: $0)
    }
  }

  /// Lets a tracker of nothing know what a snapshot and the entries behind it say. Returns the position up to which
  /// that is.
  ///
  /// - Parameter newcomers: agents that begin here, and whose events lie in the log lane by lane; they are taken first, as the
  ///   agents have stated them.
  @discardableResult
  static func fold(
    _ log: any LogReader, from snapshot: AlertTracker.Snapshot?, newcomers: Set<AgentID> = [],
    into tracker: inout AlertTracker
  ) throws -> Position {
    if let snapshot { tracker.restore(snapshot) }
    let (through, head) = (Position(rawValue: snapshot?.through ?? 0), try log.head())
    guard through < head else { return through }
    if !newcomers.isEmpty {
      var brought: [(point: LanePoint, position: Position)] = []
      try log.visit(through.next...head, .forward) { view in
        guard view.record.channel == .alert else { return true }
        let record = try Record(view.record)
        if newcomers.contains(record.agent) { brought.append((record.point, view.position)) }
        return true
      }
      for place in brought.sorted(by: { $0.point < $1.point }) {
        guard let record = try log.entry(at: place.position)?.record else { continue }
        tracker.observe(record, at: place.position, isStated: true)
      }
    }
    try log.visit(through.next...head, .forward) { view in
      guard view.record.channel == .alert else { return true }
      let record = try Record(view.record)
      if newcomers.contains(record.agent) { return true }
      // An agent that was moved here has stated some of its alerts elsewhere, and one that was moved away its here.
      tracker.observe(record, at: view.position, isStated: tracker.audience.agents.contains(record.agent))
      return true
    }
    return head
  }
}
