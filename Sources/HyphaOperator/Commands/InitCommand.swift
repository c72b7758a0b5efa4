import Foundation
import HyphaCore
import HyphaFormats
import HyphaTopology

/// `hypha init --from FILE`: a deployment that acts out a recorded event log.
struct InitCommand: Command {
  static let configuration = CommandConfiguration(
    name: "init", abstract: "Make a deployment that acts out a recorded event log.",
    discussion: """
      Reads XES (IEEE 1849), CSV with a header line, or CloudEvents 1.0 as JSON lines, plain or gzip. A hand-over \
      is two consecutive events of one case by two different named resources. Writes topology.yaml (the root, a \
      supervisor for each group, an agent for each resource) and handovers.csv to the output directory.
      """,
    examples: [
      "hypha init --from receipt.xes.gz --output receipt",
      "hypha init --from declarations.xes.gz --resource org:role --output declarations",
      "hypha init --from tickets.csv --case Ticket --time Opened --resource Agent --output tickets",
    ])

  @Option(help: "The recorded event log.", valueName: "file", completion: .file) var from: String
  @Option(
    name: .shortAndLong, help: "The directory to write to.", valueName: "directory", completion: .directory)
  var output: String
  @Option(help: "The deployment's name; default the output directory's.") var name: String?
  @Option(help: "Over how many nodes to spread the agents.") var nodes: Int = 4
  @Option(help: "Times recorded speed; 0 does not wait.") var speed: Double = 0
  @Option(help: "The file's format; default by its content.") var format: RecordedEvents.Format?
  @Option(help: "The attribute or column of the resource.", valueName: "key") var resource: String?
  @Option(help: "The attribute or column of the resource's group.", valueName: "key") var group: String?
  @Option(name: .customLong("case"), help: "The column of the case (CSV).", valueName: "column")
  var caseColumn: String?
  @Option(help: "The column of the activity (CSV).", valueName: "column") var activity: String?
  @Option(help: "The column of the time (CSV).", valueName: "column") var time: String?
  @Flag(help: "Replace files that are there already.") var force = false

  func validate() throws {
    guard (1...64).contains(nodes) else {
      throw HyphaError(.usage, "--nodes is \(nodes)", remedy: "use 1 to 64")
    }
    guard speed >= 0, speed.isFinite else {
      throw HyphaError(.usage, "--speed is \(speed)", remedy: "use 0 or more")
    }
  }

  func run() async throws {
    let name = AgentID(slug: self.name ?? URL(fileURLWithPath: output).lastPathComponent)
    let (topologyPath, recordingPath) = ("\(output)/topology.yaml", "\(output)/handovers.csv")
    for path in [topologyPath, recordingPath] where !force && FileManager.default.fileExists(atPath: path) {
      throw HyphaError(
        .fileUnavailable, "\(path) is there already",
        remedy: "give another --output, or --force to replace it")
    }
    let recording = try HandOvers.read(path: from, options: options)
    guard !recording.all.isEmpty else {
      throw HyphaError(
        .invalidInput, "\(from) has no hand-over between two named resources",
        remedy: "name another --resource attribute, such as org:role")
    }
    let made = try TraceTopology(
      name: name, of: recording, nodeCount: nodes, file: "handovers.csv", speed: speed)
    let text = try TopologyWriter.text(
      made.topology, kinds: made.kinds,
      comment: "Acts out \(URL(fileURLWithPath: from).lastPathComponent): "
        + "\(recording.all.count) hand-overs among \(recording.resources.count) resources.")
    do {
      try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      try HandOverFile.write(recording.all, to: recordingPath)
      try Data(text.utf8).write(to: URL(fileURLWithPath: topologyPath), options: .atomic)
    } catch let error as HyphaError {
      throw error
    } catch {
      throw HyphaError(
        .fileUnavailable, "\(output) cannot be written", remedy: "check its permissions", cause: "\(error)")
    }
    let supervisors = made.topology.agents.count { $0.kind == "supervisor" }
    try Output.standard.writeLine(
      """
      \(from): \(Human.count(recording.counts.events)) events, \(Human.count(recording.counts.cases)) cases, \
      \(Human.count(recording.all.count)) hand-overs among \(Human.count(recording.resources.count)) resources
      \(topologyPath): \(made.topology.nodes.count) nodes, \(supervisors == 1 ? "1 supervisor" : "\(supervisors) supervisors")
      next: \(Program.calledAs) run \(topologyPath)
      """)
  }

  private var options: RecordedEvents.Options {
    var options = RecordedEvents.Options(format: format)
    if let resource { options.resourceKey = resource }
    if let group { options.groupKey = group }
    options.columns = CSVColumns(
      caseID: caseColumn, activity: activity, resource: resource, group: group, time: time)
    return options
  }
}

extension RecordedEvents.Format: ExpressibleByArgument {}
