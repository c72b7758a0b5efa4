public import HyphaCore
public import HyphaLog

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
    var query = LogQuery()
    query.types = [EventDeadLettered.eventType, DeadLetterResolved.eventType]
    query.agent = agent
    var open: [Key: DeadLetter] = [:]
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where entry.source == .stated { try note(entry, in: &open) }
      cursor = page.next
    } while cursor != nil
    return open.values.sorted { $0.statedPosition < $1.statedPosition }
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
