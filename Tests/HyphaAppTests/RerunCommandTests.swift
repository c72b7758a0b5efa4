import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Commands {
  /// `hypha rerun`, on what real nodes have left.
  @Suite struct RerunCommandTests {
    /// What handlers have stated in a log, without what the bus states in their names.
    private func stated(_ directory: String, since time: Timestamp = .zero) throws -> [EventID: [UInt8]] {
      var stated: [EventID: [UInt8]] = [:]
      try LMDBLogReader(directory: directory).scan { entry in
        let header = entry.record.header
        guard entry.source == .stated, !header.type.text.hasPrefix("hypha."), header.time >= time else {
          return true
        }
        stated[header.id] =
          Array("\(header.agent) \(header.type) \(header.causation) ".utf8) + entry.record.payload
        return true
      }
      return stated
    }

    /// Runs jobs to their end, with a node that is killed meanwhile.
    private func recorded(in scratch: Scratch) async throws -> JobRun {
      let job = try JobRun(in: scratch)
      let run = try job.start()
      #expect(await becomesTrue { (try? job.log().head().rawValue >= 30) ?? false })
      kill(try #require(run.node("b")), SIGKILL)
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      #expect(try job.faults() == [])
      return job
    }

    @Test func `agents of killed nodes do the same again, and write it to new logs`() async throws {
      let scratch = try Scratch()
      let job = try await recorded(in: scratch)
      let same = try await job.app("rerun", job.file, "--data", job.data, "--verify", "-o", scratch("again"))
      #expect(same.status == 0, "\(same.output)\(same.errors)")
      #expect(same.output.contains("all is as recorded: "), "\(same.output)")
      for node in ["a", "b"] {
        let (then, now) = (try stated("\(job.data)/\(node)"), try stated("\(scratch("again"))/\(node)"))
        #expect(then == now && !now.isEmpty)
        #expect(try LMDBLogReader(directory: "\(scratch("again"))/\(node)").verify().findings.isEmpty)
      }
      let taken = try await job.app("rerun", job.file, "--data", job.data, "-o", scratch("again"))
      #expect(taken.status == 1 && taken.errors.contains("holds logs already"), "\(taken.errors)")
      let books = try await job.app("rerun", job.file, "--data", job.data, "--agent", "books", "--json")
      let line = try JSON.decode(JSONValue.self, from: (books.lines.last ?? "").utf8)
      #expect(
        books.lines.count == 1 && line["agent"] == .string("books") && line["differences"] == .integer(0))
      #expect(line["statedNow"] == .integer(Int64(JobRun.booked.count)))
      // What cannot be run again is not verified, unless somebody says that it need not be: the worker's last call is there, and no
      // state from which on it could be made again.
      var last = Position.start
      try job.log().scan { entry in
        if entry.source == .stated, entry.record.agent == "worker" { last = entry.position }
        return true
      }
      let cut = try await scratch.hypha(
        "log", "prune", "\(job.data)/b", "--handled", "--protect", "\(last)", "--yes")
      #expect(cut.status == 0 && cut.output.contains("removed"), "\(cut)")
      let pruned = try await job.app("rerun", job.file, "--data", job.data, "--verify", "--json")
      #expect(pruned.status == 1 && pruned.errors.contains("not all was verified: "), "\(pruned)")
      #expect(pruned.errors.contains("--except"))
    }

    @Test func `what another setting changes is found, the first first, with both sides`() async throws {
      let scratch = try Scratch()
      let job = try await recorded(in: scratch)
      let text = try String(contentsOfFile: job.file, encoding: .utf8)
      let fewer = try scratch.file("fewer.yaml", text.replacing("burst: 4", with: "burst: 3"))
      let failed = try await job.app("rerun", fewer, "--data", job.data, "--verify")
      #expect(failed.status == 1 && failed.errors == "", "\(failed.errors)")
      #expect(
        failed.output.contains("feeder on a: its start\n  is not stated any more\n"), "\(failed.output)")
      #expect(failed.output.contains("recorded") && failed.output.contains("test.Job"))
      // The fourth job of the first burst is the first that is not as it was.
      #expect(failed.output.split(separator: "\n").contains { $0.contains("number") && $0.contains(" 3") })
      let all = try await job.app("rerun", fewer, "--data", job.data, "--json")
      #expect(all.status == 0)
      let lines = try all.lines.map { try JSON.decode(JSONValue.self, from: $0.utf8) }
      #expect(lines.first?["difference"] == .string("missing") && lines.first?["agent"] == .string("feeder"))
      #expect(lines.first?["recorded"]?["payload"] == .object(["number": .integer(3)]))
      // Each is given what was recorded, so nobody else does anything else.
      for agent in lines where agent["kind"] != nil && agent["agent"] != .string("feeder") {
        #expect(agent["differences"] == .integer(0), "\(agent)")
      }
      let other = try scratch.file(
        "other.yaml", text.replacing("kind: bookkeeper, node: b", with: "kind: bookkeeper, node: a"))
      let refused = try await job.app("rerun", other, "--data", job.data)
      #expect(
        refused.status == 1
          && refused.errors.contains(
            "was written under another topology than 'jobs': agent 'books' is on node 'a', and was on 'b'; give the"
          ),
        "\(refused.errors)")
      let nobody = try await job.app("rerun", job.file, "--data", job.data, "--agent", "nobody")
      #expect(nobody.status == 2 && nobody.errors.contains("has no agent 'nobody'"))
      let nowhere = try await job.app("rerun", job.file, "--data", scratch("nowhere"))
      #expect(nowhere.status == 1 && nowhere.errors.contains("holds no log of a node"))
    }

    @Test(.enabled(if: Python.isThere, "no Python")) func `a program in another language is run again, too`()
      async throws
    {
      let scratch = try Scratch()
      let exec = try ExecRun(in: scratch, ExecRun.worker)
      let run = try exec.start()
      let done = (0..<ExecRun.count).filter { $0 % 11 != 10 }
      #expect(await becomesTrue { (try? exec.stated().done.sorted() == done) ?? false })
      run.signal(SIGTERM)
      _ = await run.end()
      func rerun() async throws -> Hypha.Result {
        try await Hypha(
          ["rerun", exec.file, "--data", exec.data, "--node", "b", "--verify"], in: scratch,
          program: Places.testApp
        ).end()
      }
      let same = try await rerun()
      #expect(same.status == 0 && same.output.contains("all is as recorded"), "\(same.output)\(same.errors)")
      // One line of the program is another.
      _ = try scratch.file(
        "worker.py",
        ExecRun.worker.replacing("{\"number\": number}", with: "{\"number\": number + (number == 5)}"))
      let changed = try await rerun()
      #expect(changed.status == 1 && changed.output.contains("worker on b: its handler of test.Job "))
      #expect(changed.output.contains("differs in payload"), "\(changed.output)")
    }

    @Test(
      .enabled(if: Python.isThere, "no Python"),
      arguments: [([SIGINT], 130), ([SIGTERM], 143), ([SIGTERM, SIGTERM], 143), ([SIGKILL], 137)]
        as [([Int32], Int32)])
    func `a re-run that is stopped leaves nothing that looks like logs`(signals: [Int32], status: Int32)
      async throws
    {
      let scratch = try Scratch()
      let exec = try ExecRun(in: scratch, ExecRun.worker)
      let run = try exec.start()
      #expect(await becomesTrue { (try? exec.stated().done.count >= 8) ?? false })
      run.signal(SIGTERM)
      _ = await run.end()
      // With one signal it goes on to the end of a call; with a second one it does not even wait for that.
      let pause = signals.count == 2 ? "600" : "2"
      _ = try scratch.file(
        "worker.py",
        "import time\n" + ExecRun.worker.replacing("for line in", with: "time.sleep(\(pause))\nfor line in"))
      let output = scratch("new/again")
      func names() -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: scratch("new"))) ?? []
      }
      let rerun = try Hypha(
        ["rerun", exec.file, "--data", exec.data, "--node", "b", "-o", output + "/"], in: scratch,
        program: Places.testApp)
      #expect(await becomesTrue { names().contains { $0.hasSuffix(".partial") } })
      for signal in signals {
        rerun.signal(signal)
        if signals.count == 2 { try await Task.sleep(for: .milliseconds(200), clock: .suspending) }
      }
      let result = await rerun.end()
      #expect(result.status == status, "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: output))
      if signals == [SIGKILL] {
        #expect(names().count == 1)
      } else {
        #expect(names() == [], "\(names())")
      }
      // Then it can be done, beside what a killed one has left.
      _ = try scratch.file("worker.py", ExecRun.worker)
      let again = try await Hypha(
        ["rerun", exec.file, "--data", exec.data, "--node", "b", "--verify", "-o", output], in: scratch,
        program: Places.testApp
      ).end()
      #expect(again.status == 0 && again.output.contains("all is as recorded"), "\(again)")
      #expect(try LMDBLogReader(directory: "\(output)/b").verify().findings.isEmpty)
    }
  }
}
