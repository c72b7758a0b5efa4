import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime
import Testing

extension Commands {
  /// `hypha dead-letters` and `hypha agents explain`, on a deployment that ends and on one that runs.
  @Suite struct DeadLettersCommandTests {
    private struct Letter: Decodable {
      var event, type, agent, error, from, node: String
      var attempts, position: Int
    }

    private func letters(_ jobs: JobRun) async throws -> [Letter] {
      let result = try await jobs.app("dead-letters", "list", jobs.data, "--json")
      #expect(result.status == 0 && result.errors == "", "\(result)")
      return try JSONDecoder().decode([Letter].self, from: Data(result.output.utf8))
    }

    @Test func `dead letters are listed, inspected, requeued and discarded`() async throws {
      let scratch = try Scratch()
      let jobs = try JobRun(in: scratch)
      let first = await (try jobs.start()).end()
      #expect(first.status == 0, "\(first.errors)")
      let found = try await letters(jobs)
      #expect(found.count == JobRun.numbers.count(where: JobRun.isHopeless))
      #expect(
        found.allSatisfy {
          $0.type == "test.Job" && $0.agent == "worker" && $0.from == "feeder" && $0.node == "b"
        })
      #expect(found.allSatisfy { $0.attempts == 1 && $0.error == "Impossible()" })
      let id = found[0].event
      let shown = try await jobs.app("dead-letters", "inspect", jobs.data, id)
      #expect(shown.status == 0 && shown.output.contains("payload   {\"number\":10}\n"), "\(shown)")
      #expect(shown.output.contains("attempt 1 at ") && shown.output.contains(": Impossible()\n"))
      let idle = try await jobs.app("dead-letters", "requeue", jobs.data, id)
      #expect(idle.status == 1 && idle.errors.contains("does not run; start the deployment"), "\(idle)")

      // Something that goes on for as long as it takes.
      let long = try scratch.file(
        "long.yaml",
        String(contentsOfFile: jobs.file, encoding: .utf8).replacing("count: 40", with: "count: 400000"))
      let run = try Hypha(["run", long, "--data", jobs.data], in: scratch, program: Places.testApp)
      #expect(await becomesTrue { run.nodes().count == 2 })
      var requeued: Hypha.Result?
      #expect(
        try await becomesTrue {
          requeued = try await jobs.app(
            "dead-letters", "requeue", jobs.data, id, "--by", "ana", "--note", "again")
          return requeued?.status == 0
        }, "\(String(describing: requeued))")
      #expect(requeued?.output == "\(id): test.Job is given to worker\n")
      let discarded = try await jobs.app("dead-letters", "discard", jobs.data, found[1].event, "--by", "ana")
      #expect(discarded.output == "\(found[1].event): test.Job stays unhandled by worker\n", "\(discarded)")
      let gone = try await jobs.app("dead-letters", "discard", jobs.data, found[1].event)
      #expect(
        gone.status == 1 && gone.errors.contains("no event \(found[1].event) waits to be settled in"),
        "\(gone)")
      // It cannot be mended, so it comes back.
      #expect(try await becomesTrue { try await letters(jobs).contains { $0.event == id } })
      #expect(try await !letters(jobs).contains { $0.event == found[1].event })

      let explained = try await jobs.app("agents", "explain", jobs.data, "worker")
      #expect(explained.status == 0 && explained.output.hasPrefix("worker on node b\n"), "\(explained)")
      #expect(explained.output.contains("test.Job, which feeder may publish\n"))
      #expect(explained.output.contains("! dead letters  "), "\(explained.output)")
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      let stopped = try await jobs.app("agents", "explain", jobs.data, "worker")
      #expect(stopped.output.hasPrefix("worker on node b, which does not run\n"), "\(stopped)")
      let nobody = try await jobs.app("agents", "explain", jobs.data, "nobody")
      #expect(nobody.status == 1 && nobody.errors.contains("has ever run an agent 'nobody'"), "\(nobody)")
      scratch.expectNothingLeft()
    }
  }
}
