import HyphaCore
import Testing

@testable import HyphaOperator

/// How many of something: a number that cannot be meant is refused before anything is done.
@Suite struct CountArgumentTests {
  @Test func `a count is a whole number that is large enough`() {
    #expect(AtLeast<0>(argument: "0")?.value == 0 && AtLeast<1>(argument: "10_000")?.value == 10_000)
    for text in ["-1", "-0x", "", "1.5", "many", "9223372036854775808"] {
      #expect(AtLeast<0>(argument: text) == nil, "\(text)")
    }
    #expect(AtLeast<1>(argument: "0") == nil && AtLeast<7>(argument: "6") == nil)
    let standard: AtLeast<1> = 12
    #expect(standard.argumentText == "12")
  }

  @Test(arguments: [
    (["replay", "--limit", "-5"], 0), (["replay", "--count", "--limit=-5"], 0),
    (["log", "cat", "data", "--limit", "-1"], 0), (["log", "stats", "data", "--top", "-1"], 1),
    (["log", "stats", "data", "--top", "0"], 1), (["watch", "--limit", "-2"], 0),
    (["rerun", "t.yaml", "--limit", "-1"], 0), (["trace", Self.id, "--limit", "0"], 1),
    (["trace", Self.id, "--limit", "-3"], 1), (["topology", "history", "t.yaml", "--limit", "0"], 1),
  ])
  func `no command takes a count that it can do nothing with`(words: [String], least: Int) throws {
    let parser = CommandParser(tree: CommandTree(RootCommand.self))
    let option = words.first { $0.hasPrefix("--limit") || $0.hasPrefix("--top") }?.prefix { $0 != "=" } ?? ""
    do {
      _ = try parser.parse(words)
      Issue.record("\(words) was taken")
    } catch {
      #expect(error.problem.hasSuffix("is not a value for \(option)"))
      #expect(error.remedy.hasPrefix("give a whole number, \(least) or more"), "\(error.remedy)")
    }
  }

  private static let id = "01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d"

  @Test(arguments: [
    (["replay", "--from", "sequence:9", "--to", "sequence:3"], "sequence 9 lies behind sequence 3"),
    (["export", "--format", "csv", "--from", "sequence:9", "--to", "sequence:3"], "lies behind"),
    (["replay", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "is later than"),
  ])
  func `no command takes a range that goes backward`(words: [String], problem: String) throws {
    let parser = CommandParser(tree: CommandTree(RootCommand.self))
    guard case .run(var command, _) = try parser.parse(words) else { throw ExitStatus.failure }
    do {
      try command.validate()
      Issue.record("\(words) was taken")
    } catch let error as HyphaError {
      #expect(error.code == .usage && error.problem.contains(problem), "\(error)")
      #expect(error.remedy == "let the range go forward")
    }
  }
}
