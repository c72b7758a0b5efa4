import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// `hypha agents state`: an agent's state at any moment.
struct AgentsStateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "state", abstract: "Show an agent's state, now or at any place of its node's log.",
    discussion: """
      Of an agent whose state is event-sourced, its own events are folded once more by the rules of its kind. Any other is run \
      again from its begin, without a network, on each node that it was on, as 'rerun' does, which takes the topology file that the \
      log was written under: \
      its past is shown only where what it states now, and its state at the end, are what the log has. Where the log was pruned, \
      it begins with a checkpoint that the log has of its state. What the program of an \
      'exec' agent does beside answering, it does again. Both take the program that has the agent's kind. Nodes may run or not.

      Without --topology, of an agent that is not event-sourced the log's newest state is shown, how much it has handled, its \
      timers and what it is to be given again; at an earlier place, what it had stated up to there.

      --at is a position of the log of the agent's node, or a time that the events state; both are included. Of an agent that was \
      moved, what other nodes' logs have counts by the time that stands at that position. --since shows what has \
      changed from there on; --why the event that made a member so: its name, or a path such as lines.0.amount. What was \
      handled without leaving anything in the log counts from the place of the event on.
      """,
    examples: [
      "hypha agents state data/invoices carla", "hypha agents state data/invoices carla --at 1042",
      "hypha agents state data/invoices carla --since 2026-01-31T12:00:00Z",
      "hypha agents state data/invoices ada --topology invoices.yaml --why approved",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The agent's id.") var agent: AgentID
  @Option(help: "Show it as it was here.", valueName: "position|time") var at: Instant?
  @Option(help: "Show what has changed since here.", valueName: "position|time") var since: Instant?
  @Option(help: "Show which event made this member so.", valueName: "path") var why: String?
  @Option(
    help: "Run an agent that is not event-sourced again, by this file.", valueName: "file", completion: .file)
  var topology: String?
  @Option(help: "The agent's kind, where the log does not say it.", valueName: "kind") var kind: String?
  @Flag(help: "Print as one line of JSON.") var json = false

  func validate() throws {
    guard let since, let at else { return }
    try ReplayRange(from: since.bound, to: at.bound).confirmDirection()
  }

  func run() async throws {
    let (log, kind, others) = try find()
    try confirmDirection(in: log)
    let program = try Program.require()
    guard program.kinds.declaration(kind) != nil else {
      throw HyphaError(
        .usage, "\(program.name) has no kind '\(kind)', of which '\(agent)' is",
        remedy: "run 'agents state' of the program that has it, such as the one that ran the deployment")
    }
    if try program.kinds.isEventSourced(kind) {
      return try await show(in: log) { progress, take in
        try await program.kinds.visitStates(
          of: agent, kind: kind, in: log, progress: { try progress(log.identity.node, $0) }, take)
      }
    }
    guard let topology else {
      guard since == nil, why == nil else {
        throw HyphaError(
          .usage,
          "the state of '\(agent)' is committed whole: its kind '\(kind)' does not evolve by events, so its past is "
            + "found by running it again",
          remedy: "give --topology with the file that the log was written under")
      }
      return try await showMoment(kind, in: log, elsewhere: others)
    }
    // The order of sets and dictionaries is the same then as in the node.
    try NodeHashing.enter()
    let loaded = try TopologyLoading.load(topology, program.kinds)
    // Why a member is so, may lie before all places that are asked for.
    let wanted = try [at, since].compactMap { try $0.map { try PastPlace($0, in: log) } }
    let isEarly = why == nil ? { place in wanted.allSatisfy { $0.includes(place) } } : nil
    try await show(in: log) { progress, take in
      try await Rerun.visitStates(
        of: agent, in: loaded, kinds: program.kinds, log: log, elsewhere: others, isEarly: isEarly,
        progress: progress, take)
    }
  }

  /// The log of the agent's node, its kind, and the logs of the other nodes.
  private func find() throws -> (log: any LogReader, kind: String, others: [any LogReader]) {
    let program = try Program.require()
    let logs = try DataPlaces.logs(in: data).map { try program.readLog($0) }
    var names: Set<String> = []
    var home: NodeID?
    for log in logs {
      let outline = try DeploymentOutline.read(in: log)
      let others = logs.filter { $0 !== log }
      let known = outline?.agents.first { $0.id == agent && $0.node == log.identity.node }
      if let known { return (log, kind ?? known.kind, others) }
      if let kind, try log.streamHeads().keys.contains(where: { $0.agent == agent }) {
        return (log, kind, others)
      }
      names.formUnion(outline?.agents.map(\.id.text) ?? [])
      home = outline?.agents.first { $0.id == agent }?.node ?? home
    }
    if let home {
      throw HyphaError(
        .failed, "'\(agent)' is on node '\(home)', and \(data) has no log of that",
        remedy: "give the data directory of the deployment, or of that node")
    }
    let near = nearestWord(to: agent.text, among: names.sorted())
    throw HyphaError(
      .failed, "no log of \(data) says that an agent '\(agent)' is there, and of which kind",
      remedy: (near.map { "did you mean '\($0)'? Else " } ?? "")
        + "give the deployment's data directory, and --kind for logs of an older version")
  }

  /// Refuses a difference that is asked for backward, with a place on one side and a time on the other.
  private func confirmDirection(in log: any LogReader) throws {
    func time(_ place: Instant) throws -> Timestamp? {
      switch place.end {
      case .position(let position): try log.entry(at: position)?.record.header.time
      case .time(let time): time
      }
    }
    guard let since, let at, let from = try time(since), let to = try time(at) else { return }
    if case (.position, .position) = (since.end, at.end) { return }
    try ReplayRange(from: .time(from), to: .time(to)).confirmDirection()
  }

  /// Refuses a place of which the log has nothing any more.
  private func confirmPresence(in log: any LogReader) throws {
    guard let at else { return }
    let gap = try log.gaps().filter { $0.kind == .pruned }.first { gap in
      switch at.end {
      case .position(let position): return gap.range.contains(position)
      case .time(let time):
        let before = try log.entry(at: Position(rawValue: gap.range.lowerBound.rawValue - 1))?.record.header
        let behind = try log.read(after: gap.range.upperBound, limit: 1, byteLimit: 0).first?.record.header
        return before.map { $0.time <= time } ?? true && behind.map { time < $0.time } ?? true
      }
    }
    guard let gap else { return }
    throw HyphaError(
      .failed,
      "what '\(agent)' had stated by then is not known: the log was pruned through position \(gap.range.upperBound)",
      remedy: "ask for a later place, or look into a backup of the log")
  }

  /// Shows what is asked for of the states that `visit` gives, once it has returned.
  private func show(
    in log: any LogReader,
    _ visit: (_ progress: (NodeID, Position) throws -> Void, _ take: (StateStep) throws -> Bool) async throws
      -> Void
  ) async throws {
    var past = PastState(
      at: try at.map { try PastPlace($0, in: log) }, since: try since.map { try PastPlace($0, in: log) },
      why: why)
    let head = try log.head()
    try await LongWork.run { work in
      try await visit { node, position in
        let all = node == log.identity.node ? " of \(Human.count(head.rawValue))" : ""
        try work.pass(
          "\(agent): \(Human.count(position.rawValue))\(all) entries of \(node)",
          done: "\(Human.count(past.now?.count ?? 0)) states of \(agent); nothing was printed")
      } _: {
        try past.take($0)
      }
    }
    let view = AgentStateView(agent: agent, node: log.identity.node, data: data, isJSON: json)
    if let why, let origin = past.origin { return try view.show(why, is: past.value, since: origin) }
    guard let now = past.now else { return }
    if let before = past.before { return try view.show(from: before, to: now) }
    try view.show(now)
  }

  /// What there is to say of an agent whose state is committed whole.
  private func showMoment(_ kind: String, in log: any LogReader, elsewhere others: [any LogReader])
    async throws
  {
    try confirmPresence(in: log)
    let head = try log.head()
    let includes = try at.map { try PastPlace($0, in: log) }.map { place in
      { (position: Position?, time: Timestamp) in place.includes(position, time) }
    }
    let moment = try await LongWork.run { work in
      try AgentMoment(of: agent, in: log, elsewhere: others, at: includes) { position, count in
        try work.pass(
          "\(agent): \(Human.count(position.rawValue)) of \(Human.count(head.rawValue)) entries",
          done: "\(Human.count(count)) events of \(agent); nothing was printed")
      }
    }
    let view = AgentMomentView(moment, agent, kind, on: log.identity.node)
    try Output.standard.writeLine(json ? JSON.text(view.json()) : view.text())
  }
}

extension Instant {
  fileprivate var bound: ReplayRange.Bound {
    switch end {
    case .position(let position): .position(position)
    case .time(let time): .time(time)
    }
  }
}
