import Foundation
import Testing

extension Processes {
  /// What an operator sees at a real terminal, and what a pipe gets instead.
  @Suite struct TerminalTests {
    private static let escape = "\u{1B}["

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `the display is drawn in place, Ctrl-C ends it, and the cursor comes back`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", StoppingTests.endless)
      let terminal = try PseudoTerminal(["run", file, "--data", scratch("data")], in: scratch)
      #expect(await becomesTrue { terminal.text().contains("up\u{1B}[0m") })
      terminal.type("\u{03}")
      #expect(await terminal.end() == 130)
      let text = terminal.text()
      #expect(text.contains("\(Self.escape)?25l"), "the cursor is hidden while the display lives")
      // The block is redrawn from its first line.
      #expect(text.firstRange(of: "\r\(Self.escape)") != nil && text.contains("A\(Self.escape)1mendless"))
      let shown = try #require(text.range(of: "\(Self.escape)?25h"))
      #expect(!text[shown.upperBound...].contains("\(Self.escape)?25l"))
      #expect(text[shown.upperBound...].contains("stopped before its end"))
      scratch.expectNothingLeft()
    }

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `a run that fails at a terminal shows the cursor and the reason`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", StoppingTests.endless)
      _ = try scratch.file("data", "a file where the directory should be")
      let terminal = try PseudoTerminal(["run", file, "--data", scratch("data")], in: scratch)
      #expect(await terminal.end() == 1)
      let text = terminal.text()
      #expect(text.contains("] "), "the node's own words: \(text)")
      #expect(text.contains("could not start"))
      let hidden = text.ranges(of: "\(Self.escape)?25l").count
      #expect(text.ranges(of: "\(Self.escape)?25h").count == hidden)
      scratch.expectNothingLeft()
    }

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `NO_COLOR takes the colours away and leaves the drawing`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", StoppingTests.endless)
      let terminal = try PseudoTerminal(
        ["run", file, "--data", scratch("data")], in: scratch, environment: ["NO_COLOR": "1"])
      #expect(await becomesTrue { terminal.text().contains("endless") })
      terminal.type("\u{03}")
      #expect(await terminal.end() == 130)
      #expect(!terminal.text().contains("\(Self.escape)1m") && !terminal.text().contains("\(Self.escape)32m"))
      #expect(terminal.text().contains("\(Self.escape)?25h"))
    }

    @Test func `a pipe gets plain lines, a running one every two seconds`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", StoppingTests.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.ranges(of: "2/2 nodes").count > 1 })
      run.signal(SIGINT)
      let result = await run.end()
      #expect(!result.output.contains("\u{1B}") && !result.errors.contains("\u{1B}"))
      let lines = result.lines.filter { $0.contains("/2 nodes  ") }
      for line in lines {
        #expect(line.contains("persistent") && line.contains("delivered") && line.contains("workers done"))
      }
      let seconds = try lines.map { line in
        let clock = try line.prefix { $0 != " " }.split(separator: ":").map { try #require(Int($0)) }
        return clock[0] * 60 + clock[1]
      }
      #expect(zip(seconds, seconds.dropFirst()).allSatisfy { $1 - $0 >= 2 }, "\(result.output)")
    }
  }
}
