import HyphaCore
import HyphaTransport
import Testing

/// The promises of docs/guarantees.md, "A lane's receiver", seed after seed. `HYPHA_SEED` runs one again,
/// `HYPHA_SEEDS` says how many.
@Suite struct LaneSimulationTests {
  /// What the runs met, so that they are known to try what they are for.
  private struct Coverage {
    var forkCount = 0
    var overflowCount = 0
    var contradictionCount = 0
    var copyCount = 0
    var crashCount = 0
    var rerouteCount = 0
    var originlessCount = 0

    mutating func add(_ run: LaneSimulation) {
      for node in run.nodes {
        forkCount += node.forks.count { $0.kind == .lost }
        overflowCount += node.counts.droppedCount
        contradictionCount += node.counts.contradictionCount
        copyCount += node.counts.copyAnswerCount
        crashCount += node.counts.crashCount
      }
      rerouteCount += run.rerouteCount
      if run.originDies { originlessCount += 1 }
    }

    var all: [Int] {
      [
        forkCount, overflowCount, contradictionCount, copyCount, crashCount, rerouteCount, originlessCount,
      ]
    }
  }

  private static let partCount = 2

  @Test(arguments: 0..<partCount)
  func `every seed ends complete, in order, once, within bounds and with its forks told`(part: Int) {
    var coverage = Coverage()
    let seeds = Seeds.all(defaultCount: 6000)
    let mine = seeds.filter { seeds.count == 1 ? part == 0 : Int($0) % Self.partCount == part }
    for seed in mine {
      var run = LaneSimulation(seed: seed)
      do {
        try run.run()
        try RealtimeSimulation(seed: seed).run()
        coverage.add(run)
      } catch {
        Issue.record("seed \(seed): \(error); run it again with HYPHA_SEED=\(seed)")
        return
      }
    }
    if mine.count >= 1000 {
      #expect(
        coverage.all.allSatisfy { $0 > mine.count / 100 }, "the seeds hardly try something: \(coverage)")
    }
  }
}
