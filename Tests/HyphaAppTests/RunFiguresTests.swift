import Foundation
import HyphaCore
import Testing

extension Processes {
  /// What `hypha run` says of a deployment while it runs, whatever its nodes do.
  @Suite struct RunFiguresTests {
    /// A feeder on node `a`, and on node `b` an agent that prints each of its 40 jobs and never has done its work.
    static let topology = """
      hypha: 1
      name: talk
      nodes: {a: {}, b: {}}
      agents:
        boss: {kind: supervisor, node: a}
        feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: 40, burst: 4}}
        talker: {kind: talker, node: b, reports-to: boss, subscribes: [test.Job]}
      """

    private func start(_ scratch: Scratch, _ options: String...) throws -> Hypha {
      let file = try scratch.file("talk.yaml", Self.topology)
      return try Hypha(
        ["run", file, "--data", scratch("data")] + options, in: scratch, program: Places.testApp)
    }

    private func delivered(_ line: String) -> Int? {
      line.firstMatch(of: /persistent ([0-9]+) delivered/).flatMap { Int($0.1) }
    }

    @Test func `a node that is away when the run is stopped counts with what it had done`() async throws {
      let scratch = try Scratch()
      let run = try start(scratch)
      #expect(await becomesTrue { run.output.contains("persistent 40 delivered") })
      for name in ["a", "b"] { kill(try #require(run.node(name)), SIGKILL) }
      #expect(
        await becomesTrue {
          ["a", "b"].allSatisfy { run.errors.contains("node '\($0)' was killed by signal 9") }
        })
      run.signal(SIGINT)
      let result = await run.end()
      #expect(result.status == 130, "\(result)")
      let row = try #require(result.lines.first { $0.hasPrefix("persistent ") }, "\(result)")
      #expect(row.split(separator: " ").prefix(4) == ["persistent", "40", "40", "40"], "\(row)")
    }

    @Test func `what is shown of a run never goes back where a node does`() async throws {
      let scratch = try Scratch()
      let run = try start(scratch)
      #expect(await becomesTrue { run.output.contains("persistent 40 delivered") })
      let before = run.output.split(separator: "\n").count
      kill(try #require(run.node("b")), SIGKILL)
      #expect(await becomesTrue { run.output.split(separator: "\n").count >= before + 3 })
      run.signal(SIGINT)
      let result = await run.end()
      let shown = result.lines.compactMap(delivered)
      #expect(shown.count >= 4 && shown == shown.sorted() && shown.last == 40, "\(result)")
      scratch.expectNothingLeft()
    }
  }
}
