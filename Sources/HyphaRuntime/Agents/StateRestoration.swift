import HyphaCore
import HyphaLog

/// How an agent's state comes back from its log: the newest snapshot, brought up to the kind's version, and, where the state is
/// event-sourced, what the agent has stated since.
///
/// It is given these events in their order, by whoever reads the log: ``read(_:)`` for this agent alone, or a ``StatePass`` for
/// many at once.
///
/// - Complexity: linear in the events since the snapshot; memory for one page of them, however many there are.
struct StateRestoration<Kind: Agent>: Sendable {
  struct Restored: Sendable {
    var state: Kind.State
    /// Whether the state is as the snapshot has it.
    var isSaved: Bool
    /// How many events were read again.
    var replayedCount: Int
  }

  /// The state, as far as it has come.
  private(set) var restored: Restored
  /// What it has still to evolve by when it begins; nil for nothing.
  let tail: StateTail?
  /// Whether it has evolved by all of that.
  private var isRead: Bool
  private let begun: Restored
  private let agent: AgentID

  /// - Parameters:
  ///   - initial: the state of an agent that has seen nothing.
  ///   - epoch: the epoch that the agent has entered.
  /// - Throws: ``HyphaError/Code/schemaUnknown`` for a state that is newer than the kind, or older without the steps to it;
  ///   ``HyphaError/Code/logInvalid`` where events that it would follow from were pruned; what decoding the snapshot throws.
  init(
    _ initial: Kind.State, from snapshot: AgentSnapshot?, of agent: AgentID, in log: any LogReader,
    epoch: UInt64
  ) throws {
    self.agent = agent
    restored = Restored(state: initial, isSaved: false, replayedCount: 0)
    var coverage: AgentSnapshot.Coverage? = AgentSnapshot.Coverage()
    if let snapshot, !snapshot.state.isEmpty, let state = try Self.decode(snapshot, of: agent) {
      restored.state = state
      restored.isSaved = snapshot.stateVersion == Kind.stateVersion
      // A state that was committed whole covers all that came before it.
      coverage = snapshot.coverage
    }
    tail =
      Kind.evolves.isUsed
      ? try coverage.flatMap { try StateTail(behind: $0, of: agent, in: log, before: epoch) } : nil
    isRead = tail == nil
    begun = restored
    if tail?.point == .start, let gap = try log.gaps().first {
      throw HyphaError(
        .logInvalid,
        "the state of '\(agent)' has to be made anew from its events, and the log has lost some: \(gap.text)",
        remedy: "add the missing step to its stateUpcasters, or restore a backup of the log")
    }
  }

  /// The state as the log has it: all of the above, read for one agent alone.
  ///
  /// - Throws: what ``init(_:from:of:in:epoch:)`` and ``read(_:)`` throw.
  static func restore(
    _ initial: Kind.State, from snapshot: AgentSnapshot?, of agent: AgentID, in log: any LogReader,
    epoch: UInt64
  ) throws -> Restored {
    var restoration = try Self(initial, from: snapshot, of: agent, in: log, epoch: epoch)
    try restoration.read(log)
    return restoration.restored
  }

  /// The state of a snapshot; nil where it is to be made anew from events.
  static func decode(_ snapshot: AgentSnapshot, of agent: AgentID) throws -> Kind.State? {
    let (found, known) = (snapshot.stateVersion, Kind.stateVersion)
    if found == known { return try decode(snapshot.state, of: agent, version: known) }
    guard found < known else {
      throw HyphaError(
        .schemaUnknown,
        "the state of '\(agent)' has version \(found), its kind '\(Kind.kind)' knows \(known)",
        remedy: "run the program that wrote it, or a newer one")
    }
    var value = try JSON.decode(JSONValue.self, from: snapshot.state)
    for version in found..<known {
      guard let step = Kind.stateUpcasters.first(where: { $0.version == version }) else {
        if Kind.evolves.isUsed { return nil }
        throw HyphaError(
          .schemaUnknown,
          "the state of '\(agent)' has version \(found), and \(Kind.kind) has no step from \(version)",
          remedy: "add Upcaster(from: \(version)) to its stateUpcasters")
      }
      try step.transform(&value)
    }
    return try decode(JSON.encode(value), of: agent, version: known)
  }

  /// A state of the kind's own version. One that does not fit has changed without its version: then it is made anew from
  /// events, where it follows from them.
  private static func decode(
    _ bytes: some Sequence<UInt8>, of agent: AgentID, version: UInt16
  ) throws -> Kind.State? {
    do { return try JSON.decode(Kind.State.self, from: bytes) } catch let error as DecodingError {
      if Kind.evolves.isUsed { return nil }
      throw HyphaError(
        .schemaUnknown,
        "the state of '\(agent)' does not fit its kind any more, though both have version \(version)",
        remedy: "raise its stateVersion, and add Upcaster(from: \(version)) to its stateUpcasters",
        cause: error.brief)
    }
  }

