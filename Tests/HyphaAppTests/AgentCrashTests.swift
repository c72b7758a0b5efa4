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

    @Test(.enabled(if: FaultShim.library != nil, "there is no C compiler for the fault shim"))
    func `kill -9 at any point of a commit leaves each input handled, or to be handled again`() async throws {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let ways = ["kill-before", "kill-torn", "kill-after"]
      // Calls of the node's first life: its start, and some tens of commits. A soak has them all, and some that do not come.
      let all = (1...400).flatMap { call in ways.map { (call, $0) } }.shuffled(using: &random)
      // Else some by chance, each among those that may come for all that is known.
      var last = 400
      func next(_ round: Int) -> (call: Int, what: String)? {
        if Self.soakSeconds != nil { return round < all.count ? all[round] : nil }
        guard round < 12, let what = ways.randomElement(using: &random) else { return nil }
        return (Int.random(in: 1...last, using: &random), what)
      }
      var killCount = 0
      let end = Self.soakSeconds.map { Date(timeIntervalSinceNow: $0) }
      var roundCount = 0
      while let (call, what) = next(roundCount), end.map({ Date() < $0 }) ?? true {
        roundCount += 1
        let scratch = try Scratch()
        let jobs = try JobRun(in: scratch)
        let faults = ["AT": "\(call)", "DO": what, "ONCE": scratch("met")]
        let result = await (try jobs.start(faults: faults)).end()
        let wasKilled = FileManager.default.fileExists(atPath: scratch("met"))
        if wasKilled { killCount += 1 } else { last = min(last, max(1, call - 1)) }
        try expectOnce(jobs, result, "\(what) at call \(call), seed \(seed)")
        // Who is killed while it stops is not started again, and nobody is left to remove its sockets.
        let restartCount = try RunSummary(result).restarts
        #expect(restartCount <= (wasKilled ? 1 : 0))
        if restartCount == (wasKilled ? 1 : 0) { scratch.expectNothingLeft() }
      }
      #expect(killCount >= roundCount / 4, "most calls come")
    }

    @Test func `nodes that are killed again and again handle each input once`() async throws {
      let seed = UInt64.random(in: 0...999_999)
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
        try expectOnce(jobs, result, "round \(round), seed \(seed), \(killed.count) kills")
        // As above: a kill may meet a node that stops.
        if try RunSummary(result).restarts == killed.count { scratch.expectNothingLeft() }
      }
    }
  }
}
