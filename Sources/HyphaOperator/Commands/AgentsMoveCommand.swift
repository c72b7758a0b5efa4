import HyphaCore
import HyphaRuntime
import HyphaTopology

/// `hypha agents move`: another node for an agent of a running deployment.
struct AgentsMoveCommand: Command {
  static let configuration = CommandConfiguration(
    name: "move", abstract: "Move an agent to another node of the running deployment.",
    discussion: """
      Asks a node that runs, through the socket in its data directory; the node that orders moves (that of the \
      observer's seat, or of the root, by the file that the deployment began with, and another one once that has left) must \
      run, too. All nodes then begin \
      anew for a moment, in their processes. The agent's former node hands over its state, its timers, and how far it \
      has come; its new node takes what it has stated and was given, and begins it. Nothing is lost, doubled or \
      reordered, whoever is killed meanwhile.

      The command waits until the agent works on its new node, a minute at the most. The move goes on without it: where \
      the former node does not run, until that comes back. 'hypha agents explain' says what it waits for.
      """,
    examples: [
      "hypha agents move data/incident-room pager --to hq",
      "hypha agents move data/incident-room pager --to hq --reason 'lab is to be rebuilt' --by ana",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Argument(help: "The agent's id.") var agent: AgentID
  @Option(name: .customLong("to"), help: "The node that is to run it.", valueName: "node") var node: NodeID
  @Option(help: "Why; stands in the event.", valueName: "text") var reason: String?
  @Option(name: .customLong("by"), help: "Who asks; default the user's name.", valueName: "name")
  var principal: AgentID?

  /// How long the command waits for the agent.
  static let patience = Duration.seconds(60)
  /// How long it waits then for the other nodes to know.
  static let newsPatience = Duration.seconds(2)

  func run() async throws {
    let paths = try DataPlaces.logs(in: data)
    let outcome = try await ask(paths)
    guard let move = outcome.move, let from = outcome.from else {
      throw HyphaError(
        .failed,
        "agent '\(agent)' does not move to '\(node)': \(outcome.refusal ?? "the node that orders moves has not answered yet")",
        remedy: outcome.refusal == nil
          ? "start that node; the wish is kept, and 'hypha agents explain' says what becomes of it"
          : "see 'hypha agents explain \(data) \(agent)'")
    }
    try Output.standard.writeLine("move \(move): \(agent) from \(from) to \(node)")
    try Output.standard.flush()
    let end = ContinuousClock.now + Self.patience
    var arrivedAt: ContinuousClock.Instant?
    while ContinuousClock.now < end {
      let stages = try paths.map { path in
        try Moves.read([path]).moves.moves.first { $0.order.move == move }?.stage
      }
      let now = ContinuousClock.now
      if arrivedAt == nil, stages.contains(.arrived) { arrivedAt = now }
      // The node that orders the next move is to know it, too; one that is down does not.
      if let arrivedAt, stages.allSatisfy({ $0 == .arrived }) || now > arrivedAt + Self.newsPatience {
        return try Output.standard.writeLine("\(agent) works on \(node)")
      }
      try await Task.sleep(for: .milliseconds(50), clock: .suspending)
    }
    try Output.standard.writeLine(
      "\(agent) does not work on \(node) yet; see 'hypha agents explain \(data) \(agent)'")
  }

  /// Asks a node that runs.
  private func ask(_ paths: [String]) async throws -> NodeOperations.MoveOutcome {
    let request = try OperatorRequest(
      "agents.move", by: OperatorClient.authority(principal),
      parameters: NodeOperations.Move(agent: agent, to: node, note: reason))
    for path in paths {
      if let outcome = try await OperatorClient.ask(path, request, as: NodeOperations.MoveOutcome.self) {
        return outcome
      }
    }
    throw HyphaError(
      .failed, "no node of \(data) runs", remedy: "start the deployment with '\(Program.calledAs) run FILE'")
  }
}
