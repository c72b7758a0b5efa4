import HyphaCore

/// What a part costs beside another, by the processor time of slices that take turns, over some runs with processes of their own.
///
/// Sums are compared, and not medians of slices: what happens once a second lies in one slice of many, and counts. Between two runs
/// figures differ by where things happen to lie in memory; so the interval is that of runs and, within them, rounds drawn again and
/// again (a bootstrap; Efron 1979).
struct PairedCost {
  /// One round: what both have done.
  struct Round: Hashable {
    var ours, other: Slice
  }

  /// The rounds of each run; those in which one of the two has done nothing do not count.
  let runs: [[Round]]

  init(_ runs: [[Round]]) {
    self.runs = runs.map { $0.filter { $0.ours.eventCount > 0 && $0.other.eventCount > 0 } }
      .filter { !$0.isEmpty }
  }

  /// Processor time an event of ours to that of the other, over all rounds; nil where there are none.
  var ratio: Double? { Self.ratio(runs.joined()) }

  /// The ratio, between the bounds of 90 % of what is drawn.
  func spread(draws: Int = 1000, seed: UInt64 = 1) -> (ratio: Double, interval: Spread)? {
    guard let ratio else { return nil }
    var random = SeededGenerator(seed: seed)
    func draw<Element>(_ all: [Element]) -> Element { all[Int(random.next() % UInt64(all.count))] }
    let ratios = (0..<draws).compactMap { _ in
      Self.ratio(
        runs.map { _ in
          let run = draw(runs)
          return run.map { _ in draw(run) }
        }.joined())
    }.sorted()
    guard let low = ratios.quantile(0.05), let high = ratios.quantile(0.95) else { return nil }
    return (ratio, Spread(median: ratio, low: low, high: high))
  }

  private static func ratio(_ rounds: some Sequence<Round>) -> Double? {
    var (ours, other) = (Slice(eventCount: 0, nanoseconds: 1), Slice(eventCount: 0, nanoseconds: 1))
    for round in rounds {
      ours.eventCount += round.ours.eventCount
      ours.processorNanoseconds += round.ours.processorNanoseconds
      other.eventCount += round.other.eventCount
      other.processorNanoseconds += round.other.processorNanoseconds
    }
    guard ours.eventCount > 0, other.processorNanoseconds > 0 else { return nil }
    return ours.processorSecondsPerMillion / other.processorSecondsPerMillion
  }
}

extension Comparison {
  /// The rounds of two of its parts.
  func rounds(_ part: Int, beside other: Int) -> [PairedCost.Round] {
    zip(slices(of: part), slices(of: other)).map { PairedCost.Round(ours: $0, other: $1) }
  }
}
