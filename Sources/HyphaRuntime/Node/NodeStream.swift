import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// The stream in which a node states events under its own name (``NodeID/author``), such as those of the topology.
///
/// What it states goes into the log in groups, one at a time, and is tried again until the log takes it; nothing leaves
/// before.
final class NodeStream: Sendable {
  struct State {
    /// Numbers the events; nil before the node starts.
    var outbox: Outbox?
    /// Events that the log has not taken yet, in their order.
    var waiting: [Stated] = []
    /// How many of them the log has been given.
    var givenCount = 0
    /// Events that were not stated for want of room.
    var droppedCount: UInt64 = 0
  }

  let state = Mutex(State())

  /// The most events that wait for the log.
  static let waitingCountMax = 4096

  /// How many events are not in the log yet.
  var openCount: Int { state.withLock { $0.waiting.count } }
}

extension Node {
  /// States an event under the node's own name; any thread. It is dropped, and counted, where more than
  /// ``NodeStream/waitingCountMax`` wait for the log, and before the node has started.
  @discardableResult
  func state(
    own event: some Event, to addressee: AgentID? = nil, because cause: Cause?, authority: Authority? = nil
  ) -> EventID {
    let new = newEvent()
    do {
      let draft = try Draft(
        bus: event, to: addressee, new, because: cause ?? Cause(event: .none, correlation: new.0),
        authority: authority)
      try desks.own.state.withLock { state in
        guard state.waiting.count < NodeStream.waitingCountMax, let header = state.outbox?.number(draft)
        else {
          state.droppedCount += 1
          return
        }
        state.waiting.append(
          Stated(record: try Record(header, payload: draft.payload, limits: limits), event: event))
      }
      appendOwn()
    } catch {
      note(error)
    }
    return new.0
  }

  /// Waits a moment for the log to take what the node has stated: a wish of an operator's, say.
  func settleOwn() async {
    var patience = 100
    while desks.own.openCount > 0, patience > 0 {
      patience -= 1
      await pause(.milliseconds(10))
    }
  }

  /// Gives the log what waits, one group at a time; what it refuses is given to it again.
  private func appendOwn() {
    let group = desks.own.state.withLock { state -> [Stated] in
      guard state.givenCount == 0 else { return [] }
      state.givenCount = state.waiting.count
      return state.waiting
    }
    guard !group.isEmpty else { return }
    log.submit(LogBatch(appends: group.map { .init($0.record) })) { result in
      if case .success(let receipt) = result { self.delivered(own: group, receipt) }
      let isLeft = self.desks.own.state.withLock { state in
        if case .success = result { state.waiting.removeFirst(min(state.givenCount, state.waiting.count)) }
        state.givenCount = 0
        return !state.waiting.isEmpty
      }
      if case .failure(let error) = result { self.note(error) }
      let isTaken = if case .success = result { true } else { false }
      // What was lost is said while the node stops.
      guard isLeft, isTaken || !self.isStopped else { return }
      self.scheduler.schedule(after: isTaken ? .zero : .seconds(1)) { self.appendOwn() }
    }
  }
}
