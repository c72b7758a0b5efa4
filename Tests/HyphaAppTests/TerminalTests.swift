import Foundation
import Testing

extension Processes {
  /// What an operator sees at a real terminal, and what a pipe gets instead.
  @Suite struct TerminalTests {
    private static let escape = "\u{1B}["

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `the display is drawn in place, Ctrl-C ends it, and the cursor comes back`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
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
      let file = try scratch.file("topology.yaml", Deployments.endless)
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
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let terminal = try PseudoTerminal(
        ["run", file, "--data", scratch("data")], in: scratch, environment: ["NO_COLOR": "1"])
      #expect(await becomesTrue { terminal.text().contains("endless") })
      terminal.type("\u{03}")
      #expect(await terminal.end() == 130)
      #expect(!terminal.text().contains("\(Self.escape)1m") && !terminal.text().contains("\(Self.escape)32m"))
      #expect(terminal.text().contains("\(Self.escape)?25h"))
    }

    @Test(
      .enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"), arguments: ["top", "replay"])
    func `after Ctrl-Z and fg the keys are taken as before, and all is drawn anew`(_ command: String)
      async throws
    {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 20)
      let more = command == "top" ? [] : ["--rate", "step"]
      let terminal = try PseudoTerminal(
        (command == "top" ? [command, logs.data] : [command, "--data", logs.data]) + more, in: scratch)
      let mark = "q quit"
      #expect(await becomesTrue { terminal.text().contains(mark) && terminal.isRaw })
      let before = terminal.text().count
      terminal.takeBack()
      #expect(await becomesTrue { terminal.isRaw })
      #expect(await becomesTrue { terminal.text().dropFirst(before).contains("\(Self.escape)?25l") })
      #expect(await becomesTrue { terminal.text().dropFirst(before).contains(mark) })
      terminal.type("q")
      #expect(await terminal.end() == 0)
      #expect(!terminal.isRaw)
    }

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `top is drawn in place, sorted by keys, paused, and gives the terminal back`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 20)
      let terminal = try PseudoTerminal(["top", logs.data, "--every", "200ms"], in: scratch)
      func screens() -> Int { terminal.text().ranges(of: "\(Self.escape)H").count }
      #expect(await becomesTrue { terminal.text().contains("q quit") && screens() > 3 })
      let sorted = terminal.text()
      terminal.type("\(Self.escape)C")
      // The name of the column that sorts is marked.
      #expect(await becomesTrue { terminal.text().dropFirst(sorted.count).contains("q quit") })
      terminal.type("r")
      terminal.type("p")
      #expect(await becomesTrue { terminal.text().dropFirst(sorted.count).contains("paused") })
      let paused = screens()
      try await Task.sleep(for: .milliseconds(700), clock: .suspending)
      #expect(screens() == paused, "nothing is drawn while it is paused")
      terminal.type("p")
      #expect(await becomesTrue { screens() > paused + 2 })
      terminal.type("q")
      #expect(await terminal.end() == 0)
      let text = terminal.text()
      #expect(text.contains("\(Self.escape)?1049h") && text.contains("\(Self.escape)?1049l"))
      #expect(text.contains("looked ") && !terminal.isRaw)
    }

    @Test func `a pipe gets plain lines, a running one every two seconds`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
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
