import HyphaCore
import HyphaLog
import Synchronization

/// Which shared values are wanted.
struct SharedQuery: Sendable {
  enum Wanted: Sendable {
    /// One agent's about a subject; or where there is none, the newest of that agent's.
    case one(AgentID, Subject?)
    case all
  }

  let type: EventTypeName
  let wanted: Wanted

  /// Whether a value may be what is wanted.
  func allows(_ record: Record) -> Bool {
    guard record.type == type else { return false }
    guard case .one(let author, let subject) = wanted else { return true }
    return record.agent == author && subject.map { $0 == record.subject } ?? true
  }
}

/// A shared value as a node has it.
final class SharedItem: Sendable {
  let record: Record
  /// Where the node's log has it.
  let position: Position
  /// The value, once it was decoded, or from the begin where it was stated on this node.
  private let event: Mutex<(any Event)?>

  init(_ record: Record, at position: Position, event: (any Event)? = nil) {
    self.record = record
    self.position = position
    self.event = Mutex(event)
  }

  /// The value; it is decoded once for all who read it.
  func value<Value: SharedValue>(as type: Value.Type) throws -> Value {
    if let known = event.withLock({ $0 as? Value }) { return known }
    let value = try Value.decode(record)
    event.withLock { $0 = value }
    return value
  }
}

/// The newest shared value of each author, type and subject, as one node has them. Pure.
///
/// It is bounded: where there are too many, those go that were stated longest ago. They are as if never shared until their
/// authors state them again.
struct SharedTable: Sendable {
  /// The most values, and the most bytes of their records.
  struct Limits: Sendable {
    var valueCount = 65_536
    var byteCount = 64 << 20
  }

  /// The types whose values are kept.
  let types: Set<EventTypeName>
  let limits: Limits
  private(set) var count = 0
  private(set) var byteCount = 0
  /// How many values went for want of room.
  private(set) var droppedCount = 0
  private var items: [EventTypeName: [AgentID: [Subject: SharedItem]]] = [:]

  init(of types: Set<EventTypeName>, limits: Limits = Limits()) {
    self.types = types
    self.limits = limits
  }

  /// Takes an event of the node's log, where it is a shared value and newer than the one that is known. Returns whether it was.
  @discardableResult
  mutating func take(_ record: Record, at position: Position, event: (any Event)? = nil) -> Bool {
    guard types.contains(record.type), record.channel == .persistent, record.addressee == nil else {
      return false
    }
    let known = items[record.type]?[record.agent]?[record.subject]
    if let known, record.point <= known.record.point { return false }
    // A few bytes do not hold on to all that came with them.
    let item = SharedItem(record.alone, at: position, event: event)
    items[record.type, default: [:]][record.agent, default: [:]][record.subject] = item
    if known == nil { count += 1 }
    byteCount += record.byteCount - (known?.record.byteCount ?? 0)
    if count > limits.valueCount || byteCount > limits.byteCount { makeRoom() }
    return true
  }

  /// What is wanted, by author and subject, of what is for the reader.
  func find(_ query: SharedQuery, where isForReader: (Record) -> Bool) -> [SharedItem] {
    let authors = items[query.type] ?? [:]
    guard case .one(let author, let subject) = query.wanted else {
      return authors.values.flatMap(\.values).filter { isForReader($0.record) }.sorted(by: Self.isBefore)
    }
    let values = authors[author] ?? [:]
    guard let subject else {
      let newest = values.values.filter { isForReader($0.record) }.max { $0.record.point < $1.record.point }
      return newest.map { [$0] } ?? []
    }
    return values[subject].map { isForReader($0.record) ? [$0] : [] } ?? []
  }

  /// All values, by type, author and subject.
  var all: [SharedItem] {
    items.sorted { $0.key < $1.key }.flatMap { _, authors in
      authors.values.flatMap(\.values).sorted(by: Self.isBefore)
    }
  }

  private static func isBefore(_ first: SharedItem, _ second: SharedItem) -> Bool {
    let (first, second) = (first.record, second.record)
    return (first.agent, first.subject.text) < (second.agent, second.subject.text)
  }

  /// Drops a sixteenth, those that were stated longest ago, so that this is not done for each value that comes.
  private mutating func makeRoom() {
    let (countMax, bytesMax) = (limits.valueCount * 15 / 16, limits.byteCount / 16 * 15)
    for item in all.sorted(by: { $0.record.time < $1.record.time }) {
      guard count > countMax || byteCount > bytesMax else { return }
      items[item.record.type]?[item.record.agent]?[item.record.subject] = nil
      count -= 1
      byteCount -= item.record.byteCount
      droppedCount += 1
    }
  }
}
