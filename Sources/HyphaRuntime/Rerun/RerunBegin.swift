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

  /// Where the log begins to have what it takes to run an agent again that was never moved, or a stay of one that was.
  ///
  /// - Parameters:
  ///   - choice: which checkpoint it begins with.
  ///   - needsCalls: whether a state is not enough from which on nothing is run again, while the log has something of the agent.
  static func find<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, in log: any LogReader, prunedThrough: Position,
    _ choice: RerunCheckpoint.Choice = .first, needsCalls: Bool = true
  ) async throws -> Finding {
    guard stay.isWhole else {
      guard prunedThrough == .start else {
        return .impossible(
          "the log was pruned through \(prunedThrough), and it was moved: what it had before it then is not all there"
        )
      }
      let initial = await Kind().state
      do { return .begin(try moved(kind, agent, stay, from: initial, in: log)) } catch let error as HyphaError
      {
        return .impossible("it was moved, and its state then is not known: \(error.problem)")
      }
    }
    return try find(kind, agent, in: log, prunedThrough: prunedThrough, choice, needsCalls: needsCalls)
  }

  private static func moved<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, from initial: Kind.State, in log: any LogReader
  ) throws -> RerunBegin {
    var begin: RerunBegin
    if let departure = stay.departure {
      begin = RerunBegin(handled: try stay.handledThrough(in: log))
      let saved = try departure.handover.snapshot.map { try AgentSnapshot(decoding: $0.bytes) }
      begin.stateAtEnd = saved.flatMap { state(of: $0, kind) }
      begin.hasSaved = saved != nil
    } else {
      guard
        case .begin(let found) = try find(
          kind, agent, in: log, prunedThrough: .start, .first, needsCalls: true)
      else {
        return RerunBegin(handled: .start)
      }
      begin = found
    }
    begin.stay = stay
    begin.brought = try Brought(kind, agent, stay, from: initial, in: log)
    return begin
  }

  /// A state that was committed whole, by the kind as it is now; nil for any other.
  private static func state<Kind: Agent>(of saved: AgentSnapshot, _ kind: Kind.Type) -> [UInt8]? {
    let isWhole = saved.coverage == nil && saved.stateVersion == Kind.stateVersion && !saved.state.isEmpty
    return isWhole ? saved.state : nil
  }

  private static func find<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, in log: any LogReader, prunedThrough: Position,
    _ choice: RerunCheckpoint.Choice, needsCalls: Bool
  ) throws -> Finding {
    let key = CursorKey(agent: agent, channel: .persistent)
    // First these: what they stand for is in the log up to any later head.
    let cursor = try log.cursor(key) ?? .start
    let saved = try AgentSnapshot.read(of: agent, in: log)
    let isOfOneMoment = try log.cursor(key)?.position ?? .start == cursor.position
    var begin = RerunBegin(handled: cursor.position)
    begin.hasSaved = saved != nil
    if isOfOneMoment { begin.stateAtEnd = saved.flatMap { state(of: $0, kind) } }
    guard prunedThrough > .start else { return .begin(begin) }
    begin.after = prunedThrough
    if Kind.State.self == Stateless.self { return .begin(begin) }
    if Kind.evolves.isUsed {
      guard let (snapshot, point) = try evolved(kind, agent, saved, in: log, behind: prunedThrough) else {
        return .impossible("the log was pruned through \(prunedThrough), and has no snapshot of its state")
      }
      begin.snapshot = Snapshot(state: snapshot.state, point: point)
      begin.timers = snapshot.agenda.timers.items
      return .begin(begin)
    }
    var largest = 0
    let beside = KeptBeside.names(of: Kind())
    begin.checkpoint = try RerunCheckpoint.find(
      kind, agent, in: log, behind: prunedThrough, choice, prefersStarts: !beside.isEmpty, &largest)
    if needsCalls, !beside.isEmpty, begin.checkpoint?.hasBegun ?? false {
      return .impossible(
        "the log was pruned through \(prunedThrough), it has not begun anew since, and it keeps \(beside.joined(separator: ", ")) beside its state"
      )
    }
    if begin.checkpoint == nil, let saved {
      begin.checkpoint = try .newest(kind, agent, saved, cursor, in: log, behind: prunedThrough)
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
    _ kind: Kind.Type, _ agent: AgentID, _ saved: AgentSnapshot?, in log: any LogReader,
    behind prunedThrough: Position
  ) throws -> (AgentSnapshot, LanePoint)? {
    var (found, first): ((AgentSnapshot, LanePoint)?, LanePoint?)
    var query = LogQuery()
    query.agent = agent
    query.channel = .persistent
    query.positions = prunedThrough.next...max(prunedThrough.next, try log.head())
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      first = try page.entries.first { $0.source == .stated }?.record.predecessor()
      cursor = page.next
    } while first == nil && cursor != nil
    func take(_ snapshot: AgentSnapshot) throws -> Bool {
      guard let coverage = snapshot.coverage, coverage.point >= first ?? .start,
        let state = try StateRestoration<Kind>.decode(snapshot, of: agent)
      else { return false }
      var snapshot = snapshot
      snapshot.state = Array(try JSON.encode(state))
      found = (snapshot, coverage.point)
      return true
    }
    try RerunCheckpoint.visit(agent, in: log, behind: prunedThrough, .forward) { _, event in
      try event.snapshot.map { try !take(AgentSnapshot(decoding: $0.bytes)) } ?? true
    }
    if found == nil, let saved { _ = try take(saved) }
    return found
  }
}
