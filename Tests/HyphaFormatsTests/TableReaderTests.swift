import Foundation
import HyphaCore
import HyphaFormats
import Testing

struct CSVReaderTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func events(
    _ text: String, _ options: RecordedEvents.Options = RecordedEvents.Options(format: .csv)
  ) throws -> [RecordedEvent] {
    var all: [RecordedEvent] = []
    try RecordedEvents.read(path: scratch.file("log.csv", text), options: options) { all.append($0) }
    return all
  }

  private func refusal(
    _ text: String, _ options: RecordedEvents.Options = RecordedEvents.Options(format: .csv)
  ) -> String {
    errorText { _ = try events(text, options) }
      .replacingOccurrences(of: scratch.path("log.csv"), with: "FILE")
  }

  @Test(arguments: [
    "Case ID,Activity,Resource,Role,Complete Timestamp\n1,a,Pete,clerk,1970-01-01 00:00:01\n",
    "case_id;ACTIVITY;user;group;time\r\n1;a;Pete;clerk;1970-01-01T00:00:01Z\r\n",
    "time:timestamp\torg:group\torg:resource\tconcept:name\tcase:concept:name\n1\tclerk\tPete\ta\t1",
    "\u{FEFF}\"caseid\",\"activity\",\"resource\",\"group\",\"timestamp\"\n\n\"1\",\"a\",\"Pete\",\"clerk\",\"1\"\n\n",
  ])
  func `columns and delimiter are found by their usual names`(_ text: String) throws {
    let expected = RecordedEvent(
      caseID: "1", activity: "a", resource: "Pete", group: "clerk", time: 1_000_000)
    #expect(try events(text) == [expected])
    #expect(try events(text, RecordedEvents.Options()) == [expected])
  }

  @Test func `columns and delimiter can be named`() throws {
    let text = "Nr|;Was;Wer,Wo;Wann\n1;a;Pete;0\n"
    let columns = CSVColumns(caseID: "nr|", activity: "was", resource: "wer,wo", time: "WANN")
    let options = RecordedEvents.Options(format: .csv, columns: columns, delimiter: .semicolon)
    #expect(
      try events(text, options) == [RecordedEvent(caseID: "1", activity: "a", resource: "Pete", time: 0)])
  }

  @Test func `quoted fields hold delimiters, quotes and line ends`() throws {
    let text = """
      case,activity,resource,time
      "1, or 2","say ""hello""\r\n\nand go","",0
      ,,,
      """
    let expected = RecordedEvent(caseID: "1, or 2", activity: "say \"hello\"\r\n\nand go", time: 0)
    var read: [RecordedEvent] = []
    let path = try scratch.file("log.csv", text)
    let refusal = errorText { try RecordedEvents.read(path: path) { read.append($0) } }
    #expect(read == [expected])
    // The quoted field took three lines of the file.
    #expect(refusal == "invalidInput: \(path) line 5: the case is empty; fill it in, or drop the record")
  }

  @Test func `a missing column is one error that lists what there is`() {
    #expect(
      refusal("Case,What,When\n1,a,0\n") == """
        invalidInput: FILE line 1: no column for activity, resource, time; there are `Case`, `What`, `When`; \
        name the columns in the options
        """)
    let columns = CSVColumns(activity: "what", resource: "Who", group: "Team", time: "when")
    #expect(
      refusal("Case,What,When\n1,a,0\n", .init(format: .csv, columns: columns)) == """
        invalidInput: FILE line 1: no column for resource `Who`, group `Team`; there are `Case`, `What`, \
        `When`; name the columns in the options
        """)
    #expect(refusal("").hasPrefix("invalidInput: FILE is empty;"))
  }

  @Test func `bad records are refused by the line where they start`() {
    let header = "case,activity,resource,time\n"
    #expect(
      refusal(header + "1,a,Pete,0\n1,a,Pete,soon\n") == """
        invalidInput: FILE line 3: `soon` is not a time; write it as 2011-10-01T00:38:44.546+02:00, as \
        2011-10-01 00:38:44, or in seconds since 1970
        """)
    #expect(
      refusal(header + "1,\"a\nb\",Pete\n") == """
        invalidInput: FILE line 2: the record has 3 fields, the header 4; \
        quote fields that hold the delimiter or a line end
        """)
    #expect(refusal(header + "1,,Pete,0").contains("line 2: the activity is empty;"))
    #expect(refusal(header + "\n1,\"a,Pete,0\n").contains("line 3: a quoted field is never closed;"))
    #expect(refusal(header + "1,\"a\"b,Pete,0\n").contains("line 2: text follows a closing quote;"))
    #expect(refusal(header + "1,a\"b\",Pete,0\n").contains("line 2: a quote stands in an unquoted field;"))
    #expect(refusal(header + "1,a\rb,Pete,0\n").contains("line 2: a carriage return stands alone;"))
    let limits = InputLimits(maximumLineByteCount: 100)
    #expect(
      refusal(header + "1,\"" + String(repeating: "x\n", count: 100), .init(format: .csv, limits: limits))
        == """
        tooLarge: FILE line 2: the record is longer than 100 bytes; \
        look for a quote that is never closed, or raise maximumLineByteCount
        """)
  }

  @Test func `a table that is not UTF-8 is refused by its line`() throws {
    let path = try scratch.file(
      "latin.csv", Array("case,activity,resource,time\n1,a,".utf8) + [0xe9] + Array(",0\n".utf8))
    #expect(
      errorText { try RecordedEvents.read(path: path) { _ in } }.contains(
        "line 2: the record is not UTF-8; convert the file to UTF-8"))
  }
}

