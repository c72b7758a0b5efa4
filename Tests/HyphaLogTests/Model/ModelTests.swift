import Dispatch
import HyphaCore
import HyphaLog
import Testing

/// Random operations against a log and against plain arrays, which must agree.
@Suite struct ModelTests {
  @Test(arguments: Backend.allCases)
  func `a log agrees with plain arrays over many random operations`(_ backend: Backend) async throws {
    let seed = SeededGenerator.seed
    // In a soak lives are so long that heads are written down amid them.
    let goal = Soak.count(100_000, of: 3_000_000)
    let entryCount = Soak.seconds == nil ? 12_000 : 150_000
    let begin = ContinuousClock.now
    var operationCount = 0
    var life: UInt64 = 0
    while operationCount < goal {
      life += 1
      do {
        var run = try ModelRun(backend, seed: seed &+ life &- 1)
        try await run.run(entryCount: entryCount)
        operationCount += run.operationCount
      } catch {
        Issue.record("HYPHA_SEED=\(seed &+ life &- 1), \(backend): \(error)")
        return
      }
    }
    print("\(backend): \(operationCount) operations on \(life) logs in \(ContinuousClock.now - begin)")
  }
}
