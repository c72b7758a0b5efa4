import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// A supervisor's node is killed, and its branch reports to others until it is back: real processes and sockets.
  @Suite struct BranchProcessTests {
    private static func topology(_ observer: String) -> String {
      """
      hypha: 1
      name: branch
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {hq: {}, left: {}, right: {}, far: {}}
      \(observer)
      oversight:
        - {type: load.Entry, by: sl, mode: in}
      agents:
        root: {kind: supervisor, node: hq}
        sl: {kind: recorder, node: left, reports-to: root, standby: sr}
        sr: {kind: supervisor, node: right, reports-to: root}
        r1: {kind: recorder, node: right, reports-to: sr, subscribes: [load.Entry]}
        g1: {kind: generator, node: far, reports-to: sl, settings: {event: alarm, count: 100000, every: 10, to: [r1]}}
        g2: {kind: generator, node: far, reports-to: sl, settings: {event: signal, count: 100000, every: 5, to: [r1]}}
        g3: {kind: generator, node: far, reports-to: sl, settings: {event: entry, count: 100000, every: 20}}
      """
    }

    private let nodes = ["hq", "left", "right", "far"]

    private func live(_ node: String, _ scratch: Scratch, _ yaml: String) throws -> [AgentID: AgentID] {
      let file = try TopologyFile.read(yaml: yaml, file: "topology.yaml").topology
      let reading = try TopologyReading(LMDBLogReader(directory: scratch("data/\(node)")), of: file)
      return Dictionary(reading.live.attachments.map { ($0.attachment.supervisor, $0.attachment.to) }) { $1 }
    }

    /// Realtime events that r1 was given.
    private func delivered(_ scratch: Scratch) async throws -> UInt64 {
      struct Line: Decodable {
        struct Channel: Decodable {
          var channel: String
          var delivered: UInt64
        }
        var channels: [Channel]
      }
      let result = try await scratch.hypha("losses", scratch("data"), "--json")
      // Not all nodes need have a log yet.
      guard result.status == 0 else { return 0 }
      let line = try JSONDecoder().decode(Line.self, from: Data(result.output.utf8))
      return line.channels.first { $0.channel == "realtime" }?.delivered ?? 0
    }

    @Test(arguments: ["observer: {node: hq, mode: off}", ""])
    func `the branch of a killed supervisor reports to its standby, and to it again when it is back`(
      _ observer: String
    ) async throws {
      let (scratch, yaml) = (try Scratch(), Self.topology(observer))
      let file = try scratch.file("topology.yaml", yaml)
      let places = [file, "--data", scratch("data")]
      var running: [String: Hypha] = [:]
      for node in nodes {
        running[node] = try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      #expect(try await becomesTrue { try await delivered(scratch) > 100 })
      running["left"]?.signal(SIGKILL)
      _ = await running["left"]?.end()
      for node in ["hq", "right", "far"] {
        #expect(await becomesTrue { (try? live(node, scratch, yaml)) == ["sl": "sr"] }, "\(node)")
      }
      // Realtime events flow while it is away.
      let before = try await delivered(scratch)
      #expect(try await becomesTrue { try await delivered(scratch) > before + 300 })
      let shown = try await scratch.hypha(["topology", "show"] + places)
      #expect(
        shown.output.contains("├─ sl [left]  node 'left' is away, its branch reports to sr")
          && shown.output.contains("   ├─ g1 [far]  in place of sl\n"), "\(shown)")
      let why = try await scratch.hypha(["topology", "explain"] + places + ["g1", "r1"])
      #expect(
        why.output.contains("The branch of sl reports to sr since ")
          && why.output.contains("goes g1 – sr – r1.\n"), "\(why)")
      for (format, mark) in [
        ("dot", "\"sr\" -- \"g1\" [style=dashed"), ("mermaid", "---|attached|"),
        ("graphml", ">attached</data>"),
        ("svg", "stroke-dasharray=\"5 4\"><title>the branch of sl"), ("json", "\"supervisor\":\"sl\""),
      ] {
        let exported = try await scratch.hypha(["topology", "export"] + places + ["--format", format])
        #expect(exported.output.contains(mark), "\(format): \(exported)")
      }
      let since = try #require(shown.output.components(separatedBy: "reports to sr since ").last)
      let place = since.prefix { $0 != " " }
      running["left"] = try scratch.start("run", file, "--data", scratch("data"), "--node", "left")
      for node in nodes {
        #expect(await becomesTrue { (try? live(node, scratch, yaml)) == [:] }, "\(node)")
      }
      let again = try await delivered(scratch)
      #expect(try await becomesTrue { try await delivered(scratch) > again + 100 })
      // What it oversees has waited for it, and comes to it alone.
      #expect(await becomesTrue { ((try? entries("left", "g3", scratch))?.count ?? 0) > 200 })
      let history = try await scratch.hypha(["topology", "history"] + places)
      #expect(
        history.output.contains("the branch of sl reports to sr ")
          && history.output.contains("the branch of sl reports to sl again  node 'left' is back"),
        "\(history)")
      let then = try await scratch.hypha(["topology", "show"] + places + ["--at", String(place)])
      #expect(then.output.contains("its branch reports to sr"), "\(then)")
      for node in nodes { running[node]?.signal(SIGINT) }
      for node in nodes { _ = await running[node]?.end() }
      try expectOrder(scratch)
      scratch.expectNothingLeft()
    }

    private func entries(_ node: String, _ agent: AgentID, _ scratch: Scratch) throws -> [UInt64] {
      var sequences: [UInt64] = []
      let log = try LMDBLogReader(directory: scratch("data/\(node)"))
      try log.scan { entry in
        let isLoad = entry.record.type == "load.Entry" || entry.record.type == "load.Alarm"
        if entry.record.agent == agent, isLoad { sequences.append(entry.record.sequence) }
        return true
      }
      return sequences
    }

    /// What g1 has stated is at r1 without a gap, once and in order, and what sl oversees is with it alone.
    private func expectOrder(_ scratch: Scratch) throws {
      for (agent, taker) in [("g1", "right"), ("g3", "left")] as [(AgentID, String)] {
        let (stated, taken) = try (entries("far", agent, scratch), entries(taker, agent, scratch))
        #expect(!taken.isEmpty && taken == Array(stated.prefix(taken.count)), "\(agent)")
      }
      for node in ["hq", "right"] { #expect(try entries(node, "g3", scratch).isEmpty, "\(node)") }
      for node in nodes {
        #expect(try LMDBLogReader(directory: scratch("data/\(node)")).verify().findings == [])
      }
    }
  }
}
