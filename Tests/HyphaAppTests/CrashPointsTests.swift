import HyphaCore
import Testing

@Suite struct CrashPointsTests {
  /// What is drawn where lives have so many calls.
  private func draw(seed: UInt64, slack: Int, callCounts: ClosedRange<Int>, limit: Int = .max) -> [CrashPoints
    .Point]
  {
    var points = CrashPoints(seed: seed, slack: slack)
    var random = SeededGenerator(seed: seed, name: "lives")
    var drawn: [CrashPoints.Point] = []
    while drawn.count < limit, case let next = points.next(4), !next.isEmpty {
      for point in next where point.call > callCounts.randomElement(using: &random) ?? 0 {
        points.missed(point)
      }
      drawn += next
    }
    return drawn
  }

  @Test func `a soak draws every point that comes, once, and few others`() {
    for seed in 1...50 as ClosedRange<UInt64> {
      let drawn = draw(seed: seed, slack: 30, callCounts: 160...190)
      #expect(Set(drawn).count == drawn.count, "HYPHA_SEED=\(seed)")
      let certain = (1...160).flatMap { call in
        CrashPoints.ways.map { CrashPoints.Point(call: call, what: $0) }
      }
      #expect(Set(drawn).isSuperset(of: certain), "HYPHA_SEED=\(seed)")
      #expect(drawn.count < 230 * 3 + 60, "HYPHA_SEED=\(seed): \(drawn.count)")
    }
  }

  @Test func `a sample is another for each seed, the same for the same, and most of it comes`() {
    var all: Set<CrashPoints.Point> = []
    for seed in 1...100 as ClosedRange<UInt64> {
      let drawn = draw(seed: seed, slack: 0, callCounts: 170...170, limit: 12)
      #expect(drawn == draw(seed: seed, slack: 0, callCounts: 170...170, limit: 12))
      all.formUnion(drawn.filter { $0.call <= 170 })
    }
    #expect(all.count > 350, "of 510, by 1,200 draws: \(all.count)")
  }
}
