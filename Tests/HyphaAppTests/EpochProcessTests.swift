import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// Nodes that come back with another log than the one that others have heard of.
  @Suite struct EpochProcessTests {
    private static let topology = """
      hypha: 1
      name: back
      nodes: {a: {}, b: {}}
      agents:
        root: {kind: supervisor, node: a}
        load: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 1000000, every: 5, to: [taker]}}
        taker: {kind: recorder, node: b, reports-to: root}
      """

    enum Log: CaseIterable { case putBack, lost }

    @Test(arguments: Log.allCases)
    func `what a node states whose log was put back or lost is delivered, and the fork is told`(
      _ what: Log
    ) async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let (own, old) = (scratch("data/a"), scratch("old"))
      func handledCount() -> UInt64 {
        let log = try? LMDBLogReader(directory: scratch("data/b"))
        return (try? log?.cursor(CursorKey(agent: "taker", channel: .persistent))?.handledCount) ?? 0
      }
      /// Runs both nodes until so many more were handled.
      func work() async throws {
        let begin = handledCount()
        let run = try scratch.start("run", file, "--data", scratch("data"))
        #expect(await becomesTrue { handledCount() >= begin + 100 })
        run.signal(SIGINT)
        let end = await run.end()
        #expect(end.status == 130, "\(end)")
      }
      try await work()
      try FileManager.default.copyItem(atPath: own, toPath: old)
      try await work()
      let known = try #require(
        try LMDBLogReader(directory: scratch("data/b")).laneHead(
          Lane(agent: "load", channel: .persistent, target: .addressee("taker"))))
      try FileManager.default.removeItem(atPath: own)
      if what == .putBack { try FileManager.default.copyItem(atPath: old, toPath: own) }
      try await work()

      let forks = try await scratch.hypha("forks", scratch("data"))
      #expect(forks.output.contains("load") && forks.output.contains("taker"), "\(forks)")
      let now = try #require(
        try LMDBLogReader(directory: scratch("data/b")).laneHead(
          Lane(agent: "load", channel: .persistent, target: .addressee("taker"))))
      #expect(now.point.epoch > known.point.epoch)
      let verify = try await scratch.hypha("log", "verify", scratch("data/b"))
      #expect(verify.status == 0, "\(verify)")
      scratch.expectNothingLeft()
    }
  }
}
