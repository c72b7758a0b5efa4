import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha agents shared`: the values that agents share, as the nodes of their readers have them.
struct AgentsSharedCommand: Command {
  static let configuration = CommandConfiguration(
    name: "shared", abstract: "List the values that agents share, as their readers have them.",
    discussion: """
      Reads the logs; nodes may run or not. Listed is the newest value of each author, type and subject on each node whose \
      agents read the type: with its version, the epoch and the sequence in its author's stream, and how long ago it was \
      stated. Where the versions on two nodes differ, the newer one is on its way to the other.
      """,
    examples: [
      "hypha agents shared data/trading", "hypha agents shared data/trading --by treasury",
      "hypha agents shared data/trading/floor --type ExchangeRate --json",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "Only what this agent shares.", valueName: "agent") var by: AgentID?
  @Option(help: "Only values of this type.", valueName: "type") var type: EventTypeName?
  @Flag(help: "Print as JSON, values as they are.") var json = false

  private typealias Row = (node: NodeID, entry: LogEntry)

  func run() async throws {
    let program = try Program.require()
    let rows = try DataPlaces.logs(in: data).flatMap { path in
      let log = try program.readLog(path)
      return try SharedReading.newest(in: log).map { Row(log.identity.node, $0) }
    }.filter { row in
      let record = row.entry.record
      return (by.map { $0 == record.agent } ?? true) && (type.map { $0 == record.type } ?? true)
    }.sorted { Self.key($0).lexicographicallyPrecedes(Self.key($1)) }
    let now = Timestamp(microseconds: SystemScheduler().microseconds())
    if json {
      return try Output.standard.writeLine(JSON.text(JSONValue.array(rows.map { Self.object($0, now) })))
    }
    guard !rows.isEmpty else { return try Output.standard.writeLine("no shared value has come to a reader") }
    try Self.table(rows, now).write()
  }

  private static func key(_ row: Row) -> [String] {
    let record = row.entry.record
    return [record.agent.text, record.type.text, record.subject.text, row.node.text]
  }

  private static func age(_ record: Record, _ now: Timestamp) -> Duration {
    max(.zero, now.since(record.time))
  }

  private static func table(_ rows: [Row], _ now: Timestamp) -> Table {
    var table = Table([
      .init("author"), .init("type"), .init("about"), .init("node"), .init("version", alignment: .right),
      .init("age"), .init("value"),
    ])
    for row in rows {
      let record = row.entry.record
      table.add([
        .string(record.agent.text), .string(record.type.text), .string(record.subject.text),
        .string(row.node.text), .string(record.point.description), .duration(age(record, now)),
        .string(text(record)),
      ])
    }
    return table
  }

  private static func text(_ record: Record) -> String {
    record.header.contentType == .json
      ? String(decoding: record.payload, as: UTF8.self) : "\(record.payload.count) bytes"
  }

  private static func object(_ row: Row, _ now: Timestamp) -> JSONValue {
    let record = row.entry.record
    let value =
      record.header.contentType == .json ? try? JSON.decode(JSONValue.self, from: record.payload) : nil
    return .object([
      "author": .string(record.agent.text), "type": .string(record.type.text),
      "subject": .string(record.subject.text), "node": .string(row.node.text),
      "epoch": .integer(Int64(clamping: record.point.epoch)),
      "sequence": .integer(Int64(clamping: record.point.sequence)), "event": .string(record.id.description),
      "stated": .string(record.time.text), "ageSeconds": .number(age(record, now) / .seconds(1)),
      "position": .integer(Int64(clamping: row.entry.position.rawValue)),
      "byteCount": .integer(Int64(record.payload.count)), "value": value ?? .null,
    ])
  }
}
