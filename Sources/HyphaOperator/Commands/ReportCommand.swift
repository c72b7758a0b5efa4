import Foundation
import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime

/// `hypha report`: a run on one page.
struct ReportCommand: Command {
  static let configuration = CommandConfiguration(
    name: "report", abstract: "Make a page of a run: how it went, and how its network evolved.",
    discussion: """
      One HTML file that needs nothing else and asks no network for anything: the run by channel, the communication graph \
      with a slider that shows its direct links come and go, latencies, losses, decisions, alerts and failures, and which \
      logs it was made from. Nodes may run meanwhile. The logs are read once, in memory that does not grow with them; what \
      the page leaves out it says. The file has its name only when it is whole.

      The hierarchy is the one that nodes were last started with, which their logs keep; for logs of an older version, \
      --topology names the file.
      """,
    examples: [
      "hypha report --data data/incident-room -o report.html",
      "hypha report --data data/incident-room --topology topologies/incident-room.yaml -o report.html",
    ])

  @OptionGroup var logs: LogsOptions
  @Option(help: "Take the hierarchy from this file.", valueName: "file", completion: .file)
  var topology: String?
  @Option(name: .shortAndLong, help: "The file to write.", valueName: "file", completion: .file)
  var output: String = "report.html"
  @Flag(help: "Print the result as JSON.") var json = false

  func run() async throws {
    let begin = ContinuousClock.now
    let stop = StopSignal()
    let readers = try logs.open()
    let outline = try outline(of: readers)
    let file = try WholeFile(output) {
      if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
    }
    let report = try await gather(readers, outline, stop)
    let data = try ReportData(report, await sources(readers, outline, report))
    let page = try ReportPage.html(data)
    try page.withUnsafeBytes { try file.write($0) }
    if let signal = stop.signalNumber { throw try interrupted(by: signal, report.eventCount) }
    let messages: Output = file.isStandardOutput ? .standardError : .standard
    try file.finish()
    let took = begin.duration(to: .now)
    var table = Table([
      .init("file"), .init("events"), .init("entries"), .init("size", key: "sizeBytes"),
      .init("took", key: "seconds"),
    ])
    table.add([
      .string(output), .integer(Int(data.events)), .integer(Int(data.entries)), .bytes(file.byteCount),
      .duration(took),
    ])
    if json { return try table.write(as: .jsonLines, to: messages) }
    try messages.writeLine(
      "\(output): \(Human.count(data.events)) events in \(Human.count(data.entries)) entries of \(Human.count(readers.count, "log")), "
        + "\(Human.bytes(file.byteCount)) in \(Human.duration(took))")
  }

  private func outline(of readers: [any LogReader]) throws -> DeploymentOutline? {
    if let topology {
      return DeploymentOutline(try TopologyLoading.load(topology, Program.require().kinds))
    }
    let found = try readers.compactMap { try DeploymentOutline.read(in: $0) }
    return found.max { $0.version < $1.version }
  }

  private func gather(_ readers: [any LogReader], _ outline: DeploymentOutline?, _ stop: StopSignal)
    async throws -> RunReport
  {
    try await LiveRegion.run { region in
      var pauses = TimePauses()
      // Where the axis of time is to be cut has to be known before anything is counted by its steps.
      try pass(over: readers, region, stop, eventCount: 0) { replayed, isCopy in
        let record = replayed.entry.record
        if !isCopy, !record.contentType.isBackground, record.time > .zero {
          pauses.take(record.time.microseconds)
        }
      }
      pauses.finish()
      var report = RunReport(outline, history: try HistoryWatch(over: readers), pauses: pauses)
      try pass(over: readers, region, stop, eventCount: report.eventCount) { report.add($0, isCopy: $1) }
      try region.draw([])
      return report
    }
  }

  /// Looks at all entries, and shows how far it is.
  private func pass(
    over readers: [any LogReader], _ region: LiveRegion, _ stop: StopSignal,
    eventCount: @autoclosure () -> UInt64, _ body: (ReplayedEntry, _ isCopy: Bool) throws -> Void
  ) throws {
    var replay = try Replay(of: readers)
    try replay.look()
    let bar = ExportProgress(region, output, total: replay.leftCount)
    var isDone = false
    while !isDone {
      var left = 16_384
      isDone = try replay.visitAll { replayed, isCopy in
        try body(replayed, isCopy)
        left -= 1
        return left > 0
      }
      if !isDone { try bar.draw(left: replay.leftCount) }
      if let signal = stop.signalNumber { throw try interrupted(by: signal, eventCount()) }
    }
  }

  private func interrupted(by signal: Int32, _ count: UInt64) throws -> ExitStatus {
    try Output.standardError.writeLine(
      "stopped after \(Human.count(count)) events; nothing was kept of the file")
    return ExitStatus.stopped(by: signal)
  }

  /// What the nodes of these logs have counted.
  private func losses(_ readers: [any LogReader]) async throws -> [NodeLosses] {
    let nodes = Set(readers.map(\.identity.node))
    return try await DeploymentLosses.read(logs.data).filter { nodes.contains($0.node) }
  }

  private func sources(
    _ readers: [any LogReader], _ outline: DeploymentOutline?, _ report: RunReport
  ) async throws -> ReportData.Sources {
    let places = try DataPlaces.logs(in: logs.data)
    let path = URL(fileURLWithPath: logs.data).standardizedFileURL.lastPathComponent
    return .init(
      name: outline?.name ?? path,
      command: (["hypha"] + CommandLine.arguments.dropFirst()).joined(separator: " "),
      madeAt: Timestamp(microseconds: SystemScheduler().microseconds()), outline: outline,
      isOutlineGiven: topology != nil, losses: try await losses(readers),
      logs: try readers.map { try row($0, among: places, report) })
  }

  /// Where the log of one node ends, and what of it is gone.
  private func row(_ reader: any LogReader, among places: [String], _ report: RunReport) throws
    -> ReportData.LogData
  {
    let program = try Program.require()
    let (head, gaps) = (try reader.head(), try reader.gaps())
    func count(_ isWanted: (LogGap) -> Bool) -> UInt64 {
      gaps.filter(isWanted).reduce(0) {
        $0 + $1.range.upperBound.rawValue - $1.range.lowerBound.rawValue + 1
      }
    }
    var link: String?
    if let place = try places.first(where: { try program.readLog($0).identity == reader.identity }),
      case .link(let digest)? = try program.inspection.chain(place, at: [head]).links[head]
    {
      link = digest.description
    }
    let figures = report.logs[reader.identity.node] ?? RunReport.LogFigures()
    return .init(
      node: reader.identity.node.text, head: head.rawValue, stated: figures.statedCount,
      received: figures.receivedCount,
      first: try reader.read(after: .start, limit: 1, byteLimit: 0).first?.appendedAt.text,
      last: head > .start ? try reader.entry(at: head)?.appendedAt.text : nil,
      pruned: count { $0.kind == .pruned }, quarantined: count { $0.kind != .pruned }, link: link)
  }
}
