import Foundation
import HyphaCore
import Testing

/// The grammar that agents, nodes and event types share.
@Suite struct NamesTests {
  @Test(arguments: ["a", "Z", "0", "...", "_", "-", "ana.b_C-9", String(repeating: "x", count: 63)])
  func `a name of allowed characters keeps its text`(_ text: String) throws {
    #expect(try AgentID(text).text == text)
    #expect(try NodeID(text).description == text)
    #expect(try EventTypeName(text).text == text)
  }

  @Test func `exactly the letters, digits, dot, underscore and dash are allowed`() {
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".unicodeScalars)
    for value in (0...0x24F as ClosedRange<UInt32>) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      #expect(((try? AgentID("a" + String(scalar))) != nil) == allowed.contains(scalar), "U+\(value)")
    }
  }

  @Test(arguments: [".", ".."]) func `what stands for a directory is no name`(text: String) {
    #expect { try NodeID(text: text) } throws: { error in
      "\(error)" == "invalidName: the node name '\(text)' stands for a directory; use a name of its own"
    }
    #expect(AgentID(slug: text).text == "-")
  }

  @Test func `the longest names are 63 bytes for agents and nodes, 127 for event types`() {
    let long = String(repeating: "x", count: 64)
    let shown = long
    expectError("invalidName: the agent id '\(shown)' has 64 bytes; use 1 to 63") { try AgentID(long) }
    expectError("invalidName: the node name '\(shown)' has 64 bytes; use 1 to 63") { try NodeID(long) }
    #expect(throws: Never.self) { try EventTypeName(String(repeating: "x", count: 127)) }
    expectError(
      "invalidName: the event type '\(String(repeating: "x", count: 80))' has 128 bytes; use 1 to 127"
    ) { try EventTypeName(String(repeating: "x", count: 128)) }
  }

  @Test func `an empty name is refused`() {
    expectError("invalidName: the agent id '' has 0 bytes; use 1 to 63") { try AgentID(text: "") }
  }

  @Test func `a name with another character is refused, and quoted on one line`() {
    expectError(
      "invalidName: the agent id 'Ana Müller' has a character that is not allowed; "
        + "use letters, digits, '.', '_' and '-'"
    ) { try AgentID(text: "Ana Müller") }
    expectError(
      "invalidName: the node name 'a\\u{A}\\u{1B}[2J\\u{9B}\\u{2028}' has a character that is not allowed; "
        + "use letters, digits, '.', '_' and '-'"
    ) { try NodeID(text: "a\n\u{1B}[2J\u{9B}\u{2028}") }
    // One character of very many bytes is not quoted whole.
    let tower = "e" + String(repeating: "\u{301}", count: 100_000)
    expectError(
      "invalidName: the agent id 'e\(String(repeating: "\u{301}", count: 79))' has 200001 bytes; use 1 to 63"
    ) { try AgentID(tower) }
  }

  @Test func `names sort by their bytes`() {
    let names: [AgentID] = ["b", "a.b", "a-b", "B", "a", "a_b", "ab", "1"]
    #expect(names.sorted().map(\.text) == ["1", "B", "a", "a-b", "a.b", "a_b", "ab", "b"])
    #expect(!(AgentID("a") < AgentID("a")))
  }

  @Test func `a name is a plain string in JSON and is checked when read`() throws {
    #expect(try JSON.text([AgentID("ana"), "bob"]) == #"["ana","bob"]"#)
    #expect(try JSON.decode([NodeID].self, from: #"["hq"]"#.utf8) == ["hq"])
    expectError(
      "invalidName: the event type 'a b' has a character that is not allowed; "
        + "use letters, digits, '.', '_' and '-'"
    ) { try JSON.decode([EventTypeName].self, from: #"["a b"]"#.utf8) }
  }

  @Test func `an agent's slug is the nearest valid id`() {
    #expect(AgentID(slug: "Ana Müller").text == "Ana-M--ller")
    #expect(AgentID(slug: "ops/7").text == "ops-7")
    #expect(AgentID(slug: "").text == "-")
    #expect(AgentID(slug: String(repeating: "x", count: 200)).text.utf8.count == 63)
  }

  @Test func `every slug is a valid id, and a valid id is its own slug`() throws {
    var random = seededRandom()
    for _ in 0..<2_000 {
      let text = String(decoding: random.bytes(random.int(0...100)), as: UTF8.self)
      let slug = AgentID(slug: text)
      #expect(try AgentID(slug.text) == slug)
      #expect(AgentID(slug: slug.text) == slug)
    }
  }

  @Test func `streams, lanes and points describe themselves as the CLI prints them`() {
    #expect("\(StreamID(agent: "ana", epoch: 3, channel: .alert))" == "ana@3/alert")
    #expect("\(Lane(agent: "ana", channel: .realtime, target: .addressee("bob")))" == "ana/realtime/@bob")
    #expect("\(Lane(agent: "ana", channel: .persistent, target: .type("x.Y")))" == "ana/persistent/#x.Y")
    #expect("\(LanePoint(epoch: 2, sequence: 9))" == "2:9")
  }

  @Test func `points order by epoch, then by sequence`() {
    let points = [LanePoint.start, .init(epoch: 1, sequence: 1), .init(epoch: 1, sequence: .max)]
    #expect(points.shuffled().sorted() == points)
    #expect(LanePoint(epoch: 1, sequence: .max) < LanePoint(epoch: 2, sequence: 1))
  }
}

extension Name {
  // `AgentID("…")` with a literal is the literal's initialiser, which traps; this one throws.
  fileprivate init(text: String) throws { try self.init(text) }
}
