import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha agents`: what single agents are at.
struct AgentsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "agents",
    abstract:
      "Say what an agent is at, why it gets nothing, what its state was, and what agents share; move it to another node.",
    subcommands: [
      AgentsExplainCommand.self, AgentsStateCommand.self, AgentsSharedCommand.self, AgentsMoveCommand.self,
    ])
}

/// `hypha agents explain`: why an agent gets what it gets.
struct AgentsExplainCommand: Command {
  static let configuration = CommandConfiguration(
    name: "explain", abstract: "Say why an agent gets what it gets, or nothing.",
    discussion: """
      Asks the agent's node through the socket in its data directory; where it does not run, its log is read, which knows \
      less. What keeps events from the agent, or the agent from handling them, comes with an '!'; exit status 0 all the \
      same.

      Told are: whether the agent works, and at what; who publishes what it subscribes to; events that wait behind a \
      gap, in its inbox, for another try, or that were put aside; pending timers; and how far it has come.
      """,
    examples: [
      "hypha agents explain data/incident-room pager", "hypha agents explain data/incident-room pager --json",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The agent's id.") var agent: AgentID
  @Flag(help: "Print as JSON.") var json = false

  func run() async throws {
    let report = try await read()
    if json { return try Output.standard.writeLine(JSON.text(report)) }
    let how = report.isRunning ? "" : ", which does not run"
    try Output.standard.writeLine("\(agent) on node \(report.node)\(how)")
    let width = report.findings.map { $0.topic.count }.max() ?? 0
    let style = Terminal.current.style()
    for finding in report.findings {
      let topic = finding.topic.padding(toLength: width, withPad: " ", startingAt: 0)
      // A sentence is not cut off: what it says last may be what matters.
      try Output.standard.writeLine(
        "\(finding.isObstacle ? style.yellow("!") : " ") \(topic)  \(finding.text.shown(2000))")
    }
  }

  private func read() async throws -> AgentReport {
    let program = try Program.require()
    let now = Timestamp(microseconds: SystemScheduler().microseconds())
    let paths = try DataPlaces.logs(in: data)
    let places = try Moves.read(paths).moves
    // Where it was moved, the log of the node that it was moved to knows most.
    let home = places.newest(of: agent)?.order.to
    let inOrder = paths.filter { URL(fileURLWithPath: $0).lastPathComponent == home?.text } + paths
    for path in inOrder {
      guard let found = try AgentReport(of: agent, in: program.readLog(path), now: now) else { continue }
      let request = try OperatorRequest(
        "agents.explain", by: OperatorClient.authority(nil),
        parameters: NodeOperations.Explanation(agent: agent))
      return try await OperatorClient.ask(path, request, as: AgentReport.self) ?? found
    }
    throw HyphaError(
      .failed, "no node of \(data) has ever run an agent '\(agent)'",
      remedy: "give the id as the topology file has it, and the deployment's data directory")
  }
}
