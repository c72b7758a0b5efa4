import HyphaCore

/// What a lane keeps while it is behind: how far it is known to go, what came early, and what was asked for.
struct LaneGap: Sendable {
  /// The newest event that the lane is known to have.
  private(set) var announced = LanePoint.start
  /// The newest event that its origin's log is known to have: what lies beyond may have been lost there.
  private var confirmed = LanePoint.start
  /// Since when what lies at its beginning is missing.
  var since: Timestamp
  /// When it was asked for last, or that brought nothing; nil where it may be asked for at once.
  private(set) var waitsSince: Timestamp?
  /// How many times it was asked for without getting on.
  private var attempt = 0
  /// Whether the last question was answered, and brought nothing.
  private var isAnswered = false
  /// Early events, by the one that they wait for.
  private(set) var parked: [LanePoint: Record] = [:]
  private(set) var parkedByteCount = 0

  init(since: Timestamp) { self.since = since }

  mutating func announce(_ end: LanePoint, by source: LaneReceiver.Source) {
    announced = max(announced, end)
    if source == .origin { confirmed = max(confirmed, end) }
    // Where there was nothing, there is something now.
    if isAnswered { waitsSince = nil }
  }

  // MARK: Parking

  /// Keeps an early event where there is room. What has none is not lost: that it is there is known, and the fetch of
  /// the gap goes on until it has come.
  mutating func park(_ record: Record, _ limits: LaneLimits, into reception: inout LaneReceiver.Reception) {
    announced = max(announced, record.point)
    let byteCount = record.byteCount
    if parked[record.previous] != nil {
      reception.duplicateCount += 1
    } else if parked.count < limits.parkedCountMax,
      parkedByteCount + byteCount <= limits.parkedByteCountMax
    {
      // It may wait for long, and what came with it may be large.
      parked[record.previous] = record.alone
      parkedByteCount += byteCount
      reception.parkedCount += 1
    } else {
      reception.droppedCount += 1
    }
  }

  /// Takes out the event that waits for `point`.
  mutating func unpark(behind point: LanePoint) -> Record? {
    guard let record = parked.removeValue(forKey: point) else { return nil }
    parkedByteCount -= record.byteCount
    return record
  }

  /// Drops what waits for something before `head`, which cannot come any more.
  mutating func dropParked(upTo head: LanePoint) {
    parked = parked.filter { $0.key > head }
    parkedByteCount = parked.values.reduce(0) { $0 + $1.byteCount }
  }

  /// Drops all that is parked.
  mutating func dropParked() { (parked, parkedByteCount) = ([:], 0) }

  /// The origin has nothing more: what its log was not known to have is lost there, or is not there yet and will be
  /// announced when it is.
  mutating func giveUpUnconfirmed() {
    announced = confirmed
    dropParked()
  }

  // MARK: Fetching

  /// Whether it is time to ask for what is missing.
  func isDue(now: Timestamp, _ limits: LaneLimits) -> Bool {
    guard now.since(since) >= limits.grace else { return false }
    guard let waitsSince else { return true }
    let patience = limits.answerTimeout * Double(1 << min(max(attempt - 1, 0), 8))
    return now.since(waitsSince) >= min(patience, limits.answerTimeoutMax)
  }

  /// Notes that it was asked for, and returns how many times before.
  mutating func ask(now: Timestamp) -> Int {
    defer { attempt += 1 }
    (waitsSince, isAnswered) = (now, false)
    return attempt
  }

  /// An answer has brought the lane on: the rest may be asked for at once.
  mutating func gotOn() { (waitsSince, attempt, isAnswered) = (nil, 0, false) }

  /// An answer has brought nothing: that must not be asked for again at once, and ever less often.
  mutating func gotNothing(now: Timestamp) { (waitsSince, isAnswered) = (now, true) }
}
