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
  /// ``NodeStream/waitingCountMax`` wait for the log, and before the node has started. Where no record has room for it, and it is one
  /// of ``TopologyEvents/divisible``, it goes into the log in parts, in one commit.
  ///
  /// - Returns: the id that the event has for those who take it: of its last part, where it has parts.
  @discardableResult
  func state(
    own event: some Event, to addressee: AgentID? = nil, because cause: Cause?, authority: Authority? = nil
  ) -> EventID {
    let new = newEvent()
    do {
      let draft = try Draft(
        bus: event, to: addressee, new, because: cause ?? Cause(event: .none, correlation: new.0),
        authority: authority)
      let drafts = try parts(of: draft)
      try desks.own.state.withLock { state in
        guard state.waiting.count + drafts.count <= NodeStream.waitingCountMax, state.outbox != nil else {
          return state.droppedCount += 1
        }
        for draft in drafts {
          guard let header = state.outbox?.number(draft) else { continue }
          state.waiting.append(
            Stated(
              record: try Record(header, payload: draft.payload, limits: limits),
              event: drafts.count == 1 ? event : nil))
        }
      }
      appendOwn()
      return drafts.last?.id ?? new.0
    } catch {
      note(error)
      return new.0
    }
  }

  /// An event as records have room for it.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge``, before the event has a number: one that is given and not used would end the stream.
  private func parts(of draft: Draft) throws -> [Draft] {
    let limit = min(configuration.ownByteCountMax ?? .max, limits.payloadByteCountMax)
    guard TopologyEvents.divisible[draft.type] != nil, draft.payload.count > limit else {
      try checkSize(of: draft)
      return [draft]
    }
    return try EventParts.divide(draft.payload, of: draft.type, limit: limit).map { payload in
      var part = draft
      (part.id, part.time) = newEvent()
      (part.event, part.payload) = (nil, payload)
      try checkSize(of: part)
      return part
    }
  }

  private func checkSize(of draft: Draft) throws {
    guard draft.payload.count <= limits.payloadByteCountMax else {
      throw HyphaError(
        .tooLarge, "the payload of \(draft.type) by \(routes.author) has \(draft.payload.count) bytes",
        remedy: "keep it to \(limits.payloadByteCountMax), or raise limits.payload")
    }
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
