import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaRuntime

/// `hypha dead-letters`: what agents could not handle.
struct DeadLettersCommand: Command {
  static let configuration = CommandConfiguration(
    name: "dead-letters", abstract: "Show the events that agents could not handle, and settle them.",
    subcommands: [
      DeadLettersListCommand.self, DeadLettersInspectCommand.self, DeadLettersRequeueCommand.self,
      DeadLettersDiscardCommand.self,
    ])
}

/// `hypha dead-letters list`: the open ones, from the logs alone.
struct DeadLettersListCommand: Command {
  static let configuration = CommandConfiguration(
    name: "list", abstract: "List the events that agents could not handle.",
    discussion: """
      Reads the logs; the nodes may run or not. An event is put aside when its handler has thrown as often as the topology \
      file's 'supervision: attempts' says, or at once where trying again cannot mend it. JSON has the node, too, and who \
      stated the event.
      """,
    examples: [
      "hypha dead-letters list data/incident-room", "hypha dead-letters list data/incident-room --json",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "Of one agent alone.", valueName: "agent") var agent: AgentID?
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let letters = try DeadLetters.read(in: data).filter { agent == nil || $0.letter.failure.agent == agent }
    let format: TableFormat = json ? .json : format
    guard format != .table || !letters.isEmpty else {
      return try Output.standard.writeLine(agent.map { "\($0) has handled all" } ?? "all was handled")
    }
    let isFull = format != .table
    var columns: [Table.Column] = [
      // On the right nothing is cut off: an id is there to be copied.
      .init("event", alignment: .right), .init("type"), .init("agent"), .init("attempts", alignment: .right),
      .init("error"),
    ]
    if isFull { columns += [.init("from"), .init("node"), .init("position")] }
    var table = Table(columns)
    for (node, _, letter) in letters {
      let failure = letter.failure
      var cells: [Table.Cell] = [
        .string(failure.event.description), .string(failure.type.text), .string(failure.agent.text),
        .integer(failure.attempts), .string(failure.error),
      ]
      if isFull {
        cells += [.string(failure.from.text), .string(node.text), .integer(Int(clamping: failure.position))]
      }
      table.add(cells)
    }
    try table.write(as: format)
  }
}

/// `hypha dead-letters inspect`: one of them, with all that is known.
struct DeadLettersInspectCommand: Command {
  static let configuration = CommandConfiguration(
    name: "inspect", abstract: "Show an event that an agent could not handle, and each attempt.",
    discussion: "Reads the logs; the nodes may run or not.",
    examples: ["hypha dead-letters inspect data/incident-room 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The event's id, as 'hypha dead-letters list' shows it.") var id: EventID

  func run() async throws {
    let program = try Program.require()
    for (node, path, letter) in try DeadLetters.find(id, in: data) {
      let failure = letter.failure
      let log = try program.readLog(path)
      let entry = try letter.entry(in: log)
      let output = Output.standard
      try output.writeLine("event     \(failure.event)  \(failure.type)")
      try output.writeLine("from      \(failure.from)")
      if let entry {
        try output.writeLine("about     \(entry.record.header.subject)")
        let payload = String(decoding: entry.record.payload.prefix(4096), as: UTF8.self)
        try output.writeLine("payload   \(payload.shown(4096))")
      } else {
        try output.writeLine("payload   the log of node \(node) does not have it any more")
      }
      try output.writeLine(
        "agent     \(failure.agent) on node \(node), position \(entry?.position.rawValue ?? failure.position)"
      )
      for (time, failed) in try attempts(failure, in: log) {
        let attempt = failed.attempt.map { "attempt \($0)" } ?? "attempt"
        try output.writeLine(
          "\(attempt) at \(RecordedTime.text(Int64(clamping: time.microseconds)) ?? "?"): \(failed.error.shown(4096))"
        )
      }
    }
  }

  private func attempts(_ failure: EventDeadLettered, in log: any LogReader) throws -> [(
    Timestamp, HandlerFailed
  )] {
    var query = LogQuery.effects(of: [failure.event])
    query.types = [HandlerFailed.eventType]
    query.agent = failure.agent
    var attempts: [(Timestamp, HandlerFailed)] = []
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      attempts += try page.entries.map { ($0.record.header.time, try HandlerFailed.decode($0.record)) }
      cursor = page.next
    } while cursor != nil
    return attempts
  }
}

