import HyphaCore
import HyphaLog

/// What a queue of deliveries may hold.
struct InboxBounds: Sendable {
  /// The most events.
  var count = 8_192
  /// The most bytes of events that came as bytes; one delivery may exceed it alone.
  var byteCount = 64 << 20
}

/// A queue of logged events in the order of the log, which falls back to the log itself when it is full.
///
/// *Behind, catch up, join live* as a pure machine: while behind, offers are only noted; once the log was
/// read through the newest position offered, the queue takes offers again. Nothing is lost or doubled in
/// between, because positions only grow.
struct LoggedInbox: Sendable {
  private var queue: DeliveryQueue
  /// The newest position queued or read.
  private var seen: Position
  /// The newest position that is only in the log; nil while live.
  private var behindTo: Position?

  /// A queue for an agent that has handled everything through `handled`; `newest` is the newest event for it
  /// that the log holds already.
  init(bounds: InboxBounds = InboxBounds(), handled: Position, newest: Position) {
    queue = DeliveryQueue(bounds)
    seen = handled
    behindTo = newest > handled ? newest : nil
  }

  mutating func offer(_ delivery: Delivery) {
    guard let first = delivery.position, let last = delivery.lastPosition, last > seen else { return }
    var delivery = delivery
    // The log may have been read into the middle of it.
    if first <= seen { delivery.drop(first: Int(seen.rawValue - first.rawValue) + 1) }
    if let behind = behindTo {
      behindTo = max(behind, last)
      return
    }
    if let fitting = queue.append(fitting: &delivery) { seen = fitting.lastPosition ?? seen }
    if last > seen { behindTo = last }
  }

  mutating func take(upTo limit: Int) -> [Delivery] { queue.take(upTo: limit) }

  /// After which position the log must be read; nil while events are queued or the queue is live.
  var catchUp: Position? { queue.isEmpty && behindTo != nil ? seen : nil }

  mutating func caughtUp(through position: Position) {
    seen = max(seen, position)
    if let behind = behindTo, seen >= behind { behindTo = nil }
  }

  /// Whether nothing is queued here; there may be more in the log.
  var isEmpty: Bool { queue.isEmpty }
  var hasWork: Bool { !queue.isEmpty || behindTo != nil }
  /// The oldest that is queued.
  var first: Delivery? { queue.first }
  var backlog: Int { queue.eventCount + (behindTo == nil ? 0 : 1) }
  var count: Int { queue.eventCount }
  /// Whether there is more in the log.
  var isBehind: Bool { behindTo != nil }
}

/// A bounded queue of realtime events. When it is full the newest wins: of each agent and subject the newest event
/// alone is kept, and of what is still too much the oldest goes.
struct RealtimeInbox: Sendable {
  /// Events that had to go, and why.
  struct Dropped: Sendable {
    var delivery: Delivery
    var cause: LossCause
  }

  private struct Key: Hashable {
    let agent: AgentID
    let subject: Subject
  }

  private var queue: DeliveryQueue

  init(bounds: InboxBounds = InboxBounds()) { queue = DeliveryQueue(bounds) }

  var count: Int { queue.eventCount }
  /// The oldest that waits.
  var first: Delivery? { queue.first }
  /// What waits, the oldest first.
  var all: [Delivery] { queue.all }

  /// Returns what was dropped for the events; they may be among it.
  mutating func offer(_ delivery: Delivery) -> [Dropped] {
    queue.append(delivery)
    return makeRoom()
  }

