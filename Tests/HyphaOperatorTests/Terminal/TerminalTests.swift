import Testing

@testable import HyphaOperator

@Suite struct TerminalTests {
  private func colored(tty: Bool = true, _ environment: [String: String]) -> Bool {
    Terminal(isOutputTTY: tty, environment: environment).allowsColor(on: .standardOutput)
  }

  @Test func `colour follows the terminal and the customary variables`() {
    #expect(colored(["TERM": "xterm"]))
    #expect(!colored(tty: false, ["TERM": "xterm"]))
    #expect(!colored(["TERM": "dumb"]))
    #expect(!colored(["TERM": "xterm", "NO_COLOR": "1"]))
    #expect(colored(["TERM": "xterm", "NO_COLOR": ""]))
    #expect(colored(tty: false, ["CLICOLOR_FORCE": "1"]))
    #expect(!colored(tty: false, ["CLICOLOR_FORCE": "0"]))
    #expect(!colored(tty: false, ["CLICOLOR_FORCE": "1", "NO_COLOR": "1"]))
  }

  @Test func `each stream is judged by itself`() {
    let terminal = Terminal(isOutputTTY: false, isErrorTTY: true)
    #expect(!terminal.style().isColored)
    #expect(terminal.style(for: .standardError).isColored)
  }

  @Test func `a style without colour returns the text itself`() {
    #expect(Style.plain.red("text") == "text")
    #expect(Style(isColored: true).red("text") == "\u{1B}[31mtext\u{1B}[0m")
    #expect(Style(isColored: true).bold("") == "")
  }

  @Test func `the width is the kernel's, else that of COLUMNS, else 80`() {
    #expect(Terminal(isOutputTTY: true, environment: ["COLUMNS": "100"]) { (132, 50) }.width == 132)
    #expect(Terminal(isOutputTTY: false, environment: ["COLUMNS": "100"]).width == 100)
    #expect(Terminal(isOutputTTY: false, environment: ["COLUMNS": "wide"]).width == 80)
    #expect(Terminal(isOutputTTY: false).height == 24)
  }
}

@Suite struct DisplayWidthTests {
  @Test(arguments: [
    ("plain", 5), ("naïve", 5), ("e\u{301}a", 2), ("日本語", 6), ("한글", 4), ("🐛 bug", 6), ("👩‍🔬", 2), ("→ –…", 4),
    ("\u{1B}[31mred\u{1B}[0m", 3), ("❤\u{FE0F}", 2), ("", 0),
  ])
  func `columns are counted, not characters`(text: String, width: Int) {
    #expect(displayWidth(text) == width)
  }

  @Test func `cutting keeps to the width and closes styles`() {
    #expect(truncated("incident", to: 8) == "incident")
    #expect(truncated("incident", to: 5) == "inci…")
    #expect(truncated("日本語", to: 5) == "日本…")
    #expect(truncated("日本語", to: 4) == "日…")
    #expect(truncated("\u{1B}[31mincident\u{1B}[0m", to: 3) == "\u{1B}[31min…\u{1B}[0m")
    #expect(truncated("incident", to: 0) == "")
  }

  @Test func `control characters become pictures`() {
    #expect(printable("a\u{1B}[2Jb\nc\u{7F}") == "a␛[2Jb␊c␡")
  }
}

@Suite struct HumanTests {
  @Test func `counts have separators`() {
    #expect(
      [0, 999, 1000, 51_712, -1_234_567].map { Human.count($0) } == [
        "0", "999", "1,000", "51,712", "-1,234,567",
      ])
    #expect(Human.count(Int.min) == "-9,223,372,036,854,775,808")
  }

  @Test(arguments: [
    (Duration.zero, "0 s"), (.nanoseconds(850), "850 ns"), (.nanoseconds(1500), "1.5 µs"),
    (.microseconds(350), "350 µs"), (.microseconds(1234), "1.2 ms"), (.milliseconds(64), "64 ms"),
    (.microseconds(999_960), "1.0 s"), (.milliseconds(3400), "3.4 s"), (.seconds(125), "2 m 05 s"),
    (.milliseconds(59_990), "1 m 00 s"), (.seconds(5400), "1 h 30 m"), (.seconds(273_600), "3 d 4 h"),
    (.milliseconds(-250), "-250 ms"),
  ])
  func `durations choose their unit`(value: Duration, text: String) {
    #expect(Human.duration(value) == text)
  }

  @Test(arguments: [
    (0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (3_565_158, "3.4 MiB"), (64 << 20, "64 MiB"),
    ((1 << 20) - 1, "1.0 MiB"), (1 << 40, "1 TiB"), (-2048, "-2 KiB"),
  ])
  func `sizes choose their unit`(count: Int, text: String) {
    #expect(Human.bytes(count) == text)
  }

  @Test func `rates and decimals`() {
    #expect(Human.rate(840) == "840 /s")
    #expect(Human.rate(12_300) == "12.3 k/s")
    #expect(Human.rate(1_500_000) == "1.5 M/s")
    #expect(Human.rate(0.05) == "0.1 /s" && Human.rate(0.025) == "90 /h" && Human.rate(0) == "0 /s")
    #expect(Human.rate(1.7 / 86_400) == "1.7 /d")
    #expect(Human.rate(.nan) == "–")
    #expect(Human.decimal(1204.5, digits: 2) == "1,204.50")
    #expect(Human.decimal(-0.04, digits: 1) == "0.0")
    #expect(Human.decimal(0.05, digits: 2) == "0.05")
  }
}
