import Foundation
import HyphaCore
import Testing

extension Processes {
  /// Agents in other languages, on real processes of both kinds that are killed.
  @Suite(.enabled(if: Python.isThere, "there is no python3; HYPHA_PYTHON may name one")) struct ExecTests {
    private static let hopeless = [10, 21, 32]
    private static let numbers = Array(0..<ExecRun.count)

    /// That each job was done once, but for those that never can be.
    private func expectOnce(_ stated: ExecRun.Stated, never: [Int]) {
      let done = Self.numbers.filter { !never.contains($0) }
      #expect(stated.faults == [] && stated.jobs.values.sorted() == Self.numbers)
      #expect(stated.done.sorted() == done)
      #expect(stated.booked.sorted() == done.filter { $0 % 2 == 0 }, "what Swift makes of what Python says")
      #expect(stated.deadLetters.keys.sorted() == never)
    }

    @Test func `a worker in Python has all that one in Swift has, and a poisoned input is put aside`()
      async throws
    {
      let scratch = try Scratch()
      let run = try ExecRun(in: scratch, ExecRun.worker.replacing("\"poison\" in sys.argv", with: "True"))
      let result = await (try run.start()).end()
      #expect(result.status == 0, "\(result.errors)")
      let summary = try RunSummary(result)
      // The first, and one after each of the three attempts at the poison, where something came after it.
      #expect(
        summary.isComplete && (3...4).contains(summary.gauges["programs started"] ?? 0), "\(summary.gauges)")
      let stated = try run.stated()
      expectOnce(stated, never: [10, 12, 21, 32])
      #expect(stated.failures.keys.sorted() == [6, 10, 12, 13, 20, 21, 27, 32, 34])
      #expect(stated.failures[6] == ["ValueError: not now"])
      #expect(stated.failures[10] == ["hypha_agent.Permanent: impossible"])
      #expect(stated.failures[12]?.count == 3)
      #expect(stated.deadLetters[12]?.contains("exited with status 3 within an input") == true)
      #expect(stated.deadLetters[12]?.contains("(its last words: ") == true)
      #expect(stated.deadLetters[12]?.contains("what a job") == true)
      #expect(stated.diagnostics.contains("ValueError: not now"))
      scratch.expectNothingLeft()
    }

    @Test func `kill -9 of the program, and of its node, leaves each input handled once`() async throws {
      let scratch = try Scratch()
      let run = try ExecRun(in: scratch, ExecRun.worker.replacing("\"kill\" in sys.argv", with: "True"))
      let job = try run.start()
      let isThere = { FileManager.default.fileExists(atPath: $0) }
      try #require(await becomesTrue { isThere(run.childMark) }, "\(job.errors)")
      let before = Set(try run.stated().done)
      #expect(
        before.isSuperset(of: (0..<17).filter { $0 % 7 != 6 && $0 != 10 }),
        "each input is committed before the next one is given: \(before)")
      let program = try #require(run.program(of: job))
      kill(program, SIGKILL)
      try #require(await becomesTrue { isThere(run.nodeMark) }, "\(job.errors)")
      let second = try #require(run.program(of: job, after: program))
      let node = try #require(job.node("b"))
      kill(node, SIGKILL)
      // It was in the middle of something that it would not have left for long.
      #expect(await becomesTrue { ProcessTable.hasEnded(second) }, "a program does not outlive its node")
      let result = await job.end()
      #expect(result.status == 0, "\(result.errors)")
      #expect(try RunSummary(result).restarts == 1)
      let stated = try run.stated()
      expectOnce(stated, never: Self.hopeless)
      #expect(stated.failures[17]?.count == 1)
      #expect(stated.failures[17]?[0].contains("was ended by signal 9 within an input") == true)
      #expect(stated.failures[23] == nil, "a node's death is no failure of its agents")
      scratch.expectNothingLeft()
    }

    @Test(
      .enabled(
        if: Python.has("cloudevents.core.v1.event"),
        "no Python with the package cloudevents 2; tools/setup-python installs it, HYPHA_PYTHON may name one")
    )
    func `the CloudEvents package of Python reads what a program is given, and writes what it answers`()
      async throws
    {
      let scratch = try Scratch()
      let run = try ExecRun(
        in: scratch,
        """
        import sys
        from cloudevents.core.formats.json import JSONFormat
        from cloudevents.core.v1.event import CloudEvent

        json = JSONFormat()

        def say(cause, type, data=None):
            attributes = {"id": type + cause, "source": "/worker", "type": type, "specversion": "1.0"}
            attributes["causationid"] = cause
            if data is not None:
                attributes["datacontenttype"] = "application/json"
            sys.stdout.buffer.write(json.write(CloudEvent(attributes, data)) + b"\\n")
            sys.stdout.buffer.flush()

        for line in sys.stdin.buffer:
            event = json.read(CloudEvent, line)
            number = event.get_data()["number"]
            assert event.get_type() == "test.Job" and event.get_source() == "/agents/feeder"
            assert event.get_extension("channel") == "persistent" and event.get_time() is not None
            if number % 11 == 10:
                say(event.get_id(), "hypha.failed", {"error": "impossible", "permanent": True})
                continue
            say(event.get_id(), "test.JobDone", {"number": number})
            say(event.get_id(), "hypha.handled")
        """)
      let result = await (try run.start()).end()
      #expect(result.status == 0, "\(result.errors)")
      let stated = try run.stated()
      expectOnce(stated, never: Self.hopeless)
      #expect(stated.failures.keys.sorted() == Self.hopeless, "\(stated.failures) \(stated.diagnostics)")
      scratch.expectNothingLeft()
    }

    @Test func `what a program must not publish is refused, and settings that make no sense are told`()
      async throws
    {
      let scratch = try Scratch()
      let run = try ExecRun(
        in: scratch,
        """
        import hypha_agent

        agent = hypha_agent.Agent()

        @agent.on("test.Job")
        def work(job, event):
            event.publish("test.JobDone", {"number": job["number"]})
            event.publish(["test.Job", "hypha.AgentStopped"][job["number"] % 2], {})

        agent.run()
        """)
      let result = await (try run.start()).end()
      #expect(result.status == 0, "\(result.errors)")
      let stated = try run.stated()
      #expect(stated.done == [] && stated.deadLetters.count == ExecRun.count, "at the first attempt")
      #expect(
        stated.deadLetters.allSatisfy {
          $1.contains("publishes \($0 % 2 == 0 ? "test.Job" : "hypha.AgentStopped"), which the topology file")
        })
      let text = try String(contentsOfFile: run.file, encoding: .utf8)
      for (old, new, problem) in [
        ("[test.JobDone]", "[hypha.AgentStopped]", "the bus states these itself"),
        ("command: ", "comand: ", "did you mean 'command'?"),
        ("PYTHONDONTWRITEBYTECODE: 1", "\"A=B\": 1", "cannot name a variable"),
        ("PYTHONDONTWRITEBYTECODE: 1", "A: [1]", "it is no text"),
      ] {
        let bad = try scratch.file("bad.yaml", text.replacing(old, with: new))
        let checked = try await Hypha(["validate", bad], in: scratch, program: Places.testApp).end()
        #expect(checked.status == 1 && checked.errors.contains(problem), "\(checked)")
      }
      let simulated = try await Hypha(["run", run.file, "--simulate"], in: scratch, program: Places.testApp)
        .end()
      #expect(simulated.status == 1 && simulated.errors.contains("cannot be simulated"), "\(simulated)")
    }
  }
}
