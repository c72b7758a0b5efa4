import HyphaCore
import HyphaLog

/// The persistent events that one agent was given, in the order of its node's log, read a step behind what it stated of them.
///
/// - Complexity: each entry of the log is looked at once; memory for the events between the one that the agent is at and the one
///   that is looked for.
struct RerunInputs {
  private struct Place {
    let position: Position
    let id: EventID
  }

  private let log: any LogReader
  private let end: Position
  private let agent: [UInt8]
  private let isForAgent: (Record, Position) -> Bool
  private let isHandled: (EventTypeName) -> Bool
  private var pending = Queue<Place>()
  private var scanned: Position
  /// How many events for the agent were met, whether it has a handler for them or not.
  private(set) var count: UInt64 = 0

  /// - Parameters:
  ///   - begin: what stands up to here was given to the agent before.
  ///   - end: the last position that is looked at.
  ///   - isForAgent: whether an event is for the agent; asked of those that are for it alone or for nobody in particular.
  ///   - isHandled: whether it has a handler for a type.
  init(
    of agent: AgentID, _ log: any LogReader, after begin: Position, through end: Position,
    isForAgent: @escaping (Record, Position) -> Bool, isHandled: @escaping (EventTypeName) -> Bool
  ) {
    (self.log, self.end, self.isForAgent, self.isHandled) = (log, end, isForAgent, isHandled)
    self.agent = Array(agent.text.utf8)
    scanned = begin
  }

  /// Whether an event may be for the agent, by its bytes: most are for others, and need not be read whole.
  private func mayBeForAgent(_ record: RecordView) -> Bool {
    guard record.channel == .persistent else { return false }
    let addressee = record.addressee
    guard addressee.isEmpty else { return addressee.elementsEqual(agent) }
    return !Self.toNobody.contains { record.type.elementsEqual($0) }
  }

  private static let toNobody = [EventTypeName.observed, .stateCheckpointed, .inputsHandled, .moveKept].map {
    Array($0.text.utf8)
  }

  /// So many events are looked for at a time, since each look begins anew in the log.
  private static let readAheadCount = 64

  /// Takes the next event up to `last`; nil where there is none.
  mutating func next(through last: Position) throws -> LogEntry? {
    if pending.isEmpty { try scan(through: last) { _, count in count < Self.readAheadCount } }
    guard let next = pending.first, next.position <= last else { return nil }
    _ = pending.take(upTo: 1)
    return try log.entry(at: next.position)
  }

  /// Forgets what stands up to `last`: it was given to the agent out of this order.
  mutating func skip(through last: Position) throws {
    while try next(through: last) != nil {}
  }

  /// Where the event `id` stands among those to come, before `limit`; nil where it is none of them.
  mutating func position(of id: EventID, before limit: Position) throws -> Position? {
    if let known = pending.all.first(where: { $0.id == id }) { return known.position }
    var found: Position?
    try scan(through: limit) { place, _ in
      if place.id == id { found = place.position }
      return found == nil
    }
    return found
  }

  /// Looks at more of the log as long as `goesOn`, which is asked after each event found.
  private mutating func scan(through last: Position, while goesOn: (_ found: Place, _ count: Int) -> Bool)
    throws
  {
    let last = min(last, end)
    guard scanned < last else { return }
    var foundCount = 0
    try log.visit(scanned.next...last, .forward) { view in
      scanned = view.position
      guard mayBeForAgent(view.record), case let record = try view.entry().record,
        isForAgent(record, view.position)
      else {
        return true
      }
      count += 1
      guard isHandled(record.type) else { return true }
      let place = Place(position: view.position, id: record.id)
      pending.append(place)
      foundCount += 1
      return goesOn(place, foundCount)
    }
  }
}
