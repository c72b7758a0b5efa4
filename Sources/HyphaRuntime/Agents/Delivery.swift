import HyphaCore
import HyphaLog

/// One event as a handler gets it: as bytes, or as the value that another agent of this node published.
enum Input: Sendable {
  case record(Record)
  case value(ValueRun, Int)

  /// Everything about it except its payload, made anew.
  var header: RecordHeader {
    switch self {
    case .record(let record): record.header
    case .value(let run, let index): run.front.header(run.numbers[index])
    }
  }

  var id: EventID {
    switch self {
    case .record(let record): record.id
    case .value(let run, let index): run.numbers[index].id
    }
  }

  /// When the event was stated.
  var time: Timestamp {
    switch self {
    case .record(let record): record.time
    case .value(let run, let index): run.numbers[index].time
    }
  }

  /// The event as the cause of another.
  var cause: Cause {
    switch self {
    case .record(let record): Cause(event: record.id, correlation: record.correlation)
    case .value(let run, let index):
      Cause(event: run.numbers[index].id, correlation: run.numbers[index].correlation)
    }
  }

  /// What it shares with its neighbours of the same names: the same object where they are known to have the same.
  var names: AnyObject {
    switch self {
    case .record(let record): record.names
    case .value(let run, _): run.front
    }
  }
}

/// Events of one lane on their way into one agent's mailbox: one, or neighbours that came together.
struct Delivery: Sendable {
  private enum Storage: Sendable {
    case records(ArraySlice<Record>)
    case values(ValueRun, Range<Int>)
    /// While it is changed.
    case none
  }

  private var storage: Storage
  /// The first one's place in this node's log, where the others follow it; nil on the realtime channel.
  private(set) var position: Position?
  /// The edges of the tree that they have crossed; nil where they did not come through the tree.
  let hops: UInt8?
  /// When those that came as bytes are not worth delivering any more.
  private let end: Timestamp?
  /// How often the agent is given it, this time included: an alert whose handler has thrown is given again.
  var attempt = 1
  /// Whether the agent's cursor has counted it before.
  var isAgain = false

  /// Events as bytes, at least one, all of one lane; on a logged channel at positions in a row.
  init(_ records: ArraySlice<Record>, position: Position?, hops: UInt8?, expiresAt: Timestamp? = nil) {
    storage = .records(records)
    self.position = position
    self.hops = hops
    end = expiresAt
  }

  /// One event as bytes.
  init(_ record: Record, position: Position? = nil, hops: UInt8? = nil, expiresAt: Timestamp? = nil) {
    self.init([record], position: position, hops: hops, expiresAt: expiresAt)
  }

  /// Events as values.
  init(_ run: ValueRun, position: Position?, hops: UInt8?) {
    storage = .values(run, run.numbers.indices)
    self.position = position
    self.hops = hops
    end = nil
  }

  /// How many events there are.
  var count: Int {
    switch storage {
    case .records(let records): records.count
    case .values(_, let range): range.count
    case .none: 0
    }
  }

  /// How many bytes wait with them: none where they are values.
  var byteCount: Int { records?.reduce(0) { $0 + $1.heldByteCount } ?? 0 }

  /// The events, where they came as bytes.
  var records: ArraySlice<Record>? { if case .records(let records) = storage { records } else { nil } }

  /// One of the events, the first at 0.
  func input(at index: Int = 0) -> Input {
    switch storage {
    case .records(let records): .record(records[records.startIndex + index])
    case .values(let run, let range): .value(run, range.lowerBound + index)
    case .none: preconditionFailure("a delivery has events")
    }
  }

  /// The first event.
  var input: Input { input(at: 0) }

  /// The first one's header.
  var header: RecordHeader { input.header }

  var lane: Lane {
    switch input {
    case .record(let record): record.lane
    case .value(let run, _): run.front.lane
    }
  }

  var channel: Channel {
    switch input {
    case .record(let record): record.channel
    case .value(let run, _): run.front.lane.channel
    }
  }

  /// When the first one was stated.
  var time: Timestamp { input.time }

  /// When the first one is not worth delivering any more.
  var expiresAt: Timestamp? {
    if case .values(let run, let range) = storage { run.expiry(at: range.lowerBound) } else { end }
  }

  /// How many events from the first on have its names, as far as that is known without looking at them.
  var alikeCount: Int {
    guard case .records(let records) = storage else { return count }
    return records.endOfStretch(at: records.startIndex) - records.startIndex
  }

  /// Whether it is a question to the agent, or an answer to one of the agent's.
  var isQuestion: Bool { channel == .realtime && type == Asked.eventType }
  var isAnswer: Bool { channel == .realtime && type == Answered.eventType }

