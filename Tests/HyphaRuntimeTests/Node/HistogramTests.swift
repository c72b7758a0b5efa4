import HyphaCore
import HyphaRuntime
import Testing

@Suite struct HistogramTests {
  @Test func `percentiles lie within a thirty-second of what sorting says`() {
    for seed in seeds(100) {
      var random = SeededGenerator(seed: seed)
      let bits = UInt64.random(in: 1...40, using: &random)
      let values = (0..<Int.random(in: 1...500, using: &random)).map { _ in random.next() >> (64 - bits) }
      var histogram = Histogram()
      var other = Histogram()
      for (place, value) in values.enumerated() {
        if place % 3 == 0 { other.add(value) } else { histogram.add(value) }
      }
      histogram.add(other)
      let sorted = values.sorted()
      #expect(histogram.count == UInt64(values.count) && histogram.max == sorted.last, "HYPHA_SEED=\(seed)")
      for share in [0.0, 0.1, 0.5, 0.9, 0.99, 1] {
        let rank = max(1, Int((Double(values.count) * share).rounded(.up)))
        let exact = sorted[rank - 1]
        let told = histogram.percentile(share)
        #expect(told >= exact && told <= exact + exact / 32, "HYPHA_SEED=\(seed): \(share) \(told) \(exact)")
      }
    }
  }

  @Test func `an empty histogram answers 0, the largest number fits`() {
    var histogram = Histogram()
    #expect(histogram.percentile(0.5) == 0 && histogram.mean == 0)
    histogram.add(.max)
    #expect(histogram.percentile(0.5) == .max)
  }
}
