import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// Nodes leave a running deployment by a file, each a process of its own, over real sockets and disks.
  @Suite struct LeavingProcessTests {
    private static func topology(
      nodes: String = "hq: {}, a: {}, b: {}, c: {}", list: String = "c", out: Bool = true, every: Int = 4
    ) -> String {
      """
      hypha: 1
      name: leaving
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {\(nodes)}
      agents:
        root: {kind: supervisor, node: hq}
        source: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 3000, every: \(every), to: [taker, list]}}
        taker: {kind: recorder, node: b, reports-to: root}
        list: {kind: recorder, node: \(list), reports-to: root}
      \(out ? "  out: {kind: generator, node: c, reports-to: root, settings: {event: entry, count: 9000, every: 2, to: [taker]}}" : "")
      """
    }

    private func log(_ scratch: Scratch, _ node: String) throws -> LMDBLogReader {
      try LMDBLogReader(directory: scratch("data/\(node)"))
    }

    private func revision(_ scratch: Scratch, _ node: String) -> UInt32 {
      (try? KeptFile.read(in: log(scratch, node))?.revision) ?? 0
    }

    private func hasLeft(_ node: NodeID, in log: LMDBLogReader) -> Bool {
      (try? MoveReading(log).departures.hasLeft(.init(node: node, since: 2))) ?? false
    }

    private func entries(of agent: AgentID, to addressee: AgentID, in log: LMDBLogReader) throws -> [Int] {
      try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.agent == agent && $0.addressee == addressee && $0.type == Entry.eventType }
        .map { Int(try Entry.decode($0).index) }
    }

    private func judgements(of node: String, in log: LMDBLogReader) throws -> [EventTypeName] {
      try log.read(after: .start, limit: .max, byteLimit: .max).filter {
        $0.source == .stated && $0.record.subject == Subject(slug: "hypha.node.\(node)")
      }.map(\.record.type)
    }

    @Test func `a node leaves under load once all have what it has stated, whoever is killed`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology())
      let data = scratch("data")
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      let (hq, a) = (try start("hq"), try start("a"))
      var (b, c) = (try start("b"), try start("c"))
      func taken() -> Int { (try? entries(of: "out", to: "taker", in: log(scratch, "b")).count) ?? 0 }
      #expect(await becomesTrue { taken() > 100 })
      // Who takes what the leaving node states is away, and does not know its end.
      b.signal(SIGKILL)
      _ = await b.end()
      let known = taken()
      #expect(
        await becomesTrue {
          ((try? entries(of: "out", to: "taker", in: log(scratch, "c")).count) ?? 0) > known + 200
        })
      let next = try scratch.file(
        "next.yaml", Self.topology(nodes: "hq: {}, a: {}, b: {}", list: "a", out: false))
      let plan = try await scratch.hypha("topology", "plan", next, "--data", data)
      #expect(plan.status == 3 && plan.output.contains("− node 'c' leaves\n"), "\(plan)")
      let apply = try scratch.start("topology", "apply", next, "--data", data)
      #expect(await becomesTrue { ["hq", "a", "c"].allSatisfy { revision(scratch, $0) == 2 } })
      c.signal(SIGKILL)
      _ = await c.end()
      c = try start("c")
      #expect(
        await becomesTrue {
          (try? MoveReading(log(scratch, "c")).departures.ends(of: .init(node: "c", since: 2))) != nil
        })
      a.signal(SIGKILL)
      _ = await a.end()
      let again = try start("a")
      #expect(await becomesTrue { revision(scratch, "a") == 2 })
      #expect(!hasLeft("c", in: try log(scratch, "hq")), "one has not what it has stated")
      b = try start("b")
      let left = await c.end()
      #expect(
        left.status == 0 && left.errors.contains("this node has left the deployment 'leaving'"), "\(left)")
      let applied = await apply.end()
      #expect(applied.status == 0 && applied.output.contains("node 'c' has left\n"), "\(applied)")
      for node in ["hq", "a", "b"] {
        #expect(await becomesTrue { (try? log(scratch, node)).map { hasLeft("c", in: $0) } ?? false })
      }
      let count = try entries(of: "out", to: "taker", in: log(scratch, "c")).count
      #expect(try entries(of: "out", to: "taker", in: log(scratch, "b")) == Array(0..<count))
      #expect(
        await becomesTrue {
          (try? entries(of: "source", to: "list", in: log(scratch, "a")).count) == 1500
            && (try? entries(of: "source", to: "taker", in: log(scratch, "b")).count) == 1500
        })
      // Nobody misses it.
      let missed = try judgements(of: "c", in: log(scratch, "b")).filter { $0 == NodeDown.eventType }
      #expect(missed.isEmpty, "\(missed)")
      // It has left for good, whatever it is started with.
      let back = try await scratch.hypha("run", file, "--data", data, "--node", "c")
      #expect(back.status == 0 && back.errors.contains("has left the deployment"), "\(back)")
      for node in [hq, again, b] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      let list = try log(scratch, "a").cursor(CursorKey(agent: "list", channel: .persistent))?.handledCount
      #expect(list == 1500)
      for node in ["hq", "a", "b", "c"] { #expect(try log(scratch, node).verify().findings == []) }
      scratch.expectNothingLeft()
    }

    @Test func `a run starts the node that a file adds, ends the one that leaves, and comes to its end`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology())
      let data = scratch("data")
      let run = try scratch.start("run", file, "--data", data, "--json")
      #expect(
        await becomesTrue {
          ((try? entries(of: "out", to: "taker", in: log(scratch, "b")).count) ?? 0) > 100
        })
      let text = Self.topology(nodes: "hq: {}, a: {}, b: {}, d: {}", list: "a", out: false)
      let next = try scratch.file(
        "next.yaml",
        text
          + "\n  late: {kind: generator, node: d, reports-to: root, settings: {event: entry, count: 500, every: 2, to: [taker]}}"
      )
      let applied = try await scratch.hypha("topology", "apply", next, "--data", data)
      #expect(applied.status == 0 && applied.output.contains("node 'c' has left\n"), "\(applied)")
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.contains("node 'c' has left the deployment\n"), "\(result.errors)")
      #expect(result.errors.contains("node 'd' is new in the topology file that was applied; starting it\n"))
      #expect(try RunSummary(result).isComplete)
      let taker = try log(scratch, "b")
      let out = try entries(of: "out", to: "taker", in: log(scratch, "c")).count
      #expect(try entries(of: "out", to: "taker", in: taker) == Array(0..<out))
      #expect(try entries(of: "late", to: "taker", in: taker) == Array(0..<500))
      #expect(
        try taker.cursor(CursorKey(agent: "taker", channel: .persistent))?.handledCount == UInt64(2000 + out))
      // Once more, all is done: what the one has stated that has left counts.
      let again = try await scratch.hypha("run", next, "--data", data, "--json")
      #expect(again.status == 0, "\(again)")
      scratch.expectNothingLeft()
    }

    @Test func `the node that orders leaves, though it is killed, and another one orders then`() async throws
    {
      let scratch = try Scratch()
      func file(_ name: String, nodes: String, root: String, list: String) throws -> String {
        try scratch.file(
          name,
          Self.topology(nodes: nodes, list: list, out: false).replacingOccurrences(
            of: "kind: supervisor, node: hq", with: "kind: supervisor, node: \(root)"))
      }
      let first = try file("topology.yaml", nodes: "hq: {}, a: {}, b: {}", root: "hq", list: "hq")
      let data = scratch("data")
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", first, "--data", data, "--node", node)
      }
      var hq = try start("hq")
      let (a, b) = (try start("a"), try start("b"))
      func taken() -> Int { (try? entries(of: "source", to: "taker", in: log(scratch, "b")).count) ?? 0 }
      #expect(await becomesTrue { taken() > 100 })
      let second = try file("second.yaml", nodes: "a: {}, b: {}", root: "a", list: "b")
      let plan = try await scratch.hypha("topology", "plan", second, "--data", data)
      #expect(plan.output.contains("node 'a' orders moves and files in the place of 'hq'"), "\(plan)")
      let apply = try scratch.start("topology", "apply", second, "--data", data)
      #expect(await becomesTrue { revision(scratch, "a") == 2 })
      hq.signal(SIGKILL)
      _ = await hq.end()
      hq = try start("hq")
      let left = await hq.end()
      #expect(
        left.status == 0 && left.errors.contains("this node has left the deployment 'leaving'"), "\(left)")
      let applied = await apply.end()
      #expect(applied.status == 0 && applied.output.contains("node 'hq' has left\n"), "\(applied)")
      // From now on the other one orders.
      let moved = try await scratch.hypha("agents", "move", data, "list", "--to", "a")
      #expect(moved.status == 0, "\(moved)")
      let third = try file("third.yaml", nodes: "a: {}, b: {}, d: {}", root: "a", list: "a")
      let later = try await scratch.hypha("topology", "apply", third, "--data", data)
      #expect(later.status == 0, "\(later)")
      #expect(await becomesTrue { ["a", "b"].allSatisfy { revision(scratch, $0) == 3 } })
      #expect(
        await becomesTrue {
          (try? entries(of: "source", to: "list", in: log(scratch, "a")).count) == 1500 && taken() == 1500
        })
      for node in [a, b] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      let list = try log(scratch, "a").cursor(CursorKey(agent: "list", channel: .persistent))?.handledCount
      #expect(list == 1500)
      for node in ["hq", "a", "b"] { #expect(try log(scratch, node).verify().findings == []) }
      scratch.expectNothingLeft()
    }

    @Test func `the node that orders loses its disk, and goes on with what it has ordered`() async throws {
      let scratch = try Scratch()
      func file(_ name: String, list: String, nodes: String) throws -> String {
        try scratch.file(name, Self.topology(nodes: nodes, list: list, out: false))
      }
      let first = try file("topology.yaml", list: "hq", nodes: "hq: {}, a: {}, b: {}")
      let data = scratch("data")
      func start(_ node: String, _ file: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      var hq = try start("hq", first)
      let (a, b) = (try start("a", first), try start("b", first))
      #expect(await becomesTrue { (try? log(scratch, "b").head().rawValue) ?? 0 > 100 })
      let second = try file("second.yaml", list: "b", nodes: "hq: {}, a: {}, b: {}")
      let applied = try await scratch.hypha("topology", "apply", second, "--data", data)
      #expect(applied.status == 0, "\(applied)")
      let moved = try await scratch.hypha("agents", "move", data, "list", "--to", "a")
      #expect(moved.status == 0, "\(moved)")
      hq.signal(SIGKILL)
      _ = await hq.end()
      try FileManager.default.removeItem(atPath: scratch("data/hq"))
      hq = try start("hq", second)
      #expect(await becomesTrue { revision(scratch, "hq") == 2 })
      let back = try await scratch.hypha("agents", "move", data, "list", "--to", "b")
      #expect(back.status == 0, "\(back)")
      let third = try file("third.yaml", list: "b", nodes: "hq: {}, a: {}, b: {}, d: {}")
      let later = try await scratch.hypha("topology", "apply", third, "--data", data)
      #expect(await becomesTrue { ["hq", "a", "b"].allSatisfy { revision(scratch, $0) == 3 } }, "\(later)")
      for node in [hq, a, b] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      for node in ["hq", "a", "b"] {
        let reading = try MoveReading(log(scratch, node))
        #expect(reading.moves.moves.map(\.order.move) == [1, 2, 3], "\(node)")
        #expect(reading.moves.places["list"] == "b", "\(node)")
        #expect(try log(scratch, node).verify().findings == [])
      }
      scratch.expectNothingLeft()
    }

    @Test func `a node that is gone for good is given up`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(list: "a"))
      let data = scratch("data")
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      let nodes = (try start("hq"), try start("a"), try start("b"))
      let c = try start("c")
      #expect(
        await becomesTrue {
          ((try? entries(of: "out", to: "taker", in: log(scratch, "b")).count) ?? 0) > 100
        })
      c.signal(SIGKILL)
      _ = await c.end()
      #expect(
        await becomesTrue {
          (try? judgements(of: "c", in: log(scratch, "hq")).contains(NodeDown.eventType)) ?? false
        })
      let next = try scratch.file(
        "next.yaml", Self.topology(nodes: "hq: {}, a: {}, b: {}", list: "a", out: false))
      let plan = try await scratch.hypha("topology", "plan", next, "--data", data)
      #expect(plan.output.contains("it does not run now, and leaves once it does"), "\(plan)")
      let applied = try await scratch.hypha("topology", "apply", next, "--data", data, "--lost", "c")
      #expect(applied.status == 0 && applied.output.contains("node 'c' is given up"), "\(applied)")
      let back = try await scratch.hypha("run", file, "--data", data, "--node", "c")
      #expect(back.status == 0 && back.errors.contains("has left the deployment"), "\(back)")
      for node in [nodes.0, nodes.1, nodes.2] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      scratch.expectNothingLeft()
    }
  }
}
