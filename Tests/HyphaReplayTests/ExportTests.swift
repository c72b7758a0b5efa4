import Foundation
import FoundationXML
import HyphaCore
import HyphaFormats
import HyphaLog
import Testing

@testable import HyphaReplay

/// What is exported says what was replayed.
@Suite struct ExportTests {
  private func export(
    _ logs: [any LogReader], _ format: ExportFormat, expectedCount: UInt64 = 10, pieces: inout Int
  ) throws -> String {
    var bytes: [UInt8] = []
    var count = 0
    var exporter = try LogExporter(
      format, expectedCount: expectedCount, spillDirectory: NSTemporaryDirectory()
    ) {
      bytes += $0
      count += 1
    }
    var replay = try Replay(of: logs)
    try replay.look()
    try replay.visit {
      try exporter.add($0)
      return true
    }
    try exporter.finish()
    pieces = count
    return String(decoding: bytes, as: UTF8.self)
  }

  private func export(_ logs: [any LogReader], _ format: ExportFormat, expectedCount: UInt64 = 10) throws
    -> String
  {
    var pieces = 0
    return try export(logs, format, expectedCount: expectedCount, pieces: &pieces)
  }

  /// A log with one event for each text, which is its subject's last token where that may be.
  private func log(_ payloads: [String]) async throws -> MemoryLog {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    for (index, payload) in payloads.enumerated() {
      let sequence = UInt64(index + 1)
      let header = RecordHeader(
        id: EventID(high: 1, low: sequence), time: Timestamp(microseconds: sequence), channel: .persistent,
        agent: "a",
        epoch: 1, sequence: sequence, previous: LanePoint(epoch: index > 0 ? 1 : 0, sequence: sequence - 1),
        addressee: nil, type: "T", subject: try Subject("<&\"'.ä\(index)"),
        correlation: EventID(high: 1, low: 1),
        authority: Authority(principal: "a"))
      _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: Array(payload.utf8)))]))
    }
    return log
  }

  /// A log in which `ana` asks `bo`, and each says what its handler took.
  private func observedLog() async throws -> MemoryLog {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    let events: [(AgentID, EventTypeName, AgentID?)] = [
      ("ana", .observed, nil), ("ana", "work.Asked", "bo"), ("bo", .observed, nil), ("bo", "work.Done", nil),
      ("bo", .alertDeadlineSet, nil),
    ]
    for (index, (agent, type, addressee)) in events.enumerated() {
      let number = UInt64(index + 1)
      let header = RecordHeader(
        id: EventID(high: 1, low: number), time: Timestamp(microseconds: number), channel: .persistent,
        agent: agent, epoch: 1, sequence: UInt64(events.prefix(index + 1).count { $0.0 == agent }),
        previous: .start, addressee: addressee, type: type, subject: "case.1",
        correlation: EventID(high: 1, low: number), authority: Authority(principal: agent))
      _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: Array("{}".utf8)))]))
    }
    return log
  }

  @Test func `what is stated to nobody is no edge and no pair`() async throws {
    let log = try await observedLog()
    let graph = try export([log], .graphML)
    #expect(graph.contains("source=\"ana\" target=\"bo\"") && graph.contains("target=\"#work.Done\""))
    #expect(!graph.contains("hypha.") && graph.ranges(of: "<edge").count == 2)
    var statistics = LogStatistics()
    var replay = try Replay(of: [log])
    try replay.look()
    try replay.visit {
      statistics.add($0.entry, of: $0.node)
      return true
    }
    #expect(statistics.pairs.top(9, by: { $0.target < $1.target }).map(\.key.target) == ["#work.Done", "bo"])
    #expect(statistics.entryCount == 5 && statistics.types.total == 5)
  }

  @Test(arguments: ExportFormat.allCases)
  func `formats for processes and traces leave handlers' records out, unless they are asked for`(
    format: ExportFormat
  ) async throws {
    let log = try await observedLog()
    func types(_ filter: EntryFilter) throws -> [String] {
      var types: [String] = []
      var replay = try Replay(of: [log], filter: format.narrowing(filter))
      try replay.look()
      try replay.visit {
        types.append(String(decoding: $0.entry.record.type, as: UTF8.self))
        return true
      }
      return types
    }
    let isComplete = [.cloudEvents, .cloudEventsBatch, .csv].contains(format)
    let all = ["hypha.Observed", "work.Asked", "hypha.Observed", "work.Done", "hypha.AlertDeadlineSet"]
    #expect(try types(EntryFilter()) == (isComplete ? all : all.filter { $0 != "hypha.Observed" }))
    var asked = EntryFilter()
    asked.types = [.observed, "work.Asked"]
    #expect(try types(asked) == Array(all.prefix(3)))
    asked.types = ["work.Asked"]
    asked.excludedTypes = ["work.*"]
    #expect(try types(asked) == [])
  }

  /// Writes `text` to a file for as long as `body` runs.
  @discardableResult
  private func withFile<Value>(_ text: String, _ body: (String) throws -> Value) throws -> Value {
    let path = NSTemporaryDirectory() + "hypha-export-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return try body(path)
  }

  @Test(arguments: [ExportFormat.xes, .ocelJSON, .graphML])
  func `what is put together at the end says how far it is, and can be stopped`(format: ExportFormat)
    async throws
  {
    struct Stop: Error {}
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    let count: UInt64 = 5_000
    let records = try (1...count).map { number in
      let agent = AgentID(slug: "agent-\(number)")
      return try Record(
        RecordHeader(
          id: EventID(high: 1, low: number), time: Timestamp(microseconds: number), channel: .persistent,
          agent: agent, epoch: 1, sequence: 1, previous: .start, addressee: nil, type: "T",
          subject: Subject("case.\(number)"), correlation: EventID(high: 1, low: 1),
          authority: Authority(principal: agent)), payload: [])
    }
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    func finish(_ progress: @escaping (Int, Int) throws -> Void) throws -> Int {
      var byteCount = 0
      var exporter = try LogExporter(
        format, expectedCount: count, spillDirectory: NSTemporaryDirectory()
      ) { byteCount += $0.count }
      var replay = try Replay(of: [log])
      try replay.look()
      try replay.visit {
        try exporter.add($0)
        return true
      }
      try exporter.finish(progress)
      return byteCount
    }
    var steps: [(done: Int, total: Int)] = []
    let whole = try finish { steps.append(($0, $1)) }
    #expect(steps.count > 4 && Set(steps.map(\.total)).count == 1)
    #expect(steps.map(\.done) == steps.map(\.done).sorted() && steps.allSatisfy { $0.done < $0.total })
    #expect((steps.last?.done ?? 0) * 4 > (steps.last?.total ?? 0) * 3 && whole > 100_000)
    #expect(throws: Stop.self) { _ = try finish { done, total in if done * 2 > total { throw Stop() } } }
  }

  @Test(arguments: [10, 1_000_000])
  func `XES has every event in its case, in order, whatever the number of parts`(expectedCount: UInt64)
    async throws
  {
    let world = try World(seed: 4, nodeCount: 2)
    try await world.run(eventCount: 400)
    let text = try export(world.logs, .xes, expectedCount: expectedCount)
    var cases: [String: [RecordedEvent]] = [:]
    try withFile(text) { path in
      try RecordedEvents.read(path: path) { cases[$0.caseID, default: []].append($0) }
    }
    let bySubject = Dictionary(
      grouping: world.stated.map(\.header).sorted { $0.time < $1.time }, by: \.subject.text)
    #expect(Set(cases.keys) == Set(bySubject.keys))
    for (name, events) in cases {
      let expected = bySubject[name] ?? []
      #expect(events.map(\.activity) == expected.map(\.type.text))
      #expect(events.map(\.resource) == expected.map(\.agent.text))
      #expect(events.map(\.time) == expected.map { Int64($0.time.microseconds) })
    }
  }

  @Test func `CloudEvents are the same one a line and as a batch`() async throws {
    let world = try World(seed: 5, nodeCount: 2)
    try await world.run(eventCount: 100)
    let lines = try export(world.logs, .cloudEvents).split(separator: "\n")
      .map { try JSON.decode(JSONValue.self, from: $0.utf8) }
    #expect(lines.count == 100 && lines.allSatisfy { $0["specversion"] == .string("1.0") })
    #expect(
      try JSON.decode(JSONValue.self, from: export(world.logs, .cloudEventsBatch).utf8) == .array(lines))
    #expect(Set(lines.compactMap { $0["id"]?.text }) == Set(world.stated.map(\.header.id.description)))
  }

  @Test func `what would break a format is escaped`() async throws {
    let log = try await log([#"{"a":"x,\"y\""}"#, "line\nbreak", "{\"<&>\":1}"])
    let csv = try export([log], .csv)
    try withFile(csv) { path in
      var events: [RecordedEvent] = []
      let columns = CSVColumns(caseID: "subject", activity: "payload", resource: "agent", time: "time")
      try RecordedEvents.read(path: path, options: .init(columns: columns)) { events.append($0) }
      #expect(events.map(\.activity) == [#"{"a":"x,\"y\""}"#, "line\nbreak", "{\"<&>\":1}"])
      #expect(events.map(\.caseID) == (0..<3).map { "<&\"'.ä\($0)" })
    }
    try withFile(export([log], .xes)) { path in
      var names: [String] = []
      try RecordedEvents.read(path: path) { names.append($0.caseID) }
      #expect(names.sorted() == (0..<3).map { "<&\"'.ä\($0)" })
    }
    for format in [ExportFormat.ocelJSON, .otlp, .cloudEventsBatch] {
      _ = try JSON.decode(JSONValue.self, from: export([log], format).utf8)
    }
    #expect(try XMLDocumentCheck.isWellFormed(export([log], .graphML)))
  }

  @Test(arguments: ExportFormat.allCases.filter { $0 != .ocelSQLite })
  func `no events are a whole file too, and many come in pieces`(format: ExportFormat) async throws {
    let empty = try await log([])
    let text = try export([empty], format)
    switch format {
    case .cloudEventsBatch, .ocelJSON, .otlp: _ = try JSON.decode(JSONValue.self, from: text.utf8)
    case .xes, .graphML: #expect(XMLDocumentCheck.isWellFormed(text))
    case .cloudEvents: #expect(text == "")
    case .ocelSQLite: break
    case .csv: #expect(text.split(separator: "\n").count == 1)
    }
    let big = try await log(
      Array(repeating: "{\"padding\":\"\(String(repeating: "x", count: 9_000))\"}", count: 40))
    var pieces = 0
    let whole = try export([big], format, pieces: &pieces)
    #expect(whole.utf8.count < 150_000 || pieces > 1)
  }
}

enum XMLDocumentCheck {
  static func isWellFormed(_ text: String) -> Bool { XMLParser(data: Data(text.utf8)).parse() }
}
