import HyphaCore
import HyphaTransport

/// The receivers of one channel's lanes at one node, and which of them are behind. A pure state machine.
///
/// There may be very many lanes, nearly all of them idle: each takes its name, its receiver (``LaneReceiver``) and a
/// place in a table of hashes, side by side in a few large arrays. Lanes are never forgotten; the topology bounds them.
struct LaneTable: Sendable {
  private var names: ContiguousArray<Lane> = []
  private var receivers: ContiguousArray<LaneReceiver> = []
  private var numbers = SlotTable()
  private let shared: @Sendable (Lane) -> Lane
  /// The numbers of lanes that are behind, and of some that were: each comes once, and the next to be looked at first.
  private var queue = Queue<Int>()
  private var isQueued: Set<Int> = []
  /// How many of the queue were looked at in this round of fetches.
  private var lookedAtCount = 0

  /// How many lanes are behind.
  private(set) var behindCount = 0
  /// How many events are parked in all, and how many bytes they have.
  private(set) var (parkedCount, parkedByteCount) = (0, 0)

  /// The most events that are parked over all lanes.
  static var parkedCountMax: Int { 65_536 }
  /// The most bytes that they have.
  static var parkedByteCountMax: Int { 64 << 20 }

  /// Receivers that go on where a log ends.
  ///
  /// - Parameter shared: the same lane by names that are in memory anyway.
  init(_ heads: [Lane: LaneReceiver], shared: @escaping @Sendable (Lane) -> Lane) {
    self.shared = shared
    for (lane, receiver) in heads { receivers[number(of: lane)] = receiver }
  }

  /// How many lanes there are.
  var count: Int { names.count }

  /// The lanes that are behind, each with its end here and at its origin; the next to be looked at first.
  var behind: [(lane: Lane, head: LanePoint, announced: LanePoint)] {
    queue.all.compactMap { number in
      let receiver = receivers[number]
      return receiver.isBehind ? (names[number], receiver.head, receiver.announced) : nil
    }
  }

  // MARK: Inputs

  /// Takes events of a lane that came over a link.
  mutating func receive(_ records: [Record], of lane: Lane, now: Timestamp) -> LaneReceiver.Reception {
    let room = (
      count: max(0, Self.parkedCountMax - parkedCount),
      byteCount: max(0, Self.parkedByteCountMax - parkedByteCount)
    )
    return change(lane) { receiver in
      let limits = LaneLimits.standard
      if room.count >= limits.parkedCountMax, room.byteCount >= limits.parkedByteCountMax {
        return receiver.receive(records, now: now)
      }
      // Little room over all lanes for what is early: that it is there is enough to fetch it.
      return receiver.receive(
        records, now: now,
        limits: LaneLimits(
          parkedCountMax: min(limits.parkedCountMax, receiver.parkedCount + room.count),
          parkedByteCountMax: min(limits.parkedByteCountMax, receiver.parkedByteCount + room.byteCount)))
    }
  }

  /// Takes the answer to a fetch of what follows `after` in a lane.
  mutating func receive(
    answer records: [Record], of lane: Lane, after: LanePoint, from source: LaneReceiver.Source,
    now: Timestamp
  ) -> LaneReceiver.Reception {
    change(lane) { $0.receive(answer: records, after: after, from: source, now: now) }
  }

  /// Learns how far a lane goes.
  mutating func announce(
    _ point: LanePoint, of lane: Lane, by source: LaneReceiver.Source, now: Timestamp
  ) {
    change(lane) { $0.announce(point, by: source, now: now) }
  }

  /// Falls back to `head`: what was delivered after it could not be kept.
  mutating func reset(_ lane: Lane, to head: LanePoint, now: Timestamp) {
    change(lane) { $0.reset(to: head, now: now) }
  }

  /// Drops what of a lane has come early; it is fetched again.
  mutating func dropEarly(of lane: Lane, now: Timestamp) {
    change(lane) { $0.reset(to: $0.head, id: $0.headID, now: now) }
  }

  // MARK: Fetching

  /// The next lane to fetch from, in turn, and what: nil when all that are behind were looked at since
  /// ``endFetches()``.
  mutating func nextFetch(now: Timestamp) -> (lane: Lane, fetch: LaneReceiver.Fetch)? {
    while lookedAtCount < queue.count, let number = queue.take(upTo: 1).first {
      guard receivers[number].isBehind else {
        isQueued.remove(number)
        continue
      }
      queue.append(number)
      lookedAtCount += 1
      if let fetch = receivers[number].fetchDue(now: now) { return (names[number], fetch) }
    }
    return nil
  }

  /// The round of fetches is over; the next one goes on where it ended.
  mutating func endFetches() { lookedAtCount = 0 }

  // MARK: Lanes by number

  private mutating func number(of lane: Lane) -> Int {
    let hash = lane.hashValue
    if let known = numbers.number(of: hash, where: { names[$0] == lane }) { return known }
    numbers.add(hash)
    names.append(shared(lane))
    receivers.append(LaneReceiver())
    return names.count - 1
  }

  private mutating func change<Value>(_ lane: Lane, _ body: (inout LaneReceiver) -> Value) -> Value {
    let number = number(of: lane)
    let before = receivers[number].load
    let value = body(&receivers[number])
    let after = receivers[number].load
    parkedCount += after.parkedCount - before.parkedCount
    parkedByteCount += after.parkedByteCount - before.parkedByteCount
    behindCount += (after.isBehind ? 1 : 0) - (before.isBehind ? 1 : 0)
    if after.isBehind, isQueued.insert(number).inserted { queue.append(number) }
    return value
  }
}

extension LaneReceiver {
  /// What a lane takes beyond an idle one.
  fileprivate var load: (isBehind: Bool, parkedCount: Int, parkedByteCount: Int) {
    isBehind ? (true, parkedCount, parkedByteCount) : (false, 0, 0)
  }
}
