import HyphaCore
import HyphaLog

/// How an agent's state comes back from its log: the newest snapshot, brought up to the kind's version, and, where the state is
/// event-sourced, what the agent has stated since.
///
/// - Complexity: linear in the events since the snapshot; memory for one page of them, or, where the agent was moved here
///   since, 24 bytes for each.
enum StateRestoration<Kind: Agent> {
  struct Restored {
    var state: Kind.State
    /// Whether the state is as the snapshot has it.
    var isSaved: Bool
    /// How many events were read again.
    var replayedCount: Int
  }

  /// - Parameters:
  ///   - initial: the state of an agent that has seen nothing.
  ///   - epoch: the epoch that the agent has entered.
  /// - Throws: ``HyphaError/Code/schemaUnknown`` for a state that is newer than the kind, or older without the steps to it;
  ///   ``HyphaError/Code/logInvalid`` where events that it would follow from were pruned; what decoding them throws.
  static func restore(
    _ initial: Kind.State, from snapshot: AgentSnapshot?, of agent: AgentID, in log: any LogReader,
    epoch: UInt64
  ) throws -> Restored {
    var restored = Restored(state: initial, isSaved: false, replayedCount: 0)
    var coverage = AgentSnapshot.Coverage()
    if let snapshot, !snapshot.state.isEmpty {
      if let state = try decode(snapshot, of: agent) {
        restored.state = state
        restored.isSaved = snapshot.stateVersion == Kind.stateVersion
        coverage = snapshot.coverage ?? coverage
        // A state that was committed whole covers all that came before it.
        if snapshot.coverage == nil { return restored }
      }
    }
    guard Kind.evolves.isUsed else { return restored }
    try replay(after: coverage, of: agent, in: log, epoch: epoch, into: &restored)
    return restored
  }

  /// The state of a snapshot; nil where it is to be made anew from events.
  static func decode(_ snapshot: AgentSnapshot, of agent: AgentID) throws -> Kind.State? {
    let (found, known) = (snapshot.stateVersion, Kind.stateVersion)
    if found == known { return try JSON.decode(Kind.State.self, from: snapshot.state) }
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
    return try JSON.decode(Kind.State.self, from: JSON.encode(value))
  }

  private static func replay(
    after coverage: AgentSnapshot.Coverage, of agent: AgentID, in log: any LogReader, epoch: UInt64,
    into restored: inout Restored
  ) throws {
    guard try AgentSnapshot.hasTail(behind: coverage, of: agent, in: log, before: epoch) else { return }
    if coverage.point == .start, let gap = try log.gaps().first {
      throw HyphaError(
        .logInvalid,
        "the state of '\(agent)' has to be made anew from its events, and the log has lost some: \(gap.text)",
        remedy: "add the missing step to its stateUpcasters, or restore a backup of the log")
    }
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    query.positions = coverage.after.next...Position(rawValue: .max)
    let begun = restored
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where entry.record.header.point > coverage.point {
        // What came with an agent that was moved here came lane by lane.
        guard entry.source == .stated else {
          restored = begun
          return try log.visitInOrder(query, after: coverage.point) { entry in
            try replay(entry.record, into: &restored)
            return true
          }
        }
        try replay(entry.record, into: &restored)
      }
      cursor = page.next
    } while cursor != nil
  }

  private static func replay(_ record: Record, into restored: inout Restored) throws {
    guard let rule = Kind.evolves.rules[record.header.type] else { return }
    try rule.replay(&restored.state, record)
    restored.replayedCount += 1
    restored.isSaved = false
  }
}

extension LogReader {
  /// Calls `body` with the persistent events of one agent after a point, as the agent has stated them, until it returns false:
  /// for a log in which they lie otherwise.
  ///
  /// - Complexity: 24 bytes of memory an event.
  func visitInOrder(_ query: LogQuery, after point: LanePoint, _ body: (LogEntry) throws -> Bool) throws {
    var places: [(point: LanePoint, position: Position)] = []
    var cursor: LogCursor?
    repeat {
      let page = try page(of: query, after: cursor)
      for entry in page.entries where entry.record.point > point {
        places.append((entry.record.point, entry.position))
      }
      cursor = page.next
    } while cursor != nil
    for place in places.sorted(by: { $0.point < $1.point }) {
      guard let entry = try entry(at: place.position) else { continue }
      guard try body(entry) else { return }
    }
  }
}

extension AgentSnapshot {
  /// Whether an agent may have stated persistent events that a snapshot does not cover, beside its activations.
  ///
  /// - Parameter epoch: up to the one before this.
  static func hasTail(
    behind coverage: Coverage, of agent: AgentID, in log: any LogReader, before epoch: UInt64
  )
    throws -> Bool
  {
    let first = max(coverage.point.epoch, 1)
    for number in first..<max(first, epoch) {
      let stream = StreamID(agent: agent, epoch: number, channel: .persistent)
      let covered = number == coverage.point.epoch ? coverage.point.sequence : 1
      if let head = try log.streamHead(stream), head.sequence > covered { return true }
    }
    return false
  }
}
