import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

extension LogImporter.Format: ExpressibleByArgument {}

/// `hypha import`: a log from a file that another tool, or an export, has written.
struct ImportCommand: Command {
  static let configuration = CommandConfiguration(
    name: "import", abstract: "Make a log of a file of CloudEvents, OCEL, XES or CSV.",
    discussion: """
      The log can be replayed, traced and exported as any other; no node runs on it. CloudEvents that Hypha has exported \
      become what they were; of others the whole event is the payload. OCEL keeps events, objects and definitions as they are, and is \
      exported as it was. XES and CSV become events of type recorded.Event \
      by the agent that is called as the resource is, each caused by the one before it in its case; of XES all attributes, traces \
      and declarations are kept, and exported as they were.
      """,
    examples: [
      "hypha import receipt.xes.gz --data data/receipt",
      "hypha import events.jsonl --data data/events --node lab",
      "hypha import declarations.xes.gz --resource org:role --data data/declarations",
    ])

  @Argument(help: "The file, plain or gzip; '-' is standard input.", completion: .file) var file: String
  @Option(help: "The data directory to make.", valueName: "directory", completion: .directory) var data:
    String
  @Option(help: "The node that the log is called after.", valueName: "name") var node: NodeID = "imported"
  @Option(help: "The file's format; default by its content.") var format: LogImporter.Format?
  @Option(help: "The attribute or column of the resource.", valueName: "key") var resource: String?
  @Option(help: "The attribute or column of the resource's group.", valueName: "key") var group: String?
  @Option(name: .customLong("case"), help: "The column of the case (CSV).", valueName: "column")
  var caseColumn: String?
  @Option(help: "The column of the activity (CSV).", valueName: "column") var activity: String?
  @Option(help: "The column of the time (CSV).", valueName: "column") var time: String?
  @Flag(help: "Print the result as JSON.") var json = false

  func run() async throws {
    let (stop, begin) = (StopSignal(), ContinuousClock.now)
    let place = NewDirectory(DataPlaces.directory(of: node, in: data))
    try confirmImportsOnly()
    try place.confirmAbsence()
    for path in place.leftovers {
      try Output.standardError.writeLine(
        "\(path) is of an import that runs or was killed; remove it if none runs")
    }
    var (count, isIndexed) = (0, true)
    let format: LogImporter.Format
    do {
      let source = try open(stop)
      format = try self.format ?? LogImporter.Format(of: source)
      try place.make()
      let log = try Program.require().openLog(place.partial, node, LogSettings(), SystemScheduler()) { _ in }
      defer { log.close() }
      isIndexed = try await LiveRegion.run { region in
        let importer = try LogImporter(into: log) {
          count = $0
          try region.draw(["\(source.path): \(Human.count(count)) events"])
          try Self.heed(stop)
        }
        try read(source, as: format, into: importer, place, stop)
        count = importer.eventCount
        return try await finishIndex(of: log, region, stop)
      }
      log.close()
      try place.finish()
    } catch {
      // Half an import is none.
      place.remove()
      if stop.isRaised, error is ExitStatus {
        try Output.standardError.writeLine("stopped after \(Human.count(count)) events; nothing was kept")
      }
      throw error
    }
    let took = begin.duration(to: .now)
    if json {
      return try Output.standard.writeLine(
        JSON.text([
          "data": JSONValue.string(place.path), "events": .integer(Int64(count)),
          "format": .string(format.rawValue),
        ]))
    }
    try Output.standard.writeLine(
      """
      \(place.path): \(Human.count(count)) events of \(file) (\(format.rawValue)) in \(Human.duration(took))
      next: \(Program.calledAs) \(isIndexed ? "replay --data \(data)" : "log reindex \(place.path)")
      """)
  }

  /// Refuses to put a log beside those of nodes, whose events would count beside what was imported.
  private func confirmImportsOnly() throws {
    let read = try Program.require().readLog
    for path in (try? DataPlaces.logs(in: data)) ?? [] {
      let log = try read(path)
      guard let first = try log.read(after: .start, limit: 1, byteLimit: 0).first, !first.source.isImported
      else {
        continue
      }
      throw HyphaError(
        .usage, "\(path) is the log of a node, and \(data) the data directory of a deployment",
        remedy: "import into a new --data directory, or one that has imports alone")
    }
  }

  private func open(_ stop: StopSignal) throws -> GzipInputStream {
    if ["-", "/dev/stdin"].contains(file) {
      return try .standardInput { try Self.heed(stop) }
    }
    return try GzipInputStream(path: file) { try Self.heed(stop) }
  }

  private static func heed(_ stop: StopSignal) throws {
    if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
  }

  private func read(
    _ source: GzipInputStream, as format: LogImporter.Format, into importer: LogImporter,
    _ place: NewDirectory,
    _ stop: StopSignal
  ) throws {
    switch format {
    case .cloudEvents: try importer.addCloudEvents(source)
    case .xes: try importer.addRecording(source, options: options(.xes))
    case .csv: try importer.addRecording(source, options: options(.csv))
    case .ocelJSON: try importer.addOCEL(source)
    case .ocelSQLite:
      // A database is read to and fro, which what comes in pieces is not.
      let isThere = source.isRegularFile && !source.isGzip
      let path = isThere ? source.path : "\(place.partial)/\(node).sqlite"
      if !isThere { try source.copy(to: path) }
      defer { if !isThere { unlink(path) } }
      try importer.addOCELDatabase(path: path) { try Self.heed(stop) }
    }
  }

  /// Waits until the log's index has all of it; false where something hinders that.
  private func finishIndex(of log: any LogReader, _ region: LiveRegion, _ stop: StopSignal) async throws
    -> Bool
  {
    while let status = try log.indexStatus(), status.lagCount > 0 {
      if let failure = status.failure {
        try Output.standardError.writeLine("the log is whole, but its index is not: \(failure.problem)")
        return false
      }
      try region.draw(["\(file): \(Human.count(status.through.rawValue)) entries indexed"])
      try Self.heed(stop)
      try await Task.sleep(for: .milliseconds(10), clock: .suspending)
    }
    return true
  }

  private func options(_ format: RecordedEvents.Format) -> RecordedEvents.Options {
    // What means "nobody" in a recording is kept as it is: whoever reads the export decides.
    var options = RecordedEvents.Options(format: format, placeholders: [""])
    if let resource { options.resourceKey = resource }
    if let group { options.groupKey = group }
    options.columns = CSVColumns(
      caseID: caseColumn, activity: activity, resource: resource, group: group, time: time)
    return options
  }
}
