public import HyphaCore
public import HyphaLog
import HyphaTopology

/// What an agent's state was at one moment of its past.
public struct StateStep {
  /// A place in the log of the node that the agent was on.
  public struct Place: Hashable, Sendable {
    /// The position.
    public var position: Position
    /// The time that the entry there states.
    public var time: Timestamp
    /// The node whose log it is; nil for that of the log that was asked.
    public var node: NodeID?
  }

  /// Where it came to be so; nil at the begin.
  public let place: Place?
  /// The event that made it so: of an event-sourced state one of the agent's own, of any other the one that was handled. Nil at
  /// the begin, and where what was handled is in no log.
  public let event: RecordHeader?
  /// The first event that the agent stated in the call that made it so; nil for an event-sourced state, and where it stated none.
  public let stated: RecordHeader?
  /// The call that made it so, of a state that handlers change.
  public let call: ObservedCall.Kind?
  /// How many events or calls it is made of; nil where some of them are gone.
  public let count: Int?
  /// Why it is not known from here on; nil where it is.
  public let unknown: HyphaError?
  private let encode: @Sendable () throws -> JSONValue

  init(
    place: Place?, event: RecordHeader? = nil, stated: RecordHeader? = nil, call: ObservedCall.Kind? = nil,
    count: Int?, encode: @escaping @Sendable () throws -> JSONValue
  ) {
    (self.place, self.event, self.stated, self.call, self.count, self.encode) = (
      place, event, stated, call, count, encode
    )
    unknown = nil
  }

  /// A moment from which on the state is not known.
  init(unknown error: HyphaError, from place: Place) {
    (self.place, event, stated, call, count, unknown) = (place, nil, nil, nil, nil, error)
    encode = { throw error }
  }

  /// The state as JSON. As costly as encoding it.
  ///
  /// - Throws: ``unknown`` where it is not known.
  public func state() throws -> JSONValue { try encode() }

  static func encoder(of state: some Codable & Sendable) -> @Sendable () throws -> JSONValue {
    { try JSON.decode(JSONValue.self, from: JSON.encode(state)) }
  }
}

extension KindRegistry {
  /// Calls `body` with an event-sourced agent's state at its begin and after each event that it evolved by, until it returns
  /// false: its own events are folded once more by the rules that it evolves by.
  ///
  /// Where the log has lost events of the agent, a step says from where on the state is not known. It is known again from the first
  /// checkpoint or snapshot on of which the log has all that was stated since.
  ///
  /// - Parameters:
  ///   - kind: the agent's kind.
  ///   - log: the log of its node, which may run meanwhile.
  ///   - progress: told how far in the log it is, after every 65,536 entries that are looked at or more often; what it throws
  ///     ends it.
  /// - Complexity: linear in the agent's persistent events, found by the log's index where there is one; memory for a page of
  ///   them.
  /// - Throws: ``HyphaError/Code/usage`` for a kind whose state is not event-sourced; what decoding the events, and `body`,
  ///   throws.
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
        remedy: "run it again to know its past, as 'agents state --topology FILE' does")
    }
    let fresh = kind.init()
    var fold = StateFold<Kind>(of: agent, await fresh.state, in: log)
    guard try body(fold.begin) else { return }
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    func take(_ entry: LogEntry) throws -> Bool {
      for step in try fold.take(entry) { guard try body(step) else { return false } }
      return true
    }
    func end() throws { for step in try fold.end() { guard try body(step) else { return } } }
    // What came with an agent that was moved here, or back from replicas, came lane by lane.
    if try MoveReading(log).moves.newest(of: agent)?.order.to == log.identity.node
      || RejoinRecord.read(in: log) != nil
    {
      var goesOn = true
      try log.visitInOrder(query, after: .start) { entry in
        goesOn = try take(entry)
        return goesOn
      }
      if goesOn { try end() }
      return
    }
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where entry.source == .stated { guard try take(entry) else { return } }
      cursor = page.next
      if let cursor { try progress(cursor.next) }
    } while cursor != nil
    try end()
  }
}

/// Folds an event-sourced agent's own events, and sees where some are missing.
private struct StateFold<Kind: Agent> {
  private let agent: AgentID
  private let log: any LogReader
  private var state: Kind.State
  private var count: Int? = 0
  /// The event that was met last, whatever its type.
  private var newest = LanePoint.start
  private var place = StateStep.Place(position: .start, time: .zero)
  private var isUnknown = false
  /// A state that was saved.
  private struct Saved {
    let state: Kind.State
    /// The agent's newest persistent event that it covers.
    let point: LanePoint
    /// From where on it was so, as far as the log has that.
    let since: StateStep.Place
  }
  /// What it goes on with behind a gap.
  private var saved: Saved?

  init(of agent: AgentID, _ state: Kind.State, in log: any LogReader) {
    (self.agent, self.state, self.log) = (agent, state, log)
  }

  var begin: StateStep { StateStep(place: nil, count: 0, encode: StateStep.encoder(of: state)) }

  private func step(_ event: RecordHeader?) -> StateStep {
    StateStep(place: place, event: event, count: count, encode: StateStep.encoder(of: state))
  }

