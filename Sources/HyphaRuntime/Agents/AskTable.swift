import HyphaCore

/// The questions of one agent that wait for their answers. Pure.
struct AskTable<Waiter: Sendable>: Sendable {
  private struct Open: Sendable {
    let id: EventID
    let agent: AgentID
    let dueAt: Timestamp
    let waiter: Waiter
  }

  /// Those that a handler asks at once, in the order of asking: a few at the most.
  private var open: [Open] = []

  var isEmpty: Bool { open.isEmpty }
  /// Whom the agent waits for.
  var awaited: [AgentID] { open.map(\.agent) }
  /// When the first of them has waited long enough.
  var next: Timestamp? { open.map(\.dueAt).min() }

  mutating func begin(_ id: EventID, of agent: AgentID, dueAt: Timestamp, _ waiter: Waiter) {
    open.append(Open(id: id, agent: agent, dueAt: dueAt, waiter: waiter))
  }

  /// Takes out who waits for an answer; nil where nobody does any more. Only the agent that was asked may answer.
  mutating func end(_ id: EventID, by agent: AgentID? = nil) -> Waiter? {
    guard let place = open.firstIndex(where: { $0.id == id && (agent == nil || $0.agent == agent) }) else {
      return nil
    }
    return open.remove(at: place).waiter
  }

  /// Takes out all whose time is over.
  mutating func expire(now: Timestamp) -> [Waiter] {
    let expired = open.filter { $0.dueAt <= now }.map(\.waiter)
    open.removeAll { $0.dueAt <= now }
    return expired
  }

  mutating func endAll() -> [Waiter] {
    defer { open = [] }
    return open.map(\.waiter)
  }

  /// The circle that would close if the agent got a question with this path: those from whom it waits for an answer on, who
  /// wait for the asker, who asks it; nil where there is none.
  func cycle(of agent: AgentID, askedBy path: [AgentID]) -> [AgentID]? {
    for awaited in awaited {
      if let place = path.firstIndex(of: awaited) { return [agent] + path[place...] + [agent] }
    }
    return nil
  }

  /// The circle that would close if an agent whose chain of askers is `path`, itself the last, asked another.
  static func cycle(_ path: [AgentID], asking agent: AgentID) -> [AgentID]? {
    path.firstIndex(of: agent).map { path[$0...] + [agent] }
  }
}
