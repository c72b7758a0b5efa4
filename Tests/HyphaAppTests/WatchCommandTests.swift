import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// `hypha watch` and `hypha top`.
  @Suite struct WatchCommandTests {
    private final class Time: TimeSource {
      func microseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1e6) }
    }

    private func append(_ count: Int, to scratch: Scratch, from first: Int = 0, subject: String) async throws
    {
      let log = try LMDBLog(
        directory: scratch("data/desk"), node: "desk",
        settings: LMDBLogSettings(mapByteCount: 1 << 28, niceValue: 0), time: Time())
      defer { log.close() }
      for number in first..<(first + count) {
        let time = Timestamp(microseconds: UInt64(Date().timeIntervalSince1970 * 1e6))
        let id = EventID(time: time, random: UInt64(number) &* 0x9E37_79B9_7F4A_7C15)
        let sequence = UInt64(number + 1)
        let record = try Record(
          RecordHeader(
            id: id, time: time, channel: .alert, agent: "cy", epoch: 1, sequence: sequence,
            previous: LanePoint(epoch: number > 0 ? 1 : 0, sequence: sequence - 1), addressee: "ana",
            type: "load.Alarm", subject: Subject(subject), correlation: id,
            authority: Authority(principal: "cy")),
          payload: Array("{}".utf8))
        _ = try await log.append(LogBatch(appends: [.init(record)]))
      }
    }

    @Test func `what comes is watched, what was there is not, and Ctrl-C says what was done`() async throws {
      let scratch = try Scratch()
      _ = try await AskedLogs(in: scratch, roundCount: 5)
      let watch = try scratch.start("watch", "alarm.>", "--data", scratch("data"), "--channel", "alert")
      let both = try scratch.start("watch", "--data", scratch("data"), "--back", "100000d", "--limit", "23")
      // One that is seen says that it watches by now.
      var sent = 0
      #expect(
        try await becomesTrue {
          try await append(1, to: scratch, from: sent, subject: "alarm.one")
          sent += 1
          return watch.output.contains("alarm.one")
        })
      let before = sent
      try await append(13, to: scratch, from: sent, subject: "other.two")
      try await append(2, to: scratch, from: sent + 13, subject: "alarm.three")
      #expect(await becomesTrue { watch.output.ranges(of: "alarm.three").count == 2 })
      watch.signal(SIGINT)
      let result = await watch.end()
      #expect(
        result.status == 130 && !result.output.contains("other.two") && !result.output.contains("work."))
      let shown = try result.lines.map { try JSON.decode(JSONValue.self, from: $0.utf8) }
      #expect(shown.count <= before + 2 && shown.allSatisfy { $0["type"] == .string("load.Alarm") })
      #expect(Set(shown.compactMap { $0["id"]?.text }).count == shown.count)
      #expect(
        result.errors.contains("watched 2 logs for ") && result.errors.contains(": \(shown.count) event"))
      // With what was there: ten events, and all that came, up to the limit.
      let ended = await both.end()
      #expect(ended.status == 0 && ended.lines.count == 23 && ended.errors.contains(": 23 events"))
      let lines = try await scratch.hypha(
        "watch", "--data", scratch("data"), "--back", "100000d", "--limit", "2", "--format", "lines")
      #expect(lines.status == 0 && lines.output.contains("ana") && lines.output.contains("work.Asked"))
      #expect(try await scratch.hypha("watch", "a..b", "--data", scratch("data")).status == 2)
    }

    @Test func `top says what nodes are at, while they run and after`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.ranges(of: "2/2 nodes").count > 1 })
      let once = try await scratch.hypha("top", scratch("data"), "--json", "--every", "500ms")
      let found = try JSON.decode(JSONValue.self, from: once.output.utf8)
      guard case .array(let nodes)? = found["nodes"], case .array(let agents)? = found["agents"],
        case .array(let channels)? = found["channels"]
      else {
        Issue.record("\(once)")
        return
      }
      #expect(nodes.map { $0["state"] } == [.string("runs"), .string("runs")])
      #expect(nodes.map { $0["agents"] } == [.integer(2), .integer(1)])
      #expect(agents.contains { $0["agent"] == .string("sink") && $0["node"] == .string("a") })
      #expect(channels.count == 3)
      if PseudoTerminal.isAvailable {
        let terminal = try PseudoTerminal(["top", scratch("data")], in: scratch)
        #expect(await becomesTrue { terminal.text().contains("2/2 nodes") })
        terminal.type("\u{1B}[C")
        #expect(await becomesTrue { terminal.text().contains("all stated▼") })
        terminal.type(" ")
        #expect(await becomesTrue { terminal.text().contains("paused") })
        terminal.type("q")
        #expect(await terminal.end() == 0)
        let text = terminal.text()
        #expect(text.contains("\u{1B}[?1049h"))
        let left = try #require(text.range(of: "\u{1B}[?1049l\u{1B}[?25h"))
        #expect(text[left.upperBound...].contains("looked "))
      }
      run.signal(SIGINT)
      _ = await run.end()
      let after = try await scratch.hypha("top", scratch("data"), "--once", "--every", "100ms")
      #expect(after.status == 0 && after.output.contains("0/2 nodes") && after.output.contains("stopped"))
      #expect(try await scratch.hypha("top", scratch("data"), "--every", "1ms").status == 2)
      // What the bus has stated in an agent's name is none of the agent's doing.
      let stopped = try await scratch.hypha("top", scratch("data"), "--json", "--every", "100ms")
      let rows = try #require(try JSON.decode(JSONValue.self, from: stopped.output.utf8)["agents"])
      let cat = try await scratch.hypha("log", "cat", scratch("data") + "/b", "--format", "json")
      let entries = try cat.lines.map { try JSON.decode(JSONValue.self, from: $0.utf8) }
      let stated = entries.filter { entry in
        guard case .string(let type)? = entry["type"] else { return false }
        return entry["agent"] == .string("source") && !type.hasPrefix("hypha.")
      }
      guard case .array(let agents) = rows else { return }
      let source = agents.first { $0["agent"] == .string("source") }
      #expect(source?["stated"] == .integer(Int64(stated.count)) && entries.count > stated.count)
    }
  }
}
