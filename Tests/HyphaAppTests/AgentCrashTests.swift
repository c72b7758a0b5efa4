import FaultShim
import Foundation
import HyphaCore
import Testing

extension Processes {
  /// Agents of an author's program on real processes that are killed: each input's effects exactly once, timers and retries
  /// among them.
  @Suite struct AgentCrashTests {
    static let soakSeconds = ProcessInfo.processInfo.environment["HYPHA_SOAK_SECONDS"].flatMap { Double($0) }

    private func expectOnce(_ jobs: JobRun, _ result: Hypha.Result, _ how: String) throws {
      #expect(result.status == 0, "\(how): \(result.errors)")
      let summary = try RunSummary(result)
      #expect(summary.isComplete && summary.gauges["dead letters told to supervisors"] != 0, "\(how)")
      let faults = try jobs.faults()
      #expect(faults == [], "\(how)")
    }

    /// `HYPHA_SEED`, or another one each time, which is printed.
    private static func seed(_ test: String) -> UInt64 {
      let seed =
        ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...999_999)
      print("AgentCrashTests, \(test): HYPHA_SEED=\(seed)")
      return seed
    }

    /// How many points a test tries that is no soak, and how many at once.
    private static let sampleCount = 12
    private static let widthMax = 3

    @Test(.enabled(if: FaultShim.library != nil, "there is no C compiler for the fault shim"))
    func `kill -9 at any point of a commit leaves each input handled, or to be handled again`() async throws {
      let seed = Self.seed("points")
      // Calls of the node's first life: its start, and some tens of commits. A soak takes all of them, as far as its time goes.
      let end = Self.soakSeconds.map { Date(timeIntervalSinceNow: $0) }
      var points = CrashPoints(seed: seed, slack: end == nil ? 0 : 30)
      var (tryCount, killCount) = (0, 0)
      while end.map({ Date() < $0 }) ?? (tryCount < Self.sampleCount),
        case let next = points.next(Self.widthMax), !next.isEmpty
      {
        let missed = try await withThrowingTaskGroup(of: CrashPoints.Point?.self) { group in
          for point in next { group.addTask { try await wasKilled(at: point, seed) ? nil : point } }
          return try await group.reduce(into: [CrashPoints.Point]()) { $0 += $1.map { [$0] } ?? [] }
        }
        for point in missed { points.missed(point) }
        tryCount += next.count
        killCount += next.count - missed.count
      }
      print("AgentCrashTests, points: \(tryCount) tried, \(killCount) of which came")
      #expect(killCount >= tryCount / 4, "most calls come, HYPHA_SEED=\(seed)")
    }

    /// Runs the deployment with node `b` killed at a point, and says whether that came.
    private func wasKilled(at point: CrashPoints.Point, _ seed: UInt64) async throws -> Bool {
      let scratch = try Scratch()
      let jobs = try JobRun(in: scratch)
      let faults = ["AT": "\(point.call)", "DO": point.what, "ONCE": scratch("met")]
      let result = await (try jobs.start(faults: faults)).end()
      let wasKilled = FileManager.default.fileExists(atPath: scratch("met"))
      try expectOnce(jobs, result, "\(point.what) at call \(point.call), HYPHA_SEED=\(seed)")
      // Who is killed while it stops is not started again, and nobody is left to remove its sockets.
      let restartCount = try RunSummary(result).restarts
      #expect(restartCount <= (wasKilled ? 1 : 0), "\(point), HYPHA_SEED=\(seed)")
      if restartCount == (wasKilled ? 1 : 0) { scratch.expectNothingLeft() }
      return wasKilled
    }

    @Test func `nodes that are killed again and again handle each input once`() async throws {
      let seed = Self.seed("moments")
      var random = SeededGenerator(seed: seed)
      let end = Self.soakSeconds.map { Date(timeIntervalSinceNow: $0) }
      var round = 0
      while end.map({ Date() < $0 }) ?? (round < 3) {
        round += 1
        let scratch = try Scratch()
        let jobs = try JobRun(in: scratch)
        let run = try jobs.start()
        var killed: Set<Int32> = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let pause = Int.random(in: 0...400, using: &random)
          try await Task.sleep(for: .milliseconds(pause), clock: .suspending)
          let node = Bool.random(using: &random) ? "a" : "b"
          guard run.isRunning, let id = run.node(node, after: killed) else { continue }
          killed.insert(id)
          kill(id, SIGKILL)
        }
        let result = await run.end()
        try expectOnce(jobs, result, "round \(round), HYPHA_SEED=\(seed), \(killed.count) kills")
        // As above: a kill may meet a node that stops.
        if try RunSummary(result).restarts == killed.count { scratch.expectNothingLeft() }
      }
    }
  }
}
