import HyphaCore

/// What an operator wants of an agent: it is done between two inputs, in a commit of its own.
struct AgentOrder: Sendable {
  /// What to do.
  enum Wish: Sendable {
    /// Settle the dead letter of this event.
    case resolve(event: EventID, DeadLetterResolved.Resolution, note: String?)
    /// State these events, as if a handler had published them.
    case state([Draft])
  }

  var wish: Wish
  var authority: Authority?
  /// Is told what became of it, once.
  var done: @Sendable (Result<Void, HyphaError>) -> Void

  /// Tells that the agent stops.
  func refuse() {
    done(
      .failure(
        HyphaError(.failed, "the agent was stopped meanwhile", remedy: "ask again when its node runs")))
  }
}
