public import HyphaCore
public import HyphaLog
public import HyphaTransport

/// A fork as a node's log shows it: events of a lane that were taken here, and that their origin lost before it went on in
/// a new epoch.
///
/// A log takes each lane in order, and every event names the one before it. So the first event of a new epoch that names
/// another one than the log has before it tells the fork, for as long as the log has the two; nothing else need be
/// written down, and no crash can come in between.
public struct RecordedFork: Sendable, Hashable {
  /// The lane that has forked.
  public var lane: Lane
  /// The evidence of both sides.
  public var fork: LaneFork
  /// How many events the log has that the origin lost: those after ``LaneFork/common`` up to ``LaneFork/kept``.
  public var lostCount: Int
  /// When the log took the first event of the other side, and where it stands.
  public var foundAt: Timestamp
  public var position: Position

  /// The forks in a log, the oldest first, while its node runs or not.
  ///
  /// - Complexity: reads all entries once.
  /// - Throws: what reading throws.
  public static func all(in log: any LogReader) throws -> [RecordedFork] {
    let head = try log.head()
    guard head > .start else { return [] }
    var suspects: [Position] = []
    try log.visit(Position.start.next...head, .forward) { view in
      // Within an epoch a log refuses what does not name the event before it.
      if view.source != .stated, view.previousInLane > .start, view.record.previous.epoch < view.record.epoch
      {
        suspects.append(view.position)
      }
      return true
    }
    return try suspects.compactMap { position in
      guard let first = try log.entry(at: position) else { return nil }
      return try RecordedFork(first, in: log)
    }
  }

  /// The fork that an entry tells; nil where it names the event that the log has before it, or that one was pruned.
  private init?(_ first: LogEntry, in log: any LogReader) throws {
    let common = first.record.previous
    guard let kept = try log.entry(at: first.previousInLane), kept.record.point > common else { return nil }
    var (count, entry) = (1, kept)
    while let before = try log.entry(at: entry.previousInLane), before.record.point > common {
      (count, entry) = (count + 1, before)
    }
    lane = first.record.lane
    fork = LaneFork(
      kind: .lost, common: common, kept: .init(point: kept.record.point, event: kept.record.header.id),
      other: .init(point: first.record.point, event: first.record.header.id))
    lostCount = count
    (foundAt, position) = (first.appendedAt, first.position)
  }
}
