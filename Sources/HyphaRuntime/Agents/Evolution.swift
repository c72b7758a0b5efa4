public import HyphaCore

/// How an event-sourced state follows from the agent's own events: one pure function for each type.
///
/// ```swift
/// static let evolves = Evolution(State.self)
///   .on(Deposited.self) { $0.balance += $1.amount }
///   .on(Withdrawn.self) { $0.balance -= $1.amount }
/// ```
public struct Evolution<State: Codable & Sendable>: Sendable {
  struct Rule: Sendable {
    let channel: Channel
    let apply: @Sendable (inout State, any Event) throws -> Void
    let replay: @Sendable (inout State, Record) throws -> Void
  }

  private(set) var rules: [EventTypeName: Rule] = [:]

  /// No rules: the state is committed whole with each handler's effects.
  public init(_ state: State.Type) {}

  /// Adds how the state follows from one event type; a second rule of the same type replaces the first.
  ///
  /// - Parameter evolve: must depend on nothing but its arguments, and must not fail: it runs again for each event since
  ///   the newest snapshot when the agent starts.
  public func on<E: Event>(_ type: E.Type, _ evolve: @escaping @Sendable (inout State, E) -> Void)
    -> Evolution
  {
    var evolution = self
    evolution.rules[E.eventType] = Rule(
      channel: E.channel,
      apply: { state, event in
        guard let event = event as? E else {
          throw HyphaError(
            .invalidPayload, "two event types share the name \(E.eventType)", remedy: "rename one of them")
        }
        evolve(&state, event)
      },
      replay: { state, record in evolve(&state, try E.decode(record)) })
    return evolution
  }

  /// Whether the state is event-sourced.
  var isUsed: Bool { !rules.isEmpty }
}

/// When an event-sourced state is saved: after so many events that it has evolved by. Pure.
struct SnapshotPolicy: Sendable {
  let every: Int
  private var sinceCount = 0
  private var isWanted = false

  init(every: Int) { self.every = max(1, every) }

  mutating func evolved(by count: Int) { sinceCount += count }
  /// Asks for a snapshot with the next commit: what was read again at the start is not to be read another time.
  mutating func want() { isWanted = true }
  mutating func saved() { (sinceCount, isWanted) = (0, false) }
  var isDue: Bool { isWanted || sinceCount >= every }
}
