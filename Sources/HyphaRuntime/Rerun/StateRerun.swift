public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// Past states of an agent whose handlers change its state: it is run again from its begin, call by call, on each node that it was on.
extension Rerun {
  /// Calls `body` with the agent's state at its begin and after each call that is made again, until it returns false.
  ///
  /// A call counts from the first event on that it stated, one that stated none from the record of it on, and one that has left
  /// nothing in the log from the event on that it handled. Of an agent that was moved a step says what it came to its next node
  /// with, too; where the log of a node is not there, or was pruned, a step says from where on the state is not known, until the
  /// agent has come to the next.
  ///
  /// Where the log was pruned it begins with a checkpoint (``StateCheckpointed``), or with the newest state: a step says that before it
  /// the state is not known.
  ///
  /// All calls are made again whatever `body` returns, and what they come to is held against the log: the states were those of
  /// the past only if this returns.
  ///
  /// - Parameters:
  ///   - topology: the one that the file says.
  ///   - log: the log of the agent's node.
  ///   - elsewhere: the logs of other nodes, on which an agent was that was moved.
  ///   - isEarly: whether a place is at the first one that is wanted, or before it: of a log that was pruned the newest checkpoint is
  ///     taken that is. Nil for the first that the log has.
  ///   - progress: told now and then how far it is in the log of a node.
  /// - Complexity: that of running the agent again.
  /// - Throws: ``HyphaError/Code/failed`` where the agent does something else now, its state at the end, or where it has left a
  ///   node, is not the one that the log has, or the log does not have all of its past; ``HyphaError/Code/usage`` where it keeps
  ///   no state; what `body` and `progress` throw.
  public static func visitStates(
    of agent: AgentID, in topology: Topology, kinds: KindRegistry, log: any LogReader,
    elsewhere: [any LogReader] = [], isEarly: ((StateStep.Place) -> Bool)? = nil,
    progress: (NodeID, Position) throws -> Void = { _, _ in }, _ body: (StateStep) throws -> Bool
  ) async throws {
    let life = try AgentLife(of: agent, in: topology, logs: [log] + elsewhere)
    guard let spec = topology.agent(agent), !life.isWhole || spec.node == log.identity.node else {
      throw HyphaError(
        .invalidTopology,
        "the topology '\(topology.name)' has no agent '\(agent)' on node '\(log.identity.node)'",
        remedy: "give the topology file that the log was written under")
    }
    let kind = try kinds.kind(spec.kind)
    var goesOn = try body(try await begin(of: kind, agent))
    var count: Int? = 0
    for stage in life.stages {
      func lose(_ why: String, _ remedy: String) throws {
        count = nil
        if goesOn { goesOn = try body(Self.lost(agent, stage, why, remedy)) }
      }
      guard let log = stage.log, let stay = stage.stay else {
        let what = stage.log == nil ? "its log is not here" : "its log does not say how it came there"
        try lose(what, "give the directory that has the logs of all nodes that it was on")
        continue
      }
      if stay.arrival != nil, goesOn, let step = try await arrival(of: kind, agent, stay, count, in: log) {
        goesOn = try body(step)
      }
      var rerun = try Rerun(topology, kinds: kinds, log: log, agents: [agent])
      (rerun.keepsStates, rerun.stayNumber) = (true, stay.number)
      if let isEarly { rerun.choice = .newest(isEarly) }
      var different: RerunOutcome?
      var checkpoint: RerunCheckpoint?
      let summary = try await rerun.run { begin in
        checkpoint = begin.checkpoint
        guard let checkpoint else { return }
        count = nil
        for step in try Self.steps(agent, stage, from: checkpoint, in: log) where goesOn {
          goesOn = try body(step)
        }
      } progress: { read, _ in
        try progress(log.identity.node, read)
      } _: { outcome in
        if !outcome.differences.isEmpty { different = outcome }
        if let after = outcome.after {
          count = count.map { $0 + 1 }
          if goesOn { goesOn = try body(try step(outcome, after, count, in: log)) }
        }
        return different == nil
      }
      if !life.isWhole, let (_, why) = summary.notRun.first {
        try lose(why, backupAdvice)
      } else if let reason = try distrust(summary, different, stay, checkpoint, log) {
        throw unknown(
          agent, life.isWhole ? reason : "on node '\(stage.node)': \(reason)", !summary.notRun.isEmpty)
      }
    }
  }

  /// That the states of a stay before a checkpoint are not known, and that of the checkpoint.
  private static func steps(
    _ agent: AgentID, _ stage: AgentLife.Stage, from checkpoint: RerunCheckpoint, in log: any LogReader
  ) throws -> [StateStep] {
    let first = checkpoint.since.position
    let node = stage.stay?.isWhole ?? true ? "" : " while it was on node '\(stage.node)'"
    let error = HyphaError(
      .failed,
      "the states of '\(agent)'\(node) before position \(first) are not known: the log was pruned through "
        + "\(try log.prunedThrough())" + (checkpoint.reason.map { ", and \($0)" } ?? ""),
      remedy: "ask for position \(first) or a later one, or a backup of the log that was made before")
    let state = checkpoint.state
    return [
      StateStep(unknown: error, from: try place(of: stage)),
      StateStep(
        place: checkpoint.since, count: nil, encode: { try JSON.decode(JSONValue.self, from: state) }),
    ]
  }

