import HyphaCore
import HyphaLog
import HyphaReplay

/// `hypha log cat`: the events of one node's log.
struct LogCatCommand: Command {
  /// How events are printed.
  enum Format: String, CaseIterable, ExpressibleByArgument { case table, json, cloudevents }

  static let configuration = CommandConfiguration(
    name: "cat", abstract: "Print the events of a node's log.",
    discussion: """
      Filters of different kinds all have to match; of --stream and --type, which can be given again, one. Reads \
      what is there when it begins, while the node runs or not; with --follow also what comes, until it is stopped. \
      What the log's index knows (events, causes, conversations, streams, types, subjects) is found without reading \
      the rest.
      """,
    examples: [
      "hypha log cat data/incident-room/hq --subject 'case.>' --limit 20",
      "hypha log cat data/incident-room/hq --stream ana@1/persistent --format json",
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
    try ReplayRange(from: since.map { .time($0.timestamp) }, to: until.map { .time($0.timestamp) })
      .confirmDirection()
  }

  func run() async throws {
    let log = try Program.require().readLog(DataPlaces.log(at: data))
    var filter = options.filter
    filter.since = since?.timestamp
    filter.until = until?.timestamp
    let test = EntryTest(filter)
    func matches(_ entry: LogEntry) throws -> Bool { try entry.withView { test.passes($0.record) } }
    var query = filter.query
    var printer = EntryPrinter(format: json ? .json : format, node: log.identity.node)
    var left = limit?.value ?? .max
    guard left > 0 else { return }
    if follow {
      var entries = log.follow(query, after: Position(rawValue: after)).makeAsyncIterator()
      while left > 0, let batch = try await entries.nextBatch() {
        for entry in try batch.filter(matches).prefix(left) {
          try printer.print(entry)
          left -= 1
        }
        // Whoever looks on sees each entry as it comes.
        try printer.finish()
      }
      return
    }
    guard after < .max else { return }
    query.positions = Position(rawValue: after + 1)...Position(rawValue: .max)
    query.order = reverse ? .backward : .forward
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in try page.entries.filter(matches).prefix(left) {
        try printer.print(entry)
        left -= 1
      }
      cursor = page.next
    } while left > 0 && cursor != nil
    try printer.finish()
  }
}

/// Prints entries one by one, so that a log of any size takes the same memory.
private struct EntryPrinter {
  let format: LogCatCommand.Format
  let node: NodeID
  private var writer: EntryWriter
  private var rows = EntryPrinter.emptyTable
  /// Columns are as wide as the widest cell of this many rows.
  private static let rowCountMax = 200

  private static var emptyTable: Table {
    Table([
      .init("position", alignment: .right), .init("time"), .init("channel"), .init("from"), .init("to"),
      .init("type"), .init("subject"), .init("hops", alignment: .right), .init("payload"),
    ])
  }

  init(format: LogCatCommand.Format, node: NodeID) {
    self.format = format
    self.node = node
    writer = EntryWriter(format == .cloudevents ? .cloudEvents : .own)
  }

  mutating func print(_ entry: LogEntry) throws {
    switch format {
    case .json, .cloudevents:
      try entry.withView { writer.append($0, of: node) }
      try Output.standard.write(bytes: writer.bytes)
      writer.removeAll()
    case .table:
      rows.add(Self.cells(entry))
      if rows.rows.count >= Self.rowCountMax { try flush() }
    }
  }

  mutating func finish() throws {
    if !rows.rows.isEmpty { try flush() }
  }

  private mutating func flush() throws {
    try rows.write(as: .table)
    rows = Self.emptyTable
  }

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
