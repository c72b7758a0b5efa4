import Foundation
import Testing

extension Processes {
  /// `hypha topology watch`: what happens to a running deployment, from another process.
  @Suite struct TopologyWatchTests {
    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `links come with their reasons, as lines in a pipe and in place on a terminal`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", RewireProcessTests.topology(count: 100_000))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/hq/log/data.mdb")) })
      let places = [file, "--data", scratch("data")]
      let watch = try scratch.start("topology", "watch", file, "--data", scratch("data"))
      let reason = "+ g1 ↔ r1  the traffic had earned it: "
      #expect(await becomesTrue { watch.output.contains(reason) }, "\(watch.output) \(watch.errors)")
      #expect(await becomesTrue { watch.output.contains(" events observed, ") })
      let terminal = try PseudoTerminal(["topology", "watch"] + places, in: scratch)
      #expect(await becomesTrue { terminal.text().contains("g1 ↔ r1") })
      #expect(await becomesTrue { terminal.text().contains("q quit") })
      #expect(
        try await scratch.hypha(["topology", "retire"] + places + ["g1", "r1", "--by", "ana"]).status == 0)
      let retired = "− g1 ↔ r1  retire g1 ↔ r1\n"
      #expect(await becomesTrue { watch.output.contains(retired) }, "\(watch.output)")
      #expect(await becomesTrue { terminal.text().contains("ana asks: retire g1 ↔ r1") })
      terminal.type("q")
      #expect(await terminal.end() == 0)
      #expect(terminal.text().contains("\u{1B}[?25h"), "the cursor comes back")
      watch.signal(SIGINT)
      #expect(await watch.end().status == 130)
      #expect(!watch.output.contains("\u{1B}"), "a pipe gets plain lines")
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      scratch.expectNothingLeft()
    }
  }
}
