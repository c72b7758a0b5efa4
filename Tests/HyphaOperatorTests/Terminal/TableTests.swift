import Foundation
import HyphaOperator
import Testing

@Suite struct TableTests {
  private var sample: Table {
    var table = Table([
      .init("subject"), .init("events"), .init("p99", key: "p99Seconds"), .init("size", key: "sizeBytes"),
      .init("live"),
    ])
    table.add([
      .string("incident.opened"), .integer(51_712), .duration(.microseconds(1234)), .bytes(3_565_158),
      .bool(true),
    ])
    table.add([.string("日本語"), .integer(7), .none, .bytes(512), .bool(false)])
    return table
  }

  @Test func `numbers stand on the right and text on the left`() {
    #expect(
      sample.lines() == [
        "subject          events     p99     size  live",
        "incident.opened  51,712  1.2 ms  3.4 MiB  yes",
        "日本語                7       –    512 B  no",
      ])
  }

  @Test func `on a narrow terminal the widest text gives way`() throws {
    let output = Output.captured()
    try sample.write(
      to: output, terminal: Terminal(isOutputTTY: true, environment: ["NO_COLOR": "1", "COLUMNS": "40"]))
    #expect(
      output.text == """
        subject    events     p99     size  live
        incident…  51,712  1.2 ms  3.4 MiB  yes
        日本語          7       –    512 B  no

        """)
  }

  @Test func `without a terminal nothing is cut`() throws {
    let output = Output.captured()
    try sample.write(to: output, terminal: Terminal(isOutputTTY: false, environment: ["COLUMNS": "20"]))
    #expect(output.text.contains("incident.opened"))
  }

  @Test func `the same rows are JSON without units`() throws {
    let output = Output.captured()
    try sample.write(as: .jsonLines, to: output)
    #expect(
      output.text == """
        {"subject":"incident.opened","events":51712,"p99Seconds":0.001234,"sizeBytes":3565158,"live":true}
        {"subject":"日本語","events":7,"p99Seconds":null,"sizeBytes":512,"live":false}

        """)
  }

  @Test func `the array form is one JSON document`() throws {
    let output = Output.captured()
    try sample.write(as: .json, to: output)
    let decoded = try JSONSerialization.jsonObject(with: Data(output.text.utf8))
    #expect((decoded as? [[String: Any]])?.count == 2)
    let empty = Output.captured()
    try Table([.init("a")]).write(as: .json, to: empty)
    #expect(empty.text == "[]\n")
  }

  @Test func `strings survive JSON whatever they hold`() throws {
    let text = "a \"quote\" \\ \u{1}\n\t\u{7F}\u{85} é 🐛"
    let json = Table([.init("map size")]).jsonObject([.string(text)])
    let decoded = try JSONSerialization.jsonObject(with: Data(json.utf8))
    #expect((decoded as? [String: String]) == ["mapSize": text])
  }

  @Test func `data cannot steer the terminal, and paint does not count as width`() {
    var table = Table([.init("name"), .init("next")])
    table.add([.string("\u{1B}[2J"), .string("x", .red)])
    let lines = table.lines(style: Style(isColored: true))
    #expect(lines[1] == "␛[2J  \u{1B}[31mx\u{1B}[0m")
    #expect(table.lines()[1] == "␛[2J  x")
  }

  @Test func `numbers that JSON lacks become null`() {
    #expect(
      Table([.init("x"), .init("y")]).jsonObject([.double(.nan), .rate(.infinity)]) == #"{"x":null,"y":null}"#
    )
  }
}
