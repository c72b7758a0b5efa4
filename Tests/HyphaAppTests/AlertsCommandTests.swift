import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// `hypha alerts`, and what else operators ask of running nodes.
  @Suite struct AlertsCommandTests {
    /// Two alarms for an agent that has no handler for them, and a load that goes on for minutes.
    static func topology(deadline: String, load: Int = 0) -> String {
      """
      hypha: 1
      name: alarms
      alerts: {deadline: \(deadline), redelivery: 100ms}
      nodes: {a: {}, b: {}}
      agents:
        root: {kind: supervisor, node: a}
        source: {kind: generator, node: a, reports-to: root, settings: {event: alarm, count: 2, every: 5, to: [idle]}}
        idle: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: \(load), every: 2}}
      """
    }

    private struct Alert: Decodable {
      var id, type, from, waitsFor, state, node: String
      var ageSeconds: Double
      var dueInSeconds: Double?
      var step: Int
    }

    private func open(_ scratch: Scratch, _ place: String = "data") async throws -> [Alert] {
      let result = try await scratch.hypha("alerts", "list", scratch(place), "--json")
      #expect(result.status == 0 && result.errors == "", "\(result)")
      return try JSONDecoder().decode([Alert].self, from: Data(result.output.utf8))
    }

    @Test func `open alerts are listed from the logs, answered by hand, and then the run ends`() async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(deadline: "1h"))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(
        try await becomesTrue {
          guard let log = try? LMDBLogReader(directory: scratch("data/a")) else { return false }
          return try AlertReading.openAlerts(in: log).count == 2
        })
      let alerts = try await open(scratch)
      #expect(alerts.map(\.from) == ["source", "source"] && alerts.map(\.waitsFor) == ["idle", "idle"])
      #expect(alerts.allSatisfy { $0.type == "load.Alarm" && $0.step == 0 && $0.state == "waiting" })
      #expect(alerts.allSatisfy { $0.node == "a" && (3000...3600).contains($0.dueInSeconds ?? 0) })

      let wrong = try await scratch.hypha("alerts", "ack", scratch("data"), "\(EventID(high: 1, low: 1))")
      #expect(
        wrong.status == 1 && wrong.errors.contains("no alert 00000000-0000-0001-0000-000000000001 is open"))
      let first = try await scratch.hypha(
        "alerts", "ack", scratch("data"), alerts[0].id, "--by", "ana", "--note", "a drill")
      #expect(
        first.output
          == "\(alerts[0].id): load.Alarm from source is acknowledged; it had waited for idle\n", "\(first)")
      #expect(first.status == 0)
      #expect(try await open(scratch).map(\.id) == [alerts[1].id])
      let cat = try await scratch.hypha(
        "log", "cat", scratch("data/a"), "--type", "hypha.AlertAcknowledged", "--json")
      #expect(cat.lines.count == 1 && cat.output.contains("\"principal\":\"ana\""), "\(cat)")
      #expect(cat.output.contains("\"grant\":\"operator\"") && cat.output.contains("\"note\":\"a drill\""))
      #expect(cat.output.contains("\"causation\":\"\(alerts[0].id)\""))

      // What is open outlives the run, in the log alone.
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      #expect(try await open(scratch, "data/a").map(\.id) == [alerts[1].id])
      let late = try await scratch.hypha("alerts", "ack", scratch("data"), alerts[1].id)
      #expect(late.status == 1 && late.errors.contains("does not run; start the deployment"), "\(late)")

      let head = try LMDBLogReader(directory: scratch("data/a")).head()
      let again = try scratch.start("run", file, "--data", scratch("data"))
      let log = { try LMDBLogReader(directory: scratch("data/a")) }
      #expect(
        await becomesTrue {
          FileManager.default.fileExists(atPath: scratch("data/a/operator.sock"))
            && (try? log().head() > head) ?? false
        })
      let second = try await scratch.hypha("alerts", "ack", scratch("data"), alerts[1].id)
      #expect(second.status == 0, "\(second)")
      let end = await again.end()
      #expect(end.status == 0, "with the last alert the run is complete: \(end)")
      let list = try await scratch.hypha("alerts", "list", scratch("data"))
      #expect(list.output == "no alert waits for an answer\n")
      scratch.expectNothingLeft()
    }

    @Test func `an alert that nobody answers goes up to the root, and the run ends`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(deadline: "300ms"))
      let run = try await scratch.hypha("run", file, "--data", scratch("data"))
      #expect(run.status == 0, "\(run.errors)")
      let alerts = try await open(scratch)
      #expect(alerts.map(\.state) == ["unanswered", "unanswered"] && alerts.map(\.step) == [1, 1])
      #expect(alerts.map(\.waitsFor) == ["root", "root"] && alerts.allSatisfy { $0.dueInSeconds == nil })
      for (type, count) in [("hypha.AlertEscalated", 2), ("hypha.AlertUnanswered", 2)] {
        let cat = try await scratch.hypha("log", "cat", scratch("data/a"), "--type", type, "--json")
        #expect(cat.lines.count == count, "\(cat)")
      }
      scratch.expectNothingLeft()
    }

    @Test func `a running node prunes its own log`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(deadline: "1h", load: 100_000))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      let log = { try LMDBLogReader(directory: scratch("data/b")) }
      #expect(await becomesTrue { (try? log().head().rawValue >= 1500) ?? false })
      let node = scratch("data/b")
      let dry = try await scratch.hypha("log", "prune", node, "--keep-newest", "500")
      #expect(dry.status == 0 && dry.output.contains("would remove"), "\(dry)")
      let done = try await scratch.hypha(
        "log", "prune", node, "--keep-newest", "500", "--yes", "--as", "ana", "--json")
      #expect(done.status == 0 && done.errors == "" && done.output.contains("\"isDone\":true"), "\(done)")
      #expect(done.output.contains("\"path\":\"\(node)\""))
      #expect(run.isRunning)
      #expect(try log().gaps().contains { $0.kind == .pruned })
      // An alert that waits for an answer stays, and all behind it.
      let other = try await scratch.hypha("log", "prune", scratch("data/a"), "--keep-newest", "1", "--yes")
      #expect(other.status == 0, "\(other)")
      #expect(try AlertReading.openAlerts(in: LMDBLogReader(directory: scratch("data/a"))).count == 2)
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      let verify = try await scratch.hypha("log", "verify", node)
      #expect(verify.status == 0 && verify.output.contains(": sound; "), "\(verify)")
      scratch.expectNothingLeft()
    }
  }
}
