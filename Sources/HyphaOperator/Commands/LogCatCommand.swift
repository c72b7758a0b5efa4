import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime

/// `hypha log cat`: the events of one node's log.
struct LogCatCommand: Command {
  /// How events are printed.
  enum Format: String, CaseIterable, ExpressibleByArgument { case table, json, cloudevents }

  static let configuration = CommandConfiguration(
    name: "cat", abstract: "Print the events of a node's log.",
    discussion: """
      Filters of different kinds all have to match; of --stream and --type, which can be given again, one. Reads \
      what is there when it begins, while the node runs or not; with --follow also what comes, until it is stopped or \
      it is --until. Times are those that the events state; an event of another node may have come long after its own. \
      What the log's index knows (events, causes, conversations, streams, types, subjects) is found without reading \
      the rest.
      """,
    examples: [
      "hypha log cat data/incident-room/hq --subject 'case.>' --limit 20",
      "hypha log cat data/incident-room/hq --stream ana/persistent --format json",
      "hypha log cat data/incident-room/hq --type incident.Opened --follow",
      "hypha log cat data/incident-room/hq --since 2026-01-31T12:00:00Z --format cloudevents",
    ])

  @Argument(help: "A node's data directory.", completion: .directory) var data: String
  @OptionGroup var options: FilterOptions
  @Option(help: "Only events from this time on.", valueName: "time") var since: Moment?
  @Option(help: "Only events before this time.", valueName: "time") var until: Moment?
  @Option(help: "Begin after this position.", valueName: "position") var after: UInt64 = 0
  @Option(help: "Stop after this many events.", valueName: "count") var limit: AtLeast<0>?
  @Flag(help: "Newest first.") var reverse = false
  @Flag(help: "Go on with what comes, until it is stopped.") var follow = false
  @Option(help: "How to print.") var format: Format = .table
  @Flag(help: "Print as JSON lines; short for --format json.") var json = false

  func validate() throws {
    if reverse && follow {
      throw HyphaError(.usage, "--reverse and --follow exclude each other", remedy: "leave one of them out")
    }
    guard let until = until?.timestamp else { return }
    if let since = since?.timestamp, since >= until {
      throw HyphaError(
        .usage, "no time lies from --since \(since.text) on and before --until \(until.text)",
        remedy: "give --until a later time than --since")
    }
    if follow, until <= Self.now {
      throw HyphaError(
        .usage, "--follow waits for what comes, and --until \(until.text) is past",
        remedy: "leave one of them out")
    }
  }

  func run() async throws {
    let log = try Program.require().readLog(DataPlaces.log(at: data))
    var filter = options.filter
    filter.since = since?.timestamp
    filter.until = until?.timestamp
    var begin = max(Position(rawValue: after), try filter.placeBeforeAll(in: log))
    var printer = EntryPrinter(
      format: json ? .json : format, node: log.identity.node, test: EntryTest(filter),
      left: limit?.value ?? .max)
    guard printer.left > 0, begin.rawValue < .max else { return }
    if follow { (printer, begin) = try await Self.follow(log, filter, after: begin, printer) }
    // What came before --until and was not followed any more is read like anything else.
    if printer.left > 0 {
      var query = filter.query
      query.positions = begin.next...Position(rawValue: .max)
      query.order = reverse ? .backward : .forward
      var cursor: LogCursor?
      do {
        repeat {
          let page = try log.page(of: query, after: cursor)
          try printer.print(page.entries)
          cursor = page.next
        } while printer.left > 0 && cursor != nil
      } catch {
        // What was read before it is printed all the same.
        try? printer.finish()
        throw error
      }
    }
    try printer.finish()
  }

  /// Prints what comes until it is enough, or the time of `filter.until`; returns the position up to which all was
  /// looked at.
  private static func follow(
    _ log: any LogReader, _ filter: EntryFilter, after position: Position, _ printer: EntryPrinter
  ) async throws -> (EntryPrinter, Position) {
    let following = Task {
      var printer = printer
      var batches = log.follow(filter.query, after: position).makeAsyncIterator()
      while printer.left > 0, let batch = try await batches.nextBatch() {
        try printer.print(batch)
        // Whoever looks on sees each entry as it comes.
        try printer.finish()
        try Output.standard.flush()
      }
      return (printer, batches.position)
    }
    let now = now.microseconds
    let end = filter.until.map { until in
      Task {
        let wait = Duration.microseconds(Int64(clamping: until.microseconds - min(until.microseconds, now)))
        try await Task.sleep(for: wait, clock: .suspending)
        following.cancel()
      }
    }
    defer { end?.cancel() }
    return try await following.value
  }

  private static var now: Timestamp { Timestamp(microseconds: SystemScheduler().microseconds()) }
}

/// Prints entries one by one, so that a log of any size takes the same memory.
private struct EntryPrinter: Sendable {
  let format: LogCatCommand.Format
  let node: NodeID
  let test: EntryTest
  /// How many more are wanted.
  private(set) var left: Int
  private var writer: EntryWriter
  private var rows = TableStream([
    .init("position", alignment: .right), .init("time"), .init("channel", widthMin: 10),
    .init("from", widthMin: 12), .init("to", widthMin: 12), .init("type", widthMin: 16),
    .init("subject", widthMin: 16), .init("hops", alignment: .right), .init("payload"),
  ])

  init(format: LogCatCommand.Format, node: NodeID, test: EntryTest, left: Int) {
    self.format = format
    self.node = node
    self.test = test
    self.left = left
    writer = EntryWriter(format == .cloudevents ? .cloudEvents : .own)
  }

  /// Prints those that pass, as many as are wanted.
  mutating func print(_ entries: some Sequence<LogEntry>) throws {
    for entry in entries where left > 0 {
      guard try entry.withView({ test.passes($0.record) }) else { continue }
      try print(entry)
      left -= 1
    }
  }

  private mutating func print(_ entry: LogEntry) throws {
    switch format {
    case .json, .cloudevents:
      try entry.withView { writer.append($0, of: node) }
      try Output.standard.write(bytes: writer.bytes)
      writer.removeAll()
    case .table: try rows.add(Self.cells(entry))
    }
  }

  /// Writes what waits.
  mutating func finish() throws { try rows.flush() }

  private static func cells(_ entry: LogEntry) -> [Table.Cell] {
    let header = entry.record.header
    let payload =
      header.contentType == .json
      ? String(decoding: entry.record.payload, as: UTF8.self) : "\(entry.record.payload.count) bytes"
    let hops: Table.Cell =
      if case .received(let hops) = entry.source { .integer(Int(hops)) } else { .none }
    return [
      .string(entry.position.description), .string(header.time.text), .string(header.channel.description),
      .string(header.agent.text), .optional(header.addressee?.text), .string(header.type.text),
      .string(header.subject.text), hops, .string(payload),
    ]
  }
}
