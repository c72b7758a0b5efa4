import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// An agent moves between running nodes, each a process of its own, over real sockets and disks.
  @Suite struct MoveProcessTests {
    private static let topology = """
      hypha: 1
      name: moves
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {hq: {}, old: {}, new: {}, far: {}}
      agents:
        root: {kind: supervisor, node: hq}
        mover: {kind: generator, node: old, reports-to: root, settings: {event: entry, count: 1500, every: 4, to: [taker]}}
        source: {kind: generator, node: far, reports-to: root, settings: {event: entry, count: 1500, every: 4, to: [taker]}}
        taker: {kind: recorder, node: old, reports-to: root}
      """

    private func moves(_ scratch: Scratch, _ node: String) -> AgentMoves? {
      try? MoveReading(LMDBLogReader(directory: scratch("data/\(node)"))).moves
    }

    private func log(_ scratch: Scratch, _ node: String) throws -> LMDBLogReader {
      try LMDBLogReader(directory: scratch("data/\(node)"))
    }

    /// How many entries of an agent the log of a node has.
    private func count(_ scratch: Scratch, of agent: AgentID, in node: String) -> UInt64 {
      let lane = Lane(agent: agent, channel: .persistent, target: .addressee("taker"))
      return (try? log(scratch, node).laneHead(lane))??.count ?? 0
    }

    /// Both generators' entries stand in the log of the taker's node, each once and in order, and it has handled each once.
    private func expectAll(_ scratch: Scratch, in node: String) throws {
      let log = try log(scratch, node)
      #expect(try log.verify().findings == [])
      for agent in ["mover", "source"] as [AgentID] {
        let entries = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record).filter {
          $0.agent == agent && $0.type == Entry.eventType
        }
        #expect(try entries.map { try Entry.decode($0).index } == Array(0..<1500), "\(agent)")
      }
      #expect(try log.cursor(CursorKey(agent: "taker", channel: .persistent))?.handledCount == 3000)
    }

    @Test func `whoever is killed while two agents move, nothing is lost, doubled or reordered`() async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let data = scratch("data")
      let run = try scratch.start("run", file, "--data", data, "--json")
      #expect(await becomesTrue { count(scratch, of: "mover", in: "old") > 100 })
      let first = try scratch.start("agents", "move", data, "mover", "--to", "new", "--by", "ana")
      // Who orders, who hands over and who takes over: each in the middle of it.
      #expect(await becomesTrue { !(moves(scratch, "hq")?.moves.isEmpty ?? true) })
      for victim in ["hq", "old", "new"] {
        if let id = run.node(victim) { kill(id, SIGKILL) }
        try await Task.sleep(for: .milliseconds(150), clock: .suspending)
      }
      _ = await first.end()
      #expect(await becomesTrue { moves(scratch, "hq")?.moves.first?.stage == .arrived })
      let second = try await scratch.hypha(
        "agents", "move", data, "taker", "--to", "new", "--reason", "old is to be rebuilt")
      #expect(second.output == "move 2: taker from old to new\ntaker works on new\n", "\(second)")
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      #expect(try RunSummary(result).isComplete)
      try expectAll(scratch, in: "new")
      let rerun = try await scratch.hypha(
        "rerun", file, "--data", data, "--verify", "-o", scratch("again"), within: .seconds(300))
      #expect(rerun.status == 0 && rerun.output.contains("all is as recorded: "), "\(rerun)")
      #expect(try LMDBLogReader(directory: scratch("again/new")).verify().findings.isEmpty)
      let shown = try await scratch.hypha("topology", "show", file, "--data", data)
      #expect(shown.output.contains("mover [new]"), "\(shown)")
      #expect(shown.output.contains("taker moved from old to new (move 2)\n"), "\(shown)")
      let why = try await scratch.hypha("agents", "explain", data, "taker")
      #expect(why.output.hasPrefix("taker on node new, which does not run\n"), "\(why)")
      #expect(why.output.contains("moved here from 'old' (move 2, ordered "), "\(why)")
      // All of them anew: they stay where they are, and have nothing left to do.
      let again = try await scratch.hypha("run", file, "--data", data, "--json")
      #expect(again.status == 0, "\(again)")
      try expectAll(scratch, in: "new")
      for agent in ["mover", "taker"] as [AgentID] {
        let lane = Lane(agent: agent, channel: .persistent, target: .type(AgentActivated.eventType))
        let log = try log(scratch, "new")
        let newest = try #require(try log.laneHead(lane).flatMap { try log.entry(at: $0.position) })
        #expect(try newest.source == .stated && AgentActivated.decode(newest.record).node == "new")
      }
      scratch.expectNothingLeft()
    }

    @Test
    func `an agent that has moved between nodes with replicas is neither lost nor doubled with their disks`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file(
        "topology.yaml",
        """
        hypha: 1
        name: kept-moves
        membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
        nodes:
          hq: {}
          old: {replicas: [copy], replicated: 1, in-doubt-after: 60s}
          new: {replicas: [copy], replicated: 1, in-doubt-after: 60s}
          copy: {}
        agents:
          root: {kind: supervisor, node: hq}
          mover: {kind: generator, node: old, reports-to: root, settings: {event: entry, count: 1500, every: 4, to: [taker]}}
          taker: {kind: recorder, node: hq, reports-to: root}
        """)
      let data = scratch("data")
      var nodes: [String: Hypha] = [:]
      for node in ["hq", "copy", "old", "new"] {
        nodes[node] = try scratch.start("run", file, "--data", data, "--node", node)
      }
      func loseDisk(_ node: String) async throws {
        nodes[node]?.signal(SIGKILL)
        _ = await nodes[node]?.end()
        try FileManager.default.removeItem(atPath: scratch("data/\(node)"))
        nodes[node] = try scratch.start("run", file, "--data", data, "--node", node)
      }
      func hasRejoined(_ node: String) -> Bool {
        let lane = Lane(
          agent: NodeID(unchecked: node).author, channel: .persistent, target: .type(Rejoined.eventType))
        return (try? log(scratch, node).laneHead(lane)) != nil
      }
      #expect(await becomesTrue { count(scratch, of: "mover", in: "hq") > 100 })
      let moved = try await scratch.hypha("agents", "move", data, "mover", "--to", "new")
      #expect(moved.output == "move 1: mover from old to new\nmover works on new\n", "\(moved)")
      let begun = count(scratch, of: "mover", in: "hq")
      #expect(await becomesTrue { count(scratch, of: "mover", in: "hq") > begun + 50 })
      try await loseDisk("new")
      #expect(await becomesTrue { hasRejoined("new") }, "\(nodes["new"]?.errors ?? "")")
      try await loseDisk("old")
      #expect(await becomesTrue { hasRejoined("old") }, "\(nodes["old"]?.errors ?? "")")
      #expect(
        await becomesTrue { count(scratch, of: "mover", in: "hq") == 1500 }, "\(nodes["new"]?.errors ?? "")")
      for node in nodes.values {
        node.signal(SIGINT)
        _ = await node.end()
      }
      let entries = try log(scratch, "hq").read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.agent == "mover" && $0.type == Entry.eventType }
      #expect(try entries.map { try Entry.decode($0).index } == Array(0..<1500))
      for (node, isHome) in [("old", false), ("new", true)] {
        let works = try log(scratch, node).read(after: .start, limit: .max, byteLimit: .max).contains {
          $0.source == .stated && $0.record.agent == "mover"
        }
        #expect(works == isHome, "\(node)")
        #expect(try log(scratch, node).verify().findings == [])
      }
      scratch.expectNothingLeft()
    }

    @Test func `where its former node is away the command says what the move waits for`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let data = scratch("data")
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      let (hq, new, far) = (try start("hq"), try start("new"), try start("far"))
      let old = try start("old")
      #expect(await becomesTrue { count(scratch, of: "mover", in: "old") > 20 })
      old.signal(SIGKILL)
      _ = await old.end()
      for (words, reason) in [
        (["nobody", "--to", "new"], "has no agent 'nobody'"),
        (["mover", "--to", "nowhere"], "has no node 'nowhere'"),
        (["mover", "--to", "old"], "it is there already"),
      ] {
        let refused = try await scratch.hypha(["agents", "move", data] + words)
        #expect(refused.status != 0 && refused.errors.contains(reason), "\(refused)")
      }
      let waiting = try scratch.start("agents", "move", data, "mover", "--to", "new")
      #expect(await becomesTrue { moves(scratch, "new")?.newest(of: "mover")?.stage == .ordered })
      var text = ""
      _ = try await becomesTrue {
        text = try await scratch.hypha("agents", "explain", data, "mover").output
        return text.hasPrefix("mover on node new\n")
      }
      #expect(text.contains("'old' has not handed it over"), "\(text)")
      let shown = try await scratch.hypha("topology", "show", file, "--data", data, "--json")
      #expect(shown.output.contains("\"stage\":\"ordered\""), "\(shown)")
      let back = try start("old")
      #expect(await waiting.end().output == "move 1: mover from old to new\nmover works on new\n")
      for node in [hq, new, far, back] {
        node.signal(SIGINT)
        _ = await node.end()
      }
      scratch.expectNothingLeft()
    }
  }
}
