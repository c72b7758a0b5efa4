import HyphaCore
import HyphaLog

/// One event as a handler gets it: as bytes, or as the value that another agent of this node published.
enum Input: Sendable {
  case record(Record)
  case stated(StatedEvent)

  /// Everything about it except its payload, made anew where it came as bytes.
  var header: RecordHeader {
    switch self {
    case .record(let record): record.header
    case .stated(let stated): stated.header
    }
  }

  /// The event as the cause of another.
  var cause: Cause {
    switch self {
    case .record(let record): Cause(event: record.id, correlation: record.correlation)
    case .stated(let stated): Cause(event: stated.header.id, correlation: stated.header.correlation)
    }
  }
}

/// A value with its header, shared by all whom the event is for.
final class StatedEvent: Sendable {
  let header: RecordHeader
  let event: any Event

  init(_ header: RecordHeader, _ event: any Event) {
    self.header = header
    self.event = event
  }
}

/// Events of one lane on their way into one agent's mailbox: one, or neighbours that came together.
struct Delivery: Sendable {
  private enum Storage: Sendable {
    case records(ArraySlice<Record>)
    case stated(StatedEvent)
  }

  private var storage: Storage
  /// The first one's place in this node's log, where the others follow it; nil on the realtime channel.
  private(set) var position: Position?
  /// The edges of the tree that they have crossed; nil where they did not come through the tree.
  let hops: UInt8?
  /// When they are not worth delivering any more.
  let expiresAt: Timestamp?
  /// How often the agent is given it, this time included: an alert whose handler has thrown is given again.
  var attempt = 1
  /// Whether the agent's cursor has counted it before.
  var isAgain = false

  /// Events as bytes, at least one, all of one lane; on a logged channel at positions in a row.
  init(_ records: ArraySlice<Record>, position: Position?, hops: UInt8?, expiresAt: Timestamp? = nil) {
    storage = .records(records)
    self.position = position
    self.hops = hops
    self.expiresAt = expiresAt
  }

  /// One event as bytes.
  init(_ record: Record, position: Position? = nil, hops: UInt8? = nil, expiresAt: Timestamp? = nil) {
    self.init([record], position: position, hops: hops, expiresAt: expiresAt)
  }

  /// One event as a value.
  init(_ stated: StatedEvent, position: Position?, hops: UInt8?, expiresAt: Timestamp? = nil) {
    storage = .stated(stated)
    self.position = position
    self.hops = hops
    self.expiresAt = expiresAt
  }

  /// How many events there are.
  var count: Int {
    switch storage {
    case .records(let records): records.count
    case .stated: 1
    }
  }

  /// How many bytes wait with them: none where they are values.
  var byteCount: Int {
    switch storage {
    case .records(let records): records.reduce(0) { $0 + $1.byteCount }
    case .stated: 0
    }
  }

  /// The events, where they came as bytes.
  var records: ArraySlice<Record>? { if case .records(let records) = storage { records } else { nil } }

  /// The first event.
  var input: Input {
    switch storage {
    case .records(let records): .record(records[records.startIndex])
    case .stated(let stated): .stated(stated)
    }
  }

  /// The first one's header.
  var header: RecordHeader { input.header }

  var channel: Channel {
    switch storage {
    case .records(let records): records[records.startIndex].channel
    case .stated(let stated): stated.header.channel
    }
  }

  var lane: Lane {
    switch storage {
    case .records(let records): records[records.startIndex].lane
    case .stated(let stated): stated.header.lane
    }
  }

  /// When the first one was stated.
  var time: Timestamp {
    switch storage {
    case .records(let records): records[records.startIndex].time
    case .stated(let stated): stated.header.time
    }
  }

  /// Whether it is a question to the agent, or an answer to one of the agent's.
  var isQuestion: Bool { channel == .realtime && type == Asked.eventType }
  var isAnswer: Bool { channel == .realtime && type == Answered.eventType }

  private var type: EventTypeName {
    switch storage {
    case .records(let records): records[records.startIndex].type
    case .stated(let stated): stated.header.type
    }
  }

  /// The place of the last one.
  var lastPosition: Position? {
    position.map { Position(rawValue: $0.rawValue + UInt64(count - 1)) }
  }

  /// Takes the first events off, at most so many. Some must be left, or all be taken.
  mutating func takeFirst(_ countMax: Int) -> Delivery {
    var taken = self
    guard case .records(let records) = storage, countMax < records.count else { return taken }
    taken.storage = .records(records.prefix(countMax))
    drop(first: countMax)
    return taken
  }

  /// Forgets the first events; less than there are.
  mutating func drop(first count: Int) {
    guard case .records(let records) = storage, count > 0 else { return }
    storage = .records(records.dropFirst(count))
    position = position.map { Position(rawValue: $0.rawValue + UInt64(count)) }
  }

  /// Calls `body` with each event's author and subject, the oldest first.
  func forEach(_ body: (_ agent: AgentID, _ subject: Subject) -> Void) {
    switch storage {
    case .records(let records): for record in records { body(record.agent, record.subject) }
    case .stated(let stated): body(stated.header.agent, stated.header.subject)
    }
  }

  /// Parts the events that `isKept` from the others, on a channel without positions; it is asked of each, the oldest
  /// first. Nil where there are none.
  func parted(
    _ isKept: (_ agent: AgentID, _ subject: Subject) -> Bool
  ) -> (kept: Delivery?, others: Delivery?) {
    guard case .records(let records) = storage else {
      return isKept(header.agent, header.subject) ? (self, nil) : (nil, self)
    }
    var (kept, others): ([Record], [Record]) = ([], [])
    for record in records {
      if isKept(record.agent, record.subject) { kept.append(record) } else { others.append(record) }
    }
    guard !others.isEmpty else { return (self, nil) }
    func delivery(of records: [Record]) -> Delivery? {
      records.isEmpty ? nil : Delivery(records[...], position: nil, hops: hops, expiresAt: expiresAt)
    }
    // Who is left of many does not hold on to them all.
    let isFew = kept.count * 4 < records.count
    return (delivery(of: isFew ? kept.map(\.alone) : kept), delivery(of: others))
  }

  /// How many of the events `isCounted`; of neighbours with the same names it is asked once.
  func count(where isCounted: (_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool)
    -> Int
  {
    switch storage {
    case .records(let records): records.count(where: isCounted)
    case .stated(let stated):
      isCounted(stated.header.addressee, stated.header.type, stated.header.subject) ? 1 : 0
    }
  }
}

extension Collection<Record> {
  /// How many of the records `isCounted`; of neighbours with the same names it is asked once.
  func count(where isCounted: (_ addressee: AgentID?, _ type: EventTypeName, _ subject: Subject) -> Bool)
    -> Int
  {
    var (count, last, isLastCounted) = (0, nil as Record?, false)
    for record in self {
      if !(last.map { record.sharesNames(with: $0) } ?? false) {
        isLastCounted = isCounted(record.addressee, record.type, record.subject)
        last = record
      }
      if isLastCounted { count += 1 }
    }
    return count
  }
}
