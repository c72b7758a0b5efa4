import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha topology findings`: what the observer finds, whether it changes links or not.
struct TopologyFindingsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "findings",
    abstract: "List bottlenecks, stalls, hot pairs, recurring audiences, and what could be delegated.",
    discussion: """
      bottleneck: a supervisor that holds up what it relays, or does not keep up with what is for itself. stall: an alert \
      without an answer, an event in an inbox, or a decision, that has waited far longer than its like. hot-pair: two agents that carry \
      a sixteenth of all events or more, without a direct link. recurring-audience: an agent that tells the same agents the \
      same again and again, one by one. delegable: decisions of one sort that have earned a delegation which the topology file \
      leaves to an operator, or does not have. The figures are those of when it was found. Under every \
      mode of the observer; reads the logs.
      """,
    examples: [
      "hypha topology findings topologies/incident-room.yaml",
      "hypha topology findings topologies/incident-room.yaml --all --format json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "Those at this place of the log.", valueName: "position|time") var at: Instant?
  @Flag(help: "Also those that are over: when each began and ended.") var all = false
  @Option(help: "How to print.") var format: TableFormat = .table

  func run() async throws {
    let reading = try deployment.read(through: at).reading
    let table = all ? history(reading) : now(reading)
    guard !table.rows.isEmpty || format != .table else {
      return try Output.standard.writeLine(all ? "nothing was found" : "nothing is found")
    }
    try table.write(as: format)
  }

  private func now(_ reading: TopologyReading) -> Table {
    var table = Table([.init("kind"), .init("since"), .init("finding")])
    for line in FindingText.lines(reading) {
      table.add([.string(line.kind), .string(line.since), .string(line.text)])
    }
    return table
  }

  private func history(_ reading: TopologyReading) -> Table {
    var table = Table([
      .init("position", alignment: .right), .init("time"), .init("kind"), .init("state"), .init("finding"),
    ])
    for entry in reading.entries {
      guard case .found(let event) = entry.content else { continue }
      func add(_ kind: Finding.Kind, _ state: String, _ text: String) {
        table.add([
          .integer(Int(clamping: entry.position.rawValue)), .string(entry.time.text), .string(kind.rawValue),
          .string(state), .string(text),
        ])
      }
      for topic in event.ended { add(topic.kind, "ended", FindingText.topic(topic)) }
      for finding in event.began { add(finding.topic.kind, "began", FindingText.text(finding)) }
    }
    return table
  }
}
