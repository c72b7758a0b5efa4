import Testing

@testable import HyphaOperator

@Suite struct LineIntakeTests {
  @Test func `lines are whole, however the bytes come`() {
    let text = "one\n\ntwo äöü\r\nthree"
    for size in 1...text.utf8.count {
      var intake = LineIntake()
      var (lines, rest) = ([String](), Array(text.utf8)[...])
      while !rest.isEmpty {
        intake.take(rest.prefix(size))
        rest = rest.dropFirst(size)
        lines += intake.takeLines()
      }
      #expect(lines == ["one", "two äöü\\u{D}"])
      intake.end()
      intake.end()
      #expect(intake.takeLines() == ["three"] && intake.takeLines().isEmpty)
    }
  }

  @Test func `what would steer the terminal is spelt out`() {
    var intake = LineIntake()
    intake.take(Array("a\tb \u{1B}[2J\n".utf8))
    #expect(intake.takeLines() == ["a  b \\u{1B}[2J"])
  }

  @Test func `a line without an end is cut, and nothing of it is lost`() {
    var intake = LineIntake()
    intake.take(repeatElement(UInt8(ascii: "x"), count: LineIntake.lineByteCountMax * 2 + 3))
    #expect(intake.takeLines().map(\.count) == [LineIntake.lineByteCountMax, LineIntake.lineByteCountMax])
    intake.end()
    #expect(intake.takeLines() == ["xxx"])
  }

  @Test func `of too many lines the newest stay, and how many are gone is told`() {
    var intake = LineIntake()
    let count = LineIntake.lineCountMax * 3 + 7
    for number in 0..<count { intake.take(Array("\(number)\n".utf8)) }
    let lines = intake.takeLines()
    #expect(lines.count == LineIntake.lineCountMax + 1 && lines.last == "\(count - 1)")
    #expect(
      lines[0] == "… \(count - LineIntake.lineCountMax) lines before these were dropped: they came too fast")
    #expect(intake.takeLines().isEmpty)
  }
}
