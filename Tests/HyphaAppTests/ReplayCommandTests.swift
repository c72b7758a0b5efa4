import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaLogLMDB
import Testing

/// Two nodes' logs, as a run in which `ana` asks and `bo` answers leaves them.
struct AskedLogs {
  let data: String
  let roundCount: Int
  /// When the first event was stated, and the time between a question and its answer.
  static let begin: UInt64 = 1_700_000_000_000_000
  static let step: UInt64 = 10_000

  private final class Time: TimeSource {
    func microseconds() -> UInt64 { AskedLogs.begin }
  }

  init(in scratch: Scratch, roundCount: Int) async throws {
    data = scratch("data")
    self.roundCount = roundCount
    let logs = try ["desk", "hq"].map { name in
      try LMDBLog(
        directory: "\(data)/\(name)", node: NodeID(name),
        settings: LMDBLogSettings(mapByteCount: 1 << 28, niceValue: 0), time: Time())
    }
    defer { for log in logs { log.close() } }
    for round in 1...roundCount {
      let sequence = UInt64(round)
      let question = try record("ana", to: "bo", type: "work.Asked", sequence, half: 0, cause: nil)
      let answer = try record("bo", to: "ana", type: "work.Answered", sequence, half: 1, cause: question)
      for (log, batch) in [
        (logs[0], LogBatch.Append(question)), (logs[1], .init(question, source: .received(hops: 2))),
        (logs[1], .init(answer)), (logs[0], .init(answer, source: .received(hops: 2))),
      ] {
        _ = try await log.append(LogBatch(appends: [batch]))
      }
    }
  }

