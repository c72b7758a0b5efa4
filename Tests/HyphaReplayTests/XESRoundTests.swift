import Foundation
import FoundationXML
import HyphaCore
import HyphaFormats
import HyphaLog
import Testing

@testable import HyphaReplay

/// XES that is imported and exported again is the same, element by element.
@Suite struct XESRoundTests {
  /// The elements of a document with their attributes, in its order, as an XML parser that knows nothing of XES has them.
  final class Elements: NSObject, XMLParserDelegate {
    private(set) var lines: [String] = []
    private var depth = 0

    init(_ document: Data) throws {
      super.init()
      let parser = XMLParser(data: document)
      parser.delegate = self
      #expect(parser.parse())
    }

    convenience init(path: String) throws {
      try self.init(try GzipInputStream.whole(path))
    }

    func parser(
      _ parser: XMLParser, didStartElement element: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      lines.append("\(depth) \(element) \(attributes.sorted { $0.key < $1.key }.map { "\($0)=\($1)" })")
      depth += 1
    }

    func parser(
      _ parser: XMLParser, didEndElement element: String, namespaceURI: String?, qualifiedName: String?
    ) { depth -= 1 }
  }

  private func emptyLog(_ node: NodeID = "imported") throws -> MemoryLog {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: node)
    return try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
  }

  private func export(
    _ logs: [any LogReader], _ format: ExportFormat = .xes, expectedCount: UInt64 = 10,
    filter: EntryFilter = EntryFilter()
  ) throws -> Data {
    var bytes = Data()
    var exporter = try LogExporter(
      format, expectedCount: expectedCount, spillDirectory: NSTemporaryDirectory()
    ) { bytes.append(contentsOf: $0) }
    var replay = try Replay(of: logs, filter: format.narrowing(filter))
    try replay.look()
    try replay.visit {
      try exporter.add($0)
      return true
    }
    try exporter.finish()
    return bytes
  }

  private func imported(_ text: String, _ node: NodeID = "imported") throws -> MemoryLog {
    let path = NSTemporaryDirectory() + "hypha-xes-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let log = try emptyLog(node)
    try LogImporter(into: log).addRecording(GzipInputStream(path: path))
    return log
  }

  /// All that IEEE 1849 lets a file have, and what only XML does.
  static let whole = """
    <?xml version="1.0" encoding="UTF-8"?>
    <log xes.version="1849-2016" xes.features="nested-attributes" openxes.version="1.0RC7" creator="by hand"
      xmlns="http://www.xes-standard.org/" xmlns:x="urn:x" x:note="kept">
    <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
    <extension name="Cost" prefix="cost" uri="http://www.xes-standard.org/cost.xesext"/>
    <global scope="trace"><string key="concept:name" value="?"/></global>
    <global scope="event"><date key="time:timestamp" value="1970-01-01T00:00:00.000+01:00"/>
      <int key="n" value="0"/></global>
    <classifier name="Both" keys="concept:name lifecycle:transition"/>
    <classifier name="Per case" scope="trace" keys="'a key' b"/>
    <string key="concept:name" value="the log"><string key="source" value="a&#10;b&#9;&quot;&lt;&amp;"/></string>
    <list key="authors"><values><string key="author" value="Ana"/><string key="author" value="Bo"/></values></list>
    <trace><string key="concept:name" value="1"/><float key="amount" value="1.50"><id key="why" value="x"/></float>
      <event><string key="org:resource" value="Pete"/><string key="lifecycle:transition" value="start"/>
        <string key="concept:name" value="do &lt;it&gt;"/>
        <date key="time:timestamp" value="2011-10-01T00:38:44.5+02:00"/>
        <int key="n" value="-0007"/><float key="cost:total" value="1E2"><string key="cost:currency" value="EUR"/>
          <list key="cost:drivers"><string key="d" value="1"><float key="cost:amount" value="NaN"/></string></list>
        </float><boolean key="sure" value="true"/><id key="identity:id" value="01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"/>
        <container key="c"><int key="x" value="1"/><int key="x" value="2"/></container><string key="empty" value=""/>
        <string key="no value"/><string key="twice" value="1"/><string key="twice" value="2"/></event>
      <event><date key="time:timestamp" value="2011-10-01T00:38:43Z"/><string key="concept:name" value="é\u{10348}"/>
      </event></trace>
    <trace/>
    <trace><string key="concept:name" value="1"/><event><string key="concept:name" value="a"/>
      <date key="time:timestamp" value="2011-10-01T00:00:00.000Z"/><string key="org:group" value="UNKNOWN"/></event>
      <event><string key="concept:name" value="b"/><date key="time:timestamp" value="2011-10-01T00:00:00.000Z"/></event>
    </trace>
    <trace><string key="concept:name" value="empty"/><boolean key="open" value="false"/></trace>
    </log>
    """

  @Test func `XES comes back element by element, whatever it has`() throws {
    let expected = try Elements(Data(Self.whole.utf8)).lines
    #expect(expected.count == 56)
    let log = try imported(Self.whole)
    let exported = try export([log])
    #expect(try Elements(exported).lines == expected)
    // And again, to the byte; by way of CloudEvents too, where what is no event is asked for.
    let again = try imported(String(decoding: exported, as: UTF8.self))
    #expect(try export([again]) == exported)
    let path = NSTemporaryDirectory() + "hypha-xes-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    var whole = EntryFilter()
    whole.types = ["recorded.Event", "recorded.Trace", "recorded.Declaration"]
    try export([log], .cloudEvents, filter: whole).write(to: URL(fileURLWithPath: path))
    let third = try emptyLog()
    try LogImporter(into: third).addCloudEvents(GzipInputStream(path: path))
    #expect(try export([third]) == exported)
  }

  @Test func `what an imported log has beside events is none`() throws {
    let log = try imported(Self.whole)
    var count = 0
    var exporter = try LogExporter(.xes, expectedCount: 1, spillDirectory: NSTemporaryDirectory()) { _ in }
    var replay = try Replay(of: [log])
    try replay.look()
    try replay.visit {
      try exporter.add($0)
      count += 1
      return true
    }
    #expect(exporter.eventCount == 4 && count == 4 + 4 + 9)
    for format in ExportFormat.allCases where format != .xes && format != .ocelSQLite {
      let text = String(decoding: try export([log], format), as: UTF8.self)
      #expect(!text.contains("recorded.Trace") && !text.contains("recorded.Declaration"), "\(format)")
    }
    var statistics = LogStatistics()
    try log.visit(Position.start.next...Position(rawValue: .max), .forward) {
      statistics.add($0, of: "imported")
      return true
    }
    #expect(statistics.entryCount == 4 && statistics.backgroundCount == 4 + 9)
    #expect(statistics.types.top(9, by: <).map(\.key) == ["recorded.Event"])
    var alone = EntryFilter()
    alone.isForEventsAlone = true
    for (types, expected) in [([], 4), (["recorded.Trace"], 4), (["recorded.Event", "recorded.Trace"], 8)]
      as [(Set<EventTypeName>, Int)]
    {
      alone.types = types
      var replay = try Replay(of: [log], filter: alone)
      try replay.look()
      var shownCount = 0
      try replay.visit { _ in
        shownCount += 1
        return true
      }
      #expect(shownCount == expected, "\(types)")
    }
    // Where only events are wanted, a trace still has its name.
    var filter = EntryFilter()
    filter.types = ["recorded.Event"]
    let events = String(decoding: try export([log], filter: filter), as: UTF8.self)
    #expect(events.ranges(of: "<trace><string key=\"concept:name\" value=\"1\"/>").count == 2)
    #expect(events.contains("<float key=\"cost:total\" value=\"1E2\"><string key=\"cost:currency\""))
  }

  @Test func `an imported log and events of the bus are exported as one`() async throws {
    let world = try World(seed: 11, nodeCount: 2)
    try await world.run(eventCount: 50)
    let lines = try Elements(export([imported(Self.whole)] + world.logs)).lines
    let own = try Elements(export(world.logs)).lines
    func count(_ start: String, _ lines: [String]) -> Int { lines.count { $0.hasPrefix(start) } }
    for element in ["1 trace", "2 event", "2 string", "3 id"] {
      let whole = try count(element, Elements(Data(Self.whole.utf8)).lines)
      #expect(count(element, lines) == count(element, own) + whole, "\(element)")
    }
    // What both declare comes once.
    #expect(count("1 extension", lines) == 4 && count("1 classifier", lines) == 3)
    #expect(lines[0].contains("creator=by hand"))
  }

  @Test func `traces of two imported files that have one name and place stay two`() throws {
    func file(_ resource: String) -> String {
      """
      <log><trace><string key="concept:name" value="1"/><event><string key="concept:name" value="a"/>
      <date key="time:timestamp" value="2011-10-01T00:00:00Z"/><string key="org:resource" value="\(resource)"/></event>
      </trace></log>
      """
    }
    let lines = try Elements(export([imported(file("Ana"), "one"), imported(file("Bo"), "two")])).lines
    #expect(lines.count { $0.hasPrefix("2 event") } == 2 && lines.count { $0.hasPrefix("1 trace") } == 2)
  }

  @Test(arguments: [10, 400_000])
  func `traces keep the order of their file, whatever the number of parts`(expectedCount: UInt64) async throws
  {
    let log = try emptyLog()
    let places: [UInt64] = [0, 39_999, 40_000, 120_500, 250_000, 399_999, 400_000, .max]
    var appends: [LogBatch.Append] = []
    for (index, place) in places.enumerated() {
      let sequence = UInt64(index + 1)
      let trace = XESBackground.Trace(
        trace: place, caseID: "c\(index)",
        attributes: [XESElement("int", ["key": "index", "value": "\(index)"])])
      let header = RecordHeader(
        id: EventID(high: 1, low: sequence), time: Timestamp(microseconds: 1), channel: .persistent,
        agent: "xes",
        epoch: 1, sequence: sequence,
        previous: LanePoint(epoch: index > 0 ? 1 : 0, sequence: sequence - 1), addressee: nil,
        type: XESBackground.traceType,
        subject: "case.c", contentType: .xesTrace, correlation: EventID(high: 1, low: 1),
        authority: Authority(principal: "xes"))
      appends.append(.init(try Record(header, payload: Array(try JSON.encode(trace)))))
    }
    _ = try await log.append(LogBatch(appends: appends))
    let text = String(decoding: try export([log], expectedCount: expectedCount), as: UTF8.self)
    let found = text.split(separator: "<trace>").dropFirst().map { $0.prefix { $0 != "/" } }
    #expect(found == places.indices.map { "<int key=\"index\" value=\"\($0)\"" })
  }

  @Test func `scalars of a payload become attributes with their types`() async throws {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    let object = #"""
       { "amount" : 12.50, "n": -7, "big": 9223372036854775808, "e": 1e3, "who": "A\u00e9 \"<b>\"", "sure": true,
       "off":false, "none": null, "list": [1], "deep": {"amount": 1}, "concept:name": "mine", "n": 8,
       "hypha:channel": "x", "cost:total": 3.0, "x\ny": "" }
      """#
    let payloads = [object, "[1]", "no JSON", ""]
    for (index, payload) in payloads.enumerated() {
      let sequence = UInt64(index + 1)
      let header = RecordHeader(
        id: EventID(high: 1, low: sequence), time: Timestamp(microseconds: sequence), channel: .persistent,
        agent: "a", epoch: 1, sequence: sequence,
        previous: LanePoint(epoch: index > 0 ? 1 : 0, sequence: sequence - 1), addressee: nil, type: "T",
        subject: try Subject("case.\(index)"), correlation: EventID(high: 1, low: 1),
        authority: Authority(principal: "a"))
      _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: Array(payload.utf8)))]))
    }
    let exported = try export([log])
    let text = String(decoding: exported, as: UTF8.self)
    let events = text.split(separator: "<event>").dropFirst().map(String.init)
    let expected = """
      <float key="amount" value="12.50"/><int key="n" value="-7"/><float key="big" value="9223372036854775808"/>
      <float key="e" value="1e3"/><string key="who" value="Aé &quot;&lt;b&gt;&quot;"/><boolean key="sure" value="true"/>
      <boolean key="off" value="false"/><string key="payload:concept:name" value="mine"/>
      <string key="payload:hypha:channel" value="x"/><float key="cost:total" value="3.0"/>
      <string key="x&#10;y" value=""/></event>
      """
    #expect(events[0].contains(expected.replacing("\n", with: "")))
    for event in events.dropFirst() { #expect(event.contains(#"value="persistent"/></event>"#), "\(event)") }
    // What was exported so is imported and exported the same.
    #expect(try export([imported(text)]) == exported)
  }

  @Test func `attributes nested as deep as XES is read come back`() throws {
    let depth = 251
    let nested =
      String(repeating: #"<container key="c">"#, count: depth)
      + String(repeating: "</container>", count: depth)
    let text = """
      <log>\(nested)<trace>\(nested)<event><string key="concept:name" value="a"/>
      <date key="time:timestamp" value="2011-10-01T00:00:00Z"/>\(nested)</event></trace></log>
      """
    #expect(try Elements(export([imported(text)])).lines == Elements(Data(text.utf8)).lines)
  }

  @Test(
    .enabled(
      if: FileManager.default.isReadableFile(atPath: ImportTests.path("coselog-receipt.xes.gz")),
      "the public recordings are not here"),
    arguments: ["running-example.xes", "coselog-receipt.xes.gz"])
  func `a public recording comes back element by element`(name: String) throws {
    let log = try emptyLog()
    try LogImporter(into: log).addRecording(
      GzipInputStream(path: ImportTests.path(name)), options: .init(placeholders: [""]))
    let expected = try Elements(path: ImportTests.path(name)).lines
    let found = try Elements(export([log])).lines
    #expect(found.count == expected.count && found.count > 200)
    #expect(found == expected)
  }
}

extension GzipInputStream {
  /// All bytes of a file.
  static func whole(_ path: String) throws -> Data {
    let stream = try GzipInputStream(path: path)
    var (all, chunk) = (Data(), [UInt8](repeating: 0, count: chunkByteCount))
    while case let count = try chunk.withUnsafeMutableBufferPointer({ try stream.read(into: $0) }), count > 0
    {
      all.append(contentsOf: chunk[..<count])
    }
    return all
  }
}
