public import HyphaCore
public import HyphaLog
public import HyphaTopology

/// Runs the agents of one node again, on what their node's log has: each gets the events that it was given, in the order in which it
/// handled them, with the times, random numbers and answers that it had then, and what it states is compared with what it stated
/// (docs/replay.md).
///
/// Nothing is sent, and nothing is written. Agents do not see each other: each is given what was recorded, whatever the others
/// state now. So a changed agent shows what it would have done on the same inputs.
public struct Rerun {
  let topology: Topology
  let kinds: KindRegistry
  let log: any LogReader
  private let wanted: Set<AgentID>?
  /// Whether each call tells what the agent's state was after it.
  var keepsStates = false
  /// Which checkpoint an agent begins with whose log was pruned.
  var choice = RerunCheckpoint.Choice.first
  /// The move by which the only stay began that is run again; nil for all.
  var stayNumber: UInt32?

  /// Prepares a re-run.
  ///
  /// - Parameters:
  ///   - topology: the one that the log was written under, as its file says; settings may differ. Where agents were moved to
  ///     stands in the log.
  ///   - log: a node's log; the node may run meanwhile.
  ///   - agents: those to be run again; nil for all of the node.
  /// - Throws: ``HyphaError/Code/invalidTopology`` where the log was written under another one, or has no such node.
  public init(_ topology: Topology, kinds: KindRegistry, log: any LogReader, agents: Set<AgentID>? = nil)
    throws
  {
    self.topology = topology
    self.kinds = kinds
    self.log = log
    wanted = agents
    guard topology.node(log.identity.node) != nil else {
      throw HyphaError(
        .invalidTopology,
        "the topology '\(topology.name)' has no node '\(log.identity.node)', whose log this is",
        remedy: "give the topology file that the log was written under")
    }
    guard try RejoinRecord.read(in: log)?.through ?? 0 == 0 else {
      throw HyphaError(
        .usage,
        "the log of node '\(log.identity.node)' came back from its replicas, and has not what its agents took before that",
        remedy: "look at what they stated: hypha log cat, hypha agents state")
    }
    let reading = try MoveReading(log)
    if let newest = reading.revisions.newest {
      throw HyphaError(
        .usage,
        "the log of node '\(log.identity.node)' was written under \(newest.revision) revisions of the topology file, and agents are run again under one",
        remedy: "look at what they stated: hypha log cat, hypha replay")
    }
    let check = TopologyCheck(
      topology: try reading.moves.placing(topology), log: log,
      remedy: "give the topology file that it was written under; only settings may be others")
    try check.check(log.laneHeads())
  }

  /// Runs the agents again, and calls `body` with what each call came to, in the order of the commits, until it returns false.
  ///
  /// - Parameter progress: told now and then how far it is in the log, and where that ends.
  /// - Complexity: the log is read once, and once more for each agent that is run; memory for what one commit has.
  /// - Throws: ``HyphaError/Code/logInvalid``, what the log throws, and what `body` and `progress` do.
  public func run(
    progress: (Position, Position) throws -> Void = { _, _ in }, _ body: (RerunOutcome) throws -> Bool
  ) async throws -> RerunSummary {
    try await run(begun: { _ in }, progress: progress, body)
  }

  /// The same; `begun` is told first where each agent begins.
  func run(
    begun: (RerunBegin) throws -> Void, progress: (Position, Position) throws -> Void,
    _ body: (RerunOutcome) throws -> Bool
  ) async throws -> RerunSummary {
    var (end, tryCount) = (try log.head(), 1)
    var (summary, order, agents) = try await begin()
    // What agents have come to and where the log ends should be of one moment, while a node may write.
    while case let now = try log.head(), now != end {
      (end, tryCount) = (now, tryCount + 1)
      guard tryCount <= Self.tryCountMax else { break }
      (summary, order, agents) = try await begin()
    }
    do {
      for agent in agents.values.joined() { try begun(agent.begin) }
      let isDone = try await run(agents, through: end, &summary.recorded, progress, body)
      if isDone { try await finish(agents, order, body) }
    } catch {
      for agent in agents.values.joined() { await agent.stop() }
      throw error
    }
    for id in order {
      for agent in agents[id] ?? [] { await agent.stop() }
      guard let stays = agents[id], var report = stays.first?.report else { continue }
      for stay in stays.dropFirst() { report.add(stay.report) }
      summary.agents.append(report)
    }
    return summary
  }

  /// So often a moment is looked for in which nothing is written.
  private static let tryCountMax = 100

  private func begin() async throws -> (RerunSummary, [AgentID], [AgentID: [any AgentRerunning]]) {
    var summary = RerunSummary(node: log.identity.node)
    var agents: [AgentID: [any AgentRerunning]] = [:]
    let stays = try RerunStay.all(topology, in: log)
    let order = topology.agents.map(\.id).filter { stays[$0] != nil && wanted?.contains($0) ?? true }
    summary.prunedThrough = try log.prunedThrough()
    for id in order {
      guard var spec = topology.agent(id) else { continue }
      spec.node = log.identity.node
      let kind = try kinds.kind(spec.kind)
      for stay in stays[id] ?? [] where stayNumber.map({ $0 == stay.number }) ?? true {
        switch try await RerunBegin.find(
          kind, id, stay, in: log, prunedThrough: summary.prunedThrough, choice, needsCalls: !keepsStates)
        {
        case .begin(let begin):
          agents[id, default: []].append(make(kind, spec, begin, behind: agents[id]?.last))
        case .impossible(let reason): summary.notRun.append((id, reason))
        }
      }
    }
    return (summary, order, agents)
  }

