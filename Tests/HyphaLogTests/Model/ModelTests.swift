import Dispatch
import HyphaCore
import HyphaLog
import Testing

/// Random operations against a log and against plain arrays, which must agree.
@Suite struct ModelTests {
  @Test(arguments: Backend.allCases)
  func `a log agrees with plain arrays over many random operations`(_ backend: Backend) async throws {
    let seed = SeededGenerator.seed
    let goal = Soak.count(40_000, of: 3_000_000)
    let begin = ContinuousClock.now
    var operationCount = 0
    var life: UInt64 = 0
    while operationCount < goal {
      life += 1
      do {
        var run = try ModelRun(backend, seed: seed &+ life &- 1)
        // Answers are looked for in plain arrays, so a life costs the square of its length. Some last until heads are
        // written down amid them.
        let isLong = Soak.seconds != nil && backend == .lmdb && life % 16 == 1
        try await run.run(entryCount: isLong ? 100_000 : 12_000)
        operationCount += run.operationCount
      } catch {
        Issue.record("HYPHA_SEED=\(seed &+ life &- 1), \(backend): \(error)")
        return
      }
    }
    print("\(backend): \(operationCount) operations on \(life) logs in \(ContinuousClock.now - begin)")
  }
}
