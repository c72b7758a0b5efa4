import HyphaCore

/// A model of a lane's origin. On an alert lane it sends before it commits: when it ends uncleanly it loses the tail that
/// it had not committed, and goes on in a new epoch behind what it had. On a persistent lane it sends what it has
/// committed.
struct OriginModel {
  let sendsBeforeCommit: Bool
  /// What its log has.
  private(set) var log: [Record] = []
  /// What it stated and has not committed yet.
  private var uncommitted: [Record] = []
  private var epoch: UInt64 = 1
  private var sequence: UInt64 = 0
  private(set) var isUp = true

  init(sendsBeforeCommit: Bool) { self.sendsBeforeCommit = sendsBeforeCommit }

  /// The last event in the log.
  var logEnd: LanePoint { log.last?.point ?? .start }

  /// States an event. Other lanes of the stream take `skipped` numbers in between.
  mutating func publish(skipping skipped: UInt64) -> Record {
    sequence += 1 + skipped
    let previous = (uncommitted.last ?? log.last)?.point ?? .start
    let record = Sample.record(LanePoint(epoch: epoch, sequence: sequence), after: previous)
    uncommitted.append(record)
    return record
  }

  /// Commits the oldest `count` events that wait, and returns them.
  mutating func commit(_ count: Int) -> [Record] {
    let committed = Array(uncommitted.prefix(count))
    log += committed
    uncommitted.removeFirst(committed.count)
    return committed
  }

  /// Ends, and loses what it had not committed.
  mutating func crash() {
    uncommitted = []
    isUp = false
  }

  /// Starts again on its log, in a new epoch.
  mutating func restart() {
    guard !isUp else { return }
    isUp = true
    epoch += 1
    sequence = 0
  }
}

extension [Record] {
  /// The answer to a fetch, from a log of one lane.
  func answer(after point: LanePoint, upTo count: Int) -> [Record] {
    // A log keeps its lane in the order of its points.
    Array(suffix(from: partitionIndex { $0.point > point }).prefix(count))
  }

  private func partitionIndex(where isAfter: (Record) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
