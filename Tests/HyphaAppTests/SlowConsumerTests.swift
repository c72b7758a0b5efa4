import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// An agent that takes a thousandth of what is sent to it.
  @Suite struct SlowConsumerTests {
    @Test func `nodes take no more memory however far an agent is behind`() async throws {
      let count = 80_000
      let scratch = try Scratch()
      let file = try scratch.file(
        "flood.yaml",
        """
        hypha: 1
        name: flood
        nodes: {a: {}, b: {}}
        agents:
          boss: {kind: supervisor, node: a}
          flood: {kind: flood, node: a, reports-to: boss, settings: {count: \(count)}}
          sloth: {kind: sloth, node: b, reports-to: boss, subscribes: [test.Crate]}
        """)
      let run = try Hypha(
        ["run", file, "--data", scratch("data"), "--json"], in: scratch, program: Places.testApp)
      // Its inbox is full with 8,192 events.
      let early = try await memory(of: run, when: 16_000, are: scratch("data/b"))
      let late = try await memory(of: run, when: count, are: scratch("data/b"))
      let log = try LMDBLogReader(directory: scratch("data/b"))
      let handled = try log.cursor(CursorKey(agent: "sloth", channel: .persistent))?.handledCount ?? 0
      #expect(handled < count / 100, "it was to be slow")
      // The events between take more than 64 MiB.
      print("memory of nodes a and b with 16,000 events: \(early) MiB, with \(count): \(late) MiB")
      for (early, late) in zip(early, late) { #expect(late - early < 32) }
      run.signal(SIGINT)
      let result = await run.end()
      #expect(result.complaints == [], "\(result.errors)")
    }

    /// The MiB that nodes `a` and `b` have of memory of their own, once the log in `directory` has so many entries.
    private func memory(of run: Hypha, when count: Int, are directory: String) async throws -> [Int] {
      let isThere = try await becomesTrue {
        let log = try? LMDBLogReader(directory: directory)
        return try log?.head().rawValue ?? 0 >= UInt64(count)
      }
      try #require(isThere && run.isRunning, "\(run.errors)")
      return try ["a", "b"].map { node in
        let id = try #require(run.node(node))
        // Pages of the log, which the system takes back at will, are not among it.
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
          >> 10
      }
    }
  }
}
