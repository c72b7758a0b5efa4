public import HyphaCore

/// Puts the events of one lane back in order, each once, whatever way they came.
///
/// A pure state machine: no socket, clock or disk. It drops what it has, parks what is early, and says what
/// to fetch. A late start, a reconnect, a dropped run, a cursor resumed and a change of route are all one
/// case: *behind, catch up, join live*. A lane that has everything keeps its newest event's place and id, and nothing
/// else: 40 bytes.
///
/// What it promises, for any sequence of calls, stands by name in docs/guarantees.md, "A lane's receiver".
public struct LaneReceiver: Sendable {
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
    /// How many contradict what was delivered, and are not taken; ``forks`` says the first.
    public var contradictoryCount = 0
    /// What was delivered, here or before, and that the lane's other side denies; the oldest first.
    public var forks: [LaneFork] = []

    /// Nothing came in.
    public init() {}
  }

  /// Who says how far a lane goes, or what it has.
  public enum Source: Sendable, Hashable {
    /// The node that states the lane's events: what its log lacks is not there.
    case origin
    /// A node that has taken the lane, too, and may lack the newest of it.
    case copy
  }

  /// A question for what follows an event.
  public struct Fetch: Sendable, Hashable {
    /// The last event that is here.
    public var after: LanePoint
    /// How many times it was asked without getting on, this time excluded.
    public var attempt: Int

    /// A question by its parts.
    public init(after: LanePoint, attempt: Int) {
      self.after = after
      self.attempt = attempt
    }
  }

  private enum State: Sendable {
    case live
    indirect case behind(LaneGap)
  }

  /// The last event delivered.
  public private(set) var head: LanePoint
  /// Its id; ``EventID/none`` where it is not known.
  public private(set) var headID: EventID
  private var state = State.live

  /// A receiver that has taken everything up to `head`.
  public init(head: LanePoint = .start, id: EventID = .none) {
    self.head = head
    headID = id
  }

  /// The newest event that the lane is known to have.
  public var announced: LanePoint { gap?.announced ?? head }
  /// Whether the lane has events that were not delivered yet.
  public var isBehind: Bool { if case .behind = state { true } else { false } }
  /// How many events are parked.
  public var parkedCount: Int { gap?.parked.count ?? 0 }
  /// How many bytes they have.
  public var parkedByteCount: Int { gap?.parkedByteCount ?? 0 }

  private var gap: LaneGap? { if case .behind(let gap) = state { gap } else { nil } }

  // MARK: Inputs

  /// Takes events that came over a link.
  public mutating func receive(
    _ records: some Sequence<Record>, now: Timestamp, limits: LaneLimits = .standard
  ) -> Reception {
    var gap = takeGap()
    let before = head
    var reception = Reception()
    for record in records { receive(record, &gap, now, limits, into: &reception) }
    // Another gap than before has a grace of its own.
    if head > before, gap?.waitsSince == nil { gap?.since = now }
    keep(gap)
    return reception
  }

  /// Learns how far the lane goes.
  public mutating func announce(_ end: LanePoint, by source: Source = .origin, now: Timestamp) {
    guard end > head else { return }
    var gap = takeGap() ?? LaneGap(since: now)
    gap.announce(end, by: source)
    keep(gap)
  }

  /// Whether to fetch now, and what. What was returned counts as asked for.
  public mutating func fetchDue(now: Timestamp, limits: LaneLimits = .standard) -> Fetch? {
    guard gap?.isDue(now: now, limits) ?? false, var gap = takeGap() else { return nil }
    defer { keep(gap) }
    return Fetch(after: head, attempt: gap.ask(now: now))
  }

  /// Takes the answer to a fetch of what follows `after`. An answer may hold only a part; the rest is then due at once.
  public mutating func receive(
    answer records: [Record], after: LanePoint, from source: Source = .origin, now: Timestamp,
    limits: LaneLimits = .standard
  ) -> Reception {
    var gap = takeGap()
    let before = head
    var reception = Reception()
    for record in records { receive(record, &gap, now, limits, into: &reception) }
    if head > before {
      gap?.gotOn()
    } else {
      if records.isEmpty, source == .origin, after == head { gap?.giveUpUnconfirmed() }
      gap?.gotNothing(now: now)
    }
    keep(gap)
    return reception
  }

  /// Falls back to `head`: what was delivered after it could not be kept.
  public mutating func reset(to head: LanePoint, id: EventID = .none, now: Timestamp) {
    var gap = takeGap() ?? LaneGap(since: now)
    gap.announce(self.head, by: .copy)
    gap.dropParked()
    gap.since = now
    gap.gotOn()
    (self.head, headID) = (head, id)
    keep(gap)
  }

  // MARK: Deciding

  private mutating func receive(
    _ record: Record, _ gap: inout LaneGap?, _ now: Timestamp, _ limits: LaneLimits,
    into reception: inout Reception
  ) {
    let (point, previous) = (record.point, record.previous)
    guard point > head else {
      if point == head, headID != .none, record.id != headID {
        contradict(record, into: &reception)
      } else {
        reception.duplicateCount += 1
      }
      return
    }
    if previous > head {
      if gap == nil { gap = LaneGap(since: now) }
      gap?.park(record, limits, into: &reception)
    } else if previous == head {
      deliver(record, &gap, into: &reception)
    } else if point.epoch > head.epoch {
      reception.forks.append(fork(.lost, record))
      deliver(record, &gap, into: &reception)
    } else {
      contradict(record, into: &reception)
    }
  }

  private func fork(_ kind: LaneFork.Kind, _ record: Record) -> LaneFork {
    LaneFork(
      kind: kind, common: record.previous, kept: .init(point: head, event: headID),
      other: .init(point: record.point, event: record.id))
  }

  private func contradict(_ record: Record, into reception: inout Reception) {
    if reception.contradictoryCount == 0 { reception.forks.append(fork(.contradicted, record)) }
    reception.contradictoryCount += 1
  }

  private mutating func deliver(_ record: Record, _ gap: inout LaneGap?, into reception: inout Reception) {
    let epoch = head.epoch
    var next: Record? = record
    while let record = next {
      reception.delivered.append(record)
      (head, headID) = (record.point, record.id)
      next = gap?.unpark(behind: head)
    }
    // What was parked of a branch that was lost can never join.
    if head.epoch > epoch { gap?.dropParked(upTo: head) }
  }

  /// The gap, which is this call's alone until ``keep(_:)``.
  private mutating func takeGap() -> LaneGap? {
    defer { state = .live }
    return gap
  }

  private mutating func keep(_ gap: LaneGap?) {
    if let gap, gap.announced > head { state = .behind(gap) }
  }
}
