public import HyphaCore

/// Puts the events of one lane back in order, each once, whatever way they came.
///
/// A pure state machine: no socket, clock or disk. It drops what it has, parks what is early, and says what
/// to fetch. A late start, a reconnect, a dropped run, a cursor resumed and a change of route are all one
/// case: *behind, catch up, join live*.
///
/// Invariants, for any sequence of calls:
/// 1. what it delivers is a path along the back-pointers: each event names the one delivered before it, or
///    opens a new epoch behind a reported fork;
/// 2. no event is delivered twice;
/// 3. at most ``Limits/parkedCountMax`` events are parked; what exceeds that is dropped and fetched later.
public struct LaneReceiver: Sendable {
  /// The bounds of one lane.
  public struct Limits: Sendable, Hashable {
    /// The most events parked at a time.
    public var parkedCountMax: Int
    /// How long a gap may stand before it is fetched: what is missing may be on its way.
    public var grace: Duration
    /// How long an answer to a fetch may take before the fetch is sent again; doubled for each attempt.
    public var answerTimeout: Duration
    /// The longest such wait.
    public var answerTimeoutMax: Duration

    /// Default: 256 events parked, 20 ms of grace, answers within 1 to 8 s.
    public init(
      parkedCountMax: Int = 256, grace: Duration = .milliseconds(20), answerTimeout: Duration = .seconds(1),
      answerTimeoutMax: Duration = .seconds(8)
    ) {
      self.parkedCountMax = parkedCountMax
      self.grace = grace
      self.answerTimeout = answerTimeout
      self.answerTimeoutMax = answerTimeoutMax
    }
  }

  /// What became of events that came in.
  public struct Reception: Sendable {
    /// To be taken on, in this order.
    public var delivered: [Record] = []
    /// How many were there already.
    public var duplicateCount = 0
    /// How many wait for what lies before them.
    public var parkedCount = 0
    /// How many were dropped for want of room; they will be fetched.
    public var droppedCount = 0
    /// How many contradict what was delivered; their origin numbers its stream wrongly.
    public var contradictoryCount = 0
    /// What was delivered, here or before, but is not in its origin's log any more; the oldest first.
    public var forks: [Fork] = []
    /// The newest of ``forks``.
    public var fork: Fork? { forks.last }

    /// Nothing came in.
    public init() {}
  }

  /// Events that an origin had sent and then lost when it ended uncleanly. They are kept here and reported,
  /// never merged.
  public struct Fork: Sendable, Hashable {
    /// The last event that both sides have.
    public var common: LanePoint
    /// The last event that only this side has.
    public var end: LanePoint

    /// A fork between two points.
    public init(common: LanePoint, end: LanePoint) {
      self.common = common
      self.end = end
    }
  }

  private struct Fetch: Sendable {
    var sentAt: Timestamp
    var attempt: Int
  }

  /// The last event delivered.
  public private(set) var head: LanePoint
  /// The newest event that the lane is known to have.
  public private(set) var announced: LanePoint
  private let limits: Limits
  private var parked: [LanePoint: Record] = [:]
  private var behindSince: Timestamp?
  private var fetch: Fetch?

  /// A receiver that has taken everything up to `head`.
  public init(head: LanePoint = .start, limits: Limits = Limits()) {
    self.head = head
    announced = head
    self.limits = limits
  }

  /// Whether the lane has events that were not delivered yet.
  public var isBehind: Bool { announced > head }
  /// How many events are parked.
  public var parkedCount: Int { parked.count }

  /// Takes events that came over a link or in an answer.
  public mutating func receive(_ records: some Sequence<Record>, now: Timestamp) -> Reception {
    var reception = Reception()
    for record in records { receive(record, into: &reception) }
    noteProgress(now: now)
    return reception
  }

  /// Learns from the origin how far the lane goes.
  public mutating func announce(_ end: LanePoint, now: Timestamp) {
    announced = max(announced, end)
    noteProgress(now: now)
  }

  /// Whether to fetch now, and after which event. A point that was returned counts as asked for.
  public mutating func fetchDue(now: Timestamp) -> LanePoint? {
    guard let behindSince, now.since(behindSince) >= limits.grace else { return nil }
    if let fetch {
      let patience = limits.answerTimeout * Double(1 << min(fetch.attempt, 8))
      guard now.since(fetch.sentAt) >= min(patience, limits.answerTimeoutMax) else { return nil }
      self.fetch = Fetch(sentAt: now, attempt: fetch.attempt + 1)
    } else {
      fetch = Fetch(sentAt: now, attempt: 0)
    }
    return head
  }

  /// Takes the answer to a fetch. An answer may hold only a part; the rest is then due at once.
  public mutating func receive(answer records: [Record], now: Timestamp) -> Reception {
    let attempt = fetch?.attempt ?? 0
    fetch = nil
    let before = head
    let reception = receive(records, now: now)
    // An answer that brought nothing must not be asked for again at once, and ever less often: what the
    // lane was known to have may have been lost with its origin's end.
    if isBehind && head == before { fetch = Fetch(sentAt: now, attempt: attempt) }
    return reception
  }

  /// Falls back to `head`: what was delivered after it could not be kept.
  public mutating func reset(to head: LanePoint, now: Timestamp) {
    announced = max(announced, self.head)
    self.head = head
    parked = [:]
    fetch = nil
    noteProgress(now: now)
  }

  private mutating func receive(_ record: Record, into reception: inout Reception) {
    let (point, previous) = (record.point, record.previous)
    guard point > head else {
      reception.duplicateCount += 1
      return
    }
    if previous > head {
      park(record, into: &reception)
    } else if previous == head || point.epoch > head.epoch {
      if previous < head { reception.forks.append(Fork(common: previous, end: head)) }
      deliver(record, into: &reception)
    } else {
      reception.contradictoryCount += 1
    }
  }

  private mutating func park(_ record: Record, into reception: inout Reception) {
    announced = max(announced, record.point)
    if parked[record.previous] != nil {
      reception.duplicateCount += 1
    } else if parked.count < limits.parkedCountMax {
      // It may wait for long, and what came with it may be large.
      parked[record.previous] = record.alone
      reception.parkedCount += 1
    } else {
      reception.droppedCount += 1
    }
  }

  private mutating func deliver(_ record: Record, into reception: inout Reception) {
    if parked.isEmpty {
      reception.delivered.append(record)
      head = record.point
      announced = max(announced, head)
      return
    }
    var next: Record? = record
    while let record = next {
      reception.delivered.append(record)
      head = record.point
      next = parked.removeValue(forKey: head)
    }
    announced = max(announced, head)
    // A fork may have left events behind that can never join.
    if !parked.isEmpty { parked = parked.filter { $0.key > head } }
  }

  private mutating func noteProgress(now: Timestamp) {
    if !isBehind {
      behindSince = nil
      fetch = nil
    } else if behindSince == nil {
      behindSince = now
    }
  }
}
