import HyphaCore

/// A question that is about to leave, or that waits for its answer.
struct Ask: Sendable {
  let id: EventID
  /// Who is asked.
  let agent: AgentID
  /// The question's type.
  let type: EventTypeName
  /// Which question of its call it is, from 1.
  let number: Int
  /// How long the asker meant to wait for the answer.
  let within: Duration
  /// How long it may wait: less where it answers a question itself whose time is over sooner.
  let granted: Duration
  let dueAt: Timestamp
  let key: String
  let path: [AgentID]
  let cause: Cause?
  /// How old an answer from a copy may be; nil where the agent itself is to be asked.
  var maxAge: Duration?
}

/// The questions of one agent that wait for their answers. Pure.
struct AskTable<Waiter: Sendable>: Sendable {
  private struct Open: Sendable {
    let ask: Ask
    let waiter: Waiter
  }

  /// Those that a handler asks at once, in the order of asking: a few at the most.
  private var open: [Open] = []

  var isEmpty: Bool { open.isEmpty }
  /// Whom the agent waits for.
  var awaited: [AgentID] { open.map(\.ask.agent) }
  /// When the first of them has waited long enough.
  var next: Timestamp? { open.map(\.ask.dueAt).min() }

  mutating func begin(_ ask: Ask, _ waiter: Waiter) {
    open.append(Open(ask: ask, waiter: waiter))
  }

  /// Takes out who waits for an answer; nil where nobody does any more. Only the agent that was asked may answer.
  mutating func end(_ id: EventID, by agent: AgentID? = nil) -> Waiter? {
    open.firstIndex { $0.ask.id == id && (agent == nil || $0.ask.agent == agent) }
      .map { open.remove(at: $0).waiter }
  }

  /// Takes out all whose time is over.
  mutating func expire(now: Timestamp) -> [(Ask, Waiter)] {
    let expired = open.filter { $0.ask.dueAt <= now }
    open.removeAll { $0.ask.dueAt <= now }
    return expired.map { ($0.ask, $0.waiter) }
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