  /// Takes the agent's next persistent event; what its state is then, where that is another one, or not known any more.
  mutating func take(_ entry: LogEntry) throws -> [StateStep] {
    let header = entry.record.header
    let before = try entry.record.predecessor()
    var steps: [StateStep] = []
    if before != newest { steps += try lose(before: entry.position, from: before) }
    // A state that was saved is that of one event, and is what the later ones go on from.
    if isUnknown, let saved, saved.point == before {
      (state, isUnknown) = (saved.state, false)
      place = max(place, saved.since)
      steps.append(step(nil))
    }
    place = .init(
      position: Swift.max(place.position, entry.position), time: Swift.max(place.time, header.time))
    newest = header.point
    if isUnknown, let saved, saved.point == header.point {
      (state, isUnknown) = (saved.state, false)
      return steps + [step(header)]
    }
    guard !isUnknown, let rule = Kind.evolves.rules[header.type] else { return steps }
    try rule.replay(&state, entry.record)
    count = count.map { $0 + 1 }
    return steps + [step(header)]
  }

  /// What follows where the log has lost the newest of the agent's events; nothing where it has them all.
  mutating func end() throws -> [StateStep] {
    let heads = try log.streamHeads().filter { $0.key.agent == agent && $0.key.channel == .persistent }
    let end = heads.map { LanePoint(epoch: $0.key.epoch, sequence: $0.value.sequence) }.max() ?? .start
    guard end > newest else { return [] }
    let steps = try lose(before: Position(rawValue: .max), from: end)
    guard isUnknown, let saved, saved.point == end else { return steps }
    (state, isUnknown) = (saved.state, false)
    place = max(place, saved.since)
    return steps + [step(nil)]
  }

  /// Takes note that events are missing before a position, where a gap of the log has swallowed them: else they have come since
  /// this began to read, or did not come here with an agent that was moved.
  ///
  /// - Parameter point: the newest of the agent's events before what is there again.
  private mutating func lose(before position: Position, from point: LanePoint) throws -> [StateStep] {
    let gaps = try log.gaps().filter {
      $0.range.upperBound > place.position && $0.range.lowerBound < position
    }
    guard let first = gaps.first, let last = gaps.last else { return [] }
    saved = try saved(behind: last.range.upperBound, from: point)
    guard !isUnknown else { return [] }
    (isUnknown, count) = (true, nil)
    let known = saved.map { "position \($0.since.position) or a later one" } ?? "a place before these"
    let error = HyphaError(
      .logInvalid,
      "the state of '\(agent)' from position \(first.range.lowerBound) on follows from events that the log has lost: "
        + first.text,
      remedy: "ask for \(known), or look into a backup of the log that has them"
    )
    let from = StateStep.Place(
      position: Swift.max(first.range.lowerBound, place.position.next),
      time: Timestamp(rawValue: Swift.max(place.time.rawValue, place.time.rawValue &+ 1)))
    return [StateStep(unknown: error, from: from)]
  }

  /// The first state that was saved behind a gap, of a checkpoint or the newest one, and of which the log has all that it has
  /// evolved by since.
  private func saved(behind gap: Position, from point: LanePoint) throws -> Saved? {
    var found: Saved?
    try RerunCheckpoint.visit(agent, RerunStay(), in: log, behind: gap) { _, event in
      guard let bytes = event.snapshot?.bytes else { return true }
      found = try saved(AgentSnapshot(decoding: bytes), behind: gap, from: point)
      return found == nil
    }
    return try found
      ?? AgentSnapshot.read(of: agent, in: log).flatMap { try saved($0, behind: gap, from: point) }
  }

  private func saved(_ snapshot: AgentSnapshot, behind gap: Position, from point: LanePoint) throws -> Saved?
  {
    guard let coverage = snapshot.coverage, coverage.point > .start, coverage.point >= point,
      !snapshot.state.isEmpty, let state = try StateRestoration<Kind>.decode(snapshot, of: agent)
    else { return nil }
    // From the agent's newest event that it covers on, where that is still there.
    var query = LogQuery()
    query.stream = StreamID(agent: agent, epoch: coverage.point.epoch, channel: .persistent)
    query.fromSequence = coverage.point.sequence
    let event = try log.page(of: query).entries.first { $0.record.sequence == coverage.point.sequence }
    let position = Swift.max(gap, event?.position ?? gap)
    // Of what is gone no time is known; what comes next is not earlier.
    let next = try log.read(after: Position(rawValue: position.rawValue - 1), limit: 1, byteLimit: 0).first
    return Saved(
      state: state, point: coverage.point,
      since: .init(position: position, time: next?.record.time ?? .zero))
  }

  private func max(_ one: StateStep.Place, _ other: StateStep.Place) -> StateStep.Place {
    .init(position: Swift.max(one.position, other.position), time: Swift.max(one.time, other.time))
  }
}

extension Record {
  /// Its agent's persistent event before this one, as this one says.
  func predecessor() throws -> LanePoint {
    guard sequence == 1 else { return LanePoint(epoch: epoch, sequence: sequence - 1) }
    guard type == AgentActivated.eventType else { return .start }
    let activated = try AgentActivated.decode(self)
    guard activated.previousEpoch > 0 else { return .start }
    return LanePoint(
      epoch: activated.previousEpoch, sequence: activated.committed[Channel.persistent.description] ?? 0)
  }
}

extension LogGap {
  /// What is gone, and why, in words.
  public var text: String {
    let why =
      switch kind {
      case .pruned: "were pruned"
      case .quarantined(let reason): "were quarantined (\(reason))"
      }
    return "positions \(range.lowerBound) to \(range.upperBound) \(why)"
  }
}