struct CloudEventsReaderTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private let whole = [
    "specversion": "\"1.0\"", "id": "\"e1\"", "source": "\"Pete\"", "type": "\"check\"",
    "subject": "\"7\"", "time": "\"1970-01-01T01:00:01.5+01:00\"", "group": "\"clerk\"",
    "data": "{\"source\": [1]}",
  ]

  private func line(_ changes: [String: String] = [:], without absent: String? = nil) -> String {
    var attributes = whole
    for (name, value) in changes { attributes[name] = value }
    if let absent { attributes[absent] = nil }
    return "{" + attributes.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}"
  }

  private func events(
    _ text: String, format: RecordedEvents.Format? = .cloudEvents
  ) throws -> [RecordedEvent] {
    var all: [RecordedEvent] = []
    let path = try scratch.file("events.jsonl", text)
    try RecordedEvents.read(path: path, options: .init(format: format)) { all.append($0) }
    return all
  }

  private func refusal(_ text: String) -> String {
    errorText { _ = try events(text) }
      .replacingOccurrences(of: scratch.path("events.jsonl"), with: "FILE")
  }

  @Test func `a line is an event, blank lines are not`() throws {
    let event = RecordedEvent(
      caseID: "7", activity: "check", resource: "Pete", group: "clerk", time: 1_500_000)
    var lone = event
    lone.group = nil
    lone.resource = nil
    let text = line() + "\r\n\n  \n" + line(["source": "\"UNKNOWN\""], without: "group")
    #expect(try events(text, format: nil) == [event, lone])
  }

  @Test(arguments: ["specversion", "id", "source", "type"])
  func `a required attribute that is missing or empty is refused by its line`(_ name: String) {
    let remedy = "CloudEvents 1.0 requires specversion, id, source and type"
    for absent in [line(without: name), line([name: "null"])] {
      #expect(
        refusal(line() + "\n\n" + absent)
          == "invalidInput: FILE line 3: `\(name)` is missing; \(remedy)")
    }
    #expect(refusal(line([name: "\"\""])) == "invalidInput: FILE line 1: `\(name)` is empty; \(remedy)")
    #expect(refusal(line([name: "1"])).contains("line 1: `\(name)` is not a string;"))
  }

  @Test func `case, time and version are refused when a recording cannot use them`() {
    #expect(
      refusal(line(without: "subject")) == """
        invalidInput: FILE line 1: `subject` is missing; give each event its case as subject
        """)
    #expect(
      refusal(line(without: "time")) == """
        invalidInput: FILE line 1: `time` is missing; \
        give each event its time, such as 2011-10-01T00:38:44Z
        """)
    #expect(
      refusal(line() + "\n" + line(["time": "\"1970-01-01T01:00:01\""])) == """
        invalidInput: FILE line 2: `1970-01-01T01:00:01` is not a time; \
        write it as RFC 3339 asks: 2011-10-01T00:38:44+02:00
        """)
    #expect(
      refusal(line(["specversion": "\"0.3\""]))
        == "invalidInput: FILE line 1: `specversion` is 0.3; convert the event to CloudEvents 1.0")
  }

  @Test func `a line that is not a JSON object is refused`() {
    let remedy = "write one JSON object a line, as CloudEvents 1.0 asks"
    #expect(
      refusal(line() + "\n{\"id\": ") == "invalidInput: FILE line 2: the line is not valid JSON; \(remedy)")
    #expect(refusal("[1]") == "invalidInput: FILE line 1: the line is not a JSON object; \(remedy)")
    #expect(refusal(String(repeating: "[", count: 100_000)).contains("line 1: the line is not"))
  }
}

struct FormatTests {
  @Test func `the format is told by the content, and a named format wins`() throws {
    let scratch = try Scratch()
    let table = "case,activity,resource,time\n1,a,Pete,0\n"
    #expect(try RecordedEvents.read(path: scratch.file("a.xes", table)) { _ in } == .csv)
    #expect(try RecordedEvents.read(path: scratch.file("b.csv", gzipped("<log/>"))) { _ in } == .xes)
    let path = try scratch.file("c", table)
    #expect(
      errorText { try RecordedEvents.read(path: path, options: .init(format: .cloudEvents)) { _ in } }
        .contains("line 1: the line is not valid JSON"))
  }

  @Test(arguments: ["1 2 3\n4 5 6\n", "<html></html>", "{\"a\": 1}", "   \n", "a\u{0}b,c\n", "plain words"])
  func `an unknown format is one error that says what is supported`(_ text: String) throws {
    let scratch = try Scratch()
    let path = try scratch.file("unknown", text)
    #expect(
      errorText { try RecordedEvents.read(path: path) { _ in } } == """
        invalidInput: the format of \(path) is not recognised; give XES, CSV with a header line, or \
        CloudEvents 1.0 as JSON lines, each plain or gzip, or name the format
        """)
  }

  @Test func `an empty file and UTF-16 are named as such`() throws {
    let scratch = try Scratch()
    let empty = try scratch.file("empty", "")
    #expect(
      errorText { try RecordedEvents.read(path: empty) { _ in } }
        == "invalidInput: \(empty) is empty; give a file with recorded events")
    let wide = try scratch.file("wide", [0xff, 0xfe, 0x3c, 0x00])
    #expect(
      errorText { try RecordedEvents.read(path: wide) { _ in } }
        == "invalidInput: \(wide) is in UTF-16; convert it to UTF-8, for example with iconv")
  }
}
