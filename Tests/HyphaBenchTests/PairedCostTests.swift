import Testing

@testable import HyphaBench

@Suite struct PairedCostTests {
  private func slice(_ events: Int, _ nanoseconds: UInt64) -> Slice {
    Slice(eventCount: events, nanoseconds: 1, processorNanoseconds: nanoseconds)
  }

  /// Rounds on a machine whose speed drifts by a factor of four, and where one slice in twelve has a report that costs as much as
  /// half of it.
  private func runs(report: UInt64, perEvent: UInt64 = 1000, count: Int = 4) -> [[PairedCost.Round]] {
    (0..<count).map { run in
      (0..<120).map { number in
        let speed = UInt64(1 + number % 4)
        let own = 100 * perEvent * speed + (number % 12 == run ? report * 2 : 0)
        return PairedCost.Round(ours: slice(100, own), other: slice(100, 100_000 * speed))
      }
    }
  }

  @Test func `what costs once a second counts, though most slices have none of it`() throws {
    let cost = try #require(PairedCost(runs(report: 60_000)).spread())
    // 120,000 ns in one of twelve slices of 250,000 ns on average.
    #expect(abs(cost.ratio - 1.04) < 1e-9)
    #expect(cost.interval.low > 1.01 && cost.interval.low < 1.04)
    #expect(cost.interval.high > 1.04 && cost.interval.high < 1.08)
  }

  @Test func `two that are alike cost the same, however the machine's speed drifts`() throws {
    let cost = try #require(PairedCost(runs(report: 0)).spread())
    #expect(cost.ratio == 1 && cost.interval.low == 1 && cost.interval.high == 1)
    let dear = try #require(PairedCost(runs(report: 0, perEvent: 1500)).spread())
    #expect(dear.ratio == 1.5 && dear.interval.low > 1.2)
  }

  @Test func `rounds in which one has done nothing do not count`() throws {
    var all = runs(report: 0)
    all[0][3].ours = slice(0, 5_000_000)
    all[1][4].other = slice(0, 5_000_000)
    #expect(PairedCost(all).ratio == 1)
    #expect(PairedCost([[], [.init(ours: slice(0, 1), other: slice(1, 1))]]).spread() == nil)
  }
}
