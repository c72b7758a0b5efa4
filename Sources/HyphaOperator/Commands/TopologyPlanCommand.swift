import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha topology plan`: what a changed topology file would change.
struct TopologyPlanCommand: Command {
  static let configuration = CommandConfiguration(
    name: "plan", abstract: "Show what a changed topology file would change in a deployment.",
    discussion: """
      Compares the file with what the deployment runs under now, as its logs have it; the nodes may run or not. Nothing is \
      changed. Relative paths are compared as they are written.

      Exit status: 0 when nothing would change, 3 when something would, 1 when the file cannot be applied as it is.
      """,
    examples: [
      "hypha topology plan topologies/incident-room.yaml",
      "hypha topology plan changed.yaml --data data/incident-room --json",
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
  @Flag(help: "Print as JSON.") var json = false

  /// Ends the command where something would change.
  static let changes = ExitStatus(3)

  func run() async throws {
    let plan = try DeploymentPlan(of: file, data: data, lost: lost)
    if json {
      try Output.standard.writeLine(JSON.text(plan.report))
    } else {
      let style = Terminal.current.style()
      for line in plan.lines(style) { try Output.standard.writeLine(line) }
    }
    if !plan.plan.obstacles.isEmpty { throw ExitStatus.failure }
    if !plan.plan.isEmpty { throw Self.changes }
  }
}
