import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaReplay

/// An event that is gone may have been in a gap, where a log has one.
@Suite struct LostEventTests {
  private static let begin = 1_700_000_000_000_000 as UInt64

  private func id(_ second: UInt64) -> EventID {
    EventID(time: Timestamp(microseconds: Self.begin + second * 1_000_000), random: second)
  }

  private func append(_ second: UInt64, to log: any EventLog) async throws {
    let header = RecordHeader(
      id: id(second), time: Timestamp(microseconds: Self.begin + second * 1_000_000), channel: .persistent,
      agent: "a", epoch: 1, sequence: second,
      previous: LanePoint(epoch: second > 1 ? 1 : 0, sequence: second - 1), addressee: nil, type: "T",
      subject: "s", causation: second > 1 ? id(second - 1) : .none, correlation: id(1),
      authority: Authority(principal: "a"))
    _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: []))]))
  }

  private func problem(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "none"
    } catch { return "\(error)" }
  }

  @Test func `a trace of an event that was pruned says that it may have been`() async throws {
    let time = World.SkewedTime()
    let directory = NSTemporaryDirectory() + "hypha-lost-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let log = try LMDBLog(
      directory: directory, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 30, niceValue: 0),
      time: time)
    for second in 1...40 as ClosedRange<UInt64> {
      time.set(Self.begin + second * 1_000_000)
      try await append(second, to: log)
    }
    // Nothing is gone, so what is not there was never there.
    let never = EventID(time: Timestamp(microseconds: Self.begin + 5_500_000), random: 7)
    #expect(!problem { _ = try CausalTrace(of: never, in: [log]) }.contains("may have been"))
    _ = try await log.prune(
      log.planPrune(RetentionPolicy(entryCountMax: 10), now: .zero), principal: "ops", time: time)
    let gap = try #require(try log.gaps().first?.range)
    #expect(gap.lowerBound.rawValue == 1 && gap.upperBound.rawValue >= 5)
    let what = "it may have been pruned with positions 1 to \(gap.upperBound) of hq"
    #expect(problem { _ = try CausalTrace(of: id(3), in: [log]) }.contains(what))
    let later = EventID(time: Timestamp(microseconds: Self.begin + 39_500_000), random: 7)
    let absent = problem { _ = try CausalTrace(of: later, in: [log]) }
    #expect(absent.contains("the log of hq does not have the event") && !absent.contains("may have been"))
    // So does the trace of what it has led to.
    let first = try #require(try log.read(after: gap.upperBound, limit: 1, byteLimit: 0).first).record.header
    let trace = try CausalTrace(of: first.id, in: [log])
    #expect(trace.missingCause == first.causation)
    #expect(trace.missingCauseLoss == String(what.dropFirst(3)))
    #expect(String(decoding: trace.bytes(as: .dot), as: UTF8.self).contains(what))
    log.close()
  }
}
