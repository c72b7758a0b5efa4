import HyphaCore
import HyphaLog
import Synchronization

/// What a call of an agent was for.
enum CallSource {
  /// `isPlain`: whether it is the agent's first, of which nothing need be known where it has done nothing.
  case start(isPlain: Bool)
  case wake
  case delivery(Delivery)
  case question(Delivery, AskedFrame)

  var delivery: Delivery? {
    switch self {
    case .start, .wake: nil
    case .delivery(let delivery), .question(let delivery, _): delivery
    }
  }

  var purpose: CallPurpose {
    switch self {
    case .start: .start
    case .wake: .wake
    case .question: .question
    case .delivery(let delivery):
      switch delivery.channel {
      case .persistent: .persistent
      case .alert: .alert
      case .realtime: .realtime
      }
    }
  }

  var asked: AskedFrame? { if case .question(_, let frame) = self { frame } else { nil } }
}

/// A call until its commit.
struct BatchCall {
  var call: ObservedCall
  /// Whether it left nothing but, it may be, a changed state.
  var isQuiet = false
  /// Whether it is recorded with the next thing that is committed, and needs no commit of its own.
  var waits = false
}

/// What is recorded of calls, so that they can be made again.
extension AgentCell {
  /// Lets an actor begin.
  ///
  /// - Parameter isAnew: whether it takes the place of another one of this activation.
  func begin(_ agent: isolated Kind, isAnew: Bool, _ batch: inout Batch<Kind>) async -> Turn.Outcome {
    let isFirst = !isAnew && outbox.withLock { $0.previousEpoch } == 0
    let before = keepsWhole && isFirst ? try? JSON.encode(agent.state) : nil
    let outcome = await turn(on: agent, .start(isPlain: isFirst), &batch) { try await $0.start(in: $1) }
    if isFirst, keepsWhole, batch.calls.isEmpty, case .returned = outcome,
      before != (try? JSON.encode(agent.state))
    {
      batch.calls.append(BatchCall(call: ObservedCall(.start), waits: true))
    }
    return outcome
  }

  /// Takes note of a call that has ended, where the log alone does not say how it went.
  func observe(
    _ turn: Turn, _ effects: Turn.Effects?, _ source: CallSource, threw error: (any Error)? = nil,
    _ batch: inout Batch<Kind>
  ) {
    let handled = batch.cursors[.persistent]?.position
    switch source {
    case .start(let isPlain):
      guard effects != nil || error != nil || !isPlain else { return }
      note(ObservedCall(.start, after: handled), turn, effects, error, &batch)
      batch.calls[batch.calls.count - 1].waits = true
    case .wake: noteUnlogged(ObservedCall(.wake, after: handled), turn, effects, error, &batch)
    case .question(let delivery, let frame):
      var call = ObservedCall(.question, after: handled)
      call.input = delivery.input
      call.dueAt = frame.dueAt.rawValue
      batch.isAnswerPure = !(effects?.isLasting(isDiscarded: error != nil) ?? false)
      noteUnlogged(call, turn, effects, error, &batch)
    case .delivery(let delivery): observe(turn, effects, delivery, at: 0, threw: error, &batch)
    }
  }

  /// The same of a call with the event at `index` of a delivery.
  func observe(
    _ turn: Turn, _ effects: Turn.Effects?, _ delivery: Delivery, at index: Int,
    threw error: (any Error)? = nil,
    _ batch: inout Batch<Kind>
  ) {
    guard let position = delivery.position else {
      guard effects != nil || error != nil || keepsWhole else { return }
      var call = ObservedCall(.realtime, after: batch.cursors[.persistent]?.position)
      call.input = turn.input
      return noteUnlogged(call, turn, effects, error, &batch)
    }
    let isFirst = delivery.channel == .persistent && !delivery.isAgain
    if isFirst, error == nil, effects.map({ $0.isPlain(of: turn.cause) }) ?? true { return }
    var call = ObservedCall(.event, after: isFirst ? nil : batch.cursors[.persistent]?.position)
    call.at = position.rawValue + UInt64(index)
    call.attempt = turn.attempt > 1 ? turn.attempt : nil
    note(call, turn, effects, error, &batch)
  }

  /// Takes note that a timer has stated an event.
  func observe(_ timer: Agenda.Timer, _ time: Timestamp, _ batch: inout Batch<Kind>) {
    var call = ObservedCall(.timer, after: batch.cursors[.persistent]?.position)
    call.timers = [.init(id: timer.id, after: 0)]
    call.outputs = .init(first: time.rawValue, count: 1)
    batch.calls.append(BatchCall(call: call))
  }

