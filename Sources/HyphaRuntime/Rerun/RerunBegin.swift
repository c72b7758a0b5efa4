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
  /// The place of the newest persistent event that was handled.
  var handled: Position
  /// The state that was saved last, where it is of the same moment.
  var stateAtEnd: [UInt8]?
  /// Whether anything of the agent was saved.
  var hasSaved = false

  /// Where the log begins to have what it takes to run an agent again that was never moved, or a stay of one that was.
  static func find<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, in log: any LogReader, prunedThrough: Position
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
    return try find(kind, agent, in: log, prunedThrough: prunedThrough)
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
      guard case .begin(let found) = try find(kind, agent, in: log, prunedThrough: .start) else {
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
    _ kind: Kind.Type, _ agent: AgentID, in log: any LogReader, prunedThrough: Position
  ) throws -> Finding {
    let key = CursorKey(agent: agent, channel: .persistent)
    // First these: what they stand for is in the log up to any later head.
    let handled = try log.cursor(key)?.position ?? .start
    let saved = try AgentSnapshot.read(of: agent, in: log)
    let isOfOneMoment = try log.cursor(key)?.position ?? .start == handled
    var begin = RerunBegin(handled: handled)
    begin.hasSaved = saved != nil
    if isOfOneMoment { begin.stateAtEnd = saved.flatMap { state(of: $0, kind) } }
    guard prunedThrough > .start else { return .begin(begin) }
    begin.after = prunedThrough
    begin.stateAtEnd = nil
    if Kind.State.self == Stateless.self { return .begin(begin) }
    guard Kind.evolves.isUsed, let saved, let coverage = saved.coverage,
      saved.stateVersion == Kind.stateVersion
    else {
      return .impossible(
        "the log was pruned through \(prunedThrough), and its state there is not known: it is committed whole"
      )
    }
    begin.snapshot = Snapshot(state: saved.state, point: coverage.point)
    return .begin(begin)
  }
}
