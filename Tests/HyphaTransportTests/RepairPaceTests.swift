import HyphaCore
import HyphaTransport
import Testing

@Suite struct RepairPaceTests {
  private let limits = RepairPace.Limits(bytesPerSecond: 8 << 20, burstByteCount: 4 << 20, share: 1 / 8)

  /// How many bytes are repaired in so many seconds beside so much live traffic, where each fetch brings a full answer.
  private func repaired(seconds: Int, livePerSecond: Int) -> Int {
    var pace = RepairPace(limits)
    var byteCount = 0
    for tick in 0..<seconds * 100 {
      let now = Duration.milliseconds(tick * 10)
      pace.live(byteCount: livePerSecond / 100, now: now)
      while pace.mayFetch(now: now) {
        byteCount += RepairPace.answerByteCountMax
        pace.answered(byteCount: RepairPace.answerByteCountMax)
      }
    }
    return byteCount
  }

  @Test func `alone, repair takes all that there is`() {
    let byteCount = repaired(seconds: 20, livePerSecond: 0)
    #expect(byteCount >= 20 * limits.bytesPerSecond)
    #expect(byteCount <= 22 * limits.bytesPerSecond * 9 / 8)
  }

  @Test func `beside live traffic it takes what that leaves, and never less than its share`() {
    let half = repaired(seconds: 20, livePerSecond: limits.bytesPerSecond / 2)
    #expect(half <= 22 * limits.bytesPerSecond * 5 / 8)
    let full = repaired(seconds: 20, livePerSecond: limits.bytesPerSecond * 10)
    #expect(full <= limits.burstByteCount + 21 * limits.bytesPerSecond / 8)
    #expect(full >= 19 * limits.bytesPerSecond / 8)
  }

  @Test func `an answer gives back what it did not need`() {
    var pace = RepairPace(limits)
    for _ in 0..<10_000 {
      let mayFetch = pace.mayFetch(now: .zero)
      #expect(mayFetch)
      pace.answered(byteCount: 0)
    }
  }

  @Test func `in any time repair brings no more than the buckets and what flows into them`() {
    for seed in Seeds.all(defaultCount: 300) {
      var random = SeededGenerator(seed: seed)
      var pace = RepairPace(limits)
      var (now, byteCount, open) = (Duration.zero, 0, 0)
      for _ in 0..<400 {
        now += .milliseconds(Int64(random.next() % 30))
        if random.chance(0.5) { pace.live(byteCount: Int(random.next() % (1 << 20)), now: now) }
        while open < 64, random.chance(0.8), pace.mayFetch(now: now) { open += 1 }
        while open > 0, random.chance(0.7) {
          open -= 1
          let answer = Int(random.next() % UInt64(RepairPace.answerByteCountMax + 1))
          byteCount += answer
          pace.answered(byteCount: answer)
        }
        let bound = Double(limits.burstByteCount) + now / .seconds(1) * Double(limits.bytesPerSecond)
        #expect(Double(byteCount) <= bound * 9 / 8, "HYPHA_SEED=\(seed)")
      }
    }
  }
}