  /// A call that the log has no input of: it is worth recording where something of it is committed.
  private func noteUnlogged(
    _ call: ObservedCall, _ turn: Turn, _ effects: Turn.Effects?, _ error: (any Error)?,
    _ batch: inout Batch<Kind>
  ) {
    let isQuiet = !(effects?.isLasting(isDiscarded: error != nil) ?? false)
    guard !isQuiet || keepsWhole else { return }
    note(call, turn, effects, error, isQuiet: isQuiet, &batch)
  }

  private func note(
    _ call: ObservedCall, _ turn: Turn, _ effects: Turn.Effects?, _ error: (any Error)?,
    isQuiet: Bool = false,
    _ batch: inout Batch<Kind>
  ) {
    var call = call
    call.threw = error.map { Self.text($0) }
    if let effects { call.take(effects, began: turn.began, isDiscarded: error != nil) }
    batch.calls.append(BatchCall(call: call, isQuiet: isQuiet))
  }

  /// The events that record the calls of a batch, in front of what those have stated.
  func observed(_ batch: borrowing Batch<Kind>, isStateChanged: Bool) throws -> [Draft] {
    guard !batch.calls.isEmpty else { return [] }
    var parts: [Observed.Part] = []
    for one in batch.calls where !one.isQuiet || isStateChanged {
      if !(parts.last?.hasRoom(for: one.call) ?? false) { parts.append(Observed.Part()) }
      parts[parts.count - 1].add(one.call)
    }
    let statedCount = batch.drafts.count { $0.channel == .persistent }
    return try parts.enumerated().map { index, part in
      let left = parts.count - index - 1 + statedCount
      return try Draft(bus: part.observed(left: left), to: nil, services.newEvent(), because: nil)
    }
  }
}

extension Turn.Effects {
  /// Whether the log shows all that a call with a persistent event came to: persistent events that this one caused.
  func isPlain(of cause: Cause?) -> Bool {
    taken.isEmpty && timers.added.isEmpty
      && !drafts.contains { $0.channel != .persistent || $0.causation != cause?.event }
  }

  /// Whether something of it is committed.
  ///
  /// - Parameter isDiscarded: whether what was staged is not.
  func isLasting(isDiscarded: Bool) -> Bool {
    taken.alertCount > 0 || !isDiscarded && !(drafts.isEmpty && timers.isEmpty)
  }
}

extension Taken {
  /// Whether nothing was taken.
  var isEmpty: Bool {
    !readsNow && clock.isEmpty && random.isEmpty && answers.isEmpty && reads.isEmpty && delays.isEmpty
      && alertCount == 0 && !isCut
  }
}

extension ObservedCall {
  /// What of a call's effects is recorded.
  ///
  /// - Parameter isDiscarded: whether what was staged is not committed; alerts have left all the same.
  fileprivate mutating func take(_ effects: Turn.Effects, began: Timestamp, isDiscarded: Bool) {
    let taken = effects.taken
    now = taken.readsNow ? began.rawValue : nil
    clock = taken.clock.isEmpty ? nil : taken.clock
    random = taken.random.isEmpty ? nil : taken.random
    answers = taken.answers.isEmpty ? nil : taken.answers
    values = taken.reads
    isCut = taken.isCut ? true : nil
    if !effects.timers.added.isEmpty {
      timers = zip(effects.timers.added, taken.delays).map { Timer(id: $0.id, after: $1) }
    }
    let stated = isDiscarded ? [] : effects.drafts.filter { !SystemEvents.all.contains($0.type) }
    guard let first = [stated.first?.time, taken.firstAlert].compactMap(\.self).min() else { return }
    outputs = Outputs(first: first.rawValue, count: stated.count + taken.alertCount)
  }

  /// About how many bytes it takes.
  var byteCount: Int {
    var count = 128 + (random?.count ?? 0) * 20 + (clock?.count ?? 0) * 20 + (timers?.count ?? 0) * 64
    switch input {
    case .record(let record): count += record.byteCount * 4 / 3
    case .value: count += 512
    case nil: break
    }
    for answer in answers ?? [] { count += answer.byteCount }
    for read in values { count += 4 + read.reduce(0) { $0 + 8 + $1.byteCount * 4 / 3 } }
    return count
  }
}

extension ObservedAnswer {
  /// About how many bytes it takes: as many as its JSON where it is none yet.
  fileprivate var byteCount: Int {
    64 + ((try? JSON.encode(answered).count) ?? 0)
  }
}
