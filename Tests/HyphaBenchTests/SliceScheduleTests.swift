import Testing

@testable import HyphaBench

@Suite struct SliceScheduleTests {
  /// The turns of a schedule whose every slice lasts `slice`.
  private func turns(parts: Int, budget: Duration, slice: Duration, roundCountMin: Int = 3)
    -> [SliceSchedule.Turn]
  {
    var schedule = SliceSchedule(partCount: parts, budget: budget, roundCountMin: roundCountMin)
    var turns: [SliceSchedule.Turn] = []
    while let turn = schedule.next(elapsed: slice * turns.count) { turns.append(turn) }
    return turns
  }

  @Test func `the parts take turns, every other round backwards`() {
    let turns = turns(parts: 3, budget: .seconds(1), slice: .milliseconds(100))
    #expect(turns.prefix(9).map(\.part) == [0, 1, 2, 2, 1, 0, 0, 1, 2])
    #expect(turns.map(\.round) == (0..<turns.count).map { $0 / 3 })
  }

  @Test func `a schedule ends with the first whole round after its budget`() {
    #expect(turns(parts: 2, budget: .seconds(1), slice: .milliseconds(100)).count == 10)
    #expect(turns(parts: 3, budget: .seconds(1), slice: .milliseconds(100)).count == 12)
  }

  @Test func `three rounds count however slow the parts are, and the first one never does`() {
    let turns = turns(parts: 2, budget: .zero, slice: .seconds(60))
    #expect(turns.filter { !$0.isWarmUp }.map(\.round) == [1, 1, 2, 2, 3, 3])
    #expect(turns.filter(\.isWarmUp).map(\.part) == [0, 1])
  }

  /// The machine slows down steadily; both parts do the same work.
  @Test func `a drift of the machine's speed leaves the ratio of equal parts at 1`() throws {
    var seconds = 0.0
    var rounds: [[Slice]] = []
    for turn in turns(parts: 2, budget: .seconds(4), slice: .milliseconds(100)) {
      // Halves within the four seconds.
      let rate = 1e6 / (1 + seconds / 4)
      seconds += 0.1
      let slice = Slice(eventCount: Int(rate * 0.1), nanoseconds: 100_000_000)
      if rounds.count <= turn.round { rounds.append([slice, slice]) }
      rounds[turn.round][turn.part] = slice
    }
    let row = Comparison(rounds: rounds).row("r", "w", .eventsPerSecond, against: 1, \.rate)
    let ratio = try #require(row.ratio)
    #expect(abs(ratio - 1) < 0.005)
    #expect(row.spread.low < 1 && row.spread.high > 1)
  }

  @Test func `a ratio is the median of the rounds' ratios, not the ratio of the medians`() throws {
    let rates = [(10, 10), (40, 20), (90, 30), (160, 40), (1, 50)]
    let comparison = Comparison(
      rounds: rates.map { rates in
        [rates.0, rates.1].map { Slice(eventCount: $0, nanoseconds: 1_000_000_000) }
      })
    let row = comparison.row("r", "w", .eventsPerSecond, against: 1, \.rate)
    #expect(row.ratio == 2 && row.ours == 40 && row.bare == 30)
    #expect(row.spread.low == 1 && row.spread.high == 3)
  }
}
