import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// The node with the observer's seat is killed, and its standby takes over: real processes and sockets.
  @Suite struct StandbyProcessTests {
    private static let topology = """
      hypha: 1
      name: seats
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {hq: {}, left: {}, right: {}, far: {}}
      observer: {node: hq, standby: far, standby-after: 2s}
      agents:
        root: {kind: supervisor, node: left}
        sl: {kind: supervisor, node: left, reports-to: root}
        sr: {kind: supervisor, node: right, reports-to: root}
        r1: {kind: recorder, node: right, reports-to: sr}
        r2: {kind: recorder, node: far, reports-to: root}
        g1: {kind: generator, node: left, reports-to: sl, settings: {event: entry, count: 100000, every: 2, to: [r1]}}
        g2: {kind: generator, node: left, reports-to: sl, settings: {event: signal, count: 100000, every: 5, to: [r1]}}
      """

    private let nodes = ["hq", "left", "right", "far"]

    private func reading(_ node: String, _ scratch: Scratch) throws -> TopologyReading {
      let file = try TopologyFile.read(yaml: Self.topology, file: "topology.yaml").topology
      return try TopologyReading(LMDBLogReader(directory: scratch("data/\(node)")), of: file)
    }

    private func hasSaid(_ node: String, in scratch: Scratch) throws -> [SeatSuperseded] {
      try reading(node, scratch).entries.compactMap { entry in
        if case .superseded(let event) = entry.content { event } else { nil }
      }
    }

    @Test
    func
      `a standby takes over from a killed node, operators are obeyed, and that node follows when it is back`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let places = [file, "--data", scratch("data")]
      var running: [String: Hypha] = [:]
      for node in nodes {
        running[node] = try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      let link = DirectLink("g1", "r1")
      // The standby goes on from what it has heard: a link that only others know yet ends with the term.
      for node in ["right", "far"] {
        #expect(await becomesTrue { (try? reading(node, scratch))?.live.links[link] != nil }, "\(node)")
      }
      let before = try reading("far", scratch).live
      #expect(before.holder == nil && SeatTerm.of(before.version) == 1)
      running["hq"]?.signal(SIGKILL)
      _ = await running["hq"]?.end()
      // What is asked while nobody has the seat waits for the standby, in its order.
      let asked = try await scratch.hypha(["topology", "pin"] + places + ["g2", "r2"])
      #expect(asked.status == 0 && asked.output.hasPrefix("pin g2 ↔ r2: done, version 2."), "\(asked)")
      let forbidden = try await scratch.hypha(["topology", "forbid"] + places + ["g1", "r1"])
      #expect(forbidden.output.contains("− g1 ↔ r1\n"), "\(forbidden)")
      #expect(try await scratch.hypha(["topology", "freeze"] + places).status == 0)
      let shown = try await scratch.hypha(["topology", "show"] + places)
      #expect(shown.output.contains("observer: node 'far' in term 2, with the standby 'hq'\n"), "\(shown)")
      #expect(
        shown.output.contains(", frozen\n") && shown.output.contains("forbidden: g1 ↔ r1\n"), "\(shown)")
      let why = try await scratch.hypha(["topology", "explain"] + places + ["g1", "r1"])
      #expect(
        why.output.contains("Node 'far' decides since ") && why.output.contains("was down, silent for "))
      let history = try await scratch.hypha(["topology", "history"] + places)
      #expect(history.output.contains("node 'far' has the seat"), "\(history)")
      for node in ["left", "right"] {
        #expect(
          await becomesTrue { (try? reading(node, scratch))?.live == (try? reading("far", scratch))?.live },
          "\(node)")
      }
      // The one that was killed is back, hears of the newer term, and says so.
      running["hq"] = try scratch.start("run", file, "--data", scratch("data"), "--node", "hq")
      #expect(await becomesTrue { (try? hasSaid("hq", in: scratch))?.isEmpty == false })
      let said = try hasSaid("hq", in: scratch)
      #expect(said.map(\.node) == ["hq"] && said.map(\.holder) == ["far"] && said.map(\.newerTerm) == [2])
      let thawed = try await scratch.hypha(["topology", "thaw"] + places)
      #expect(thawed.output.hasPrefix("thaw: done, version 2."), "\(thawed)")
      #expect(
        await becomesTrue {
          let lives = nodes.map { try? reading($0, scratch).live }
          return lives.allSatisfy { $0 != nil && $0 == lives[0] }
        })
      #expect(try reading("hq", scratch).live.isFrozen == false)
      // One that is stuck keeps nobody from what another node can do for him.
      running["hq"]?.signal(SIGSTOP)
      let allowed = try await scratch.hypha(["topology", "allow"] + places + ["g1", "r1"])
      #expect(allowed.output.hasPrefix("allow g1 ↔ r1: done, version 2."), "\(allowed)")
      running["hq"]?.signal(SIGCONT)
      // It is the standby now, and takes the seat back when the other one stops.
      running["far"]?.signal(SIGTERM)
      _ = await running["far"]?.end()
      #expect(await becomesTrue { (try? reading("right", scratch))?.live.holder == "hq" })
      let frozen = try await scratch.hypha(["topology", "freeze"] + places)
      #expect(frozen.output.hasPrefix("freeze: done, version 3."), "\(frozen)")
      for node in ["hq", "left", "right"] { running[node]?.signal(SIGINT) }
      for node in ["hq", "left", "right"] { _ = await running[node]?.end() }
      try expectOrder(scratch)
      scratch.expectNothingLeft()
    }

    /// What g1 has stated is at r1 without a gap, once and in order.
    private func expectOrder(_ scratch: Scratch) throws {
      func sequences(_ node: String) throws -> [UInt64] {
        var sequences: [UInt64] = []
        let log = try LMDBLogReader(directory: scratch("data/\(node)"))
        #expect(try log.verify().findings == [])
        try log.scan { entry in
          if entry.record.agent == "g1", entry.record.addressee == "r1" {
            sequences.append(entry.record.sequence)
          }
          return true
        }
        return sequences
      }
      let (stated, taken) = try (sequences("left"), sequences("right"))
      #expect(!taken.isEmpty && taken == Array(stated.prefix(taken.count)))
    }
  }
}
