import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// `hypha losses`: what nodes have counted, while they run and afterwards.
  @Suite struct LossesCommandTests {
    /// Signals for an agent that has no handler for them and for one that has, on another node, and entries until told.
    private static func topology(entries: Int) -> String {
      """
      hypha: 1
      name: lossy
      nodes: {a: {}, b: {}}
      agents:
        root: {kind: supervisor, node: a}
        source: {kind: generator, node: a, reports-to: root, settings: {event: signal, count: 40, every: 2, to: [deaf, taker]}}
        load: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: \(entries), every: 5, to: [taker]}}
        deaf: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: 0}}
        taker: {kind: recorder, node: b, reports-to: root}
      """
    }

    private struct Report: Decodable {
      struct Channel: Decodable {
        var channel: String
        var forAgents, delivered, lost, waiting, unknown: UInt64
      }
      struct Loss: Decodable {
        var agent, from, channel, lane, cause, at: String
        var count: UInt64
      }
      struct Passage: Decodable {
        var agent, from, channel, lane: String
        var sent, arrived: UInt64
      }
      var channels: [Channel]
      var losses: [Loss]
      var passages: [Passage]

      func channel(_ name: String) throws -> Channel { try #require(channels.first { $0.channel == name }) }
    }

    private func losses(_ scratch: Scratch, _ more: String...) async throws -> Report {
      let result = try await Hypha.run(["losses", scratch("data"), "--json"] + more, in: scratch)
      #expect(result.status == 0 && result.errors == "", "\(result)")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    private func check(_ report: Report) throws {
      let realtime = try report.channel("realtime")
      #expect(realtime.forAgents == 40 && realtime.unknown == 0 && realtime.waiting == 0, "\(realtime)")
      #expect(realtime.delivered + realtime.lost == 40, "\(realtime)")
      let unhandled = report.losses.filter { $0.cause == "no handler" }
      #expect(unhandled.map(\.agent) == ["deaf"] && unhandled.map(\.at) == ["b"], "\(report.losses)")
      #expect(unhandled.map(\.lane) == ["@deaf"] && unhandled.map(\.from) == ["source"])
      let ofDeaf = report.losses.filter { $0.agent == "deaf" }.reduce(0) { $0 + $1.count }
      #expect(ofDeaf == 20, "one reason or another: \(report.losses)")
      // What came to the node was lost there, or handled; what did not was lost on the way.
      #expect(report.passages.map(\.agent) == ["deaf", "taker"], "\(report.passages)")
      #expect(report.passages.allSatisfy { $0.sent == 20 && $0.channel == "realtime" && $0.from == "source" })
      let atHome = report.losses.filter {
        $0.agent == "taker" && $0.at == "b" && $0.cause != "lost on a link"
      }
      #expect(
        report.passages.last?.arrived == realtime.delivered + atHome.reduce(0) { $0 + $1.count },
        "\(report)")
    }

    @Test func `losses are told by running nodes, and by their logs when they have ended`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(entries: 1_000_000))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      // Both nodes must have a log before anything can be read.
      #expect(
        await becomesTrue {
          ["a", "b"].allSatisfy {
            (try? LMDBLogReader(directory: scratch("data/\($0)")).head() > .start) ?? false
          }
        })
      var last: Report?
      let hasSettled = try await becomesTrue {
        let report = try await losses(scratch)
        last = report
        let realtime = report.channels.first { $0.channel == "realtime" }
        return realtime?.forAgents == 40 && realtime?.waiting == 0 && realtime?.unknown == 0
          && !report.losses.contains { $0.cause == "lost on a link" }
      }
      #expect(hasSettled)
      try check(try #require(last))
      let one = try await losses(scratch, "--agent", "taker")
      #expect(one.losses.allSatisfy { $0.agent == "taker" })
      run.signal(SIGINT)
      #expect(await run.end().status == 130)

      let kept = try await losses(scratch)
      try check(kept)
      let persistent = try kept.channel("persistent")
      #expect(persistent.forAgents > 0 && persistent.lost == 0 && persistent.unknown == 0)
      #expect(persistent.delivered + persistent.waiting == persistent.forAgents)
      let table = try await scratch.hypha("losses", scratch("data"))
      #expect(
        table.status == 0 && table.lines.contains { $0.hasPrefix("deaf ") && $0.contains("no handler") })
      // So do the nodes' receipts.
      struct Receipts: Decodable { var receipts: [Report.Loss] }
      let said = try await scratch.hypha("losses", scratch("data"), "--receipts", "--json", "--agent", "deaf")
      let receipts = try JSONDecoder().decode(Receipts.self, from: Data(said.output.utf8)).receipts
      func sum(_ losses: [Report.Loss]) -> [String: UInt64] {
        Dictionary(
          losses.map { ("\($0.from) \($0.lane) \($0.cause) \($0.at)", $0.count) }, uniquingKeysWith: +)
      }
      #expect(sum(receipts) == sum(kept.losses.filter { $0.agent == "deaf" }), "\(said.output)")
      // The sums of a log say the same, by channel and cause.
      let stats = try await scratch.hypha("log", "stats", scratch("data"), "--json")
      let sums = try #require(try JSON.decode(JSONValue.self, from: stats.output.utf8)["losses"])
      guard case .array(let channels)? = sums["channels"], case .array(let causes)? = sums["causes"] else {
        Issue.record("\(stats)")
        return
      }
      #expect(sums["nodes"] == .integer(2) && channels.count == kept.channels.count)
      for (sum, channel) in zip(channels, kept.channels) {
        #expect(sum["channel"]?.text == channel.channel && sum["lost"] == .integer(Int64(channel.lost)))
        #expect(sum["forAgents"] == .integer(Int64(channel.forAgents)))
      }
      let unhandled = kept.losses.filter { $0.cause == "no handler" }.reduce(0) { $0 + $1.count }
      #expect(
        causes.contains { $0["cause"]?.text == "no handler" && $0["lost"] == .integer(Int64(unhandled)) })
      let text = try await scratch.hypha("log", "stats", scratch("data"))
      #expect(text.lines.contains("realtime: \(unhandled) lost, no handler"), "\(text.output)")
      scratch.expectNothingLeft()
    }

    @Test
    func `a run's end, its losses and its sums agree about realtime events, also where an agent was moved`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file(
        "topology.yaml",
        """
        hypha: 1
        name: lossy
        nodes: {a: {}, b: {}, c: {}}
        agents:
          root: {kind: supervisor, node: a}
          source: {kind: generator, node: a, reports-to: root, settings: {event: signal, count: 2000, every: 2, to: [deaf, taker]}}
          deaf: {kind: generator, node: b, reports-to: root, settings: {event: entry, count: 0}}
          taker: {kind: recorder, node: b, reports-to: root}
        """)
      let run = try scratch.start("run", file, "--data", scratch("data"), "--json")
      #expect(
        await becomesTrue {
          ["a", "b", "c"].allSatisfy {
            (try? LMDBLogReader(directory: scratch("data/\($0)")).head() > .start) ?? false
          }
        })
      // Some have been lost at its former node.
      let hasLost = try await becomesTrue {
        let lost = try await losses(scratch).losses.filter {
          $0.agent == "deaf" && $0.cause == "no handler"
        }
        return lost.reduce(0) { $0 + $1.count } > 20
      }
      #expect(hasLost)
      for agent in ["deaf", "taker"] {
        let moved = try await scratch.hypha("agents", "move", scratch("data"), agent, "--to", "c")
        #expect(moved.status == 0, "\(moved)")
      }
      let end = await run.end()
      #expect(end.status == 0, "\(end)")
      let summary = try JSON.decode(JSONValue.self, from: end.output.utf8)
      let realtime = try await losses(scratch).channel("realtime")
      guard case .array(let rows)? = summary["channels"],
        let row = rows.first(where: { $0["channel"]?.text == "realtime" })
      else {
        Issue.record("\(end)")
        return
      }
      func number(_ value: JSONValue?, _ name: String) -> UInt64? {
        if case .integer(let number)? = value?[name] { UInt64(number) } else { nil }
      }
      // A generator does not remember each realtime event, so that a node that begins anew may have it state more or fewer.
      #expect(number(row, "published") == realtime.forAgents && realtime.forAgents > 1500, "\(row)")
      #expect(
        number(row, "forAgents") == realtime.forAgents && number(row, "delivered") == realtime.delivered)
      #expect(number(row, "lost") == realtime.lost && number(row, "unknown") == realtime.unknown)
      #expect(realtime.lost >= 900 && realtime.unknown == 0, "\(realtime)")
      let stats = try await scratch.hypha("log", "stats", scratch("data"), "--json")
      let sums = try #require(try JSON.decode(JSONValue.self, from: stats.output.utf8)["losses"])
      guard case .array(let channels)? = sums["channels"],
        let sum = channels.first(where: { $0["channel"]?.text == "realtime" })
      else {
        Issue.record("\(stats)")
        return
      }
      for name in ["published", "forAgents", "delivered", "lost", "unknown"] {
        #expect(number(sum, name) == number(row, name), "\(name): \(sum) and \(row)")
      }
      #expect(number(sum, "latencyP99Microseconds") == number(row, "latencyP99Microseconds"))
      let text = try await scratch.hypha("log", "stats", scratch("data"))
      #expect(text.output.contains("handled p50") && text.lines.contains { $0.hasPrefix("realtime ") })
      scratch.expectNothingLeft()
    }

    @Test func `after a kill the logs say what was published and delivered on their channels`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(entries: 1_000_000))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      func handledCount() -> UInt64 {
        let log = try? LMDBLogReader(directory: scratch("data/b"))
        return (try? log?.cursor(CursorKey(agent: "taker", channel: .persistent))?.handledCount) ?? 0
      }
      // Killed before any count is saved.
      #expect(await becomesTrue { handledCount() > 100 })
      // A launcher that goes on would start them again.
      run.signal(SIGSTOP)
      let nodes = run.nodes()
      for node in nodes { kill(node, SIGKILL) }
      run.signal(SIGKILL)
      _ = await run.end()
      #expect(await becomesTrue { nodes.allSatisfy(ProcessTable.hasEnded) })
      let lane = Lane(agent: "load", channel: .persistent, target: .addressee("taker"))
      var last: Report.Channel?
      // What a killed process was about to write may still come.
      let isThatOfTheLogs = try await becomesTrue {
        let stated = try LMDBLogReader(directory: scratch("data/a")).laneHead(lane)?.count
        last = try await losses(scratch).channel("persistent")
        return last?.forAgents == stated && last?.delivered == handledCount()
      }
      #expect(isThatOfTheLogs, "\(String(describing: last))")
      let persistent = try #require(last)
      #expect(persistent.delivered + persistent.waiting == persistent.forAgents, "\(persistent)")
      #expect(persistent.lost == 0 && persistent.unknown == 0, "\(persistent)")
    }

    @Test func `a second run of a log goes on counting`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(entries: 3))
      // The second run has nothing left to state but its signals, which are not worth a commit each.
      for round in 1...2 as ClosedRange<UInt64> {
        let run = try await scratch.hypha("run", file, "--data", scratch("data"))
        #expect(run.status == 0, "\(run)")
        let report = try await losses(scratch)
        #expect(try report.channel("realtime").forAgents == 40 * round)
        #expect(report.losses.filter { $0.agent == "deaf" }.reduce(0) { $0 + $1.count } == 20 * round)
      }
      scratch.expectNothingLeft()
    }
  }
}