  private var type: EventTypeName {
    switch input {
    case .record(let record): record.type
    case .value(let run, _): run.front.type
    }
  }

  /// The place of the last one.
  var lastPosition: Position? {
    position.map { Position(rawValue: $0.rawValue + UInt64(count - 1)) }
  }

  /// Takes the first events off, at most so many. Some must be left, or all be taken.
  mutating func takeFirst(_ countMax: Int) -> Delivery {
    var taken = self
    guard countMax < count else { return taken }
    switch storage {
    case .records(let records): taken.storage = .records(records.prefix(countMax))
    case .values(let run, let range): taken.storage = .values(run, range.prefix(countMax))
    case .none: break
    }
    drop(first: countMax)
    return taken
  }

  /// Forgets the first events; less than there are.
  mutating func drop(first count: Int) {
    guard count > 0 else { return }
    switch storage {
    case .records(let records): storage = .records(records.dropFirst(count))
    case .values(let run, let range): storage = .values(run, range.dropFirst(count))
    case .none: break
    }
    position = position.map { Position(rawValue: $0.rawValue + UInt64(count)) }
  }

  /// Takes off the first events that are not worth delivering any more. Returns them; nil where there are none. The delivery is
  /// not to be used where they are all.
  mutating func takeExpired(at now: Timestamp) -> (expired: Delivery, isAll: Bool)? {
    guard let first = expiresAt, first <= now else { return nil }
    guard case .values(let run, let range) = storage else { return (self, true) }
    // Those that were published later expire later.
    let kept = range.first { run.expiry(at: $0).map { $0 > now } ?? true } ?? range.upperBound
    return (takeFirst(kept - range.lowerBound), kept == range.upperBound)
  }

  /// Adds a value to those of the same lane and subject, where nobody else looks at them. Returns false where it cannot.
  mutating func append<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, hops: UInt8
  ) -> Bool {
    guard self.hops == hops, case .values(var run, let range) = storage, run.front === front,
      range.upperBound == run.numbers.count
    else { return false }
    storage = .none
    defer { storage = .values(run, range.lowerBound..<run.numbers.count) }
    return isKnownUniquelyReferenced(&run) && run.append(event, numbers)
  }

  /// Calls `body` with each event's author and subject, the oldest first.
  func forEach(_ body: (_ agent: AgentID, _ subject: Subject) -> Void) {
    switch storage {
    case .records(let records): for record in records { body(record.agent, record.subject) }
    case .values(let run, let range): for _ in range { body(run.front.lane.agent, run.front.subject) }
    case .none: break
    }
  }

  /// Parts the events that `isKept` from the others, on a channel without positions; it is asked of each, the oldest
  /// first. Nil where there are none.
  func parted(
    _ isKept: (_ agent: AgentID, _ subject: Subject) -> Bool
  ) -> (kept: Delivery?, others: Delivery?) {
    var (kept, others): ([Int], [Int]) = ([], [])
    var index = 0
    forEach { agent, subject in
      if isKept(agent, subject) { kept.append(index) } else { others.append(index) }
      index += 1
    }
    if others.isEmpty { return (self, nil) }
    return (kept.isEmpty ? nil : picked(kept), kept.isEmpty ? self : picked(others))
  }

  /// Those at some places alone.
  private func picked(_ indices: [Int]) -> Delivery? {
    var picked = self
    switch storage {
    case .records(let records):
      let few = indices.map { records[records.startIndex + $0] }
      // Who is left of many does not hold on to them all.
      picked.storage = .records((few.count * 4 < records.count ? few.map(\.alone) : few)[...])
    case .values(let run, let range):
      let run = run.picked(indices.map { range.lowerBound + $0 })
      picked.storage = .values(run, run.numbers.indices)
    case .none: return nil
    }
    return picked
  }

  /// How many of the events `isCounted`; of neighbours with the same names it is asked once.
  func count(where isCounted: (_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool)
    -> Int
  {
    switch storage {
    case .records(let records): records.count(where: isCounted)
    case .values(let run, let range):
      isCounted(run.front.addressee, run.front.type, run.front.subject) ? range.count : 0
    case .none: 0
    }
  }
}

extension ArraySlice<Record> {
  /// How many of the records `isCounted`; of neighbours with the same names it is asked once.
  func count(where isCounted: (_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool)
    -> Int
  {
    var (count, begin) = (0, startIndex)
    while begin < endIndex {
      let (end, names) = (endOfStretch(at: begin), self[begin].names)
      if isCounted(names.addressee, names.type, names.subject) { count += end - begin }
      begin = end
    }
    return count
  }
}
