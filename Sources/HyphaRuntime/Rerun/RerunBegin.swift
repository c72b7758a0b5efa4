import HyphaCore
import HyphaLog

/// Where the re-run of an agent begins and ends.
struct RerunBegin {
  struct Snapshot {
    let state: [UInt8]
    /// The agent's newest persistent event that the state covers.
    let point: LanePoint
  }

  /// What an agent had that was moved to the node.
  struct Brought {
    /// As JSON; nil where it keeps none.
    var state: [UInt8]?
    var timers: [Agenda.Timer] = []

    /// What an agent came with that was moved; nil where it began its life here.
    init?<Kind: Agent>(
      _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, from initial: Kind.State, in log: any LogReader
    ) throws {
      guard let handover = stay.arrival?.handover else { return nil }
      let snapshot = try handover.snapshot.map { try AgentSnapshot(decoding: $0.bytes) }
      timers = snapshot?.agenda.timers.items ?? []
      guard Kind.State.self != Stateless.self else { return }
      let restored = try StateRestoration<Kind>.restore(
        initial, from: snapshot, of: agent, in: log, epoch: stay.epochs.lowerBound)
      state = Array(try JSON.encode(restored.state))
    }
  }

  enum Finding {
    case begin(RerunBegin)
    case impossible(String)
  }

  var stay = RerunStay()
  /// What stands up to here is not looked at.
  var after = Position.start
  var brought: Brought?
  /// The state that it begins with, where that is not a fresh one.
  var snapshot: Snapshot?
  /// What it begins with where its state is committed whole and the log's beginning was pruned.
  var checkpoint: RerunCheckpoint?
  /// Its timers there; nil where they are not known.
  var timers: [Agenda.Timer]?
  /// The place of the newest persistent event that was handled.
  var handled: Position
  /// The state that was saved last, where it is of the same moment.
  var stateAtEnd: [UInt8]?
  /// Whether anything of the agent was saved.
  var hasSaved = false

