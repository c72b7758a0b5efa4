import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// Alerts beside a backlog, between processes.
  @Suite struct AlertOvertakesTests {
    /// `flood` and `caller` on one node, `taker` of both on the other.
    private static let topology = """
      hypha: 1
      name: overtaking
      alerts: {deadline: 1h}
      nodes: {a: {}, b: {}}
      agents:
        root: {kind: supervisor, node: a}
        flood: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 1000000, every: 0.1, to: [taker]}}
        caller: {kind: generator, node: a, reports-to: root, settings: {event: alarm, count: 1000000, every: 50, to: [taker]}}
        taker: {kind: recorder, node: b, reports-to: root}
      """

    @Test(arguments: [2000, 12_000])
    func `an alert overtakes what waits for a node that was stopped`(backlog: Int) async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      func log(_ node: String) throws -> LMDBLogReader {
        try LMDBLogReader(directory: scratch("data/\(node)"))
      }
      func entries(_ node: String, after position: Position = .start) throws -> [LogEntry] {
        try log(node).read(after: position, limit: .max, byteLimit: .max)
      }
      func isAnswer(_ entry: LogEntry) -> Bool { entry.record.header.type == AlertAcknowledged.eventType }
      #expect(await becomesTrue { (try? entries("b").contains(where: isAnswer)) ?? false })

      let node = try #require(run.node("b"))
      kill(node, SIGSTOP)
      let stopped = try log("a").head()
      var alarm: LogEntry?
      #expect(
        await becomesTrue {
          guard let all = try? entries("a", after: stopped) else { return false }
          let floodCount = all.count { $0.record.header.type == Entry.eventType }
          alarm = floodCount < backlog ? nil : all.last { $0.record.header.type == Alarm.eventType }
          return alarm != nil
        })
      let last = try #require(alarm)
      // All that was stated for the taker before the alarm, while its node stood still.
      let before = Set(
        try entries("a", after: stopped).filter {
          $0.record.header.type == Entry.eventType && $0.position < last.position
        }.map(\.record.header.id))
      #expect(before.count > backlog / 2)
      kill(node, SIGCONT)

      var answer: LogEntry?
      #expect(
        await becomesTrue {
          answer = try? entries("b").first {
            isAnswer($0) && $0.record.header.causation == last.record.header.id
          }
          return answer != nil
        })
      let answered = try #require(answer).position
      let passed = try entries("b").count { $0.position < answered && before.contains($0.record.header.id) }
      #expect(passed < before.count / 2, "\(passed) of \(before.count) were there before the answer")

      // What was overtaken comes all the same.
      #expect(
        await becomesTrue {
          (try? entries("b").count { before.contains($0.record.header.id) } == before.count) ?? false
        })
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      scratch.expectNothingLeft()
    }
  }
}
