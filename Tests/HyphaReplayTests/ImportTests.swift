import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import Testing

@testable import HyphaReplay

/// What is imported and exported again is what it was.
@Suite struct ImportTests {
  private func imported(_ text: String) throws -> MemoryLog {
    let log = try emptyLog()
    try withFile(text.utf8) { try LogImporter(into: log).addCloudEvents(GzipInputStream(path: $0)) }
    return log
  }

  @Test func `CloudEvents of a deployment come back as they were`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    let world = try World(seed: seed, nodeCount: 3)
    try await world.run(eventCount: 700)
    let exported = try export(world.logs, .cloudEvents)
    let log = try imported(exported)
    #expect(try export([log], .cloudEvents) == exported, "seed \(seed)")
    #expect(try log.head().rawValue == 700)
    // A batch has the same events, and what is imported can be traced.
    let batch = try imported(export(world.logs, .cloudEventsBatch))
    #expect(try export([batch], .cloudEvents) == exported, "seed \(seed)")
    let some = try #require(world.stated.last { $0.header.causation != .none }).header
    #expect(
      try CausalTrace(of: some.id, in: [log]).steps.count
        == CausalTrace(of: some.id, in: world.logs).steps.count)
    expectError(.logConflict, "has 700 entries already", "new --data") { _ = try LogImporter(into: log) }
  }

  @Test func `CloudEvents of other tools come back as they were, whatever they have`() throws {
    let events = [
      #"{"specversion":"1.0","type":"com.example/order placed","source":"https://shop.example/a?b","id":"A-1","data":{"n":2.50,"x":"é\u0001"}}"#,
      #"{"specversion":"1.0","type":"..","source":"https://shop.example/a?c","id":"A-1","time":"2018-04-05T17:31:00.123456789+02:00","subject":"über den  Wolken","myext":7,"data_base64":"AAEC"}"#,
      #"{"specversion":"1.0","type":"t","source":"/agents/x","id":"01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d","datacontenttype":"text/xml","data":"<a/>"}"#,
    ]
    let log = try imported(events.joined(separator: "\n\n"))
    #expect(try export([log], .cloudEvents) == events.map { $0 + "\n" }.joined())
    let headers = try log.read(after: .start, limit: 9, byteLimit: .max).map(\.record.header)
    #expect(Set(headers.map(\.agent)).count == 3 && headers[0].type.text == "com.example-order-placed")
    #expect(headers[1].time == Timestamp(microseconds: 1_522_942_260_123_456))
  }

  @Test(
    arguments: [
      (#"{"events":[]}"#, .ocelJSON), (#"{"objectTypes" : [ ] }"#, .ocelJSON),
      (#" {"$schema":"https://x/s.json","eventTypes":[{"name":"a"}]}"#, .ocelJSON),
      (#"{"ocel:\"specversion\"":{"specversion":"1.0","a":[["}"]]},"events":[{"id":"1"}]}"#, .ocelJSON),
      (#"{"name":"specversion","objects":["#, .ocelJSON),
      (#"{"data":{"events":[],"objects":[]},"specversion":"1.0"}"#, .cloudEvents),
      (#"{"events":"7","objects":"events","specversion":"1.0","eventTypes":[]}"#, .cloudEvents),
      (#"{"id":"1"}\n{"events":[]}"#, .cloudEvents), (#"[{"events":[]}]"#, .cloudEvents), ("{", .cloudEvents),
      ("\u{FEFF}\n<log>", .xes), ("SQLite format 3\0", .ocelSQLite), ("a,b", .csv), (" \n", nil), ("", nil),
    ] as [(String, LogImporter.Format?)])
  func `a file is told by what it has, not by what comes first`(text: String, format: LogImporter.Format?) {
    #expect(LogImporter.Format(telling: Array(text.utf8)) == format)
  }

  private static let whole = #"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#

  @Test(arguments: [
    ("{\"specversion\":\"1.0\"", "ends within event 1"), ("[\(whole)", "ends before its array does"),
    ("\(whole) x", "no JSON object behind event 1"), ("[\(whole),", "ends before its array does"),
    ("{\"a\":01}", "is not JSON"),
    ("{}", "event 1 has no specversion 1.0"),
    (#"{"specversion":"1.0","id":"1","type":"t"}"#, "event 1 has no source"),
    (#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon"}"#, "the time 'noon'"),
    (#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "event 1 has no id"),
    ("[]]", "no JSON object"),
    (
      #"{"specversion":"1.0","id":"x","source":"/agents/a","type":"t","subject":"s","time":"2020-01-01T00:00:00Z","epoch":"1","sequence":"1","channel":"alert","correlationid":"x","principal":"a"}"#,
      "event 1: 'x' is not an event id"
    ),
    (
      #"{"specversion":"1.0","id":"01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d","source":"/agents/a","type":"t","subject":"s","time":"2020-01-01T00:00:00Z","epoch":"1","sequence":"2","channel":"alert","correlationid":"01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d","principal":"a"} {"specversion":"1.0","id":"01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d","source":"/agents/a","type":"t","subject":"s","time":"2020-01-01T00:00:00Z","epoch":"1","sequence":"2","channel":"alert","correlationid":"01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d","principal":"a"}"#,
      "event 2 of stream a@1/alert is number 2, behind number 2"
    ),
  ])
  func `a file that is none says where and what to do`(text: String, words: String) throws {
    expectError(.invalidInput, words, ";") { _ = try imported(text) }
  }

  @Test func `a file that was cut or altered anywhere is imported, or refused by name`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed)
    let world = try World(seed: seed, nodeCount: 2)
    try await world.run(eventCount: 6)
    let exported = Array(try export(world.logs, .cloudEvents).utf8)
    for round in 0..<400 {
      var bytes = exported
      if round.isMultiple(of: 2) {
        bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
      } else {
        for _ in 0...2 {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
        }
      }
      do {
        let log = try emptyLog()
        try withFile(bytes) { try LogImporter(into: log).addCloudEvents(GzipInputStream(path: $0)) }
        _ = try export([log], .cloudEvents)
      } catch let error as HyphaError {
        #expect(error.remedy != nil, "\(error), seed \(seed)")
      }
    }
  }

  static let recordings = [
    ("running-example.xes", "org:resource"), ("coselog-receipt.xes.gz", "org:resource"),
    ("bpic2020-PrepaidTravelCost.xes.gz", "org:role"),
  ]

  static func path(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
      .appending(path: "../shared/data/\(name)").standardizedFileURL.path
  }

  @Test(
    .enabled(
      if: recordings.allSatisfy { FileManager.default.isReadableFile(atPath: path($0.0)) },
      "the public recordings are not here"), arguments: recordings)
  func `a recorded process comes back event by event, with its hand-overs`(name: String, resourceKey: String)
    throws
  {
    let source = RecordedEvents.Options(resourceKey: resourceKey, placeholders: [""])
    let log = try emptyLog()
    try LogImporter(into: log).addRecording(GzipInputStream(path: Self.path(name)), options: source)
    func cases(_ path: String, _ options: RecordedEvents.Options) throws -> [String: [RecordedEvent]] {
      var cases: [String: [RecordedEvent]] = [:]
      try RecordedEvents.read(path: path, options: options) { cases[$0.caseID, default: []].append($0) }
      return cases
    }
    let expected = try HandOvers.read(path: Self.path(name), options: .init(resourceKey: resourceKey))
    try withFile(export([log], .xes).utf8) { path in
      #expect(try cases(path, source) == cases(Self.path(name), source))
      let again = try HandOvers.read(path: path, options: .init(resourceKey: resourceKey))
      #expect(again.all.count == expected.all.count && !again.all.isEmpty)
      #expect(again.counts == expected.counts)
    }
  }
}
