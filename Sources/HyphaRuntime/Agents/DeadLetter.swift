public import HyphaCore
public import HyphaLog
import HyphaTopology

/// An event that an agent could not handle, and that nobody has settled yet.
public struct DeadLetter: Sendable, Hashable, Codable {
  /// What the agent has stated of it.
  public let failure: EventDeadLettered
  /// When.
  public let statedAt: Timestamp
  /// Where that stands in the log.
  public let statedPosition: UInt64

  /// The dead letters of a log's node that are open, the oldest first; from the log alone, while the node runs or not.
  ///
  /// - Parameter agent: of this one alone.
  /// - Complexity: reads the statements about dead letters, found by the index where there is one.
  public static func open(in log: any LogReader, of agent: AgentID? = nil) throws -> [DeadLetter] {
    let reading = try MoveReading(log)
    let arrived = Set(reading.arrived.map(\.order.agent))
    let departed = Set(reading.departed.map(\.order.agent))
    var query = LogQuery()
    query.types = [EventDeadLettered.eventType, DeadLetterResolved.eventType]
    query.agent = agent
    var open: [Key: DeadLetter] = [:]
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      // Who was moved has taken them along.
      for entry in page.entries where !departed.contains(entry.record.agent) {
        guard entry.source == .stated || arrived.contains(entry.record.agent) else { continue }
        try note(entry, in: &open)
      }
      cursor = page.next
    } while cursor != nil
    return open.values.sorted { $0.statedPosition < $1.statedPosition }
  }

  /// Where the event stands in a log; nil where it is not there.
  ///
  /// What its agent has stated of it names the place in the log of the node that the agent was on.
  public func entry(in log: any LogReader) throws -> LogEntry? {
    let place = Position(rawValue: failure.position)
    if let entry = try log.entry(at: place), entry.record.header.id == failure.event { return entry }
    var query = LogQuery()
    query.event = failure.event
    return try log.page(of: query).entries.first
  }

  private struct Key: Hashable {
    let agent: AgentID
    let event: EventID
  }

  private static func note(_ entry: LogEntry, in open: inout [Key: DeadLetter]) throws {
    switch entry.record.header.type {
    case EventDeadLettered.eventType:
      let failure = try EventDeadLettered.decode(entry.record)
      open[Key(agent: failure.agent, event: failure.event)] = DeadLetter(
        failure: failure, statedAt: entry.record.header.time, statedPosition: entry.position.rawValue)
    default:
      let resolved = try DeadLetterResolved.decode(entry.record)
      open[Key(agent: resolved.agent, event: resolved.event)] = nil
    }
  }
}