  /// Where a stay begins.
  private static func place(of stage: AgentLife.Stage) throws -> StateStep.Place {
    let entry = try stage.stay?.arrival.flatMap { try stage.log?.entry(at: $0.position) }
    return .init(
      position: entry?.position ?? .start, time: entry?.record.time ?? stage.since, node: stage.node)
  }

  /// What an agent came to a node with; nil where it keeps no state.
  private static func arrival<Kind: Agent>(
    of kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, _ count: Int?, in log: any LogReader
  ) async throws -> StateStep? {
    let initial = await kind.init().state
    guard let arrival = stay.arrival, let entry = try log.entry(at: arrival.position),
      let state = try RerunBegin.Brought(kind, agent, stay, from: initial, in: log)?.state
    else { return nil }
    return StateStep(
      place: .init(position: entry.position, time: entry.record.time, node: log.identity.node),
      event: entry.record.header, count: count,
      encode: { try JSON.decode(JSONValue.self, from: state) })
  }

  private static func step(
    _ outcome: RerunOutcome, _ after: RerunOutcome.StateAfter, _ count: Int?, in log: any LogReader
  ) throws -> StateStep {
    var place = after.place
    place.node = log.identity.node
    return StateStep(
      place: place, event: outcome.input, stated: try stated(in: outcome, at: after.place, log),
      call: outcome.call, count: count, encode: after.state)
  }

  /// That the states of a stay are not known.
  private static func lost(_ agent: AgentID, _ stage: AgentLife.Stage, _ why: String, _ remedy: String) throws
    -> StateStep
  {
    let error = HyphaError(
      .failed, "the states of '\(agent)' while it was on node '\(stage.node)' are not known: \(why)",
      remedy: remedy)
    return StateStep(unknown: error, from: try place(of: stage))
  }

  /// The first event that a call stated, or the record of it where it stated none and no event has led to it.
  private static func stated(in outcome: RerunOutcome, at place: StateStep.Place, _ log: any LogReader) throws
    -> RecordHeader?
  {
    if let first = outcome.recorded.first { return first.header }
    guard outcome.position == nil, let entry = try log.entry(at: place.position),
      entry.record.header.agent == outcome.agent
    else { return nil }
    return entry.record.header
  }

  private static func begin<Kind: Agent>(of kind: Kind.Type, _ agent: AgentID) async throws -> StateStep {
    guard Kind.State.self != Stateless.self else {
      throw HyphaError(
        .usage, "'\(agent)' keeps no state: its kind '\(kind.kind)' declares none",
        remedy: "ask for it without --at, --since and --why, to see what it has handled")
    }
    return StateStep(place: nil, count: 0, encode: StateStep.encoder(of: await kind.init().state))
  }

  private static let backupAdvice =
    "ask a backup of the log that was made before; the newest state is shown without --topology, --at, --since and --why"

  private static func unknown(_ agent: AgentID, _ reason: String, _ isGone: Bool) -> HyphaError {
    HyphaError(
      .failed, "the past states of '\(agent)' are not known: \(reason)",
      remedy: isGone
        ? backupAdvice
        : "use the program, the topology file and the log as they were when it worked; its newest state is shown "
          + "without --topology, --at, --since and --why")
  }

  /// Why the states of a re-run are not to be taken for those of the past; nil where they are.
  private static func distrust(
    _ summary: RerunSummary, _ different: RerunOutcome?, _ stay: RerunStay, _ checkpoint: RerunCheckpoint?,
    _ log: any LogReader
  ) throws -> String? {
    if let (_, reason) = summary.notRun.first { return reason }
    if let different, let difference = different.differences.first {
      if case .state = difference { return "run again, it comes to another state than the log keeps" }
      let what = different.input.map { "with \($0.type) \($0.id)" } ?? "in a call without an event"
      let place = different.position.map { " at position \($0)" } ?? ""
      return "run again, it does something else than it did \(what)\(place)"
    }
    guard let report = summary.agents.first else { return "it is not on node '\(summary.node)'" }
    if report.skippedCount > 0 {
      return "\(report.skippedCount) of its calls took more than is recorded, or something that is gone"
    }
    if let gap = try log.gaps().first(where: { $0.range.upperBound > checkpoint?.handled.position ?? .start }
    ),
      try !stay.isWhole || !hasAll(report, checkpoint, log)
    {
      return "the log has lost events of it or for it: \(gap.text)"
    }
    return report.isStateKnown ? nil : "the log keeps no state of it that this version of its kind reads"
  }

  /// Whether a log with gaps still has every persistent event of an agent and for it, from its checkpoint on.
  private static func hasAll(
    _ report: RerunSummary.Agent, _ checkpoint: RerunCheckpoint?, _ log: any LogReader
  ) throws -> Bool {
    let own = try log.streamHeads().filter { $0.key.agent == report.agent && $0.key.channel == .persistent }
    let handled = try log.cursor(CursorKey(agent: report.agent, channel: .persistent))?.handledCount ?? 0
    let earlier = (
      own: try checkpoint?.ownCount(of: report.agent, in: log) ?? 0,
      handled: checkpoint?.handled.handledCount ?? 0
    )
    return earlier.own + report.ownCount >= own.values.reduce(0) { $0 + $1.count }
      && earlier.handled + report.inputCount >= handled
  }
}
