import HyphaCore

/// What one call does to its agent's timers, beside those that were pending when it began. Pure.
struct TimerChanges: Sendable {
  /// Those that it has set, in order; also those that it has cancelled again.
  private(set) var added: [Agenda.Timer] = []
  /// Those that it has cancelled, in order, each once: what was no timer of the agent is not among them.
  private(set) var cancelled: [EventID] = []
  /// Of those that it has set, the ones that are not cancelled.
  private var open: Set<EventID> = []
  /// Of those that were pending, the ones that are cancelled.
  private var ended: Set<EventID> = []

  var isEmpty: Bool { added.isEmpty && cancelled.isEmpty }

  /// Sets a timer; returns false where the agent has as many as it may have.
  ///
  /// - Parameter pending: the agent's timers when the call began; the same each time.
  mutating func set(_ timer: Agenda.Timer, beside pending: DueTable<Agenda.Timer>) -> Bool {
    guard pending.count - ended.count + open.count < Agenda.timerCountMax else { return false }
    added.append(timer)
    open.insert(timer.id)
    return true
  }

  /// Cancels a timer, if it is one.
  mutating func cancel(_ id: EventID, of pending: DueTable<Agenda.Timer>) {
    guard open.remove(id) != nil || pending.contains(id) && ended.insert(id).inserted else { return }
    cancelled.append(id)
  }
}

extension DueTable<Agenda.Timer> {
  /// Does what a call has left to be done.
  mutating func apply(_ changes: TimerChanges) {
    for timer in changes.added { insert(timer) }
    for id in changes.cancelled { remove(id) }
  }
}
