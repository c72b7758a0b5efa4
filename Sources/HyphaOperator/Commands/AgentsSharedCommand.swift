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
      stated. Copies of answers to ambient questions stand in the same list, by who has answered and what was asked: their age \
      counts from when the answer was begun. Where the versions on two nodes differ, the newer one is on its way to the other.
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
    let copies = try copies(program)
    let now = Timestamp(microseconds: SystemScheduler().microseconds())
    if json {
      return try Output.standard.writeLine(
        JSON.text(JSONValue.array(rows.map { Self.object($0, now) } + copies.map { Self.object($0, now) })))
    }
    guard !rows.isEmpty || !copies.isEmpty else {
      return try Output.standard.writeLine("no shared value has come to a reader")
    }
    try Self.table(rows, copies, now).write()
  }

  private typealias Copy = (node: NodeID, copy: AnswerReading.Copy)

  private func copies(_ program: Program) throws -> [Copy] {
    try DataPlaces.logs(in: data).flatMap { path in
      let log = try program.readLog(path)
      return try AnswerReading.newest(in: log).map { Copy(log.identity.node, $0) }
    }.filter { copy in
      let answer = copy.copy.answer
      return (by.map { $0 == answer.answerer } ?? true) && (type.map { $0 == answer.type } ?? true)
    }
  }

  private static func age(_ copy: AnswerReading.Copy, _ now: Timestamp) -> Duration {
    max(.zero, now.since(copy.answeredAt))
  }

  private static func text(_ value: JSONValue) -> String { (try? JSON.text(value)) ?? "" }

  private static func key(_ row: Row) -> [String] {
    let record = row.entry.record
    return [record.agent.text, record.type.text, record.subject.text, row.node.text]
  }

  private static func age(_ record: Record, _ now: Timestamp) -> Duration {
    max(.zero, now.since(record.time))
  }

  private static func table(_ rows: [Row], _ copies: [Copy], _ now: Timestamp) -> Table {
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
    for (node, copy) in copies {
      table.add([
        .string(copy.answer.answerer.text), .string("\(copy.answer.type)?"),
        .string(text(copy.answer.question)), .string(node.text), .string(copy.answer.version.description),
        .duration(age(copy, now)), .string(text(copy.answer.answer)),
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

  private static func object(_ row: Copy, _ now: Timestamp) -> JSONValue {
    let (answer, record) = (row.copy.answer, row.copy.entry.record)
    return .object([
      "author": .string(answer.answerer.text), "type": .string(answer.type.text),
      "question": answer.question, "node": .string(row.node.text),
      "epoch": .integer(Int64(clamping: answer.epoch)), "number": .integer(Int64(clamping: answer.number)),
      "event": .string(record.id.description), "answered": .string(row.copy.answeredAt.text),
      "ageSeconds": .number(age(row.copy, now) / .seconds(1)),
      "position": .integer(Int64(clamping: row.copy.entry.position.rawValue)), "value": answer.answer,
    ])
  }
}
