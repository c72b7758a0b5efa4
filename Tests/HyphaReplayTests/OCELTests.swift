import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import Testing

@testable import HyphaReplay

/// Object-centric logs that are imported and exported again are what they were, in both of their forms.
@Suite struct OCELTests {
  /// What an object-centric log says, without the order in which it says it.
  private struct Content: Equatable {
    var events: [OCEL.Event] = []
    var objects: [OCEL.Object] = []
    var types: [String: OCEL.TypeDefinition] = [:]

    init(_ json: String) throws {
      struct File: Decodable {
        var events: [OCEL.Event]
        var objects: [OCEL.Object]
        var eventTypes, objectTypes: [OCEL.TypeDefinition]
      }
      func ordered(_ relations: [OCEL.Relation]) -> [OCEL.Relation] {
        relations.sorted { ($0.objectId, $0.qualifier) < ($1.objectId, $1.qualifier) }
      }
      let file = try JSON.decode(File.self, from: json.utf8)
      events = file.events.sorted { $0.id < $1.id }
      objects = file.objects.sorted { $0.id < $1.id }
      for index in events.indices {
        events[index].attributes.sort { $0.name < $1.name }
        events[index].relationships = ordered(events[index].relationships)
      }
      for index in objects.indices {
        objects[index].attributes.sort { ($0.name, $0.time) < ($1.name, $1.time) }
        objects[index].relationships = ordered(objects[index].relationships)
      }
      for (types, kind) in [(file.eventTypes, "event"), (file.objectTypes, "object")] {
        for type in types {
          var type = type
          type.attributes.sort { $0.name < $1.name }
          self.types["\(kind) \(type.name)"] = type
        }
      }
    }
  }

