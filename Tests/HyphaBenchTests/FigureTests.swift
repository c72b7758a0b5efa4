import Foundation
import Testing

@testable import HyphaBench

@Suite struct FigureTests {
  @Test func `quantiles lie between sorted numbers where they fall there`() {
    #expect([1.0, 2, 3, 4].quantile(0.5) == 2.5)
    #expect([1.0, 2, 3, 4, 5].quantile(0.25) == 2)
    #expect([7.0].quantile(0.99) == 7)
    #expect([1.0, 2].quantile(0) == 1 && [1.0, 2].quantile(1) == 2)
    #expect([Double]().quantile(0.5) == nil)
  }

  @Test func `a spread is the median with the quartiles, in whatever order the numbers came`() throws {
    let spread = try #require(Spread([5, 1, 4, 2, 3]))
    #expect(spread.median == 3 && spread.low == 2 && spread.high == 4)
    #expect(Spread([]) == nil)
  }

  @Test func `latencies are in seconds and groups are counted`() {
    let slice = Slice(
      eventCount: 300, nanoseconds: 2_000_000, groupCount: 4, latencies: [1_000, 2_000, 3_000])
    #expect(slice.rate == 150_000 && slice.groupSize == 75)
    #expect(slice.latency(0.5) == 2e-6)
  }

  @Test func `a goal is met at its bound and missed beyond it`() {
    func isMet(_ goal: BenchGoal, ours: Double = 0, bare: Double? = nil, ratio: Double? = nil) -> Bool? {
      goal.isMet(ours: ours, bare: bare, ratio: ratio)
    }
    #expect(isMet(.concurrentAppendRatio, ratio: 0.4) == true)
    #expect(isMet(.concurrentAppendRatio, ratio: 0.39) == false)
    #expect(isMet(.loneLatency, ratio: 1.3) == true)
    #expect(isMet(.loneLatency, ratio: 1.31) == false)
    #expect(isMet(.scanRate, ours: 5e6) == true)
    #expect(isMet(.scanRate, ours: 4.9e6) == false)
    #expect(isMet(.scanAllocations, ours: 0.009) == true)
    #expect(isMet(.scanAllocations, ours: 1) == false)
    #expect(isMet(.openTime, ours: 0.0499) == true)
    #expect(isMet(.openTime, ours: 0.05) == false)
    #expect(isMet(.openMemory, ratio: 1) == true)
    #expect(isMet(.openMemory, ratio: 900) == false)
  }

  @Test func `the goal in events a second says nothing on a machine slower than the one that it is set for`()
  {
    func isMet(ours: Double, bare: Double) -> Bool? {
      BenchGoal.concurrentAppendRate.isMet(ours: ours, bare: bare, ratio: ours / bare)
    }
    #expect(isMet(ours: 600_000, bare: 1_400_000) == true)
    #expect(isMet(ours: 599_999, bare: 1_400_000) == false)
    #expect(isMet(ours: 500_000, bare: 1_000_000) == nil)
    #expect(isMet(ours: 700_000, bare: 1_000_000) == true)
  }

  @Test func `a ratio that is no number meets no goal`() {
    #expect(BenchGoal.concurrentAppendRatio.isMet(ours: 0, bare: 0, ratio: .nan) == false)
    #expect(BenchGoal.loneLatency.isMet(ours: 0, bare: 0, ratio: .nan) == false)
  }

  @Test func `why a goal is missed is said where it is missed, and nowhere else`() {
    func row(_ goal: BenchGoal?, ratio: Double) -> BenchRow {
      BenchRow("a", "b", .bytesPerSecond, ours: Spread(1), bare: 1, ratios: Spread(ratio), goal: goal)
    }
    #expect(row(.verifyRate, ratio: 0.5).reason?.contains("SHA-256") == true)
    #expect(row(.verifyRate, ratio: 0.9).reason == nil)
    #expect(row(nil, ratio: 0.5).reason == nil)
  }

  @Test func `each goal says what it is and quotes the words that set it`() throws {
    // Those that are left out would be in no table of goals.
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/HyphaBench/Figures/BenchGoal.swift")
    let source = try String(contentsOf: file, encoding: .utf8)
    let names = source.matches(of: /static let (\w+) = BenchGoal\(/).map { String($0.1) }
    let list = try #require(source.firstMatch(of: /static let all = \[([^\]]*)\]/)).1
    let listed = Set(list.split { !$0.isLetter && !$0.isNumber }.map(String.init))
    #expect(names.count > 20 && names.allSatisfy(listed.contains), "\(Set(names).subtracting(listed))")
    for goal in BenchGoal.all { #expect(!goal.text.isEmpty && goal.source.count > 20) }
    #expect(Set(BenchGoal.all.map(\.source)).count == BenchGoal.all.count)
  }

  @Test func `the workloads have every payload, number of appenders and number of streams`() {
    let all = AppendWorkload.all
    for payload in [128, 1_024] {
      for appenders in [1, 8, 64] {
        for isGrouped in [false, true] {
          #expect(
            all.contains {
              $0.payloadByteCount == payload && $0.appenderCount == appenders && $0.isGrouped == isGrouped
            })
        }
      }
    }
    #expect(Set(all.map(\.streamCount)) == [100, 1_000, 20_000])
    #expect(Set(all).count == all.count)
  }

  @Test func `what is on the way of all appenders together does not hang on their number`() {
    for count in [1, 8, 64] {
      let workload = AppendWorkload.grouped(count)
      #expect(workload.windowBatchCounts.count == count)
      #expect(workload.windowBatchCounts.reduce(0, +) * workload.batchEventCount == 4_096)
      #expect(AppendWorkload.alone(count).windowBatchCounts == [Int](repeating: 1, count: count))
    }
  }

  @Test func `while one group is synced another two are on their way`() {
    for workload in AppendWorkload.all where workload.isGrouped {
      #expect(workload.groupEventCountMax == AppendWorkload.groupSizeAimed)
      #expect(workload.inFlightEventCount > 3 * AppendWorkload.groupSizeAimed)
    }
  }

  @Test func `an appender that waits for each event has the log's own groups`() {
    let workload = AppendWorkload.alone(64)
    #expect(workload.groupEventCountMax == nil && !workload.isGrouped)
  }
}
