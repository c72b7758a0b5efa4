public import HyphaCore
public import HyphaLog

/// What an event-sourced agent's state was after each of its events: they are folded once more, from the first one, by the rules
/// that the agent itself evolves by.
public struct StateStep {
  /// The event that the state has just evolved by; nil at the begin.
  public let entry: LogEntry?
  /// How many events it has evolved by.
  public let eventCount: Int
  private let encode: () throws -> JSONValue

  init(entry: LogEntry?, eventCount: Int, encode: @escaping () throws -> JSONValue) {
    (self.entry, self.eventCount, self.encode) = (entry, eventCount, encode)
  }

  /// The state as JSON. As costly as encoding it.
  public func state() throws -> JSONValue { try encode() }
}

extension KindRegistry {
  /// Calls `body` with an agent's state at its begin and after each event that it evolved by, until it returns false.
  ///
  /// - Parameters:
  ///   - kind: the agent's kind.
  ///   - log: the log of its node, which may run meanwhile.
  ///   - progress: told how far in the log it is, after every 65,536 entries that are looked at or more often; what it throws
  ///     ends it.
  /// - Complexity: linear in the agent's persistent events, found by the log's index where there is one; memory for a page of
  ///   them.
  /// - Throws: ``HyphaError/Code/usage`` for a kind whose state is not event-sourced; ``HyphaError/Code/logInvalid`` where
  ///   events that it follows from are gone; what decoding them, and `body`, throws.
  public func visitStates(
    of agent: AgentID, kind name: String, in log: any LogReader,
    progress: (Position) throws -> Void = { _ in }, _ body: (StateStep) throws -> Bool
  ) async throws {
    try await Self.visitStates(of: agent, kind(name), in: log, progress, body)
  }

  private static func visitStates<Kind: Agent>(
    of agent: AgentID, _ kind: Kind.Type, in log: any LogReader, _ progress: (Position) throws -> Void,
    _ body: (StateStep) throws -> Bool
  ) async throws {
    guard kind.evolves.isUsed else {
      throw HyphaError(
        .usage,
        "the state of '\(agent)' is committed whole: its kind '\(kind.kind)' does not evolve by events",
        remedy: "declare `evolves` for a state whose past is to be known")
    }
    if let gap = try log.gaps().first {
      throw HyphaError(
        .logInvalid,
        "the past states of '\(agent)' follow from its events, and the log has lost some (\(gap))",
        remedy: "look into a backup of the log that has them")
    }
    let fresh = kind.init()
    var state = await fresh.state
    var count = 0
    func step(_ entry: LogEntry?) -> StateStep {
      let now = state
      return StateStep(entry: entry, eventCount: count) {
        try JSON.decode(JSONValue.self, from: JSON.encode(now))
      }
    }
    guard try body(step(nil)) else { return }
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where entry.source == .stated {
        guard let rule = kind.evolves.rules[entry.record.header.type] else { continue }
        try rule.replay(&state, entry.record)
        count += 1
        guard try body(step(entry)) else { return }
      }
      cursor = page.next
      if let cursor { try progress(cursor.next) }
    } while cursor != nil
  }
}
