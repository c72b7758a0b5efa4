import HyphaCore
import Testing

@testable import HyphaOperator

/// What a report counts by steps stays right while the steps change.
@Suite struct TimeStepsTests {
  @Test func `counts by steps are those of the times, whatever order they come in`() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<50 {
      let begin = UInt64.random(in: 0...1_800_000_000_000_000, using: &random)
      let length = UInt64(1) << UInt64.random(in: 0...44, using: &random)
      var steps = TimeSteps()
      var counts = [UInt32](repeating: 0, count: TimeSteps.countMax)
      var pairs = PairTraffic(capacity: 4)
      var times: [UInt64] = []
      for _ in 0..<200 {
        let time = begin + .random(in: 0..<length, using: &random)
        let (step, change) = steps.place(time)
        if let change {
          counts = change.regrouped(counts)
          pairs.regroup(change)
        }
        counts[step] += 1
        pairs.add(.init(from: 1, to: 2), at: step)
        times.append(time)
      }
      var expected = [UInt32](repeating: 0, count: TimeSteps.countMax)
      for time in times { expected[Int((time - steps.start) / steps.width)] += 1 }
      #expect(counts == expected && pairs.flows.first?.counts == expected, "seed \(seed)")
      #expect(counts[steps.count...].allSatisfy { $0 == 0 }, "seed \(seed)")
      // As fine as can be: twice as many steps would be too many, unless they are as narrow as they get.
      let span = (times.max() ?? 0) / (steps.width / 2) - (times.min() ?? 0) / (steps.width / 2)
      #expect(steps.width == TimeSteps.widthMin || span >= UInt64(TimeSteps.countMax), "seed \(seed)")
    }
  }

  @Test func `of more pairs than there is room for the busiest stay, and the rest is one sum`() {
    var pairs = PairTraffic(capacity: 100)
    for round in 0..<1_000 {
      // Ten that come again and again, and many that come once.
      for busy in 0..<10 { pairs.add(.init(from: Int32(busy), to: 0), at: round % 256, count: 2) }
      pairs.add(.init(from: Int32(1_000 + round), to: 0), at: 0)
    }
    #expect(pairs.flows.count <= 100)
    let kept = pairs.flows.filter { $0.pair.from < 10 }
    #expect(kept.count == 10 && kept.allSatisfy { $0.eventCount == 2_000 })
    let all = pairs.flows.reduce(0) { $0 + $1.eventCount } + pairs.foldedEventCount
    #expect(all == 21_000 && pairs.foldedEventCount > 0)
  }

  @Test func `a name has one number, and there are no more names than there is room for`() {
    var names = NameTable(capacity: 1_000)
    for round in 0..<3 {
      for number in 0..<1_000 { #expect(names.place(of: "agent-\(number)") == number, "round \(round)") }
    }
    #expect(names.place(of: "one-more") == nil && names.place(of: "agent-999") == 999)
    #expect(names.names.count == 1_000 && names.names[7] == "agent-7")
  }

  @Test func `a latency stands in the row whose bounds it is within`() {
    let bounds = ReportChannel.Latency.rowBounds
    #expect(bounds == bounds.sorted())
    for value in [0, 1, 2, 3, 4, 5, 6, 7, 100, 1_000, 12_345, 1 << 30, UInt64.max] {
      var latency = ReportChannel.Latency()
      latency.add(value, at: 3)
      let row = latency.heat.firstIndex(of: 1).map { $0 - 3 * ReportChannel.Latency.rowCount } ?? -1
      #expect(value <= bounds[row] || row == bounds.count - 1, "\(value)")
      #expect(row == 0 || value > bounds[row - 1], "\(value)")
    }
  }
}
