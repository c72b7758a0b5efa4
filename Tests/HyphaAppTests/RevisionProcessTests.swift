import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// A changed topology file is applied to running nodes, each a process of its own, over real sockets and disks.
  @Suite struct RevisionProcessTests {
    private static func topology(
      taker: String = "b", speed: Int = 4, more: String = "", nodes: String = "hq: {}, a: {}, b: {}"
    ) -> String {
      """
      hypha: 1
      name: revisions
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {\(nodes)}
      agents:
        root: {kind: supervisor, node: hq}
        source: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 4000, every: \(speed), to: [taker]}}
        taker: {kind: recorder, node: \(taker), reports-to: root}
      \(more)
      """
    }
    private static let extra =
      "  extra: {kind: generator, node: hq, reports-to: root, settings: {event: entry, count: 9000, every: 4, to: [taker]}}"

    private func log(_ scratch: Scratch, _ node: String) throws -> LMDBLogReader {
      try LMDBLogReader(directory: scratch("data/\(node)"))
    }

    private func revision(_ scratch: Scratch, _ node: String) -> UInt32 {
      (try? KeptFile.read(in: log(scratch, node))?.revision) ?? 0
    }

    private func entries(of agent: AgentID, in log: LMDBLogReader) throws -> [Int] {
      try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.agent == agent && $0.type == Entry.eventType }.map { Int(try Entry.decode($0).index) }
    }

    @Test func `whoever is killed while files are applied, nothing is lost, doubled or reordered`()
      async throws
    {
      let scratch = try Scratch()
      let first = Self.topology()
      let file = try scratch.file("topology.yaml", first)
      let data = scratch("data")
      let run = try scratch.start("run", file, "--data", data, "--json")
      #expect(await becomesTrue { ((try? entries(of: "source", in: log(scratch, "b")))?.count ?? 0) > 50 })
      let same = try await scratch.hypha("topology", "plan", file, "--data", data)
      #expect(same.status == 0 && same.output.hasSuffix("topology.yaml changes nothing\n"), "\(same)")

      // The file is edited in its place: a node that dies before it is applied runs on under the one before.
      try Data(Self.topology(taker: "a", more: Self.extra).utf8).write(to: URL(fileURLWithPath: file))
      let plan = try await scratch.hypha("topology", "plan", file, "--data", data, "--json")
      #expect(plan.status == 3 && plan.output.contains("\"kind\":\"agent-moved\""), "\(plan)")
      let before = run.nodes()
      if let id = run.node("b") { kill(id, SIGKILL) }
      #expect(await becomesTrue { run.nodes().count == 3 && run.nodes() != before })
      let apply = try scratch.start("topology", "apply", file, "--data", data, "--by", "ana")
      #expect(await becomesTrue { (try? MoveReading(log(scratch, "hq")).revisions.number) == 2 })
      for victim in ["hq", "a", "b"] {
        if let id = run.node(victim) { kill(id, SIGKILL) }
        try await Task.sleep(for: .milliseconds(150), clock: .suspending)
      }
      let applied = await apply.end()
      #expect(applied.output.contains("revision 2 is ordered\nmove 1: taker from b to a\n"), "\(applied)")
      #expect(await becomesTrue { ["hq", "a", "b"].allSatisfy { revision(scratch, $0) == 2 } })
      #expect(await becomesTrue { ((try? entries(of: "extra", in: log(scratch, "a")))?.count ?? 0) > 50 })

      // And without the new one again: what it has stated stays.
      let third = try scratch.file("third.yaml", Self.topology(taker: "a", speed: 3))
      let again = try await scratch.hypha("topology", "apply", third, "--data", data)
      #expect(again.status == 0 && again.output.contains("− agent 'extra' is gone"), "\(again)")
      #expect(again.output.contains("agent 'source' has other settings: every"), "\(again)")
      #expect(again.output.contains("all logs are under revision 3\n"), "\(again)")
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      #expect(try RunSummary(result).isComplete)

      let (taker, hq) = (try log(scratch, "a"), try log(scratch, "hq"))
      #expect(try taker.verify().findings == [] && hq.verify().findings == [])
      #expect(try entries(of: "source", in: taker) == Array(0..<4000))
      let extra = try entries(of: "extra", in: taker)
      #expect(try extra == Array(0..<extra.count) && entries(of: "extra", in: hq) == extra)
      let handled = try taker.cursor(CursorKey(agent: "taker", channel: .persistent))?.handledCount
      #expect(handled == UInt64(4000 + extra.count))

      // Whatever earlier file it is started with, it is the newest that counts.
      try Data(first.utf8).write(to: URL(fileURLWithPath: file))
      let old = try await scratch.hypha("run", file, "--data", data, "--json")
      #expect(old.status == 0 && old.errors.contains("runs under revision 3 of the topology file"), "\(old)")
      let other = try scratch.file("other.yaml", Self.topology(taker: "hq"))
      let refused = try await scratch.hypha("run", other, "--data", data, "--json")
      #expect(refused.status == 1, "\(refused)")
      #expect(refused.errors.contains("agent 'taker' is on node 'hq', and was on 'a'"), "\(refused)")
      #expect(refused.errors.contains("'hypha topology plan'"), "\(refused)")
      let history = try await scratch.hypha("topology", "history", file, "--data", data)
      #expect(history.output.contains("revision 3 of the topology file; without extra"), "\(history)")
      scratch.expectNothingLeft()
    }

    @Test func `a node that was away takes the newest file, and a new one joins`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology())
      let data = scratch("data")
      func start(_ node: String, _ file: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      let (hq, a) = (try start("hq", file), try start("a", file))
      let away = try start("b", file)
      #expect(await becomesTrue { ((try? entries(of: "source", in: log(scratch, "b")))?.count ?? 0) > 20 })
      away.signal(SIGKILL)
      _ = await away.end()
      let late =
        "  late: {kind: recorder, node: c, reports-to: root}\n"
        + Self.extra.replacingOccurrences(of: "taker", with: "late")
      let next = try scratch.file(
        "next.yaml", Self.topology(more: late, nodes: "hq: {}, a: {}, b: {}, c: {}"))
      let apply = try scratch.start("topology", "apply", next, "--data", data)
      #expect(await becomesTrue { ["hq", "a"].allSatisfy { revision(scratch, $0) == 2 } })
      let (b, c) = (try start("b", file), try start("c", next))
      #expect(await apply.end().status == 0)
      #expect(await becomesTrue { revision(scratch, "b") == 2 && revision(scratch, "c") == 2 })
      #expect(await becomesTrue { ((try? entries(of: "extra", in: log(scratch, "c")))?.count ?? 0) > 50 })
      let before = try entries(of: "source", in: log(scratch, "b")).count
      #expect(
        await becomesTrue { ((try? entries(of: "source", in: log(scratch, "b")))?.count ?? 0) > before })
      for node in [hq, a, b, c] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      let indices = try entries(of: "extra", in: log(scratch, "c"))
      #expect(indices == Array(0..<indices.count))
      scratch.expectNothingLeft()
    }
  }
}
