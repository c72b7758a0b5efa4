import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha agents state`: an event-sourced agent's state at any moment.
struct AgentsStateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "state", abstract: "Show an agent's state, now or at any place of its node's log.",
    discussion: """
      Of an agent whose state is event-sourced, its own events are folded once more by the rules of its kind, so \
      this takes the program that has the kind. Of any other a log keeps the newest state alone, and how much it has handled, its \
      timers and what it is to be given again; of an earlier place, what it had stated up to there is shown. Nodes may run or not.

      --at is a position of the node's log, or a time that the events state; both are included. --since shows what has \
      changed from there on; --why the event that made a member so: its name, or a path such as lines.0.amount.
      """,
    examples: [
      "hypha agents state data/invoices carla", "hypha agents state data/invoices carla --at 1042",
      "hypha agents state data/invoices carla --since 2026-01-31T12:00:00Z",
      "hypha agents state data/invoices carla --why approved",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The agent's id.") var agent: AgentID
  @Option(help: "Show it as it was here.", valueName: "position|time") var at: Instant?
  @Option(help: "Show what has changed since here.", valueName: "position|time") var since: Instant?
  @Option(help: "Show which event made this member so.", valueName: "path") var why: String?
  @Option(help: "The agent's kind, where the log does not say it.", valueName: "kind") var kind: String?
  @Flag(help: "Print as one line of JSON.") var json = false

  func run() async throws {
    let (log, kind) = try find()
    guard try since != nil || why != nil || Program.require().kinds.isEventSourced(kind) else {
      return try await showMoment(kind, in: log)
    }
    var (now, before): (StateStep?, StateStep?)
    var reason: (entry: LogEntry?, value: JSONValue?)
    let (kinds, head) = (try Program.require().kinds, try log.head())
    try await LongWork.run { work in
      func pass(_ position: Position) throws {
        try work.pass(
          "\(agent): \(Human.count(position.rawValue)) of \(Human.count(head.rawValue)) entries",
          done: "\(Human.count(now?.eventCount ?? 0)) events of \(agent); nothing was printed")
      }
      try await kinds.visitStates(of: agent, kind: kind, in: log, progress: pass) { step in
        guard step.entry.map({ at?.includes($0) ?? true }) ?? true else { return false }
        now = step
        if let since, step.entry.map({ since.includes($0) }) ?? true { before = step }
        if let why, case let value = StateChanges.value(at: why, of: try step.state()), value != reason.value
        {
          reason = (step.entry, value)
        }
        return true
      }
    }
    if let why { return try show(why, reason.entry, reason.value) }
    guard let now else { return }
    if let before { return try show(StateChanges.between(before.state(), now.state())) }
    try show(now, on: log.identity.node)
  }

  private func find() throws -> (log: any LogReader, kind: String) {
    let program = try Program.require()
    for path in try DataPlaces.logs(in: data) {
      let log = try program.readLog(path)
      let outline = try DeploymentOutline.read(in: log)
      let known = outline?.agents.first { $0.id == agent && $0.node == log.identity.node }
      if let known { return (log, kind ?? known.kind) }
      if let kind, try log.streamHead(StreamID(agent: agent, epoch: 1, channel: .persistent)) != nil {
        return (log, kind)
      }
    }
    throw HyphaError(
      .failed, "no log of \(data) says that an agent '\(agent)' is there, and of which kind",
      remedy: "give the deployment's data directory, and --kind for logs of an older version")
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

  private func show(_ moment: StateStep, on node: NodeID) throws {
    let state = try moment.state()
    if json {
      return try Output.standard.writeLine(
        JSON.text([
          "agent": JSONValue.string(agent.text), "node": .string(node.text), "state": state,
          "events": .integer(Int64(moment.eventCount)),
          "position": moment.entry.map { .integer(Int64($0.position.rawValue)) } ?? .null,
          "time": moment.entry.map { .string($0.record.header.time.text) } ?? .null,
        ]))
    }
    let place = moment.entry.map { "position \($0.position), \($0.record.header.time.text)" } ?? "the begin"
    let count = moment.eventCount
    try Output.standard.writeLine(
      "\(agent) on node \(node), as of \(place): made of \(Human.count(count)) \(count == 1 ? "event" : "events")"
    )
    for (path, value) in StateChanges.members(of: state) {
      try Output.standard.writeLine("  \(printable(path)): \(printable(try JSON.text(value)))")
    }
  }

  private func show(_ changes: [StateChanges.Change]) throws {
    if json {
      let objects = changes.map { change -> JSONValue in
        .object([
          "member": .string(change.path), "before": change.before ?? .null, "after": change.after ?? .null,
        ])
      }
      return try Output.standard.writeLine(JSON.text(JSONValue.array(objects)))
    }
    if changes.isEmpty { return try Output.standard.writeLine("nothing has changed") }
    for change in changes {
      func text(_ value: JSONValue?) throws -> String {
        try value.map { printable(try JSON.text($0)) } ?? "–"
      }
      try Output.standard.writeLine(
        "\(printable(change.path)): \(text(change.before)) → \(text(change.after))")
    }
  }

  private func show(_ path: String, _ entry: LogEntry?, _ value: JSONValue?) throws {
    if json {
      return try Output.standard.writeLine(
        JSON.text([
          "member": JSONValue.string(path), "value": value ?? .null,
          "event": entry.map { .string($0.record.header.id.description) } ?? .null,
          "position": entry.map { .integer(Int64($0.position.rawValue)) } ?? .null,
          "type": entry.map { .string($0.record.header.type.text) } ?? .null,
        ]))
    }
    let text = try value.map { printable(try JSON.text($0)) } ?? "not there"
    guard let entry else { return try Output.standard.writeLine("\(path) is \(text), as from the begin") }
    let header = entry.record.header
    try Output.standard.writeLine(
      """
      \(path) is \(text) since position \(entry.position), \(header.time.text)
      made so by \(header.type) \(header.id)
      next: \(Program.calledAs) trace \(header.id) --data \(data)
      """)
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
