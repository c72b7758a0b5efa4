import HyphaCore
import HyphaLog
import HyphaReplay
import Synchronization
import Testing

@testable import HyphaOperator

/// A trace as people see it.
@Suite struct TraceViewTests {
  private final class Clock: TimeSource {
    let now = Atomic<UInt64>(0)
    func microseconds() -> UInt64 { now.load(ordering: .relaxed) }
  }

  /// A log in which one event has caused all others.
  private func log(effectCount: UInt64) async throws -> MemoryLog {
    let clock = Clock()
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: clock)
    let records = try (1...effectCount + 1).map { number in
      try Record(
        RecordHeader(
          id: EventID(high: 1, low: number), time: Timestamp(microseconds: number * 1_000),
          channel: .persistent,
          agent: "ana", epoch: 1, sequence: number,
          previous: LanePoint(epoch: number > 1 ? 1 : 0, sequence: number - 1), addressee: "bo",
          type: "work.Done", subject: "case", causation: number > 1 ? EventID(high: 1, low: 1) : .none,
          correlation: EventID(high: 1, low: 1), authority: Authority(principal: "ana")), payload: [])
    }
    clock.now.store((effectCount + 1) * 1_000, ordering: .relaxed)
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    return log
  }

  private func lines(_ id: UInt64, in log: MemoryLog, limit: Int) throws -> [String] {
    var lines: [String] = []
    try TraceView(CausalTrace(of: EventID(high: 1, low: id), in: [log], limit: limit), style: .plain).write {
      lines.append($0)
    }
    return lines
  }

  // What looks at all steps for each line would take hours.
  @Test(.timeLimit(.minutes(2)))
  func `a trace of very many events is written in one go`() async throws {
    let lines = try await lines(1, in: log(effectCount: 8_000), limit: 10_000)
    #expect(lines.count == 2 * 8_001 + 3)
    #expect(lines.count { $0.contains("├─") } == 7_999 && lines.count { $0.contains("└─") } == 1)
    #expect(lines[16_003].hasPrefix("8,001 events, 8 s along the longest path of 2: travel"))
  }

  @Test func `a trace that was cut says so, below and above the event`() async throws {
    let log = try await log(effectCount: 3)
    #expect(try lines(1, in: log, limit: 2).contains { $0.hasPrefix("2 events (cut; raise --limit), ") })
    #expect(try lines(2, in: log, limit: 1).last == "1 event (cut; raise --limit)")
    #expect(try !lines(2, in: log, limit: 2).contains { $0.contains("cut") })
  }
}
