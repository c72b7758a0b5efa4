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
      by the agent that is called as the resource is, each caused by the one before it in its case.
      """,
    examples: [
      "hypha import receipt.xes.gz --data data/receipt",
      "hypha import events.jsonl --data data/events --node lab",
      "hypha import declarations.xes.gz --resource org:role --data data/declarations",
    ])

  @Argument(help: "The file, plain or gzip.", completion: .file) var file: String
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
    let format = try format ?? FileFormat.of(file)
    let stop = StopSignal()
    let begin = ContinuousClock.now
    let directory = DataPlaces.directory(of: node, in: data)
    guard !FileManager.default.fileExists(atPath: directory) else {
      throw HyphaError(
        .fileUnavailable, "\(directory) is there already", remedy: "give another --data directory or --node")
    }
    let program = try Program.require()
    let log = try program.openLog(directory, node, LogSettings(), SystemScheduler()) { _ in }
    var isWhole = false
    defer {
      log.close()
      // Half an import is none.
      if !isWhole { try? program.removeLogs([directory]) }
    }
    let count = try await LiveRegion.run { region -> Int in
      let importer = try LogImporter(into: log) { count in
        try region.draw(["\(file): \(Human.count(count)) events"])
        if let signal = stop.signalNumber {
          try Output.standardError.writeLine("stopped after \(Human.count(count)) events; nothing was kept")
          throw ExitStatus.stopped(by: signal)
        }
      }
      switch format {
      case .cloudEvents: try importer.addCloudEvents(path: file)
      case .xes: try importer.addRecording(path: file, options: options(.xes))
      case .csv: try importer.addRecording(path: file, options: options(.csv))
      case .ocelJSON: try importer.addOCEL(path: file)
      case .ocelSQLite: try importer.addOCELDatabase(path: file)
      }
      return importer.eventCount
    }
    isWhole = true
    let took = begin.duration(to: .now)
    if json {
      return try Output.standard.writeLine(
        JSON.text([
          "data": JSONValue.string(directory), "events": .integer(Int64(count)),
          "format": .string(format.rawValue),
        ]))
    }
    try Output.standard.writeLine(
      """
      \(directory): \(Human.count(count)) events of \(file) (\(format.rawValue)) in \(Human.duration(took))
      next: \(Program.calledAs) replay --data \(data)
      """)
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

/// Tells what a file is by its first bytes.
private enum FileFormat {
  static func of(_ path: String) throws -> LogImporter.Format {
    let bytes = try GzipInputStream(path: path).peek()
    let visible = bytes.drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
    if bytes.starts(with: "SQLite format 3\0".utf8) { return .ocelSQLite }
    switch visible.first {
    case UInt8(ascii: "{") where isObjectCentric(visible): return .ocelJSON
    case UInt8(ascii: "{"), UInt8(ascii: "["): return .cloudEvents
    case UInt8(ascii: "<"): return .xes
    case nil:
      throw HyphaError(.invalidInput, "\(path) is empty", remedy: "give a file with recorded events")
    default: return .csv
    }
  }

  /// Whether the first member of an object is one that object-centric logs have, and CloudEvents have not.
  private static func isObjectCentric(_ bytes: ArraySlice<UInt8>) -> Bool {
    let member = bytes.dropFirst().drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
    return ["events", "objects", "eventTypes", "objectTypes"].contains {
      member.starts(with: "\"\($0)\"".utf8)
    }
  }
}