  private func record(
    _ agent: AgentID, to addressee: AgentID, type: EventTypeName, _ sequence: UInt64, half: UInt64,
    cause: Record?
  ) throws -> Record {
    let time = Timestamp(microseconds: Self.begin + ((sequence - 1) * 2 + half) * Self.step)
    let id = EventID(time: time, random: sequence &* 0x9E37_79B9_7F4A_7C15)
    return try Record(
      RecordHeader(
        id: id, time: time, channel: .persistent, agent: agent, epoch: 1, sequence: sequence,
        previous: LanePoint(epoch: sequence > 1 ? 1 : 0, sequence: sequence - 1), addressee: addressee,
        type: type,
        subject: Subject("case.\(sequence)"), causation: cause?.header.id ?? .none,
        correlation: cause?.header.correlation ?? id,
        authority: Authority(principal: agent, grant: "topology")),
      payload: Array(#"{"round":\#(sequence)}"#.utf8))
  }
}

extension Commands {
  /// `hypha replay`.
  @Suite struct ReplayCommandTests {
    struct Line: Decodable, Hashable {
      var node, id, type, time: String
      var causation: String?
      var position, sequence: UInt64
    }

    private func lines(_ options: [String], _ scratch: Scratch) async throws -> [Line] {
      let result = try await Hypha.run(
        ["replay", "--data", scratch("data"), "--json"] + options, in: scratch)
      #expect(result.status == 0 && result.errors == "")
      return try result.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    @Test func `the nodes' logs come as one, each event once and behind its cause`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 50)
      let all = try await lines([], scratch)
      #expect(all.map(\.type) == (0..<50).flatMap { _ in ["work.Asked", "work.Answered"] })
      #expect(all.map(\.node) == (0..<50).flatMap { _ in ["desk", "hq"] })
      for (question, answer) in zip(all, all.dropFirst()) where answer.type == "work.Answered" {
        #expect(answer.causation == question.id)
      }
      func check(_ options: String..., keep: (Line) -> Bool) async throws {
        let kept = try await lines(options, scratch)
        #expect(kept == all.filter(keep) && !kept.isEmpty, "\(options)")
      }
      try await check("--type", "work.Answered") { $0.type == "work.Answered" }
      try await check("--stream", "bo@1/persistent", "--from", "sequence:7", "--to", "sequence:9") {
        $0.type == "work.Answered" && (7...9).contains($0.sequence)
      }
      try await check("--from", all[20].time, "--to", all[40].time) {
        $0.time >= all[20].time && $0.time < all[40].time
      }
      #expect(try await lines(["--limit", "7"], scratch) == Array(all.prefix(7)))
      let one = try await lines(["--node", "hq", "--from", "3", "--to", "5"], scratch)
      #expect(one.map(\.position) == [3, 4, 5] && Set(one.map(\.node)) == ["hq"])
      let count = try await Hypha.run(["replay", "--data", logs.data, "--count", "--json"], in: scratch)
      #expect(count.output.hasPrefix(#"{"events":100,"logs":2,"#))
    }

    @Test func `types are left out by name or by pattern, in all commands that show events`() async throws {
      let scratch = try Scratch()
      let events = [
        ("hypha.Observed", ""), ("work.Asked", #""addressee":"bo","#), ("work.Done", ""),
        ("hypha.Answered", ""),
      ].enumerated().map { index, event in
        """
        {"specversion":"1.0","id":"01932f6e-8a3c-7d21-9f44-00000000000\(index)","source":"/agents/ana",\
        "type":"\(event.0)","subject":"s","time":"2020-01-01T00:00:0\(index)Z","epoch":1,\
        "sequence":\(index + 1),"channel":"persistent",\(event.1)"principal":"ana",\
        "correlationid":"01932f6e-8a3c-7d21-9f44-00000000000\(index)","data":{}}
        """
      }
      let file = try scratch.file("events.jsonl", events.map { $0 + "\n" }.joined())
      #expect(try await scratch.hypha("import", file, "--data", scratch("data")).status == 0)
      let data = ["--data", scratch("data")]
      func types(_ command: [String]) async throws -> [String] {
        let result = try await Hypha.run(command, in: scratch)
        #expect(result.status == 0, "\(result)")
        return try result.lines.map { try JSON.decode(JSONValue.self, from: $0.utf8)["type"]?.text ?? "" }
      }
      for (options, kept) in [
        ([], ["hypha.Observed", "work.Asked", "work.Done", "hypha.Answered"]),
        (["--without", "hypha.>"], ["work.Asked", "work.Done"]),
        (["--without", "hypha.Observed", "--without", "work.*"], ["hypha.Answered"]),
        (["--without", "*.Done", "--type", "work.Done", "--type", "work.Asked"], ["work.Asked"]),
      ] {
        #expect(try await types(["replay", "--json"] + data + options) == kept)
        #expect(try await types(["log", "cat", scratch("data/imported"), "--json"] + options) == kept)
        #expect(try await types(["export", "--format", "cloudevents"] + data + options) == kept)
        let (watch, count) = (["watch", "--back", "100000d", "--limit"], "\(kept.count)")
        if !options.contains("--type") { #expect(try await types(watch + [count] + data + options) == kept) }
      }
      // CloudEvents stay what they were; a graph, a process and a trace have no record of a handler.
      let again = try await Hypha.run(["export", "--format", "cloudevents"] + data, in: scratch)
      #expect(again.lines.count == 4)
      for format in ["xes", "ocel-json", "otlp", "graphml"] {
        let (export, asked) = (["export", "--format", format] + data, ["--type", "hypha.Observed"])
        let made = try await Hypha.run(export, in: scratch)
        #expect(made.output.contains("work.Done") && !made.output.contains("hypha.Observed"), "\(format)")
        let records = try await Hypha.run(export + asked, in: scratch)
        #expect(records.status == 0 && !records.output.contains("work.Done"))
        #expect(records.output.contains("hypha.Observed") == (format != "graphml"), "\(format)")
      }
      let stats = try await scratch.hypha("log", "stats", scratch("data"), "--json")
      let figures = try JSON.decode(JSONValue.self, from: stats.output.utf8)
      if case .array(let pairs)? = figures["pairs"] {
        #expect(pairs.compactMap { $0["name"]?.text }.contains("ana → bo") && pairs.count == 3)
      }
      #expect(figures["first"] == .string("2020-01-01T00:00:00.000000Z"))
      #expect(figures["losses"]?["nodes"] == .integer(0))
    }

    @Test func `what cannot be meant is said`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 2)
      for (options, words, status) in [
        (["--from", "3"], "name one node", 2), (["--node", "nix"], "name one of desk, hq", 2),
        (["--rate", "fast"], "--rate", 2), (["--rate", "0x"], "--rate", 2),
        (["--from", "noon"], "sequence:17", 2),
        (["--rate", "step"], "on a terminal", 2), (["--count", "--follow"], "leave out --follow", 2),
        (["--node", "hq", "--from", "5", "--to", "2"], "go forward", 2),
      ] as [([String], String, Int32)] {
        let result = try await Hypha.run(["replay", "--data", logs.data] + options, in: scratch)
        #expect(result.status == status && result.output == "", "\(options)")
        #expect(result.errors.contains(words) && result.errorLines.count <= 2, "\(result.errors)")
      }
      let nothing = try await Hypha.run(["replay", "--data", scratch("nix")], in: scratch)
      #expect(nothing.status == 1 && nothing.errors.contains("holds no log"))
    }

    @Test func `whoever follows up to a time that is past sees what there was, and no more`() async throws {
      let scratch = try Scratch()
      let logs = try await AskedLogs(in: scratch, roundCount: 3)
      let to = "2100-01-01T00:00:00Z"
      let all = try await scratch.hypha("replay", "--data", logs.data, "--json", "--to", to)
      let past = RecordedTime.text(Int64(Date().timeIntervalSince1970 * 1e6)) ?? ""
      let followed = try await scratch.hypha(
        "replay", "--data", logs.data, "--json", "--follow", "--to", past)
      #expect(followed.status == 0 && followed.output == all.output && !all.output.isEmpty, "\(followed)")
    }

    @Test func `at a pace it takes its time, and a signal ends it with what it did`() async throws {
      let scratch = try Scratch()
      _ = try await AskedLogs(in: scratch, roundCount: 3)
      let replay = try scratch.start("replay", "--data", scratch("data"), "--rate", "0.001x", "--json")
      #expect(await becomesTrue { replay.output.contains("work.Asked") })
      replay.signal(SIGINT)
      let result = await replay.end()
      #expect(result.status == 130 && result.lines.count == 1)
      #expect(result.errors.contains("stopped after 1 event of 2 logs"))
    }

    @Test(arguments: [0, 3])
    func `what is appended comes while it follows, whoever is killed meanwhile`(_ killCount: Int) async throws
    {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let scratch = try Scratch()
      let room = try IncidentRoom(in: scratch)
      let run = try scratch.start("run", room.file, "--data", scratch("data"))
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/apps/log/data.mdb")) })
      #expect(
        await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/infra/log/data.mdb")) })
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/hq/log/data.mdb")) })
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/desk/log/data.mdb")) })
      let follow = try scratch.start("replay", "--data", scratch("data"), "--follow", "--json")
      for _ in 0..<killCount {
        let node = try #require(["hq", "desk", "infra", "apps"].randomElement(using: &random))
        let log = { try LMDBLogReader(directory: "\(scratch("data"))/\(node)").head().rawValue }
        let goal = try log() + 20 + random.next() % 60
        _ = await becomesTrue { !run.isRunning || ((try? log() >= goal) ?? false) }
        if run.isRunning, let process = run.node(node) { kill(process, SIGKILL) }
      }
      let ended = await run.end()
      #expect(ended.status == 0, "\(ended.errors); seed \(seed)")
      let whole = try await lines([], scratch)
      #expect(await becomesTrue { follow.output.count { $0 == "\n" } >= whole.count })
      follow.signal(SIGTERM)
      let result = await follow.end()
      let shown = try result.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      let all = Set(whole.map(\.id))
      #expect(shown.count == whole.count && Set(shown.map(\.id)) == all, "seed \(seed)")
      var seen: Set<String> = []
      for line in shown {
        // What a killed node had sent and not committed may be the cause of what others have.
        let isThere = line.causation.map { killCount == 0 || all.contains($0) } ?? false
        #expect(!isThere || line.causation.map { seen.contains($0) } == true, "seed \(seed)")
        seen.insert(line.id)
      }
    }

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `on a terminal keys pause, step, seek and end it`() async throws {
      let scratch = try Scratch()
      _ = try await AskedLogs(in: scratch, roundCount: 20)
      let terminal = try PseudoTerminal(["replay", "--data", scratch("data"), "--rate", "step"], in: scratch)
      #expect(await becomesTrue { terminal.text().contains("paused") })
      #expect(!terminal.text().contains("work.Asked"))
      terminal.type("nnn")
      #expect(await becomesTrue { terminal.text().contains("3 shown") })
      terminal.type("m ")
      #expect(await becomesTrue { terminal.text().contains("■ end") })
      #expect(terminal.text().contains("case.20"))
      let before = terminal.text().count
      terminal.type("\u{1B}[H")
      #expect(await becomesTrue { terminal.text().contains("from the begin") })
      // What was shown before it does not count on.
      #expect(await becomesTrue { terminal.text().dropFirst(before).contains("40 shown") })
      #expect(!terminal.text().contains("41 shown") && !terminal.text().contains("80 shown"))
      terminal.type("q")
      #expect(await terminal.end() == 0)
      #expect(terminal.text().ranges(of: "\u{1B}[?25h").count == 1)
    }

    @Test(.enabled(if: PseudoTerminal.isAvailable, "there is no /usr/bin/setsid"))
    func `steps through time go neither behind the last event nor before the first`() async throws {
      let scratch = try Scratch()
      _ = try await AskedLogs(in: scratch, roundCount: 3)
      let terminal = try PseudoTerminal(["replay", "--data", scratch("data"), "--rate", "step"], in: scratch)
      #expect(await becomesTrue { terminal.text().contains("paused") })
      // The log has 60 ms from 22:13:20 on.
      for key in ["C", "A", "C"] { terminal.type("\u{1B}[\(key)") }
      for _ in 0..<3 { terminal.type("\u{1B}[B") }
      #expect(await becomesTrue { terminal.text().ranges(of: "── from 2023-11-14 22:13:20 ──").count == 3 })
      #expect(terminal.text().ranges(of: "── from ").count == 3)
      terminal.type("n")
      #expect(await becomesTrue { terminal.text().contains("1 shown") })
      terminal.type("q")
      #expect(await terminal.end() == 0)
    }
  }
}