  // MARK: Evolving

  /// Evolves by the next entry of the log, where that is one of the agent's events that count. Returns false where the agent's
  /// events do not lie in their order, since it was moved here: then only ``read(_:)`` finds that.
  ///
  /// - Throws: what decoding the event throws.
  mutating func take(_ entry: LogEntry) throws -> Bool {
    let header = entry.record.header
    guard let tail, header.agent == agent, header.channel == .persistent, header.point > tail.point else {
      return true
    }
    guard entry.source == .stated else { return false }
    try replay(entry.record)
    return true
  }

  /// Takes note that it was given all there is.
  mutating func end() { isRead = true }

  /// Reads what it has still to evolve by.
  ///
  /// - Throws: what reading, and decoding the events, throws.
  mutating func read(_ log: any LogReader) throws {
    guard !isRead, let tail else { return }
    restored = begun
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    query.types = Kind.evolves.rules.keys.sorted()
    query.positions = tail.positions
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where try !take(entry) {
        restored = begun
        try log.visitInOrder(query, after: tail.point) { entry in
          try replay(entry.record)
          return true
        }
        return end()
      }
      cursor = page.next
    } while cursor != nil
    end()
  }

  private mutating func replay(_ record: Record) throws {
    guard let rule = Kind.evolves.rules[record.header.type] else { return }
    try rule.replay(&restored.state, record)
    restored.replayedCount += 1
    restored.isSaved = false
  }
}

/// Where a log has the events that an event-sourced state has still to evolve by.
struct StateTail: Sendable, Equatable {
  /// The agent's newest persistent event that the state has evolved by, or may have.
  let point: LanePoint
  /// The events lie here.
  let positions: ClosedRange<Position>
  /// How many persistent events of the agent there are at the most.
  let countMax: UInt64

  /// A tail by its parts.
  init(point: LanePoint, positions: ClosedRange<Position>, countMax: UInt64) {
    (self.point, self.positions, self.countMax) = (point, positions, countMax)
  }

  /// What an agent may have stated that a snapshot does not cover, beside its activations; nil for nothing.
  ///
  /// - Parameter epoch: up to the one before this.
  /// - Complexity: a lookup for each epoch since the snapshot.
  init?(
    behind coverage: AgentSnapshot.Coverage, of agent: AgentID, in log: any LogReader, before epoch: UInt64
  ) throws {
    let first = max(coverage.point.epoch, 1)
    var (last, countMax) = (Position.start, UInt64(0))
    for number in try Self.epochs(of: agent, from: first, before: epoch, in: log) {
      let stream = StreamID(agent: agent, epoch: number, channel: .persistent)
      let covered = number == coverage.point.epoch ? coverage.point.sequence : 1
      guard let head = try log.streamHead(stream), head.sequence > covered else { continue }
      last = max(last, head.position)
      countMax += head.sequence - covered
    }
    guard countMax > 0 else { return nil }
    self.init(
      point: coverage.point, positions: coverage.after.next...max(coverage.after.next, last),
      countMax: countMax)
  }

  /// The epochs of an agent from `first` on and before `epoch`, as its activations tell, the newest first.
  private static func epochs(
    of agent: AgentID, from first: UInt64, before epoch: UInt64, in log: any LogReader
  ) throws -> [UInt64] {
    func allEpochs() throws -> [UInt64] {
      try log.streamHeads().keys.compactMap { stream in
        let isAsked = stream.agent == agent && stream.channel == .persistent
        return isAsked && stream.epoch >= first && stream.epoch < epoch ? stream.epoch : nil
      }
    }
    // Replicas may have had later events than they had activations.
    if try RejoinRecord.read(in: log) != nil { return try allEpochs() }
    let lane = Lane(agent: agent, channel: .persistent, target: .type(AgentActivated.eventType))
    var epochs: [UInt64] = []
    var place = try log.laneHead(lane)?.position ?? .start
    while place > .start {
      guard let entry = try? log.entry(at: place) else {
        // Where an activation is gone, all streams are looked at.
        return try allEpochs()
      }
      let found = entry.record.header.epoch
      if found < first { break }
      if found < epoch { epochs.append(found) }
      place = entry.previousInLane
    }
    // The stream of the first one may have begun without an activation that is kept.
    return epochs.last == first ? epochs : epochs + (first < epoch ? [first] : [])
  }
}
