public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// Past states of an agent whose handlers change its state: it is run again from its begin, call by call.
extension Rerun {
  /// Calls `body` with the agent's state at its begin and after each call that is made again, until it returns false.
  ///
  /// A call counts from the first event on that it stated, one that stated none from the record of it on, and one that has left
  /// nothing in the log from the event on that it handled.
  ///
  /// All calls are made again whatever `body` returns, and what they come to is held against the log: the states were those of
  /// the past only if this returns.
  ///
  /// - Parameter progress: told now and then how far it is in the log, and where that ends.
  /// - Complexity: that of running the agent again.
  /// - Throws: ``HyphaError/Code/failed`` where the agent does something else now, its state at the end is not the one that the
  ///   log keeps, or the log does not have all of its past; ``HyphaError/Code/usage`` where it keeps no state;
  ///   what `body` and `progress` throw.
  public static func visitStates(
    of agent: AgentID, in topology: Topology, kinds: KindRegistry, log: any LogReader,
    progress: (Position, Position) throws -> Void = { _, _ in }, _ body: (StateStep) throws -> Bool
  ) async throws {
    if let move = try MoveReading(log).moves.newest(of: agent) {
      throw HyphaError(
        .failed,
        "the past states of '\(agent)' are not known: it was moved to node '\(move.order.to)', which a re-run does not follow",
        remedy: newestAdvice)
    }
    guard let spec = topology.agent(agent), spec.node == log.identity.node else {
      throw HyphaError(
        .invalidTopology,
        "the topology '\(topology.name)' has no agent '\(agent)' on node '\(log.identity.node)'",
        remedy: "give the topology file that the log was written under")
    }
    var rerun = try Rerun(topology, kinds: kinds, log: log, agents: [agent])
    rerun.keepsStates = true
    let begin = try await begin(of: kinds.kind(spec.kind), agent)
    var goesOn = try body(begin)
    var count = 0
    var different: RerunOutcome?
    let summary = try await rerun.run(progress: progress) { outcome in
      if !outcome.differences.isEmpty { different = outcome }
      if goesOn, let after = outcome.after {
        count += 1
        goesOn = try body(
          StateStep(
            place: after.place, event: outcome.input, stated: try stated(in: outcome, at: after.place, log),
            call: outcome.call, count: count, encode: after.state))
      }
      return different == nil
    }
    if let reason = try distrust(summary, different, log) { throw unknown(agent, reason) }
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

  private static let newestAdvice =
    "its newest state is shown without --topology, --at, --since and --why"

  private static func unknown(_ agent: AgentID, _ reason: String) -> HyphaError {
    HyphaError(
      .failed, "the past states of '\(agent)' are not known: \(reason)",
      remedy: "use the program, the topology file and the log as they were when it worked; \(newestAdvice)")
  }

  /// Why the states of a re-run are not to be taken for those of the past; nil where they are.
  private static func distrust(_ summary: RerunSummary, _ different: RerunOutcome?, _ log: any LogReader)
    throws
    -> String?
  {
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
    if let gap = try log.gaps().first, try !hasAll(report, log) {
      return "the log has lost events of it or for it: \(gap.text)"
    }
    return report.isStateKnown ? nil : "the log keeps no state of it that this version of its kind reads"
  }

  /// Whether a log with gaps still has every persistent event of an agent and for it.
  private static func hasAll(_ report: RerunSummary.Agent, _ log: any LogReader) throws -> Bool {
    let own = try log.streamHeads().filter { $0.key.agent == report.agent && $0.key.channel == .persistent }
    let handled = try log.cursor(CursorKey(agent: report.agent, channel: .persistent))?.handledCount ?? 0
    return report.ownCount >= own.values.reduce(0) { $0 + $1.count } && report.inputCount >= handled
  }
}
