import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaRuntime

extension Processes {
  /// Alerts between programs in Python, on real processes: a guard that raises them, a warden whom they are for, and the boss of both.
  @Suite(.enabled(if: Python.isThere, "there is no python3; HYPHA_PYTHON may name one"))
  struct ExecAlertTests {
    private static let guardian = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("test.Job")
      def work(job, event):
          number = job["number"]
          if number == 3:
              event.alert("test.JobDone", {"number": number})
          elif number == 4:
              event.publish("test.Fire", {"number": number})
          elif number == 5:
              event.alert("test.Smoke", {"number": number}, to="warden")
          elif number == 6:
              event.alert("test.Fire", {"number": number}, within=700 * 86400)
          elif number % 2 == 0:
              event.alert("test.Fire", {"number": number}, to="warden", within=2.5)
          else:
              event.alert("test.Fire", {"number": number})
          event.publish("test.JobDone", {"number": number})
          if number == 7:
              raise hypha_agent.Permanent("too late")

      agent.run()
      """

    private static let warden = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("test.Fire")
      def look(fire, event):
          if event.channel != "alert" or event.sender != "guard":
              raise hypha_agent.Permanent("what is this?")
          if fire["number"] == 1:
              raise ValueError("not now")
          event.publish("test.Seen", fire)

      agent.run()
      """

    private static let boss = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("hypha.AlertEscalated")
      @agent.on("hypha.EventDeadLettered")
      def hear(told, event):
          event.publish("test.Told", {"type": event.type, "from": event.sender})

      agent.run()
      """

    private func file(in scratch: Scratch) throws -> String {
      for (name, program) in [
        ("guard", Self.guardian), ("warden", Self.warden), ("boss", Self.boss),
      ] {
        _ = try scratch.file("\(name).py", program)
      }
      func agent(_ name: String, _ more: String, alerts: String = "[]") -> String {
        """
          \(name):
            kind: exec
            \(more)
            settings:
              command: "\(Python.path)"
              arguments: [\(name).py]
              alerts: \(alerts)
              environment: {PYTHONPATH: "\(Places.package.appending(path: "tools").path)", PYTHONDONTWRITEBYTECODE: 1}
        """
      }
      return try scratch.file(
        "alarms.yaml",
        """
        hypha: 1
        name: alarms
        alerts: {deadline: 1s, redelivery: 50ms}
        supervision: {initial: 20ms, attempts: 2}
        nodes: {a: {}, b: {}}
        agents:
          feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: 8, burst: 4}}
        \(agent("boss", "node: a\n    publishes: [test.Told]\n    subscribes: [hypha.AlertEscalated, hypha.EventDeadLettered]"))
        \(agent(
          "guard", "node: b\n    reports-to: boss\n    publishes: [test.JobDone, test.Fire]\n    subscribes: [test.Job]",
          alerts: "[test.Fire]"))
        \(agent("warden", "node: a\n    reports-to: boss\n    publishes: [test.Seen]\n    subscribes: [test.Fire]"))
        """)
    }

    @Test func `programs raise alerts, answer them, and are told of those that nobody answers`()
      async throws
    {
      let scratch = try Scratch()
      let run = try Hypha(
        ["run", try file(in: scratch), "--data", scratch("data"), "--json"], in: scratch,
        program: Places.testApp)
      let result = await run.end()
      try #require(result.status == 0, "\(result.errors)")
      #expect(try RunSummary(result).isComplete)

      var fires: [EventID: Int] = [:]
      var (withins, letters): ([EventID: UInt64], [Int: String]) = ([:], [:])
      var jobs: [EventID: Int] = [:]
      struct Numbered: Decodable { var number: Int }
      let guardLog = try LMDBLogReader(directory: scratch("data") + "/b")
      #expect(try guardLog.verify().findings.isEmpty)
      try guardLog.scan { entry in
        let header = entry.record.header
        switch header.type {
        case "test.Job":
          jobs[header.id] = try JSON.decode(Numbered.self, from: entry.record.payload).number
        case "test.Fire":
          #expect(header.channel == .alert && header.agent == "guard" && header.causation != .none)
          fires[header.id] = try JSON.decode(Numbered.self, from: entry.record.payload).number
          #expect(
            header.addressee == (fires[header.id].map { $0 % 2 == 0 } == true ? "warden" : nil))
        case AlertDeadlineSet.eventType:
          let set = try AlertDeadlineSet.decode(entry.record)
          withins[set.alert] = set.withinMicroseconds
        default: break
        }
        return true
      }
      for letter in try DeadLetter.open(in: guardLog) {
        letters[jobs[letter.failure.event] ?? -1] = letter.failure.error
      }
      // What it failed on behind its alert has none of its other effects; the alert is gone by then.
      #expect(fires.values.sorted() == [0, 1, 2, 7])
      #expect(withins.values.sorted() == [2_500_000, 2_500_000])
      #expect(withins.keys.allSatisfy { (fires[$0] ?? 1) % 2 == 0 })
      #expect(letters.keys.sorted() == [3, 4, 5, 6, 7], "\(letters)")
      #expect(letters[3]?.contains("publishes test.JobDone on the channel alert") == true)
      #expect(letters[4]?.contains("publishes test.Fire on the channel persistent") == true)
      #expect(
        letters[5]?.contains("publishes test.Smoke, which the topology file does not let it")
          == true)
      #expect(letters[6]?.contains("has a withinms that is not 1 to 604800000") == true)
      #expect(letters[7]?.contains("too late") == true)

      var (answers, told): ([AgentID: [Int]], [String: Int]) = ([:], [:])
      var (seen, escalated): ([Int], [EventID: Int]) = ([], [:])
      struct Told: Decodable { var type: String }
      try LMDBLogReader(directory: scratch("data") + "/a").scan { entry in
        let header = entry.record.header
        switch header.type {
        case AlertAcknowledged.eventType:
          answers[header.agent, default: []].append(
            fires[header.causation] ?? escalated[header.causation] ?? -1)
        case AlertEscalated.eventType:
          #expect(header.addressee == "boss")
          escalated[header.id] = fires[try AlertEscalated.decode(entry.record).alert]
        case "test.Seen":
          seen.append(try JSON.decode(Numbered.self, from: entry.record.payload).number)
          #expect(fires[header.causation] == seen.last)
        case "test.Told":
          told[try JSON.decode(Told.self, from: entry.record.payload).type, default: 0] += 1
        default: break
        }
        return true
      }
      #expect(seen.sorted() == [0, 2, 7])
      #expect(answers["warden"]?.sorted() == [0, 2, 7], "one that fails does not answer")
      #expect(
        escalated.values.sorted() == [1] && answers["boss"]?.contains(1) == true, "\(answers)")
      #expect(told == ["hypha.AlertEscalated": 1, "hypha.EventDeadLettered": 5])
      scratch.expectNothingLeft()
    }
  }
}
