import HyphaCore
import HyphaLog
import HyphaReplay

extension ExportFormat: ExpressibleByArgument {}

/// `hypha export`: a log in a format that other tools open.
struct ExportCommand: Command {
  static let configuration = CommandConfiguration(
    name: "export", abstract: "Write what was recorded in a format that other tools open.",
    discussion: """
      cloudevents and cloudevents-batch are CloudEvents 1.0; ocel-json and ocel-sqlite are OCEL 2.0 and xes is IEEE 1849, for \
      process mining, with the subject as the case; otlp is OpenTelemetry's traces, with a conversation as the trace; csv is a \
      table; graphml says who sends to whom. Logs are merged as 'hypha replay' shows them. What handlers have recorded of \
      themselves, hypha.Observed, and of their states, hypha.StateCheckpointed, is left out of all but cloudevents and csv, \
      unless --type asks for it. The file has its name only when it is whole. Without -o it goes to standard output.
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

  func validate() throws {
    try ReplayRange(from: from?.bound, to: to?.bound).confirmDirection()
    if format == .ocelSQLite && output == nil {
      throw HyphaError(.usage, "ocel-sqlite is a database, which needs a file", remedy: "give one with -o")
    }
  }

  func run() async throws {
    let stop = StopSignal()
    let readers = try logs.open()
    let history = format == .otlp ? try HistoryWatch(over: readers) : HistoryWatch()
    var replay = try Replay(
      of: readers, filter: format.narrowing(options.filter),
      range: ReplayRange(from: from?.bound, to: to?.bound))
    try replay.look()
    guard let output else {
      var exporter = try makeExporter(replay, history, spill: "/tmp") { try Output.standard.write(bytes: $0) }
      try export(&replay, stop, progress: nil) { try exporter.add($0) }
      let count = exporter.eventCount
      return try exporter.finish { _, _ in try heed(stop, count) }
    }
    let begin = ContinuousClock.now
    let file = try WholeFile(output) { try heed(stop, 0) }
    guard !file.isStream || format != .ocelSQLite else {
      throw HyphaError(
        .usage, "\(output) is no file, and a database is written to and fro", remedy: "name a file with -o")
    }
    let count = try await LiveRegion.run { region -> Int in
      let bar = ExportProgress(region, output, total: replay.leftCount)
      if format == .ocelSQLite {
        let database = try OCELDatabase(path: file.partial)
        try export(&replay, stop, progress: bar) { try database.add($0) }
        try database.finish()
        return database.eventCount
      }
      var exporter = try makeExporter(replay, history, spill: file.isStream ? "/tmp" : file.directory) {
        try file.write($0)
      }
      try export(&replay, stop, progress: bar) { try exporter.add($0) }
      let count = exporter.eventCount
      try exporter.finish { done, total in
        try bar.draw(finished: done, of: total)
        try heed(stop, count)
      }
      return count
    }
    try heed(stop, count)
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

  private func makeExporter(
    _ replay: Replay, _ history: HistoryWatch, spill: String,
    write: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws -> LogExporter {
    try LogExporter(
      format, expectedCount: replay.leftCount, spillDirectory: spill, history: history, write: write)
  }

  private func export(
    _ replay: inout Replay, _ stop: StopSignal, progress: ExportProgress?,
    _ add: (ReplayedEntry) throws -> Void
  ) throws {
    var count = 0
    // A part at a time, so that a signal is heeded and progress is seen.
    var isDone = false
    while !isDone {
      var left = 16_384
      isDone = try replay.visit { replayed in
        try add(replayed)
        left -= 1
        count += 1
        return left > 0
      }
      try progress?.draw(left: replay.leftCount)
      try heed(stop, count)
    }
  }

  /// Ends it where somebody wishes so, and says what it did.
  private func heed(_ stop: StopSignal, _ count: Int) throws {
    guard let signal = stop.signalNumber else { return }
    try Output.standardError.writeLine(
      "stopped after \(Human.count(count)) events" + (output == nil ? "" : "; nothing was kept of the file"))
    throw ExitStatus.stopped(by: signal)
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
    try draw(
      share: total == 0 ? 100 : Int(done * 100 / total),
      "\(Human.count(done)) of \(Human.count(total)) entries")
  }

  /// All entries were read; of what is written behind them, so much is.
  func draw(finished done: Int, of total: Int) throws {
    try draw(share: total == 0 ? 100 : done * 100 / total, "putting together")
  }

  private func draw(share: Int, _ what: String) throws {
    let bar = String(repeating: "█", count: share * 30 / 100)
    let rest = String(repeating: "░", count: 30 - share * 30 / 100)
    try region.draw(["\(name) \(bar)\(rest) \(share) %, \(what)"])
  }
}
