import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// The topology of a running deployment evolves, and its operators have the last word: real processes and sockets.
  @Suite struct RewireProcessTests {
    /// Three branches on three nodes, and one worn path between each two of them.
    static func topology(count: Int, mode: String = "auto") -> String {
      """
      hypha: 1
      name: live
      nodes: {hq: {}, left: {}, right: {}, far: {}}
      observer: {node: hq, mode: \(mode)}
      agents:
        root: {kind: supervisor, node: hq}
        sl: {kind: supervisor, node: left, reports-to: root}
        sr: {kind: supervisor, node: right, reports-to: root}
        sf: {kind: supervisor, node: far, reports-to: root}
        r1: {kind: recorder, node: right, reports-to: sr}
        r2: {kind: recorder, node: far, reports-to: sf}
        g1: {kind: generator, node: left, reports-to: sl, settings: {event: entry, count: \(count), every: 2, to: [r1]}}
        g2: {kind: generator, node: left, reports-to: sl, settings: {event: signal, count: \(count), every: 2, to: [r2]}}
        g3: {kind: generator, node: right, reports-to: sr, settings: {event: alarm, count: 200, every: 20, to: [r2]}}
      """
    }

    private let nodes: [NodeID] = ["hq", "left", "right", "far"]

    private func topology(_ scratch: Scratch) throws -> Topology {
      try TopologyFile.read(
        yaml: String(contentsOfFile: scratch("topology.yaml"), encoding: .utf8), file: "topology.yaml"
      ).topology
    }

    /// What a node's log says of the topology.
    private func reading(_ node: NodeID, _ scratch: Scratch) throws -> TopologyReading {
      try TopologyReading(LMDBLogReader(directory: scratch("data/\(node)")), of: topology(scratch))
    }

    /// The hops that the events of g1 came by to r1, in the order of its lane; checks that each is there once.
    private func hops(_ scratch: Scratch, count: Int) throws -> [UInt8] {
      var hops: [UInt8] = []
      var sequences: [UInt64] = []
      let log = try LMDBLogReader(directory: scratch("data/right"))
      #expect(try log.verify().findings == [])
      try log.scan { entry in
        guard entry.record.agent == "g1", entry.record.addressee == "r1" else { return true }
        sequences.append(entry.record.sequence)
        if case .received(let crossed) = entry.source { hops.append(crossed) }
        return true
      }
      #expect(sequences.count == count && hops.count == count)
      return hops
    }

    @Test func `worn paths become links under load, and nothing is lost, doubled or reordered`() async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(count: 3000))
      let run = try await scratch.hypha("run", file, "--data", scratch("data"), "--json")
      #expect(run.status == 0, "\(run.errors)")
      let summary = try RunSummary(run)
      #expect(summary.isComplete && summary.notes == [], "\(summary.notes)")
      #expect(summary.channel("persistent")?.delivered == 3000 && summary.channel("persistent")?.lost == 0)
      #expect(summary.channel("realtime")?.lost == 0, "make before break: \(run.output)")
      let live = try reading("hq", scratch).live
      #expect(Set(live.links.keys).isSuperset(of: [DirectLink("g1", "r1"), DirectLink("g2", "r2")]))
      for node in nodes { #expect(try reading(node, scratch).live == live, "\(node)") }
      try await expectExports(scratch, file, live)
      try await expectWhatIf(scratch, file, live)
      let verified = try await scratch.hypha("log", "verify", scratch("data"))
      let witnesses = verified.lines.count {
        $0.contains("agrees with the signed heads that other logs have kept")
      }
      #expect(verified.status == 0 && witnesses == nodes.count, "\(verified)")
      let hops = try hops(scratch, count: 3000)
      // What was fetched counts as one hop, too; by the tree it is four.
      #expect(
        hops.prefix(500).contains(4) && hops.suffix(500).allSatisfy { $0 == 1 }, "by the tree, then the link")
      scratch.expectNothingLeft()
    }

    /// The observer decides again as it did, and without one all takes the tree.
    private func expectWhatIf(_ scratch: Scratch, _ file: String, _ live: LiveTopology) async throws {
      struct Line: Decodable {
        struct Side: Decodable {
          var treeHops, hops, added: Int
          var links: [[AgentID]]
        }
        struct Parting: Decodable { var recordedAlone: [[AgentID]] }
        var source: String
        var recorded, other: Side
        var parting: Parting?
      }
      func whatIf(_ words: String...) async throws -> Line {
        let result = try await Hypha.run(
          ["topology", "what-if", file, "--data", scratch("data"), "--json"] + words, in: scratch)
        #expect(result.status == 0, "\(result)")
        return try JSONDecoder().decode(Line.self, from: Data(result.output.utf8))
      }
      let same = try await whatIf()
      #expect(same.source == "reports" && same.parting == nil)
      #expect(same.recorded.hops == same.other.hops && same.recorded.hops < same.recorded.treeHops)
      #expect(Set(same.recorded.links.map { DirectLink($0[0], $0[1]) }) == Set(live.links.keys))
      let off = try await whatIf("--policy", scratch.file("off.yaml", "observer: {mode: off}\n"))
      #expect(off.recorded.hops == same.recorded.hops && off.other.hops == off.other.treeHops)
      #expect(off.other.added == 0 && off.parting?.recordedAlone.isEmpty == false)
    }

    /// Every form of the topology has all agents and links.
    private func expectExports(_ scratch: Scratch, _ file: String, _ live: LiveTopology) async throws {
      let marks = [
        "svg": ("<circle ", "<path "), "dot": (" [tooltip=", ", color=green"), "mermaid": ("[\"", " <==> "),
        "graphml": ("<node id=", ">link</data>"), "json": ("\"kind\":", "\"isPinned\":"),
      ]
      for (format, (agent, link)) in marks {
        let result = try await scratch.hypha(
          "topology", "export", file, "--data", scratch("data"), "--format", format)
        #expect(result.status == 0, "\(result)")
        #expect(result.output.components(separatedBy: agent).count - 1 == 9, "\(format)")
        #expect(result.output.components(separatedBy: link).count - 1 == live.links.count, "\(format)")
      }
      let shown = try await scratch.hypha("topology", "show", file, "--data", scratch("data"), "--json")
      #expect(shown.output.components(separatedBy: "\"savedHops\"").count - 1 == live.links.count)
    }

    @Test(arguments: ["hq", "left", "right", "far"])
    func `a node that is killed while links change costs nobody an event`(_ node: String) async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(count: 1500))
      let run = try scratch.start("run", file, "--data", scratch("data"), "--json")
      #expect(
        await becomesTrue {
          ((try? reading("hq", scratch))?.live.links.count ?? 0) > 0
        })
      kill(try #require(run.node(node)), SIGKILL)
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      let summary = try RunSummary(result)
      #expect(summary.isComplete && summary.restarts == 1)
      #expect(summary.channel("persistent")?.delivered == summary.channel("persistent")?.forAgents)
      _ = try hops(scratch, count: 1500)
      let live = try reading("hq", scratch).live
      #expect(!live.links.isEmpty)
      for other in nodes { #expect(try reading(other, scratch).live == live, "\(other)") }
      // The seat's log gives the same decisions once more, and none is left to be stated.
      let seat = try #require(try reading("hq", scratch).seat)
      #expect(seat.pending.isEmpty && seat.version == live.version)
      scratch.expectNothingLeft()
    }

    @Test func `operators pin, forbid, freeze, revert and explain while it runs`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology(count: 100_000, mode: "suggest"))
      let run = try scratch.start("run", file, "--data", scratch("data"))
      let places = [file, "--data", scratch("data")]
      #expect(
        await becomesTrue {
          (try? reading("hq", scratch))?.seat?.suggestions[DirectLink("g1", "r1")] != nil
        })
      // It says what it finds, whether it changes anything or not.
      #expect(
        await becomesTrue {
          (try? reading("far", scratch))?.findings[Finding.Topic(.hotPair, "g1", other: "r1")] != nil
        })
      let findings = try await scratch.hypha(["topology", "findings"] + places)
      #expect(
        findings.output.contains("g1 ↔ r1 carry ") && findings.output.contains(" and have no link"),
        "\(findings)")
      let picture = try await scratch.hypha(["topology", "export"] + places)
      #expect(picture.output.contains("stroke-dasharray=\"7 5\"><title>g1 ↔ r1 carry "))
      let suggestions = try await scratch.hypha(["topology", "suggestions"] + places)
      #expect(
        suggestions.output.contains("g1") && suggestions.output.contains("agent-agent"), "\(suggestions)")
      #expect(try reading("hq", scratch).live.links.isEmpty, "a suggestion changes nothing")
      let approved = try await scratch.hypha(["topology", "approve"] + places + ["r1", "g1", "--by", "ana"])
      #expect(approved.output == "approve g1 ↔ r1: done, version 2\n+ g1 ↔ r1\n", "\(approved)")
      let pinned = try await scratch.hypha(
        ["topology", "pin"] + places + ["g3", "r1", "--note", "a war room"])
      #expect(pinned.output == "pin g3 ↔ r1: done, version 3\n+ g3 ↔ r1\n", "\(pinned)")
      let between = try reading("hq", scratch).entries.last!.position
      let forbidden = try await scratch.hypha(["topology", "forbid"] + places + ["g1", "r1"])
      #expect(forbidden.output == "forbid g1 ↔ r1: done, version 4\n− g1 ↔ r1\n", "\(forbidden)")
      let refused = try await scratch.hypha(["topology", "pin"] + places + ["g1", "r1"])
      #expect(
        refused.status == 1
          && refused.errors.contains("the link of 'r1' and 'g1' is forbidden; allow it first"),
        "\(refused)")
      let unknown = try await scratch.hypha(["topology", "retire"] + places + ["g1", "nobody"])
      #expect(unknown.status == 1 && unknown.errors.contains("agent 'nobody', which does not exist"))
      #expect(try await scratch.hypha(["topology", "freeze"] + places).status == 0)
      let shown = try await scratch.hypha(["topology", "show"] + places)
      #expect(shown.output.contains("│  └─ g3 [right]  ↔ r1 (pinned)\n"), "\(shown.output)")
      #expect(shown.output.contains("version 5: 1 links between 9 agents, frozen\nforbidden: g1 ↔ r1\n"))
      let why = try await scratch.hypha(["topology", "explain"] + places + ["g1", "r1"])
      #expect(why.output.contains("g1 and r1 are not linked.\n"), "\(why)")
      #expect(why.output.contains("It is not made because it is forbidden.\n"), "\(why)")
      #expect(try await scratch.hypha(["topology", "allow"] + places + ["g1", "r1"]).status == 0)
      let reverted = try await scratch.hypha(["topology", "revert"] + places + ["--to", "\(between)"])
      #expect(reverted.output.contains("+ g1 ↔ r1\n"), "\(reverted)")
      // A link serves it: it is a finding no more.
      #expect(
        await becomesTrue {
          (try? reading("hq", scratch))?.findings[Finding.Topic(.hotPair, "g1", other: "r1")] == nil
        })
      let over = try await scratch.hypha(["topology", "findings", "--all"] + places)
      #expect(over.output.contains("hot-pair  ended  g1 ↔ r1\n"), "\(over)")
      let history = try await scratch.hypha(["topology", "history"] + places)
      #expect(
        history.output.contains("refused: pin g1 ↔ r1") && history.output.contains("suggested: + g1 ↔ r1"))
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      let late = try await scratch.hypha(["topology", "thaw"] + places)
      #expect(late.status == 1 && late.errors.contains("no node of 'live' runs"), "\(late)")
      let diff = try await scratch.hypha(["topology", "diff"] + places + ["1", "\(between)"])
      #expect(diff.output.contains("+ g1 ↔ r1\n+ g3 ↔ r1\n"), "\(diff)")
      scratch.expectNothingLeft()
    }
  }
}
