import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaRuntime

extension Processes {
  /// Agents whose program traps: a real process ends each time, and is started again.
  @Suite struct TrapProcessTests {
    private func topology(_ scratch: Scratch, _ agents: String) throws -> String {
      try scratch.file(
        "traps.yaml",
        """
        hypha: 1
        name: traps
        supervision: {initial: 20ms, attempts: 2, restarts: 2}
        nodes: {a: {}, b: {}}
        agents:
          boss: {kind: supervisor, node: a}
          feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: 12, burst: 4}}
          books: {kind: bookkeeper, node: b, reports-to: boss, subscribes: [test.JobDone]}
        \(agents)
        """)
    }

    private func events<E: Event>(_ type: E.Type, _ log: LMDBLogReader) throws -> [E] {
      try log.read(after: .start, limit: .max, byteLimit: .max).filter { $0.source == .stated }
        .compactMap { try? E.decode($0.record) }
    }

    @Test
    func `an event on which the program traps is put aside after its attempts, and all else is done once`()
      async throws
    {
      let scratch = try Scratch()
      let file = try topology(
        scratch,
        """
          faulty: {kind: faulty, node: b, reports-to: boss, subscribes: [test.Job]}
          dreamer: {kind: dreamer, node: b, reports-to: boss, subscribes: [test.Job]}
        """)
      let run = try Hypha(["run", file, "--data", scratch("data")], in: scratch, program: Places.testApp)
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      let log = try LMDBLogReader(directory: scratch("data/b"))
      let letters = try DeadLetter.open(in: log).map(\.failure)
      let jobs = try letters.map { letter in
        try #require(try log.entry(at: Position(rawValue: letter.position))).record.payload
      }
      #expect(
        jobs.map { String(decoding: $0, as: UTF8.self) }.sorted()
          == [5, 7, 9].map { "{\"number\":\($0)}" })
      #expect(letters.allSatisfy { $0.attempts == 2 && $0.error.contains("process ended with signal ") })
      #expect(letters.contains { $0.error.contains("signal 6 (abort)") }, "\(letters)")
      // The stack's end is a segmentation fault, and the task that divides was started by the call.
      #expect(letters.contains { $0.error.contains("signal 11 (segmentation fault)") }, "\(letters)")
      #expect(letters.contains { $0.error.contains("a task that this or another call had started") })
      // Whose task it was is known, so nobody else is blamed.
      let failed = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.type == HandlerFailed.eventType }
      #expect(Set(failed.map(\.agent)) == ["faulty"])
      struct Done: Decodable { var number: Int }
      let done = try log.read(after: .start, limit: .max, byteLimit: .max)
        .filter { $0.record.header.type == "test.JobDone" }
        .map { try JSON.decode(Done.self, from: $0.record.payload).number }
      #expect(done.sorted() == [0, 1, 2, 3, 4, 6, 8, 10, 11])
      #expect(try log.verify().findings == [])
      #expect(result.errors.contains("the process before this one ended with signal "), "\(result.errors)")
      let explained = try await Hypha(
        ["agents", "explain", scratch("data"), "faulty"], in: scratch, program: Places.testApp
      ).end()
      #expect(explained.output.contains("dead letters  3"), "\(explained.output)")
      scratch.expectNothingLeft()
    }

    @Test func `an agent whose start traps comes to stand still, and its node's others work`() async throws {
      let scratch = try Scratch()
      let file = try topology(
        scratch,
        """
          stillborn: {kind: stillborn, node: b, reports-to: boss, subscribes: [test.Job]}
          worker: {kind: worker, node: b, reports-to: boss, subscribes: [test.Job]}
        """)
      let run = try Hypha(["run", file, "--data", scratch("data")], in: scratch, program: Places.testApp)
      let isTold = try await becomesTrue {
        let log = try? LMDBLogReader(directory: scratch("data/b"))
        return try log.map { try !events(AgentStopped.self, $0).isEmpty } ?? false
      }
      #expect(isTold && run.isRunning)
      let isDone = try await becomesTrue {
        let log = try LMDBLogReader(directory: scratch("data/b"))
        return try log.cursor(CursorKey(agent: "worker", channel: .persistent))?.handledCount ?? 0 >= 12
      }
      #expect(isDone)
      run.signal(SIGINT)
      let result = await run.end()
      #expect(result.status == 130, "\(result.errors)")
      let log = try LMDBLogReader(directory: scratch("data/b"))
      let stopped = try events(AgentStopped.self, log)
      #expect(stopped.count == 1 && stopped.first?.agent == "stillborn")
      #expect(stopped.first?.reason.contains("3 times in a row") ?? false, "\(stopped)")
      scratch.expectNothingLeft()
    }
  }
}
