import HyphaCore
import HyphaLog
import HyphaReplay
import Synchronization
import Testing

@testable import HyphaOperator

/// What a report counts of a log.
@Suite struct RunReportTests {
  private final class Clock: TimeSource {
    func microseconds() -> UInt64 { 1_700_000_000_000_000 }
  }

  private struct Stated {
    var id: UInt64
    var agent: AgentID
    var type: EventTypeName
    var cause: UInt64 = 0
    var to: AgentID?
  }

  /// - Parameter pause: how long nothing is stated before the second half of the events.
  private func report(_ events: [Stated], as source: EntrySource, pause: UInt64 = 0) async throws -> RunReport
  {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: Clock())
    for (index, event) in events.enumerated() {
      let before = events[..<index].filter { $0.agent == event.agent }
      let last = before.lastIndex { $0.to == event.to && (event.to != nil || $0.type == event.type) }
      let time = 1_000_000 + UInt64(index) * 1_000 + (index >= events.count / 2 ? pause : 0)
      let header = RecordHeader(
        id: EventID(high: 1, low: event.id), time: Timestamp(microseconds: time),
        channel: .alert, agent: event.agent, epoch: 1, sequence: UInt64(before.count + 1),
        previous: last.map { LanePoint(epoch: 1, sequence: UInt64($0 + 1)) } ?? .start, addressee: event.to,
        type: event.type, subject: "s",
        causation: event.cause == 0 ? .none : EventID(high: 1, low: event.cause),
        correlation: EventID(high: 1, low: 1), authority: Authority(principal: event.agent))
      let append = LogBatch.Append(try Record(header, payload: Array("{}".utf8)), source: source)
      _ = try await log.append(LogBatch(appends: [append]))
    }
    var pauses = TimePauses()
    try log.visit(Position.start.next...Position(rawValue: .max), .forward) {
      pauses.take($0.record.time.microseconds)
      return true
    }
    pauses.finish()
    var report = RunReport(nil, pauses: pauses)
    var replay = try Replay(of: [log])
    try replay.look()
    try replay.visitAll { replayed, isCopy in
      report.add(replayed, isCopy: isCopy)
      return true
    }
    return report
  }

  @Test func `alerts are set against those of them that were answered, and answers stand apart`() async throws
  {
    let report = try await report(
      [
        Stated(id: 1, agent: "ana", type: "load.Alarm"), Stated(id: 2, agent: "ana", type: "load.Alarm"),
        Stated(id: 3, agent: "bo", type: "hypha.AlertAcknowledged", cause: 1, to: "ana"),
        Stated(id: 4, agent: "carla", type: "hypha.AlertAcknowledged", cause: 1, to: "ana"),
        Stated(id: 5, agent: "ana", type: "hypha.AlertEscalated", cause: 2, to: "lead"),
        Stated(id: 6, agent: "lead", type: "hypha.AlertAcknowledged", cause: 5, to: "ana"),
        Stated(id: 7, agent: "ana", type: "hypha.AlertDeadlineSet"),
        Stated(id: 8, agent: "bo", type: "hypha.EventDeadLettered", to: "lead"),
        Stated(id: 9, agent: "lead", type: "hypha.AlertAcknowledged", cause: 8, to: "bo"),
        Stated(id: 10, agent: "ana", type: "load.Alarm"),
      ], as: .stated)
    let alerts = report.alerts
    #expect(alerts.statedCount == 3 && alerts.answeredCount == 2 && alerts.answerCount == 3)
    #expect(alerts.busAnswerCount == 1 && alerts.strayAnswerCount == 0)
    let channel = report.channels[Int(Channel.alert.rawValue)]
    // From what was answered, an escalation included, to its answer.
    #expect(channel.answer.count == 4 && channel.answer.maximum == 3_000)
    #expect(channel.commit.histogram.count == 10)
  }

  @Test func `what was imported has no latency`() async throws {
    let events = [Stated(id: 1, agent: "ana", type: "a.Done"), Stated(id: 2, agent: "bo", type: "a.Done")]
    let imported = try await report(events, as: .received(hops: 0)).channels[Int(Channel.alert.rawValue)]
    #expect(imported.eventCount == 2 && imported.travel.histogram.count == 0)
    #expect(imported.commit.histogram.count == 0)
    let taken = try await report(events, as: .received(hops: 1)).channels[Int(Channel.alert.rawValue)]
    #expect(taken.travel.histogram.count == 2)
  }

  @Test func `a page shows the runs, and no pause between them that would take most of it`() async throws {
    let day: UInt64 = 86_400_000_000
    let events = (1...100).map { Stated(id: $0, agent: "ana", type: "a.Done") }
    let report = try await report(events, as: .stated, pause: day)
    #expect(report.steps.width == TimeSteps.widthMin && report.steps.count < 110)
    let sources = ReportData.Sources(
      name: "x", command: "", madeAt: .zero, outline: nil, isOutlineGiven: false, losses: [], logs: [])
    let time = ReportData(report, sources).time
    #expect(time.pauses.map(\.cut) == [day + 1_000 - TimePauses.keptWidth])
    #expect(time.last - time.first == 98 * 1_000 + Int64(TimePauses.keptWidth))
    #expect(time.pauses.map(\.at) == [time.first + 49_000])
  }
}
