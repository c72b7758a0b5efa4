import HyphaCore
import HyphaTopology

/// `hypha validate`: every problem of a topology file at once.
struct ValidateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "validate", abstract: "Check a topology file and print all of its problems.",
    discussion: "Exit status 1 where there is any problem.",
    examples: [
      "hypha validate topologies/incident-room.yaml",
      "hypha validate topologies/incident-room.yaml --greeting",
    ])

  @Argument(help: "The topology file.", completion: .file) var file: String
  @Flag(help: "Print the problems as JSON, one a line.") var json = false
  @Flag(help: "Print the topology's version and hash, which a client in another language greets with.")
  var greeting = false

  func run() async throws {
    let (topology, problems) = try TopologyLoading.read(file, Program.require().kinds)
    if json {
      for problem in problems { try Output.standard.writeLine(JSON.text(Row(problem))) }
    } else {
      for problem in problems { try Output.standardError.writeLine(problem.description) }
      if let topology = topology?.topology, problems.isEmpty, !greeting {
        try Output.standard.writeLine(
          "\(file): \(topology.nodes.count) nodes, \(topology.agents.count) agents, no problems")
      }
    }
    guard problems.isEmpty else { throw ExitStatus.failure }
    if greeting, let topology = topology?.topology {
      try Output.standard.writeLine("\(topology.version) \(topology.fingerprint)")
    }
  }

  private struct Row: Encodable {
    let file: String
    let line: Int
    let column: Int
    let problem: String
    let remedy: String

    init(_ diagnostic: Diagnostic) {
      file = diagnostic.file
      line = diagnostic.line
      column = diagnostic.column
      problem = diagnostic.problem
      remedy = diagnostic.remedy
    }
  }
}