  /// Where the log begins to have what it takes to run an agent again, or one stay of one that was moved.
  ///
  /// - Parameters:
  ///   - choice: which checkpoint it begins with.
  ///   - needsCalls: whether a state is not enough from which on nothing is run again, while the log has something of the agent.
  static func find<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, in log: any LogReader, prunedThrough: Position,
    _ choice: RerunCheckpoint.Choice = .first, needsCalls: Bool = true
  ) async throws -> Finding {
    let end = try StayEnd(of: agent, stay, in: log)
    var begin = RerunBegin(handled: end.handled.position)
    begin.stay = stay
    begin.hasSaved = end.saved != nil
    if end.isOfOneMoment { begin.stateAtEnd = end.saved.flatMap { state(of: $0, kind) } }
    if prunedThrough > .start {
      return try behind(prunedThrough, begin, kind, agent, end, in: log, choice, needsCalls: needsCalls)
    }
    let initial = await Kind().state
    do { begin.brought = try Brought(kind, agent, stay, from: initial, in: log) } catch let error
      as HyphaError
    {
      return .impossible("it was moved, and its state then is not known: \(error.problem)")
    }
    return .begin(begin)
  }

  /// A state that was committed whole, by the kind as it is now; nil for any other.
  private static func state<Kind: Agent>(of saved: AgentSnapshot, _ kind: Kind.Type) -> [UInt8]? {
    let isWhole = saved.coverage == nil && saved.stateVersion == Kind.stateVersion && !saved.state.isEmpty
    return isWhole ? saved.state : nil
  }

  /// Where it begins in a log whose beginning was pruned.
  private static func behind<Kind: Agent>(
    _ prunedThrough: Position, _ begin: RerunBegin, _ kind: Kind.Type, _ agent: AgentID, _ end: StayEnd,
    in log: any LogReader, _ choice: RerunCheckpoint.Choice, needsCalls: Bool
  ) throws -> Finding {
    if let departure = begin.stay.departure, departure.position <= prunedThrough {
      return .impossible(
        "the log was pruned through \(prunedThrough), and it had left at \(departure.position)")
    }
    var begin = begin
    begin.after = prunedThrough
    if Kind.State.self == Stateless.self { return .begin(begin) }
    if Kind.evolves.isUsed {
      guard let (snapshot, point) = try evolved(kind, agent, end, in: log, behind: prunedThrough) else {
        return .impossible("the log was pruned through \(prunedThrough), and has no snapshot of its state")
      }
      begin.snapshot = Snapshot(state: snapshot.state, point: point)
      begin.timers = snapshot.agenda.timers.items
      return .begin(begin)
    }
    var largest = 0
    let beside = KeptBeside.names(of: Kind())
    begin.checkpoint = try RerunCheckpoint.find(
      kind, agent, begin.stay, in: log, behind: prunedThrough, choice, prefersStarts: !beside.isEmpty,
      &largest)
    if needsCalls, !beside.isEmpty, begin.checkpoint?.hasBegun ?? false {
      return .impossible(
        "the log was pruned through \(prunedThrough), it has not begun anew since, and it keeps \(beside.joined(separator: ", ")) beside its state"
      )
    }
    if begin.checkpoint == nil, end.saved != nil {
      begin.checkpoint = try .newest(kind, agent, end, in: log, behind: prunedThrough)
      if largest > 0 {
        begin.checkpoint?.reason =
          "what the log keeps of it, \(largest) bytes, is larger than a checkpoint may be (\(StateCheckpointed.snapshotByteCountMax))"
      }
      if needsCalls, let checkpoint = begin.checkpoint, checkpoint.since.position > prunedThrough {
        return .impossible(
          "the log was pruned through \(prunedThrough), and \(checkpoint.reason ?? "has no checkpoint of its state behind that")"
        )
      }
    }
    guard let checkpoint = begin.checkpoint else {
      return .impossible(
        "the log was pruned through \(prunedThrough), and has no state of it that its kind reads")
    }
    (begin.after, begin.timers) = (checkpoint.handled.position, checkpoint.timers)
    return .begin(begin)
  }

  /// The first state of an event-sourced agent behind a prune of which the log has all that it evolved by since.
  private static func evolved<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ end: StayEnd, in log: any LogReader,
    behind prunedThrough: Position
  ) throws -> (AgentSnapshot, LanePoint)? {
    let first = try point(of: agent, end.stay, in: log, behind: prunedThrough)
    var found: (AgentSnapshot, LanePoint)?
    func take(_ snapshot: AgentSnapshot) throws -> Bool {
      guard let coverage = snapshot.coverage, coverage.point >= first,
        let state = try StateRestoration<Kind>.decode(snapshot, of: agent)
      else { return false }
      var snapshot = snapshot
      snapshot.state = Array(try JSON.encode(state))
      found = (snapshot, coverage.point)
      return true
    }
    try RerunCheckpoint.visit(agent, end.stay, in: log, behind: prunedThrough) { _, event in
      try event.snapshot.map { try !take(AgentSnapshot(decoding: $0.bytes)) } ?? true
    }
    if found == nil, let saved = end.saved { _ = try take(saved) }
    return found
  }

  /// What a state must cover from which on the log has all that an agent was given: what it stated that is gone, and what it stated
  /// of events that are.
  private static func point(
    of agent: AgentID, _ stay: RerunStay, in log: any LogReader, behind prunedThrough: Position
  ) throws -> LanePoint {
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    query.positions = prunedThrough.next...max(prunedThrough.next, try log.head())
    var point: LanePoint?
    /// Records to come that are of one commit with recorded calls, and whether one of these took an event that is gone.
    var group = (left: 0, isGone: false)
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for record in page.entries.lazy.filter({ stay.stated($0) }).map(\.record) {
        point = try point ?? record.predecessor()
        if record.type == Observed.eventType, group.left == 0 {
          let observed = try Observed.decode(record)
          group.left = observed.left
          group.isGone = observed.calls.contains {
            $0.kind == .event && $0.at ?? .max <= prunedThrough.rawValue
          }
          if group.isGone { point = record.point }
        } else if group.left > 0 {
          group.left -= 1
          if group.isGone { point = record.point }
        } else if record.causation != .none, !SystemEvents.all.contains(record.type) {
          // Events are handled in the order of the log.
          if let cause = try log.entry(withID: record.causation), cause.position > prunedThrough {
            return point ?? .start
          }
          point = record.point
        }
      }
      cursor = page.next
    } while cursor != nil
    return point ?? .start
  }
}
