import HyphaCore
import HyphaLog
import HyphaReplay

extension ExportFormat: ExpressibleByArgument {}

/// `hypha export`: a log in a format that other tools open.
struct ExportCommand: Command {
  static let configuration = CommandConfiguration(
    name: "export", abstract: "Write what was recorded in a format that other tools open.",
    discussion: """
      cloudevents and cloudevents-batch are CloudEvents 1.0; ocel-json is OCEL 2.0 and xes is IEEE 1849, for process \
      mining, with the subject as the case; otlp is OpenTelemetry's traces, with a conversation as the trace; csv is a \
      table; graphml says who sends to whom. Logs are merged as 'hypha replay' shows them. The file has its name only \
      when it is whole. Without -o it goes to standard output.
      """,
    examples: [
      "hypha export --data data/incident-room --format xes --type work.HandedOver -o incidents.xes",
      "hypha export --data data/incident-room --format graphml -o who.graphml",
      "hypha export --data data/incident-room --format cloudevents | head -3",
    ])

  @OptionGroup var logs: LogsOptions
  @OptionGroup var options: FilterOptions
  @Option(help: "Begin here: a position, sequence:N or a time.", valueName: "place") var from: PlaceArgument?
  @Option(help: "End here: a position, sequence:N or a time.", valueName: "place") var to: PlaceArgument?
  @Option(help: "The format.") var format: ExportFormat
  @Option(
    name: .shortAndLong, help: "The file to write; default standard output.", valueName: "file",
    completion: .file)
  var output: String?
  @Flag(help: "Print the result as JSON.") var json = false

  func run() async throws {
    var replay = try Replay(
      of: logs.open(), filter: options.filter, range: ReplayRange(from: from?.bound, to: to?.bound))
    try replay.look()
    let stop = StopSignal()
    guard let output else {
      try write(&replay, to: "/tmp", stop, progress: nil) { try Output.standard.write(bytes: $0) }
      return
    }
    let begin = ContinuousClock.now
    let file = try WholeFile(output)
    let count = try await LiveRegion.run { region -> Int in
      let bar = ExportProgress(region, output, total: replay.leftCount)
      return try write(&replay, to: file.directory, stop, progress: bar) { try file.write($0) }
    }
    try file.finish()
    let took = begin.duration(to: .now)
    var table = Table([
      .init("file"), .init("format"), .init("events"), .init("size", key: "sizeBytes"),
      .init("took", key: "seconds"),
    ])
    table.add([
      .string(output), .string(format.rawValue), .integer(count), .bytes(file.byteCount), .duration(took),
    ])
    if json { return try table.write(as: .jsonLines) }
    try Output.standard.writeLine(
      "\(output): \(Human.count(count)) events as \(format.rawValue), \(Human.bytes(file.byteCount)) in \(Human.duration(took))"
    )
  }

  @discardableResult
  private func write(
    _ replay: inout Replay, to directory: String, _ stop: StopSignal, progress: ExportProgress?,
    _ write: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws -> Int {
    var exporter = try LogExporter(
      format, expectedCount: replay.leftCount, spillDirectory: directory, write: write)
    // A part at a time, so that a signal is heeded and progress is seen.
    var isDone = false
    while !isDone {
      var left = 16_384
      isDone = try replay.visit { replayed in
        try exporter.add(replayed)
        left -= 1
        return left > 0
      }
      try progress?.draw(left: replay.leftCount)
      if let signal = stop.signalNumber {
        try Output.standardError.writeLine(
          "stopped after \(Human.count(exporter.eventCount)) events; nothing was kept of the file")
        throw ExitStatus.stopped(by: signal)
      }
    }
    try exporter.finish()
    return exporter.eventCount
  }
}

/// How far an export has come, on a terminal.
struct ExportProgress {
  private let region: LiveRegion
  private let name: String
  private let total: UInt64

  init(_ region: LiveRegion, _ name: String, total: UInt64) {
    self.region = region
    self.name = name
    self.total = total
  }

  func draw(left: UInt64) throws {
    let done = total - min(left, total)
    let share = total == 0 ? 100 : Int(done * 100 / total)
    let bar = String(repeating: "█", count: share * 30 / 100)
    let rest = String(repeating: "░", count: 30 - share * 30 / 100)
    try region.draw([
      "\(name) \(bar)\(rest) \(share) %, \(Human.count(done)) of \(Human.count(total)) entries"
    ])
  }
}
