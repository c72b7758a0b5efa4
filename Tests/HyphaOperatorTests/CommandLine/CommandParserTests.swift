import Testing

@testable import HyphaOperator

@Suite struct CommandParserTests {
  private func cat(_ words: String...) throws -> LogCat {
    guard
      case .run(let command as LogCat, _) = try CommandParser(tree: CommandTree(Sample.self)).parse(
        ["log", "cat"] + words)
    else { throw ExitStatus.failure }
    return command
  }

  @Test func `properties without words on the command line keep their defaults`() throws {
    let command = try cat("data")
    #expect(command.path == "data")
    #expect(command.subject == nil)
    #expect(command.format == .table)
    #expect(command.types == [])
    #expect(command.maximumCount == -1)
    #expect(command.wait == .milliseconds(250))
    #expect(command.verify)
    #expect(command.others == [])
  }

  @Test(arguments: [
    ["--subject", "a.b"], ["--subject=a.b"], ["-s", "a.b"], ["-sa.b"], ["-s=a.b"], ["-fsa.b"],
  ])
  func `an option's value may follow in any customary form`(words: [String]) throws {
    guard
      case .run(let command as LogCat, _) = try CommandParser(tree: CommandTree(Sample.self)).parse(
        ["log", "cat", "data"] + words)
    else { throw ExitStatus.failure }
    #expect(command.subject?.text == "a.b")
  }

  @Test func `a repeated option collects its values and a single one keeps the last`() throws {
    let command = try cat("data", "--types", "a", "--format", "json", "--types=b", "--format", "table")
    #expect(command.types == ["a", "b"])
    #expect(command.format == .table)
  }

  @Test func `short flags combine`() throws {
    let command = try cat("-jf", "data")
    #expect(command.json)
    #expect(command.follow)
  }

  @Test func `an inverted flag turns off`() throws {
    #expect(try !cat("data", "--no-verify").verify)
    #expect(try cat("data", "--no-verify", "--verify").verify)
  }

  @Test func `words after two dashes are no options`() throws {
    let command = try cat("--json", "--", "--path", "-x", "--")
    #expect(command.path == "--path")
    #expect(command.others == ["-x", "--"])
  }

  @Test func `options may stand between arguments`() throws {
    let command = try cat("a", "--json", "b", "-n", "3", "c")
    #expect(command.path == "a")
    #expect(command.others == ["b", "c"])
    #expect(command.maximumCount == 3)
  }

  @Test func `a negative number is a value`() throws {
    #expect(try cat("data", "--limit", "-5").maximumCount == -5)
    #expect(try cat("data", "-n-5").maximumCount == -5)
    #expect(try cat("data", "-7").others == ["-7"])
  }

  @Test func `a lone dash is an argument and an empty value is a value`() throws {
    #expect(try cat("-").path == "-")
    #expect(try cat("data", "--output-file=").outputFile == "")
    #expect(try cat("data", "--output-file", "").outputFile == "")
  }

  @Test func `a group's options belong to the command`() async {
    #expect(await run("log", "info", "--data", "d") == Outcome(status: 0, output: "data d, map 1073741824\n"))
  }

  @Test func `assigning to a copy leaves the original alone`() throws {
    let original = try cat("data")
    var copy = original
    copy.path = "elsewhere"
    #expect(original.path == "data")
    #expect(copy.path == "elsewhere")
  }

  @Test(arguments: [
    ("path", "path"), ("mapSize", "map-size"), ("useHTTP2", "use-http2"), ("snake_case", "snake-case"),
    ("maxEventsPerSecond", "max-events-per-second"),
  ])
  func `property names become kebab case`(property: String, option: String) {
    #expect(kebabCase(property) == option)
  }
}

@Suite struct ArgumentValueTests {
  @Test func `durations have units and may be composed`() {
    #expect(Duration(argument: "250ms") == .milliseconds(250))
    #expect(Duration(argument: "3s") == .seconds(3))
    #expect(Duration(argument: "1.5s") == .milliseconds(1500))
    #expect(Duration(argument: "2m") == .seconds(120))
    #expect(Duration(argument: "1h30m") == .seconds(5400))
    #expect(Duration(argument: "10us") == .microseconds(10))
    #expect(Duration(argument: "0") == .zero)
    for wrong in ["", "3", "s", "3 s", "-3s", "3x", "1h-2m", "99999999d"] {
      #expect(Duration(argument: wrong) == nil, "\(wrong)")
    }
  }

  @Test(arguments: ["250ms", "3s", "90s", "2m", "1h", "1d", "15us", "7ns", "0s"])
  func `a duration's text reads back`(text: String) throws {
    let value = try #require(Duration(argument: text))
    #expect(value.argumentText == text)
  }

  @Test func `sizes have binary and decimal units`() {
    #expect(ByteSize(argument: "64MiB") == .mebibytes(64))
    #expect(ByteSize(argument: "2gib") == .gibibytes(2))
    #expect(ByteSize(argument: "1.5KiB") == 1536)
    #expect(ByteSize(argument: "3MB") == 3_000_000)
    #expect(ByteSize(argument: "512") == 512)
    #expect(ByteSize(argument: "64M") == nil)
    #expect(ByteSize(argument: "-1") == nil)
    #expect(ByteSize.mebibytes(64).argumentText == "64MiB")
    #expect(ByteSize(1000).argumentText == "1000B")
  }

  @Test func `numbers are refused when they are out of range or something else`() {
    #expect(Int(argument: "51_712") == 51_712)
    #expect(Int(argument: "+4") == 4)
    #expect(UInt64(argument: "-1") == nil)
    #expect(UInt16(argument: "65536") == nil)
    #expect(Double(argument: "nan") == nil)
    #expect(Double(argument: "-0.5") == -0.5)
    #expect(Bool(argument: "yes") == nil)
  }

  @Test func `enums list their cases`() {
    #expect(Format.allowedArguments == ["table", "json", "json-lines"])
    #expect(Format(argument: "json-lines") == .jsonLines)
  }
}

@Suite struct SuggestionTests {
  @Test(arguments: [
    ("--subjct", "--subject"), ("--sbuject", "--subject"), ("--form", "--format"), ("--zzz", nil),
    ("--x", nil),
  ])
  func `the nearest name is suggested, and none when nothing is near`(word: String, nearest: String?) {
    #expect(nearestWord(to: word, among: ["--subject", "--format", "--json"]) == nearest)
  }

  @Test func `swapping neighbours is one mistake`() {
    #expect(editDistance("abcd", "abdc") == 1)
    #expect(editDistance("", "abc") == 3)
    #expect(editDistance("kitten", "sitting") == 3)
  }
}