  private func emptyLog() throws -> MemoryLog {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "imported")
    return try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
  }

  private func visit(_ logs: [any LogReader], _ body: (ReplayedEntry) throws -> Void) throws {
    var replay = try Replay(of: logs)
    try replay.look()
    try replay.visit {
      try body($0)
      return true
    }
  }

  private func json(_ logs: [any LogReader]) throws -> String {
    var bytes: [UInt8] = []
    var exporter = try LogExporter(.ocelJSON, expectedCount: 10, spillDirectory: NSTemporaryDirectory()) {
      bytes += $0
    }
    try visit(logs) { try exporter.add($0) }
    try exporter.finish()
    return String(decoding: bytes, as: UTF8.self)
  }

  private func withPath<Value>(_ body: (String) throws -> Value) rethrows -> Value {
    let path = NSTemporaryDirectory() + "hypha-ocel-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  private func imported(_ text: String) throws -> MemoryLog {
    let log = try emptyLog()
    try withPath { path in
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      try LogImporter(into: log).addOCEL(GzipInputStream(path: path))
    }
    return log
  }

  /// What a log has, through a database into a new log.
  private func throughDatabase(_ logs: [any LogReader]) throws -> MemoryLog {
    let log = try emptyLog()
    try withPath { path in
      let database = try OCELDatabase(path: path)
      try visit(logs) { try database.add($0) }
      try database.finish()
      try LogImporter(into: log).addOCELDatabase(path: path)
    }
    return log
  }

  @Test func `OCEL of a deployment comes back as it was, from JSON and from a database`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    let world = try World(seed: seed, nodeCount: 3)
    try await world.run(eventCount: 300)
    let exported = try json(world.logs)
    let log = try imported(exported)
    // Of one log, events keep their order: the same but for white space.
    #expect(
      try JSON.decode(JSONValue.self, from: json([log]).utf8)
        == JSON.decode(JSONValue.self, from: exported.utf8))
    let content = try Content(exported)
    #expect(content.events.count == 300 && content.types.count == 2 + World.types.count)
    #expect(try Content(json([throughDatabase(world.logs)])) == content, "seed \(seed)")
    #expect(try Content(json([throughDatabase([log])])) == content, "seed \(seed)")
    // Whose they are, for whom, about what, and why, is there for a replay and a trace.
    var found: [EventID: RecordHeader] = [:]
    try log.scan { entry in
      if entry.record.header.contentType == .ocelEvent { found[entry.record.header.id] = entry.record.header }
      return true
    }
    for stated in world.stated.map(\.header) {
      let header = try #require(found[stated.id])
      #expect(header.agent == stated.agent && header.addressee == stated.addressee)
      #expect(
        header.type == stated.type && header.subject == stated.subject
          && header.time.microseconds == stated.time.microseconds)
      #expect(header.causation == stated.causation && header.correlation == stated.correlation)
    }
  }

  private static let foreign = """
    {"objectTypes": [
        {"name": "Invoice", "attributes": [{"name": "is_blocked", "type": "string"}, {"name": "amount", "type": "float"}]},
        {"name": "Purchase Order", "attributes": []}],
     "unknown": {"a": [1, {"b": "]}"}]}, "version": 2,
     "eventTypes": [
        {"name": "Approve \\"Order\\"", "attributes": [{"name": "who", "type": "string"}, {"name": "n", "type": "integer"},
           {"name": "sure", "type": "boolean"}, {"name": "x", "type": "float"}]},
        {"name": "Never", "attributes": [{"name": "a", "type": "time"}]}],
     "objects": [
        {"id": "R1", "type": "Invoice", "attributes": [
           {"name": "is_blocked", "time": "1970-01-01T00:00:00Z", "value": "No"},
           {"name": "amount", "time": "1970-01-01T00:00:00Z", "value": 12.5},
           {"name": "is_blocked", "time": "2022-02-03T07:30:00Z", "value": "Yes"},
           {"name": "is_blocked", "time": "2022-02-04T07:30:00Z", "value": "No"}],
         "relationships": [{"objectId": "PO1", "qualifier": "für"}]},
        {"id": "PO1", "type": "Purchase Order"}],
     "events": [
        {"id": "e2", "type": "Approve \\"Order\\"", "time": "2022-01-09T15:00:00Z",
         "attributes": [{"name": "who", "value": "Mario"}, {"name": "n", "value": 7}, {"name": "sure", "value": true}],
         "relationships": [{"objectId": "PO1", "qualifier": "a"}, {"objectId": "R1", "qualifier": ""}]},
        {"id": "e1", "type": "Approve \\"Order\\"", "time": "2022-01-10T15:00:00.250Z",
         "attributes": [{"name": "x", "value": 0.25}, {"name": "who", "value": ""}]}]}
    """

  @Test func `OCEL of other tools comes back as it was, and goes from one form to the other`() throws {
    let content = try Content(Self.foreign)
    let log = try imported(Self.foreign)
    #expect(try Content(json([log])) == content)
    let again = try throughDatabase([log])
    #expect(try Content(json([again])) == content)
    #expect(try Content(json([throughDatabase([again])])) == content)
    // An import is events, and what stands beside them is none.
    var exporter = try LogExporter(.xes, expectedCount: 10, spillDirectory: NSTemporaryDirectory()) { _ in }
    try visit([log]) { try exporter.add($0) }
    #expect(exporter.eventCount == 2)
  }

  @Test func `a definition counts for values that came before it, and a real number stays one`() throws {
    let events = (1...3).map {
      """
      {"id":"e\($0)","type":"t","time":"2024-01-0\($0)T00:00:00Z","attributes":[{"name":"x","value":\($0).0},
      {"name":"said","value":true},{"name":"at","value":"2024"}],"relationships":[
      {"objectId":"b","qualifier":"z"},{"objectId":"b","qualifier":"a"},{"objectId":"a","qualifier":"m"}]}
      """
    }
    let text = """
      {"events":[\(events.joined(separator: ","))],"objects":[{"id":"b","type":"o","attributes":[
      {"name":"n","time":"1970-01-01T00:00:00Z","value":2.0}]}],
      "objectTypes":[{"name":"o","attributes":[{"name":"n","type":"float"}]}],
      "eventTypes":[{"name":"t","attributes":[{"name":"x","type":"float"},{"name":"said","type":"string"},
      {"name":"at","type":"date"}]}]}
      """
    let log = try imported(text)
    #expect(try json([log]).contains(#"{"name":"x","value":1.0}"#))
    let found = try json([throughDatabase([log])])
    #expect(found.contains(#"{"name":"x","value":3.0}"#) && found.contains(#"Z","value":2.0}"#), "\(found)")
    // What is not of the type that it was defined with is a text in a database.
    #expect(found.contains(#"{"name":"said","value":"true"}"#) && found.contains(#""type":"date""#))
    // Relations keep their order.
    let relations = #""objectId":"b","qualifier":"z"},{"objectId":"b","qualifier":"a"},{"objectId":"a""#
    #expect(found.ranges(of: relations).count == 3)
  }

  @Test func `a database whose objects have neither times nor changes is read`() throws {
    try withPath { path in
      let database = try SQLiteDatabase.making(path)
      try database.run(
        """
        CREATE TABLE event_map_type (ocel_type, ocel_type_map); CREATE TABLE object_map_type (ocel_type, ocel_type_map);
        CREATE TABLE event (ocel_id, ocel_type); CREATE TABLE object (ocel_id, ocel_type);
        CREATE TABLE event_object (ocel_event_id, ocel_object_id, ocel_qualifier);
        CREATE TABLE object_object (ocel_source_id, ocel_target_id, ocel_qualifier);
        INSERT INTO object_map_type VALUES ('item line', 'ItemLine'); INSERT INTO object VALUES ('i', 'item line');
        INSERT INTO event_map_type VALUES ('pay', 'Pay'); INSERT INTO event VALUES ('e', 'pay');
        CREATE TABLE object_ItemLine (ocel_id TEXT, weight REAL);
        INSERT INTO object_ItemLine VALUES ('i', 9e999), ('i', 5);
        CREATE TABLE event_Pay (ocel_id TEXT, "ocel:activity" TEXT, ocel_time TIMESTAMP);
        INSERT INTO event_Pay VALUES ('e', 'pay', '2024-03-31 10:00:00.123456+00:00');
        """)
      try database.finish()
      let log = try emptyLog()
      try LogImporter(into: log).addOCELDatabase(path: path)
      let content = try Content(json([log]))
      #expect(
        content.objects.map(\.attributes) == [
          [
            .init(name: "weight", time: "1970-01-01T00:00:00Z", value: .integer(5))
          ]
        ])
      #expect(content.events.map(\.attributes) == [[]])
      #expect(content.events.map(\.time) == ["2024-03-31T10:00:00.123456Z"])
    }
  }

  @Test func `what is no OCEL is refused, and the error says where`() throws {
    for (text, problem) in [
      (
        "{\"events\": [{\"id\": \"a\", \"type\": \"t\", \"time\": \"soon\"}]}",
        "element 1 of 'events' has the time 'soon'"
      ),
      ("{\"events\": [{\"id\": \"a\", \"type\": \"t\"}]}", "element 1 of 'events' is not as OCEL 2.0 has it"),
      ("{\"events\": [{\"id\": \"a\"", "ends within its data"),
      ("{\"objects\": [1 2]}", "is not as OCEL 2.0 has it"), ("{\"a\": [1 2]}", "has no ','"),
      ("{\"events\": {}}", "neither events nor objects"), ("{}", "neither events nor objects"),
      ("{\"events\": []} x", "has no end"), ("[]", "has no '{' at byte 0"),
    ] {
      expectError(.invalidInput, problem) { _ = try imported(text) }
    }
    try withPath { path in
      try Data("SQLite format 3\0 and then nothing".utf8).write(to: URL(fileURLWithPath: path))
      let log = try emptyLog()
      expectError(.invalidInput, "cannot be read as a database") {
        try LogImporter(into: log).addOCELDatabase(path: path)
      }
      try FileManager.default.removeItem(atPath: path)
      expectError(.fileUnavailable, "cannot be read as a database") {
        try LogImporter(into: log).addOCELDatabase(path: path)
      }
      let other = try SQLiteDatabase.making(path)
      try other.run("CREATE TABLE event (a)")
      try other.finish()
      expectError(.invalidInput, "cannot be read as a database") {
        try LogImporter(into: log).addOCELDatabase(path: path)
      }
    }
    expectError(.fileUnavailable, "cannot be written") { _ = try OCELDatabase(path: "/nix/nix.sqlite") }
  }
}
