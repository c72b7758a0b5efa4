import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha alerts`: what waits for an answer.
struct AlertsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "alerts", abstract: "Show the alerts that nobody has answered yet, and answer one by hand.",
    subcommands: [AlertsListCommand.self, AlertsAckCommand.self])
}

/// `hypha alerts list`: the open alerts, from the logs alone.
struct AlertsListCommand: Command {
  static let configuration = CommandConfiguration(
    name: "list", abstract: "List the alerts that wait for an answer.",
    discussion: """
      Reads the logs; the nodes may run or not. An alert is open until each agent that it is for has answered it, or a \
      supervisor above that one, or an operator (see 'hypha alerts ack').

      The column 'waits for' names who is to answer now, and 'due in' how long it has: then the one above it is told. \
      It says 'overdue' where a node has ended before that, and 'unanswered' where the root has not answered either: \
      only an operator or a late answer settles the alert now. JSON has its age and node, too, and as 'step' how often \
      somebody above was told.
      """,
    examples: ["hypha alerts list data/incident-room", "hypha alerts list data/incident-room/hq --json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let now = Timestamp(microseconds: SystemScheduler().microseconds())
    let open = try OpenAlerts.read(in: data)
    let format: TableFormat = json ? .json : format
    guard format == .table else { return try Self.full(open, now).write(as: format) }
    guard !open.isEmpty else { return try Output.standard.writeLine("no alert waits for an answer") }
    try Self.brief(open, now).write()
  }

  /// All there is to know, for programs.
  private static func full(_ open: [(node: NodeID, alert: OpenAlert)], _ now: Timestamp) -> Table {
    var table = Table([
      .init("id"), .init("type"), .init("from"), .init("waits for"), .init("age", key: "ageSeconds"),
      .init("due in", key: "dueInSeconds"), .init("step"), .init("state"), .init("node"),
    ])
    for (node, alert) in open {
      table.add([
        .string(alert.id.description), .string(alert.type.text), .string(alert.agent.text),
        .string(alert.waitingFor), .duration(max(now.since(alert.statedAt), .zero)),
        alert.timeLeft(now).map { .duration(max($0, .zero)) } ?? .none,
        .integer(alert.duties.map(\.step).max() ?? 0), alert.state(now), .string(node.text),
      ])
    }
    return table
  }

  /// What a person needs, in 80 columns with the whole id.
  private static func brief(_ open: [(node: NodeID, alert: OpenAlert)], _ now: Timestamp) -> Table {
    // On the right nothing is cut off: an id is there to be copied.
    var table = Table([
      .init("id", alignment: .right), .init("type"), .init("from"), .init("waits for"),
      .init("due in", alignment: .right),
    ])
    for (_, alert) in open {
      let due = alert.timeLeft(now).flatMap { $0 > .zero ? Table.Cell.duration($0) : nil }
      table.add([
        .string(alert.id.description), .string(alert.type.text), .string(alert.agent.text),
        .string(alert.waitingFor), due ?? alert.state(now),
      ])
    }
    return table
  }
}

/// `hypha alerts ack`: an answer by hand.
struct AlertsAckCommand: Command {
  static let configuration = CommandConfiguration(
    name: "ack", abstract: "Answer alerts by hand, on an operator's authority.",
    discussion: """
      Asks the node that follows the alert, which must run, through the socket in its data directory. The answer is an \
      event in its log, hypha.AlertAcknowledged, on the authority of --by; it settles the alert for all whom it \
      waits for.
      """,
    examples: [
      "hypha alerts ack data/incident-room 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --by ana",
      "hypha alerts ack data/incident-room 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --note 'a drill'",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The alerts' ids, as 'hypha alerts list' shows them.") var id: [EventID]
  @Option(name: .customLong("by"), help: "Who answers; default the user's name.", valueName: "name")
  var principal: AgentID?
  @Option(help: "What to say about it; stands in the event.", valueName: "text") var note: String?

  func run() async throws {
    let paths = try DataPlaces.logs(in: data)
    for id in id {
      let request = try OperatorRequest(
        "alerts.ack", by: OperatorClient.authority(principal),
        parameters: NodeOperations.Acknowledgement(alert: id, note: note))
      let path = try path(of: id, paths)
      guard let alert = try await OperatorClient.ask(path, request, as: OpenAlert.self) else {
        throw HyphaError(
          .failed, "alert \(id) is followed by the node of \(path), which does not run",
          remedy: "start the deployment; an answer is an event that its node states")
      }
      try Output.standard.writeLine(
        "\(id): \(alert.type) from \(alert.agent) is acknowledged; it had waited for \(alert.waitingFor)")
    }
  }

  /// The data directory of the node that follows an alert.
  private func path(of id: EventID, _ paths: [String]) throws -> String {
    let program = try Program.require()
    for path in paths
    where try AlertReading.openAlerts(in: program.readLog(path)).contains(where: { $0.id == id }) {
      return path
    }
    throw HyphaError(
      .failed, "no alert \(id) is open in \(data)",
      remedy: "list the open ones with '\(Program.calledAs) alerts list \(data)'")
  }
}

/// The open alerts of the logs in a directory.
enum OpenAlerts {
  /// Each with the node that follows it, the oldest first.
  static func read(in data: String) throws -> [(node: NodeID, alert: OpenAlert)] {
    let program = try Program.require()
    let all = try DataPlaces.logs(in: data).flatMap { path in
      let log = try program.readLog(path)
      return try AlertReading.openAlerts(in: log).map { (node: log.identity.node, alert: $0) }
    }
    return all.sorted { $0.alert.statedAt < $1.alert.statedAt }
  }
}

extension OpenAlert {
  /// Who is to answer now, the first few by name.
  var waitingFor: String {
    let holders = duties.map(\.holder.text)
    let rest = holders.count - 3
    return holders.prefix(3).joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
  }

  /// How long until the next deadline; negative where an ended node has not escalated, nil where nobody is left to be
  /// told.
  fileprivate func timeLeft(_ now: Timestamp) -> Duration? {
    duties.filter { !$0.isGivenUp }.map(\.dueAt).min().map { $0.since(now) }
  }

  fileprivate func state(_ now: Timestamp) -> Table.Cell {
    guard let left = timeLeft(now) else { return .string("unanswered", .red) }
    return left > .zero ? .string("waiting") : .string("overdue", .yellow)
  }
}