/// `hypha dead-letters requeue`: gives events to their agents again.
struct DeadLettersRequeueCommand: Command {
  static let configuration = CommandConfiguration(
    name: "requeue", abstract: "Give events to the agents that could not handle them once more.",
    discussion: """
      Asks the agent's node, which must run, through the socket in its data directory. The event is given to the handler \
      again, with all its attempts; hypha.DeadLetterResolved in the node's log says so, on the authority of --by.
      """,
    examples: ["hypha dead-letters requeue data/incident-room 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --by ana"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The events' ids, as 'hypha dead-letters list' shows them.") var id: [EventID]
  @Option(name: .customLong("by"), help: "Who asks; default the user's name.", valueName: "name")
  var principal: AgentID?
  @Option(help: "What to say about it; stands in the log.", valueName: "text") var note: String?

  func run() async throws {
    for id in id { try await DeadLetters.settle(id, in: data, .requeued, by: principal, note: note) }
  }
}

/// `hypha dead-letters discard`: leaves events unhandled for good.
struct DeadLettersDiscardCommand: Command {
  static let configuration = CommandConfiguration(
    name: "discard", abstract: "Leave events unhandled for good.",
    discussion: """
      Asks the agent's node, which must run, through the socket in its data directory. The events stay in the log; \
      hypha.DeadLetterResolved beside them says that they are settled, on the authority of --by.
      """,
    examples: [
      "hypha dead-letters discard data/incident-room 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --note 'a test order'"
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The events' ids, as 'hypha dead-letters list' shows them.") var id: [EventID]
  @Option(name: .customLong("by"), help: "Who decides; default the user's name.", valueName: "name")
  var principal: AgentID?
  @Option(help: "What to say about it; stands in the log.", valueName: "text") var note: String?

  func run() async throws {
    for id in id { try await DeadLetters.settle(id, in: data, .discarded, by: principal, note: note) }
  }
}

/// The dead letters of the logs in a directory.
enum DeadLetters {
  typealias Found = (node: NodeID, path: String, letter: DeadLetter)

  /// Each with its node and that one's data directory, the oldest first.
  static func read(in data: String) throws -> [Found] {
    let program = try Program.require()
    let all = try DataPlaces.logs(in: data).flatMap { path in
      let log = try program.readLog(path)
      return try DeadLetter.open(in: log).map { (node: log.identity.node, path: path, letter: $0) }
    }
    return all.sorted { $0.letter.statedAt < $1.letter.statedAt }
  }

  /// Those of one event: several agents may have failed on it.
  static func find(_ id: EventID, in data: String) throws -> [Found] {
    let found = try read(in: data).filter { $0.letter.failure.event == id }
    guard !found.isEmpty else {
      throw HyphaError(
        .failed, "no event \(id) waits to be settled in \(data)",
        remedy: "list those that do with '\(Program.calledAs) dead-letters list \(data)'")
    }
    return found
  }

  static func settle(
    _ id: EventID, in data: String, _ resolution: DeadLetterResolved.Resolution, by principal: AgentID?,
    note: String?
  ) async throws {
    for (_, path, letter) in try find(id, in: data) {
      let agent = letter.failure.agent
      let request = try OperatorRequest(
        "dead-letters.resolve", by: OperatorClient.authority(principal),
        parameters: NodeOperations.Settlement(agent: agent, event: id, resolution: resolution, note: note))
      guard try await OperatorClient.ask(path, request, as: JSONValue.self) != nil else {
        throw HyphaError(
          .failed, "event \(id) is with agent '\(agent)' on the node of \(path), which does not run",
          remedy: "start the deployment; what is settled is an event that its node states")
      }
      let what = resolution == .requeued ? "is given to" : "stays unhandled by"
      try Output.standard.writeLine("\(id): \(letter.failure.type) \(what) \(agent)")
    }
  }
}