  private func run(
    _ agents: [AgentID: [any AgentRerunning]], through end: Position, _ recorded: inout RecordedTime,
    _ progress: (Position, Position) throws -> Void, _ body: (RerunOutcome) throws -> Bool
  ) async throws -> Bool {
    // Of one that shows states what its checkpoint covers is not looked at.
    let first = agents.values.joined().map { $0.begin.checkpoint?.position ?? .start }.min() ?? .start
    var read = keepsStates && first > .start ? Position(rawValue: first.rawValue - 1) : .start
    while read < end {
      var own: [(LogEntry, any AgentRerunning)] = []
      let last = Position(rawValue: min(end.rawValue, read.rawValue + 1024))
      try log.visit(read.next...last, .forward) { view in
        if RecordedTime.counts(view.record) { recorded.take(view.appendedAt) }
        guard case .stated = view.source, view.record.channel != .realtime else { return true }
        let entry = try view.entry()
        let epoch = entry.record.epoch
        if let agent = agents[entry.record.agent]?.first(where: { $0.epochs.contains(epoch) }) {
          own.append((entry, agent))
        }
        return true
      }
      read = last
      for (entry, agent) in own {
        for outcome in try await agent.take(entry) { guard try body(outcome) else { return false } }
      }
      try progress(read, end)
      try Task.checkCancellation()
    }
    return true
  }

  private func finish(
    _ agents: [AgentID: [any AgentRerunning]], _ order: [AgentID], _ body: (RerunOutcome) throws -> Bool
  ) async throws {
    for agent in order.flatMap({ agents[$0] ?? [] }) {
      for outcome in try await agent.end() { guard try body(outcome) else { return } }
    }
  }

  private func make<Kind: Agent>(
    _ kind: Kind.Type, _ spec: AgentSpec, _ begin: RerunBegin, behind former: (any AgentRerunning)?
  ) -> any AgentRerunning {
    let authors = Set(topology.nodes.map(\.id.author))
    let limits = WireLimits.standard
    let declarations = Declarations(
      kind, spec, topology, audience: Audience(topology), limits: limits
    ) { [topology] in
      topology.agent($0) != nil || authors.contains($0)
    }
    return AgentRerun(
      kind, spec, begin, in: log, behind: former, declarations: declarations,
      handlerDeadline: topology.supervision(of: spec.id).handlerDeadline, limits: limits,
      keepsStates: keepsStates)
  }
}

/// What a re-run came to.
public struct RerunSummary: Sendable {
  /// Of one agent.
  public struct Agent: Sendable {
    /// The agent.
    public let agent: AgentID
    /// Its kind.
    public let kind: String
    /// Where in the log it began.
    public var from = Position.start
    /// How many calls were made again.
    public var callCount = 0
    /// How many events these had stated.
    public var recordedCount = 0
    /// How many they state now.
    public var statedCount = 0
    /// How many things are not as they were.
    public var differenceCount = 0
    /// Calls that took more than is recorded, or whose event is not in the log any more: not made again.
    public var skippedCount = 0
    /// Alerts of calls that a crash has cut off: they were sent, and the calls were made anew.
    public var cutOffCount = 0
    /// Persistent events that belong to no call that is known: stated in the agent's name from outside.
    public var unclaimedCount = 0
    /// Whether the state at the end was held against the one that the log keeps.
    public var isStateKnown = false
    /// How many persistent events of the agent's own, and for it, the log has.
    var ownCount: UInt64 = 0
    var inputCount: UInt64 = 0

    /// Adds what a later stay of the agent on the node came to.
    mutating func add(_ other: Agent) {
      callCount += other.callCount
      recordedCount += other.recordedCount
      statedCount += other.statedCount
      differenceCount += other.differenceCount
      skippedCount += other.skippedCount
      cutOffCount += other.cutOffCount
      unclaimedCount += other.unclaimedCount
      isStateKnown = other.isStateKnown
      ownCount += other.ownCount
      inputCount += other.inputCount
    }
  }

  /// The node.
  public let node: NodeID
  /// The agents that were run again.
  public var agents: [Agent] = []
  /// Those that could not be, and why.
  public var notRun: [(agent: AgentID, reason: String)] = []
  /// Up to where the log was pruned.
  public var prunedThrough = Position.start
  /// How long it took to record it.
  public var recorded = RecordedTime()

  init(node: NodeID) { self.node = node }

  /// How many things are not as they were.
  public var differenceCount: Int { agents.reduce(0) { $0 + $1.differenceCount } }
  /// How many calls were made again.
  public var callCount: Int { agents.reduce(0) { $0 + $1.callCount } }
}
