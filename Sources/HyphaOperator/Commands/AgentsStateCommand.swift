import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha agents state`: an agent's state at any moment.
struct AgentsStateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "state", abstract: "Show an agent's state, now or at any place of its node's log.",
    discussion: """
      Of an agent whose state is event-sourced, its own events are folded once more by the rules of its kind. Any other is run \
      again from its begin, without a network, as 'rerun' does, which takes the topology file that the log was written under: \
      its past is shown only where what it states now, and its state at the end, are what the log has. What the program of an \
      'exec' agent does beside answering, it does again. Both take the program that has the agent's kind. Nodes may run or not.

      Without --topology, of an agent that is not event-sourced the log's newest state is shown, how much it has handled, its \
      timers and what it is to be given again; at an earlier place, what it had stated up to there.

      --at is a position of the node's log, or a time that the events state; both are included. --since shows what has \
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

  func run() async throws {
    let (log, kind) = try find()
    let program = try Program.require()
    guard program.kinds.names.contains(kind) else {
      throw HyphaError(
        .usage, "\(program.name) has no kind '\(kind)', of which '\(agent)' is",
        remedy: "run 'agents state' of the program that has it, such as the one that ran the deployment")
    }
    if try program.kinds.isEventSourced(kind) {
      return try await show(in: log) { progress, take in
        try await program.kinds.visitStates(of: agent, kind: kind, in: log, progress: progress, take)
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
      return try await showMoment(kind, in: log)
    }
    // The order of sets and dictionaries is the same then as in the node.
    try NodeHashing.enter()
    let loaded = try TopologyLoading.load(topology, program.kinds)
    try await show(in: log) { progress, take in
      try await Rerun.visitStates(
        of: agent, in: loaded, kinds: program.kinds, log: log, progress: { read, _ in try progress(read) },
        take)
    }
  }

  private func find() throws -> (log: any LogReader, kind: String) {
    let program = try Program.require()
    for path in try DataPlaces.logs(in: data) {
      let log = try program.readLog(path)
      let outline = try DeploymentOutline.read(in: log)
      let known = outline?.agents.first { $0.id == agent && $0.node == log.identity.node }
      if let known { return (log, kind ?? known.kind) }
      if let kind, try log.streamHeads().keys.contains(where: { $0.agent == agent }) { return (log, kind) }
    }
    throw HyphaError(
      .failed, "no log of \(data) says that an agent '\(agent)' is there, and of which kind",
      remedy: "give the deployment's data directory, and --kind for logs of an older version")
  }

  /// Shows what is asked for of the states that `visit` gives, once it has returned.
  private func show(
    in log: any LogReader,
    _ visit: (_ progress: (Position) throws -> Void, _ take: (StateStep) throws -> Bool) async throws -> Void
  ) async throws {
    var past = PastState(at: at, since: since, why: why)
    let head = try log.head()
    try await LongWork.run { work in
      try await visit { position in
        try work.pass(
          "\(agent): \(Human.count(position.rawValue)) of \(Human.count(head.rawValue)) entries",
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
  private func showMoment(_ kind: String, in log: any LogReader) async throws {
    let head = try log.head()
    let moment = try await LongWork.run { work in
      try AgentMoment(of: agent, in: log, at: at.map { at in { at.includes($0) } }) { position, count in
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
  /// Whether an entry is at this place or before it.
  func includes(_ entry: LogEntry) -> Bool {
    switch end {
    case .position(let position): entry.position <= position
    case .time(let time): entry.record.header.time <= time
    }
  }
}
