import Foundation
import HyphaCore
import HyphaFormats
import Testing

struct XESReaderTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func events(
    _ text: String, _ options: RecordedEvents.Options = RecordedEvents.Options()
  ) throws -> [RecordedEvent] {
    var all: [RecordedEvent] = []
    try RecordedEvents.read(path: scratch.file("log.xes", text), options: options) { all.append($0) }
    return all
  }

  private func refusal(_ text: String) -> String {
    var options = RecordedEvents.Options()
    options.format = .xes
    return errorText { _ = try events(text, options) }
      .replacingOccurrences(of: scratch.path("log.xes"), with: "FILE")
  }

  private func log(_ inner: String) -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<log>\n\(inner)\n</log>\n"
  }

  private let event = """
    <event><string key="concept:name" value="check"/><date key="time:timestamp" value="1970-01-01T00:00:01Z"/>
    <string key="org:resource" value="Pete"/><string key="org:group" value="A &amp; B"/>
    <string key="org:role" value="clerk"/></event>
    """

  @Test func `events carry case, activity, resource, group and time`() throws {
    let text = log("<trace><string key=\"concept:name\" value=\"7\"/>\(event)</trace>")
    let expected = RecordedEvent(
      caseID: "7", activity: "check", resource: "Pete", group: "A & B", time: 1_000_000)
    #expect(try events(text) == [expected])
    var options = RecordedEvents.Options()
    options.resourceKey = "org:role"
    options.groupKey = "org:resource"
    #expect(try events(text, options).map { [$0.resource, $0.group] } == [["clerk", "Pete"]])
  }

  @Test func `only direct attributes of an event or trace count`() throws {
    let inner = """
      <extension name="Concept" prefix="concept" uri="urn:x"/>
      <global scope="event"><string key="org:resource" value="GLOBAL"/></global>
      <global scope="trace"><string key="concept:name" value="GLOBAL"/></global>
      <classifier name="c" keys="concept:name"/>
      <string key="concept:name" value="the log"><string key="org:resource" value="LOG"/></string>
      <trace><string key="x" value="y"><string key="concept:name" value="NESTED"/></string>
      <list key="l"><values><event/><string key="concept:name" value="NESTED"/></values></list>
      <event><string key="concept:name" value="a"><string key="org:resource" value="NESTED"/></string>
      <date key="time:timestamp" value="1970-01-01T00:00:00Z"><date key="time:timestamp" value="bad"/></date>
      <list key="org:group"><values><string key="concept:name" value="NESTED"/></values></list></event>
      </trace>
      """
    #expect(try events(log(inner)) == [RecordedEvent(caseID: "case-1", activity: "a", time: 0)])
  }

  @Test func `a trace without a name is called by its place`() throws {
    let unnamed = "<string key=\"concept:name\" value=\"\"/>"
    let inner = "<trace>\(event)</trace><trace>\(unnamed)\(event)\(event)</trace>"
    #expect(try events(log(inner)).map(\.caseID) == ["case-1", "case-2", "case-2"])
  }

  @Test func `namespace prefixes and a byte order mark do not matter`() throws {
    let text = """
      \u{FEFF}<!-- <!DOCTYPE in a comment> -- is none --><xes:log xmlns:xes="urn:x"><xes:trace><xes:event>
      <xes:string key="concept:name" value="a"/><xes:date key="time:timestamp" value="1970-01-01T00:00:00Z"/>
      </xes:event></xes:trace></xes:log>
      """.replacingOccurrences(of: " -- is none ", with: " is none ")
    #expect(try events(text).count == 1)
  }

  @Test func `placeholders mean no resource and no group, and the list can be changed`() throws {
    let inner = ["UNKNOWN", "EMPTY", "MISSING", "UNDEFINED", "", "unknown"].map {
      event.replacing("Pete", with: $0).replacing("A &amp; B", with: $0)
    }
    let text = log("<trace>\(inner.joined())</trace>")
    #expect(try events(text).map(\.resource) == [nil, nil, nil, nil, nil, "unknown"])
    #expect(try events(text).map(\.group) == [nil, nil, nil, nil, nil, "unknown"])
    let options = RecordedEvents.Options(placeholders: ["unknown"])
    #expect(
      try events(text, options).map(\.resource) == ["UNKNOWN", "EMPTY", "MISSING", "UNDEFINED", "", nil])
  }

  @Test func `an event without a time, or with a bad one, is refused by its line`() {
    let untimed = "<trace>\n<event>\n<string key=\"concept:name\" value=\"a\"/>\n</event></trace>"
    let remedy = "repair the file (IEEE 1849 says how)"
    #expect(
      refusal(log(untimed)) == "invalidInput: FILE line 4: the event has no time:timestamp; \(remedy)")
    let bad = event.replacing("1970-01-01T00:00:01Z", with: "yesterday")
    #expect(
      refusal(log("<trace>\n\n\(bad)</trace>")) == """
        invalidInput: FILE line 5: `yesterday` is not a time; write it as 2011-10-01T00:38:44.546+02:00
        """)
    #expect(
      refusal(log("<trace><event/></trace>"))
        == "invalidInput: FILE line 3: the event has no concept:name, so its activity is unknown; \(remedy)")
  }

  @Test func `a structure that is not a log of traces is refused`() {
    #expect(refusal("<html/>").hasPrefix("invalidInput: FILE line 1: the root element is <html>, not <log>;"))
    #expect(refusal(log(event)).contains("line 3: an event stands outside of a trace, so it has no case;"))
    let late = "<trace>\(event)<string key=\"concept:name\" value=\"7\"/></trace>"
    #expect(refusal(log(late)).contains("line 5: the name of trace 1 stands after its events;"))
    let deep = String(repeating: "<list>", count: 300) + String(repeating: "</list>", count: 300)
    #expect(refusal(log(deep)).contains("line 3: elements are nested more than 256 deep;"))
    #expect(refusal("").hasPrefix("invalidInput: FILE has no <log> element; give an XES file"))
    #expect(refusal("<!-- only a comment -->").hasPrefix("invalidInput: FILE"))
  }

  @Test func `malformed XML is refused by its line`() {
    let remedy = "repair the file; `xmllint` shows the place"
    #expect(
      refusal("<log>\n<trace>\n</log>") == """
        invalidInput: FILE line 3: an element is closed that is not the one open; \(remedy) (libxml2 error 76)
        """)
    #expect(
      refusal("<log>\n<trace>\n\(event)")
        == "invalidInput: FILE line 5: the document ends early; \(remedy) (libxml2 error 5)")
    #expect(refusal(log("<trace a=b/>")).contains("line 3: the XML is not well-formed; \(remedy)"))
    #expect(refusal(log("<trace>&boom;</trace>")).contains("line 3: an entity is used that is not declared"))
    #expect(refusal("log").contains("line 1: this is not XML in UTF-8"))
  }

  @Test func `a truncated gzip is reported as such, not as bad XML`() throws {
    let text = log("<trace>\((0..<500).map { event.replacing("Pete", with: "\($0)") }.joined())</trace>")
    let path = try scratch.file("cut.xes.gz", Array(gzipped(text).dropLast(100)))
    let refusal = errorText { try RecordedEvents.read(path: path, options: .init(format: .xes)) { _ in } }
    #expect(refusal.hasPrefix("invalidInput: \(path) is gzip and ends before its data does"))
  }

  @Test func `entities that expand without end or read files are refused before they are parsed`() {
    var bomb = "<?xml version=\"1.0\"?>\n<!-- a > b -->\n<!DOCTYPE log [\n<!ENTITY e0 \"haha\">\n"
    for level in 1...30 {
      bomb += "<!ENTITY e\(level) \"\(String(repeating: "&e\(level - 1);", count: 10))\">\n"
    }
    bomb += "]>\n<log><trace><string key=\"concept:name\" value=\"&e30;\"/>&e30;</trace></log>"
    let expected = """
      invalidInput: FILE line 3: the file declares a document type; remove the <!DOCTYPE>; entities are \
      not expanded, so that no file can grow by them
      """
    #expect(refusal(bomb) == expected)
    #expect(refusal("\n\n<!DOCTYPE log SYSTEM \"file:///etc/passwd\"><log/>") == expected)
  }

  @Test func `bytes that are not UTF-8 are refused by their line before they are parsed`() throws {
    let start = Array("<log>\n<trace>\n<l".utf8)
    for bad: [UInt8] in [[0xe2], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xff], [0xf0, 0x9f]] {
      for end in ["g/>\n</trace></log>", ""] {
        let path = try scratch.file("latin.xes", start + bad + Array(end.utf8))
        #expect(
          errorText { try RecordedEvents.read(path: path, options: .init(format: .xes)) { _ in } } == """
            invalidInput: \(path) line 3: there are bytes that are not UTF-8; \
            give an XES file (IEEE 1849), converted to UTF-8
            """)
      }
    }
  }

  @Test func `characters may fall between two reads`() throws {
    for padding in 0..<5 {
      let name = String(repeating: "x", count: padding) + String(repeating: "ü€😀", count: 20_000)
      let inner = "<trace>\(event.replacing("Pete", with: name))</trace>"
      #expect(try events(log(inner)).map(\.resource) == [name])
    }
  }

  @Test func `a tag of absurd length is refused before it costs time or memory`() {
    let attributes = (0..<200_000).map { "a\($0)='x'" }.joined(separator: " ")
    let expected = """
      tooLarge: FILE has an element or text of more than 1048576 bytes; \
      shorten it; no attribute of an event needs as much
      """
    #expect(refusal(log("<trace \(attributes)/>")) == expected)
    #expect(refusal(log("<trace>" + String(repeating: "x", count: 2 << 20))) == expected)
  }

  @Test func `encodings in which a document type could hide are refused`() throws {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><!DOCTYPE log [<!ENTITY a \"b\">]><log>&a;</log>"
    let utf16 = try #require(text.data(using: .utf16))
    let path = try scratch.file("wide.xes", Array(utf16))
    #expect(
      errorText { try RecordedEvents.read(path: path, options: .init(format: .xes)) { _ in } } == """
        invalidInput: \(path) line 1: this is not XML in UTF-8; give an XES file (IEEE 1849), \
        converted to UTF-8
        """)
    #expect(
      refusal("<?xml version=\"1.0\" encoding=\"UTF-7\"?>+ADwAIQ-DOCTYPE log+AD4-<log/>")
        .contains("line 1: this is not XML in UTF-8"))
  }

  @Test func `an error of the caller ends the reading and comes through`() throws {
    struct Enough: Error {}
    let path = try scratch.file("log.xes", log("<trace>\(event)\(event)\(event)</trace>"))
    var count = 0
    #expect(throws: Enough.self) {
      try RecordedEvents.read(path: path) { _ in
        count += 1
        if count == 2 { throw Enough() }
      }
    }
    #expect(count == 2)
  }
}
