import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaTopology
import Testing

@testable import HyphaRuntime

extension Processes {
  /// Decisions between programs in Python, on real processes: a clerk that asks, a director that decides, and a stranger who may not ask.
  @Suite(.enabled(if: Python.isThere, "there is no python3; HYPHA_PYTHON may name one"))
  struct ExecDecisionTests {
    private static let clerk = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("test.Job")
      def work(job, event):
          number = job["number"]
          if number == 3:
              event.decide({"number": number}, "trip", by="nobody")
          asked = event.decide({"number": number}, "trip", role="clerk", amount=10 * number)
          event.publish("test.JobDone", {"number": number, "decision": asked})
          if number == 5 and event.attempt == 1:
              raise ValueError("again")

      @agent.on("hypha.DecisionTaken")
      def hear(taken, event):
          event.publish("test.Heard", {"decision": taken["decision"], "granted": taken["isGranted"],
                                       "reason": taken.get("reason"), "grant": taken.get("grant")})

      agent.run()
      """

    private static let director = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("hypha.DecisionReferred")
      def decide(referred, event):
          assert referred["stratum"]["kind"] == "trip" and referred["stratum"]["requester"] == "clerk"
          assert referred["amount"] == 10 * referred["request"]["number"]
          if referred["request"]["number"] == 2:
              event.reject("too far")
          else:
              event.grant()

      @agent.on("hypha.DecisionsDelegated")
      def hear(delegated, event):
          event.publish("test.Told", {"count": sum(one["count"] for one in delegated["counts"])})

      agent.run()
      """

    private static let stranger = """
      import hypha_agent

      agent = hypha_agent.Agent()

      @agent.on("test.Heard")
      def ask(heard, event):
          try:
              event.decide({}, "trip", by="boss")
          except hypha_agent.Refused as refused:
              event.publish("test.Seen", {"refused": str(refused)})

      agent.run()
      """

    private func file(in scratch: Scratch, count: Int) throws -> String {
      for (name, program) in [("clerk", Self.clerk), ("boss", Self.director), ("stranger", Self.stranger)] {
        _ = try scratch.file("\(name).py", program)
      }
      func agent(_ name: String, _ more: String) -> String {
        """
          \(name):
            kind: exec
            \(more)
            settings:
              command: "\(Python.path)"
              arguments: [\(name).py]
              environment: {PYTHONPATH: "\(Places.package.appending(path: "tools").path)", PYTHONDONTWRITEBYTECODE: 1}
        """
      }
      return try scratch.file(
        "office.yaml",
        """
        hypha: 1
        name: office
        supervision: {initial: 20ms, attempts: 2}
        nodes: {a: {}, b: {}}
        observer: {node: b}
        delegation: {approvers: [boss], mode: auto, risk: 20%, audit: 100%, shadowed: 4}
        agents:
          feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: \(count), burst: 1}}
        \(agent("boss", "node: a\n    publishes: [test.Told, hypha.DecisionAnswered]\n    subscribes: [hypha.DecisionReferred, hypha.DecisionsDelegated]"))
        \(agent("clerk", "node: b\n    reports-to: boss\n    publishes: [test.JobDone, test.Heard, hypha.DecisionRequested]\n    subscribes: [test.Job, hypha.DecisionTaken]"))
        \(agent("stranger", "node: b\n    reports-to: boss\n    publishes: [test.Seen]\n    subscribes: [test.Heard]"))
        """)
    }

    @Test func `programs ask for decisions, take them, and have them delegated as they were earned`()
      async throws
    {
      let scratch = try Scratch()
      let file = try file(in: scratch, count: 80)
      let run = try Hypha(
        ["run", file, "--data", scratch("data"), "--json"], in: scratch, program: Places.testApp)
      let result = await run.end()
      try #require(result.status == 0, "\(result.errors)")

      struct Done: Decodable { var number: Int, decision: String }
      struct Heard: Decodable { var decision: String, granted: Bool, reason: String?, grant: String? }
      var (done, heard, refusals): ([Int: String], [String: Heard], [String]) = ([:], [:], [])
      let clerks = try LMDBLogReader(directory: scratch("data") + "/b")
      try clerks.scan { entry in
        let payload = entry.record.payload
        switch entry.record.header.type {
        case "test.JobDone":
          let one = try JSON.decode(Done.self, from: payload)
          done[one.number] = one.decision
        case "test.Heard":
          let one = try JSON.decode(Heard.self, from: payload)
          #expect(heard.updateValue(one, forKey: one.decision) == nil, "told once")
        case "test.Seen": refusals.append(String(decoding: payload, as: UTF8.self))
        default: break
        }
        return true
      }
      // One asked whom there is not, and was put aside; one failed behind what it had asked, which is not asked then.
      #expect(done.keys.sorted() == Array(0..<80).filter { $0 != 3 })
      let letters = try DeadLetter.open(in: clerks, of: "clerk").map(\.failure.error)
      #expect(
        letters.count == 1 && letters[0].contains("asks for a decision of 'nobody', who takes none"),
        "\(letters)")
      #expect(Set(done.values) == Set(heard.keys))
      #expect(heard.values.filter { !$0.granted }.map(\.reason) == ["too far"])
      #expect(done[2].flatMap { heard[$0]?.granted } == false)
      #expect(heard.values.count { $0.grant == "delegation:boss:1" } > 5)
      // Who may not ask is told so, and nothing else of its handler has happened.
      let strangers = try DeadLetter.open(in: clerks, of: "stranger").map(\.failure.error)
      #expect(strangers.count == heard.count && refusals.isEmpty)
      #expect(
        strangers.allSatisfy { $0.contains("publishes hypha.DecisionRequested, which it does not declare") },
        "\(strangers.prefix(1))")
      let known = try await Hypha(
        ["topology", "decisions", file, "--data", scratch("data"), "--format", "json"], in: scratch,
        program: Places.testApp
      ).end()
      #expect(known.status == 0, "\(known.errors)")
      guard case .array(let rows) = try JSON.decode(JSONValue.self, from: known.output.utf8),
        let row = rows.first
      else { throw HyphaError(.failed, "no decisions are known: \(known.output)") }
      #expect(
        rows.count == 1 && row["role"] == .string("clerk") && row["state"] == .string("delegated"), "\(row)")
      #expect(row["rejected"] == .integer(1) && row["node"] == .string("a"))
    }
  }
}
