import HyphaCore
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// What takes a packed frame at once does what it would with each of its events.
@Suite struct PackedRunTests {
  private let lane = Lane(agent: "ana", channel: .realtime, target: .type("T"))

  /// A lane's events, some about other subjects than the one before, with an epoch that ends amid them.
  private func events(_ random: inout SeededGenerator, count: Int) throws -> [Record] {
    var header = RecordHeader(
      id: EventID(high: 1, low: 1), time: Timestamp(microseconds: 1), channel: .realtime, agent: "ana",
      epoch: 2,
      sequence: 1, previous: .start, addressee: nil, type: "T", subject: "a",
      correlation: EventID(high: 1, low: 1),
      authority: Authority(principal: "ana"))
    return try (0..<count).map { number in
      let record = try Record(header, payload: [UInt8(truncatingIfNeeded: number)])
      header.previous = header.point
      header.sequence += UInt64(Int.random(in: 1...3, using: &random))
      if number == count / 2 { (header.epoch, header.sequence, header.previous) = (3, 1, header.point) }
      header.id = EventID(high: 1, low: UInt64(number + 2))
      if Int.random(in: 0...3, using: &random) == 0 {
        header.subject = ["a", "b", "c"].randomElement(using: &random)!
      }
      return record
    }
  }

  /// Parts of them as they may arrive: mostly in order, some again, some late, some never.
  private func arrivals(_ random: inout SeededGenerator, _ events: [Record]) throws -> [[Record]] {
    var frames: [[Record]] = []
    var begin = 0
    while begin < events.count {
      var end = min(events.count, begin + Int.random(in: 1...12, using: &random))
      // A frame is of one epoch.
      end = events[begin..<end].firstIndex { $0.epoch != events[begin].epoch } ?? end
      let frame = Frame(via: "b", topologyVersion: 1, hops: 1, records: Array(events[begin..<end]))
      let packed = try Frame(decoding: frame.encoded(isPacked: true)).records
      #expect(packed.isWholeRun)
      switch Int.random(in: 0...9, using: &random) {
      case 0: break
      case 1: frames += [packed, packed]
      case 2 where !frames.isEmpty: frames.insert(packed, at: frames.count - 1)
      default: frames.append(packed)
      }
      begin = end
    }
    return frames
  }

  @Test func `a gate passes of packed frames what it passes of their events`() throws {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed, name: "packed")
      var (whole, alone) = (RealtimeGate(), RealtimeGate())
      for frame in try arrivals(&random, events(&random, count: 120)) {
        let passed = whole.newest(of: frame)
        #expect(passed == alone.newest(of: frame.map(\.alone)), "HYPHA_SEED=\(seed)")
        #expect(whole.subjectCount == alone.subjectCount, "HYPHA_SEED=\(seed)")
      }
    }
  }

  @Test func `arrivals of packed frames are counted as those of their events`() throws {
    let pattern = Pattern("b")
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed, name: "packed")
      let takers: [(agent: AgentID, subjects: [Pattern])] = [("x", []), ("y", [pattern])]
      var (whole, alone) = (LaneArrivals(for: takers), LaneArrivals(for: takers))
      for frame in try arrivals(&random, events(&random, count: 120)) {
        let isTaken = whole.take(run: frame)
        let new = isTaken ? frame : frame.filter { whole.take($0) }
        #expect(new == frame.map(\.alone).filter { alone.take($0) }, "HYPHA_SEED=\(seed)")
        #expect(whole.counts.map(\.count) == alone.counts.map(\.count), "HYPHA_SEED=\(seed)")
      }
    }
  }
}
