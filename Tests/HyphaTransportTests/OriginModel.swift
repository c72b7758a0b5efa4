import HyphaCore

/// A model of a lane's origin: it sends before it commits, and when it ends uncleanly it loses what was not
/// committed and goes on in a new epoch behind what was.
struct OriginModel {
  /// What its log has.
  private(set) var log: [Record] = []
  /// What it sent and has not committed yet.
  private var uncommitted: [Record] = []
  private var epoch: UInt64 = 1
  private var sequence: UInt64 = 0

  /// The last event in the log.
  var logEnd: LanePoint { log.last?.header.point ?? .start }
  /// Whether an unclean end would lose something.
  var hasUncommitted: Bool { !uncommitted.isEmpty }

  /// States an event. Other lanes of the stream take some numbers in between.
  mutating func publish(skipping skipped: UInt64) -> Record {
    sequence += 1 + skipped
    let previous = (uncommitted.last ?? log.last)?.header.point ?? .start
    let record = Sample.record(LanePoint(epoch: epoch, sequence: sequence), after: previous)
    uncommitted.append(record)
    return record
  }

  /// Commits the oldest `count` events that wait.
  mutating func commit(_ count: Int) {
    log += uncommitted.prefix(count)
    uncommitted.removeFirst(min(count, uncommitted.count))
  }

  /// Ends and starts again.
  mutating func restart() {
    uncommitted = []
    epoch += 1
    sequence = 0
  }

  /// The answer to a fetch, from the log.
  func answer(after point: LanePoint, upTo count: Int) -> [Record] {
    Array(log.drop { $0.header.point <= point }.prefix(count))
  }
}