  /// The same of a value, which goes with those before it where they are of its lane and subject.
  mutating func offer<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, hops: UInt8
  ) -> [Dropped] {
    queue.append(event, numbers, of: front, hops: hops)
    return makeRoom()
  }

  private mutating func makeRoom() -> [Dropped] {
    guard queue.isOverfull else { return [] }
    // Some room is made each time, so that this is not done for each event.
    return keepNewest().map { Dropped(delivery: $0, cause: .replaced) }
      + queue.dropOldest().map { Dropped(delivery: $0, cause: .inboxFull) }
  }

  /// Keeps the newest event of each agent and subject, and returns the others.
  private mutating func keepNewest() -> [Delivery] {
    var newest: [Key: Int] = [:]
    var number = 0
    for delivery in queue.all {
      delivery.forEach { agent, subject in
        newest[Key(agent: agent, subject: subject)] = number
        number += 1
      }
    }
    number = 0
    return queue.filter { agent, subject in
      defer { number += 1 }
      return newest[Key(agent: agent, subject: subject)] == number
    }
  }

  /// The oldest events, worth delivering or not (``parted(_:at:)``).
  mutating func take(upTo limit: Int) -> [Delivery] { queue.take(upTo: limit) }

  /// Events that are still worth delivering, and those that are not.
  static func parted(_ deliveries: [Delivery], at now: Timestamp) -> (fresh: [Delivery], expired: [Delivery])
  {
    guard deliveries.contains(where: { $0.expiresAt.map { $0 <= now } ?? false }) else {
      return (deliveries, [])
    }
    var (fresh, expired): ([Delivery], [Delivery]) = ([], [])
    for var delivery in deliveries {
      let old = delivery.takeExpired(at: now)
      if let old { expired.append(old.expired) }
      if !(old?.isAll ?? false) { fresh.append(delivery) }
    }
    return (fresh, expired)
  }
}

/// Deliveries, first in, first out, that know how many events and bytes they are.
struct DeliveryQueue: Sendable {
  private let bounds: InboxBounds
  private var queue = Queue<Delivery>()
  private(set) var eventCount = 0
  private var byteCount = 0

  init(_ bounds: InboxBounds) { self.bounds = bounds }

  var isEmpty: Bool { queue.isEmpty }
  var first: Delivery? { queue.first }
  var all: [Delivery] { Array(queue.all) }

  var isOverfull: Bool { eventCount > bounds.count || byteCount > bounds.byteCount && queue.count > 1 }

  mutating func append(_ delivery: Delivery) {
    queue.append(delivery)
    eventCount += delivery.count
    byteCount += delivery.byteCount
  }

  /// Appends a value, to the last delivery where it can be.
  mutating func append<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, hops: UInt8
  ) {
    eventCount += 1
    if queue.withLast({ $0.append(event, numbers, of: front, hops: hops) }) ?? false { return }
    queue.append(Delivery(TypedRun(front, [numbers], [event]), position: nil, hops: hops))
  }

  /// Appends as much of a delivery as there is room for, and takes that off it.
  mutating func append(fitting delivery: inout Delivery) -> Delivery? {
    let room = bounds.count - eventCount
    let isFull = byteCount + delivery.byteCount > bounds.byteCount && !queue.isEmpty
    guard room > 0, !isFull else { return nil }
    let fitting = delivery.takeFirst(room)
    append(fitting)
    return fitting
  }

  /// The oldest events, at most so many.
  mutating func take(upTo limit: Int) -> [Delivery] {
    var taken: [Delivery] = []
    var room = limit
    while room > 0, let count = queue.first?.count {
      if count <= room, let whole = queue.takeFirst() {
        taken.append(whole)
      } else if let part = queue.withFirst({ $0.takeFirst(room) }) {
        taken.append(part)
      }
      room -= min(count, room)
    }
    for delivery in taken { forget(delivery) }
    return taken
  }

  /// Keeps the events alone that `isKept`, and returns the others; it is asked of each, the oldest first.
  mutating func filter(_ isKept: (_ agent: AgentID, _ subject: Subject) -> Bool) -> [Delivery] {
    let all = queue.take(upTo: queue.count)
    (eventCount, byteCount) = (0, 0)
    var others: [Delivery] = []
    for delivery in all {
      let parts = delivery.parted(isKept)
      if let kept = parts.kept { append(kept) }
      if let other = parts.others { others.append(other) }
    }
    return others
  }

  /// Drops the oldest events until an eighth of the room is free, and returns them.
  mutating func dropOldest() -> [Delivery] {
    let (countMax, byteCountMax) = (bounds.count - bounds.count / 8, bounds.byteCount - bounds.byteCount / 8)
    var dropped: [Delivery] = []
    if eventCount > countMax { dropped += take(upTo: eventCount - countMax) }
    while queue.count > 1, byteCount > byteCountMax { dropped += take(upTo: queue.first?.count ?? 1) }
    return dropped
  }

  private mutating func forget(_ delivery: Delivery) {
    eventCount -= delivery.count
    byteCount -= delivery.byteCount
  }
}
