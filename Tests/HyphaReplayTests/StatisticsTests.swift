import HyphaCore
import HyphaLog
import HyphaReplay
import Testing

/// Sums in bounded memory.
@Suite struct StatisticsTests {
  @Test func `few different keys are counted exactly`() {
    var sketch = HeavyHitters<Int>(capacity: 10)
    for key in 0..<10 { for _ in 0...key { sketch.add(key) } }
    #expect(sketch.isExact && sketch.total == 55)
    #expect(sketch.top(3, by: <).map(\.key) == [9, 8, 7])
    #expect(sketch.top(20, by: <).map(\.count) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  }

  @Test func `of many different keys the frequent ones are found, and never counted too low`() {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed)
    for _ in 0..<10 {
      let capacity = Int.random(in: 5...50, using: &random)
      var sketch = HeavyHitters<Int>(capacity: capacity)
      var exact: [Int: UInt64] = [:]
      for _ in 0..<5_000 {
        // A few are frequent, most are rare.
        let key =
          random.chance(0.5) ? Int.random(in: 0..<5, using: &random) : .random(in: 5..<2_000, using: &random)
        sketch.add(key)
        exact[key, default: 0] += 1
      }
      let hits = sketch.top(capacity, by: <)
      #expect(hits.count == capacity && hits.reduce(0) { $0 + $1.count } == sketch.total)
      for hit in hits {
        let count = exact[hit.key] ?? 0
        #expect(hit.count >= count && hit.count - hit.error <= count, "seed \(seed)")
      }
      for (key, count) in exact where count > sketch.total / UInt64(capacity) {
        #expect(hits.contains { $0.key == key }, "seed \(seed)")
      }
    }
  }

  @Test func `a percentile is right within its step`() {
    var histogram = MicrosecondHistogram()
    #expect(histogram.percentile(0.5) == nil)
    for value in 1...10_000 as ClosedRange<UInt64> { histogram.add(value) }
    for (share, exact) in [(0.0, 1), (0.5, 5_000), (0.99, 9_900), (1, 10_000)] as [(Double, Double)] {
      let found = Double(histogram.percentile(share) ?? 0)
      #expect(found >= exact && found <= exact * 1.016 + 1, "\(share): \(found)")
    }
    histogram.add(.max)
    #expect(histogram.percentile(1) == .max && histogram.count == 10_001)
  }

  @Test func `a log's figures are those of its entries`() async throws {
    let world = try World(seed: 2, nodeCount: 2)
    try await world.run(eventCount: 300)
    var statistics = LogStatistics()
    var replay = try Replay(of: [world.logs[0]])
    try replay.look()
    var entries: [LogEntry] = []
    try replay.visit {
      statistics.add($0.entry, of: $0.node)
      entries.append(try $0.entry.entry())
      return true
    }
    #expect(statistics.entryCount == UInt64(entries.count))
    #expect(statistics.byteCount == entries.reduce(0) { $0 + UInt64($1.record.bytes.count) })
    for channel in Channel.allCases {
      let figures = statistics.channels[Int(channel.rawValue)]
      let own = entries.filter { $0.record.header.channel == channel }
      #expect(figures.statedCount == own.count { $0.source == .stated })
      #expect(figures.receivedCount == own.count { $0.source != .stated })
      #expect(figures.commit.count == figures.statedCount && figures.travel.count == figures.receivedCount)
    }
    for hit in statistics.types.top(9, by: <) {
      #expect(hit.count == entries.count { $0.record.header.type.text == hit.key } && hit.error == 0)
    }
    #expect(statistics.times == entries[0].appendedAt...entries[entries.count - 1].appendedAt)
  }

  @Test func `what was imported has no latency, and its time is that of its events`() async throws {
    let clock = World.SkewedTime()
    clock.set(1_700_000_000_000_000)
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "imported")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: clock)
    // The second is earlier than the first, and the last has no time.
    for (number, time) in [(1, 2_000_000), (2, 1_000_000), (3, 5_000_000), (4, 0)] as [(UInt64, UInt64)] {
      let header = RecordHeader(
        id: EventID(high: 1, low: number), time: Timestamp(microseconds: time), channel: .persistent,
        agent: "ana", epoch: 1, sequence: number,
        previous: LanePoint(epoch: number > 1 ? 1 : 0, sequence: number - 1), addressee: "bo", type: "T",
        subject: "s", causation: number == 3 ? EventID(high: 1, low: 2) : .none,
        correlation: EventID(high: 1, low: 1), authority: Authority(principal: "ana"))
      let append = LogBatch.Append(try Record(header, payload: []), source: .received(hops: 0))
      _ = try await log.append(LogBatch(appends: [append]))
    }
    var statistics = LogStatistics()
    var replay = try Replay(of: [log])
    try replay.look()
    try replay.visit {
      statistics.add($0.entry, of: $0.node)
      return true
    }
    let figures = statistics.channels[Int(Channel.persistent.rawValue)]
    #expect(figures.receivedCount == 4 && figures.travel.count == 0 && figures.commit.count == 0)
    #expect(statistics.times == Timestamp(microseconds: 1_000_000)...Timestamp(microseconds: 5_000_000))
    // Nor does a trace say that the way took until the import, or that a step lasted as long.
    let trace = try CausalTrace(of: EventID(high: 1, low: 3), in: [log])
    #expect(trace.steps[1].delays?.travel == .zero && trace.steps[1].delays?.handling == .seconds(4))
    #expect(trace.steps[1].lastAppendedAt == Timestamp(microseconds: 5_000_000))
  }
}
