import HyphaCore
import HyphaRuntime
import HyphaTopology

/// `hypha topology decisions`: what the observer knows of decisions.
struct TopologyDecisionsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "decisions", abstract: "Show what became of decisions, as nodes have told the observer.",
    discussion: """
      A line for each approver, kind, role and range of amounts: how many its approver has approved and rejected, how many \
      were granted without it, and what it said of those that it looked at afterwards; how many wait; and within which time \
      half and nine tenths of them were decided lately (to a factor of two), and the longest ever. Reads the log of the \
      observer's node; 'hypha topology delegations' reads the desks' own logs, and has each change with its evidence.
      """,
    examples: [
      "hypha topology decisions topologies/office.yaml",
      "hypha topology decisions topologies/office.yaml --at 2026-01-31T12:00:00Z --format json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "Those known at this place of the log.", valueName: "position|time") var at: Instant?
  @Option(help: "How to print.") var format: TableFormat = .table

  func run() async throws {
    let (topology, reading) = try deployment.read(through: at)
    guard let seat = reading.seat else {
      throw HyphaError(
        .usage, "the log of the observer's node is not here",
        remedy: topology.observer.node.map { "name it with --data DIRECTORY/\($0)" }
          ?? "give the observer a seat in the topology file: 'observer: {node: NAME}'")
    }
    let table = DecisionText.table(seat.decisions)
    guard !table.rows.isEmpty || format != .table else {
      return try Output.standard.writeLine("no decision was reported")
    }
    try table.write(as: format)
  }
}
