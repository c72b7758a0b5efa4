import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha topology apply`: another topology file for a running deployment.
struct TopologyApplyCommand: Command {
  static let configuration = CommandConfiguration(
    name: "apply", abstract: "Apply a changed topology file to the running deployment.",
    discussion: """
      Shows the plan (hypha topology plan), and asks a node that runs, through the socket in its data directory; the \
      node that orders revisions (that of the observer's seat, or of the root, by the file that the deployment began \
      with, and another one once that has left) must run, too. All nodes then begin anew for a moment, in their processes, under the file, which their \
      logs keep as a revision of the deployment's. No event is lost, doubled or reordered, whoever is killed \
      meanwhile.

      The command waits until the logs of all nodes are under the new revision, a minute at the most. A node that does not run \
      takes it when it does, from the others.

      Exit status: 0 when the file is applied, or changes nothing; 1 when it cannot be applied, or a node is not there yet.
      """,
    examples: [
      "hypha topology apply topologies/incident-room.yaml",
      "hypha topology apply changed.yaml --data data/incident-room --reason 'two more on the desk' --by ana",
    ])

  @Argument(help: "The changed topology file.", completion: .file) var file: String
  @Option(
    help: "The deployment's data directory; default data/NAME.", valueName: "directory",
    completion: .directory)
  var data: String?
  @Option(
    help: "A node that the file has no more and that nobody is to wait for: its log is gone.",
    valueName: "node")
  var lost: [NodeID] = []
  @Option(help: "Why; stands in the event.", valueName: "text") var reason: String?
  @Option(name: .customLong("by"), help: "Who asks; default the user's name.", valueName: "name")
  var principal: AgentID?

  /// How long the command waits for the nodes.
  static let patience = Duration.seconds(60)
  /// How long it looks for the answer to what it has asked of a node that then died.
  static let answerPatience = Duration.seconds(20)

  func run() async throws {
    let plan = try DeploymentPlan(of: file, data: data, lost: lost)
    for line in plan.lines(Terminal.current.style()) { try Output.standard.writeLine(line) }
    guard plan.plan.obstacles.isEmpty else { throw ExitStatus.failure }
    guard !plan.plan.isEmpty else { return }
    let outcome = try await ask(plan)
    guard let revision = outcome.revision else {
      throw HyphaError(
        .failed,
        "the file is not applied: \(outcome.reasons.isEmpty ? "the node that orders revisions has not answered yet" : outcome.reasons.joined(separator: "; "))",
        remedy: outcome.reasons.isEmpty
          ? "start that node; the wish is kept" : "see 'hypha topology plan \(file)'")
    }
    try Output.standard.writeLine("revision \(revision) is ordered")
    for move in outcome.moves {
      try Output.standard.writeLine("move \(move.move): \(move.agent) from \(move.from) to \(move.to)")
    }
    try Output.standard.flush()
    try await wait(for: revision, outcome, plan)
  }

  /// Waits until all is as the file says.
  private func wait(
    for revision: UInt32, _ outcome: NodeOperations.ApplicationOutcome, _ plan: DeploymentPlan
  )
    async throws
  {
    let moves = outcome.moves
    let program = try Program.require()
    let end = ContinuousClock.now + Self.patience
    while true {
      let all = try Moves.read(plan.logs)
      let gone = Set(
        (all.revisions.newest?.leaving ?? []).filter { leaving in
          leaving.isGone || all.departures.hasLeft(.init(node: leaving.node, since: leaving.since))
        }.map(\.node))
      let late = try plan.logs.filter { path in
        let log = try program.readLog(path)
        return try !gone.contains(log.identity.node) && KeptFile.read(in: log)?.revision ?? 1 < revision
      }
      let known = all.moves
      let open = moves.filter { move in
        known.moves.first { $0.order.move == move.move }?.stage != .arrived
      }
      let leaving = (outcome.leaving ?? []).filter { !gone.contains($0) }
      if late.isEmpty && open.isEmpty && leaving.isEmpty { break }
      guard ContinuousClock.now < end else {
        for path in late { try Output.standard.writeLine("\(path) is not under revision \(revision) yet") }
        for move in open { try Output.standard.writeLine("\(move.agent) does not work on \(move.to) yet") }
        for node in leaving { try Output.standard.writeLine("node '\(node)' has not left yet") }
        throw ExitStatus.failure
      }
      try await Task.sleep(for: .milliseconds(50), clock: .suspending)
    }
    try Output.standard.writeLine("all logs are under revision \(revision)")
    for node in outcome.leaving ?? [] { try Output.standard.writeLine("node '\(node)' has left") }
    for line in plan.startLines { try Output.standard.writeLine(line) }
    for line in try plan.leftLines() { try Output.standard.writeLine(line) }
  }

  /// The revision with a file's text, as soon as a log has it; nil where none has in ``answerPatience``.
  private func found(_ text: String, _ plan: DeploymentPlan) async throws
    -> NodeOperations.ApplicationOutcome?
  {
    let end = ContinuousClock.now + Self.answerPatience
    while ContinuousClock.now < end {
      if let order = try Moves.read(plan.logs).revisions.newest, order.revision > plan.revision,
        order.file == text
      {
        return NodeOperations.ApplicationOutcome(order)
      }
      try await Task.sleep(for: .milliseconds(50), clock: .suspending)
    }
    return nil
  }

  /// Asks a node that runs.
  private func ask(_ plan: DeploymentPlan) async throws -> NodeOperations.ApplicationOutcome {
    let text = try TopologyLoading.text(file, Program.require().kinds).text
    let request = try OperatorRequest(
      "topology.apply", by: OperatorClient.authority(principal),
      parameters: NodeOperations.Application(
        file: text, after: plan.revision, note: reason, lost: lost.isEmpty ? nil : lost))
    for path in plan.logs {
      do {
        if let outcome = try await OperatorClient.ask(
          path, request, as: NodeOperations.ApplicationOutcome.self)
        {
          return outcome
        }
      } catch {
        // The node has died, maybe, and its log has the wish: then some log has the answer.
        if let outcome = try await found(text, plan) { return outcome }
        throw error
      }
    }
    throw HyphaError(
      .failed, "no node of '\(plan.new.name)' runs",
      remedy: "start the deployment with the file that it began with, or with --as-logged")
  }
}
