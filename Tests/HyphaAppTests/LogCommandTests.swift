import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaOperator
import Testing

extension Commands {
  /// `hypha log`, while a deployment runs and after it.
  @Suite struct LogCommandTests {
    /// A line of `log cat --json`, as far as the tests look at it.
    struct Entry: Decodable, Hashable {
      var position: UInt64
      var id, time, channel, agent, type, subject, correlation, source: String
      var epoch: UInt64
      var addressee: String?
    }

    /// Runs the main scenario to its end, and returns the data directory of one node.
    private func finished(_ scratch: Scratch) async throws -> String {
      let room = try IncidentRoom(in: scratch)
      let run = try await scratch.hypha("run", room.file, "--data", scratch("data"))
      try #require(run.status == 0, "\(run.errors)")
      return scratch("data/desk")
    }

    private func entries(_ node: String, _ options: [String], _ scratch: Scratch) async throws -> [Entry] {
      let result = try await Hypha.run(["log", "cat", node, "--json"] + options, in: scratch)
      #expect(result.status == 0 && result.errors == "")
      return try result.lines.map { try JSONDecoder().decode(Entry.self, from: Data($0.utf8)) }
    }

    @Test func `each filter of log cat gives what filtering everything gives`() async throws {
      let scratch = try Scratch()
      let node = try await finished(scratch)
      let all = try await entries(node, [], scratch)
      #expect(all.map(\.position) == (1...UInt64(all.count)).map { $0 } && all.count > 500)
      // Which event stands in the middle depends on the machine; one of a stream that this log has for certain.
      let some = try #require(all[(all.count / 3)...].first { $0.channel == "persistent" })
      let (early, late) = (all[all.count / 4].time, all[all.count / 2].time)
      let conversation = try #require(all.last { $0.type == "work.HandedOver" }).correlation

      func check(_ options: String..., keep: (Entry) -> Bool, at: SourceLocation = #_sourceLocation)
        async throws
      {
        let kept = try await entries(node, options, scratch)
        #expect(kept == all.filter(keep), "\(options)", sourceLocation: at)
        #expect(!kept.isEmpty, "\(options)", sourceLocation: at)
      }
      try await check("--stream", some.agent, keep: { $0.agent == some.agent })
      try await check(
        "--stream", "\(some.agent)@\(some.epoch)/persistent",
        keep: { $0.agent == some.agent && $0.epoch == some.epoch && $0.channel == "persistent" })
      try await check(
        "--stream", "Ana/persistent", "--stream", "watchdog-network/alert",
        keep: {
          ($0.agent == "Ana" && $0.channel == "persistent")
            || ($0.agent == "watchdog-network" && $0.channel == "alert")
        })
      try await check("--subject", "case.>", keep: { $0.subject.hasPrefix("case.") })
      try await check("--subject", "load.*", keep: { $0.subject.hasPrefix("load.") })
      try await check("--type", "load.Alarm", keep: { $0.type == "load.Alarm" })
      try await check(
        "--type", "load.Alarm", "--type", "work.HandedOver",
        keep: { $0.type == "load.Alarm" || $0.type == "work.HandedOver" })
      try await check("--correlation", conversation, keep: { $0.correlation == conversation })
      // Times in this form compare as texts.
      try await check("--since", early, keep: { $0.time >= early })
      try await check("--until", late, keep: { $0.time < late })
      try await check(
        "--since", early, "--until", late, "--type", "work.HandedOver",
        keep: { $0.time >= early && $0.time < late && $0.type == "work.HandedOver" })
      try await check("--after", "\(some.position)", keep: { $0.position > some.position })
      try await check(
        "--after", "10", "--limit", "7", "--type", "work.HandedOver",
        keep: { entry in
          entry.position > 10 && entry.type == "work.HandedOver"
            && all.count { $0.position > 10 && $0.position < entry.position && $0.type == entry.type } < 7
        })
      #expect(try await entries(node, ["--limit", "0"], scratch).isEmpty)
      #expect(try await entries(node, ["--type", "no.Such"], scratch).isEmpty)
    }

    @Test func `cloudevents lines have what CloudEvents requires, and the same events`() async throws {
      let scratch = try Scratch()
      let node = try await finished(scratch)
      let result = try await scratch.hypha("log", "cat", node, "--format", "cloudevents")
      let all = try await entries(node, [], scratch)
      #expect(result.lines.count == all.count)
      for (line, entry) in zip(result.lines, all) {
        let event = try JSON.decode([String: JSONValue].self, from: Data(line.utf8))
        #expect(event["specversion"] == .string("1.0"))
        #expect(event["id"] == .string(entry.id))
        #expect(event["source"] == .string("/agents/\(entry.agent)"))
        #expect(event["type"] == .string(entry.type))
        #expect(event["time"] == .string(entry.time))
        #expect(event["data"] != nil)
        // CloudEvents 1.0, 3.1: attribute names are lower-case letters and digits.
        let names = event.keys.filter { $0 != "data_base64" }
        #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber } })
      }
      // What it prints is what init reads.
      let acted = try scratch.file("again.jsonl", result.output)
      let again = try await scratch.hypha("init", "--from", acted, "--output", "again")
      #expect(again.status == 0 && again.output.contains(": \(Human.count(all.count)) events, "), "\(again)")
    }

    @Test func `log cat without a reader ends quietly, as cat does`() async throws {
      let scratch = try Scratch()
      let node = try await finished(scratch)
      for format in ["table", "json", "cloudevents"] {
        let line = "\(Places.hypha) log cat \(node) --format \(format) | head -1; echo ${PIPESTATUS[*]}"
        let result = try await Hypha(["-c", line], in: scratch, program: "/bin/bash").end()
        #expect(result.errors == "" && result.lines.count == 2 && result.lines.last == "141 0", "\(result)")
      }
    }

    @Test func `info, cat and verify work while the deployment runs, and after it`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.contains("2/2 nodes") })
      var counts: [UInt64] = []
      for isRunning in [true, true, false] {
        // Both go on as fast as the disk lets them.
        #expect(
          try await becomesTrue {
            try LMDBLogReader(directory: scratch("data/b")).head().rawValue > counts.last ?? 0
              && !LMDBLogReader(directory: scratch("data/a")).cursors().isEmpty
          })
        if !isRunning {
          run.signal(SIGINT)
          #expect(await run.end().status == 130)
        }
        #expect(run.isRunning == isRunning)
        let entries = try await entries(scratch("data/b"), [], scratch)
        counts.append(UInt64(entries.count))
        let info = try await scratch.hypha("log", "info", scratch("data"), "--json")
        struct Info: Decodable {
          var node: String
          var entries, stated, streams, lanes, consumers, bytesOnDisk: UInt64
        }
        let rows = try JSONDecoder().decode([Info].self, from: Data(info.output.utf8))
        #expect(rows.map(\.node) == ["a", "b"] && rows[1].entries >= counts.last ?? 0)
        // All that comes to b is what a has signed of its log.
        let heads = try await self.entries(scratch("data/b"), ["--type", "hypha.LogHeadSigned"], scratch)
        let received = UInt64(heads.count { $0.source == "received" })
        #expect(rows[1].stated + received >= rows[1].entries && rows[0].consumers == 1)
        let verify = try await scratch.hypha("log", "verify", scratch("data"), "--json")
        #expect(verify.status == 0 && verify.lines.count == 2)
        #expect(verify.lines.allSatisfy { $0.contains("\"isSound\":true") })
      }
      #expect(counts[0] < counts[1] && counts[1] < counts[2], "\(counts)")
      scratch.expectNothingLeft()
    }

    @Test func `a directory with several logs is no log to cat, and the remedy names them`() async throws {
      let scratch = try Scratch()
      _ = try await finished(scratch)
      let data = scratch("data")
      let result = try await scratch.hypha("log", "cat", data)
      #expect(result.status == 2)
      #expect(
        result.errors
          == "hypha: \(data) holds the logs of 4 nodes; name one of \(data)/apps, \(data)/desk, \(data)/hq, "
          + "\(data)/infra\n")
      let table = try await scratch.hypha("log", "info", data)
      #expect(table.status == 0 && table.lines.count == 5)
      let verify = try await scratch.hypha("log", "verify", data)
      #expect(verify.status == 0 && verify.lines.count { $0.contains(": sound; ") } == 4, "\(verify)")
    }
  }
}
