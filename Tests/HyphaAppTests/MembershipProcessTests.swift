import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// Nodes as processes that watch each other: stopped ones are missed, busy ones are not.
  @Suite struct MembershipProcessTests {
    private static func topology(_ membership: String, load: String = "") -> String {
      """
      hypha: 1
      name: watched
      membership: \(membership)
      nodes: {a: {}, b: {}, c: {}}
      agents:
        root: {kind: supervisor, node: a}
        sink: {kind: recorder, node: b, reports-to: root, subscribes: [load.Entry]}
        board: {kind: recorder, node: c, reports-to: root, subscribes: [hypha.NodeDown]}
      \(load)
      """
    }

    /// What a node has stated of others, as `Down b`, and of those that are back why, as `Returned b heardAgain`.
    private func events(of node: String, in scratch: Scratch) throws -> [String] {
      var events: [String] = []
      try LMDBLogReader(directory: scratch("data/\(node)")).scan { entry in
        let header = entry.record.header
        if header.agent.text == "hypha.node.\(node)" {
          let (type, node) = (
            header.type.text.dropFirst("hypha.Node".count), header.subject.text.dropFirst(11)
          )
          let isBack = header.type == NodeReturned.eventType
          let reason = isBack ? " \(try NodeReturned.decode(entry.record).reason)" : ""
          events.append("\(type) \(node)\(reason)")
        }
        return true
      }
      return events
    }

    private func alarms(of node: String, in scratch: Scratch) throws -> [String] {
      try events(of: node, in: scratch).filter { $0.hasPrefix("Suspected") || $0.hasPrefix("Down") }
    }

    private func waitFor(_ event: String, of node: String, in scratch: Scratch) async throws {
      let hasCome = try await becomesTrue { try events(of: node, in: scratch).contains(event) }
      let stated = try events(of: node, in: scratch)
      #expect(hasCome, "\(node) has \(stated), not \(event)")
    }

    /// What the judge takes another node for, by `hypha nodes`.
    private func standing(of node: String, by judge: String, in scratch: Scratch) async throws -> String? {
      struct Row: Decodable { var node, by, standing: String }
      let result = try await scratch.hypha("nodes", scratch("data/\(judge)"), "--json")
      #expect(result.status == 0, "\(result)")
      let rows = try JSONDecoder().decode([Row].self, from: Data(result.output.utf8))
      return rows.first { $0.node == node && $0.by == judge }?.standing
    }

    @Test func `a stopped node is missed and misses nobody, a killed one is told of when it is back`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file(
        "topology.yaml", Self.topology("{heartbeat: 100ms, suspect-after: 3s, down-after: 5s}"))
      let run = try scratch.start("run", file, "--data", scratch("data"), "--json")
      for node in ["a", "b", "c"] {
        let others = ["a", "b", "c"].filter { $0 != node }
        for other in others {
          let isUp = await becomesTrue {
            (try? events(of: node, in: scratch).contains("Up \(other)")) ?? false
          }
          #expect(isUp, "\(node) has not met \(other): \(run.errors)")
        }
      }
      let stopped = try #require(run.node("b"))
      kill(stopped, SIGSTOP)
      for judge in ["a", "c"] { try await waitFor("Down b", of: judge, in: scratch) }
      #expect(try await standing(of: "b", by: "a", in: scratch) == "down")
      kill(stopped, SIGCONT)
      for judge in ["a", "c"] { try await waitFor("Returned b heardAgain", of: judge, in: scratch) }
      // It was stopped for longer than it bears of others.
      #expect(try alarms(of: "b", in: scratch) == [])
      kill(stopped, SIGKILL)
      for judge in ["a", "c"] { try await waitFor("Returned b startedAgain", of: judge, in: scratch) }
      #expect(try await standing(of: "b", by: "c", in: scratch) == "up")
      run.signal(SIGTERM)
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      let summary = try JSONSerialization.jsonObject(with: Data(result.lines.last?.utf8 ?? "".utf8))
      let missed = ((summary as? [String: Any])?["missed"] as? [[String: Any]]) ?? []
      #expect(missed.map { $0["node"] as? String } == ["b"])
      scratch.expectNothingLeft()
    }

    @Test func `on a busy machine nobody is suspected, though all stood still for a while`() async throws {
      let scratch = try Scratch()
      let load =
        "  source: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 4000, every: 1}}"
      let file = try scratch.file("topology.yaml", Self.topology("{}", load: load))
      // Four for two cores, at the same priority.
      let hogs = try (0..<4).map { _ in
        try Hypha(["-c", "while :; do :; done"], in: scratch, program: "/bin/sh")
      }
      defer { for hog in hogs { hog.signal(SIGKILL) } }
      let run = try scratch.start("run", file, "--data", scratch("data"), "--json")
      let hasBegun = await becomesTrue { (try? events(of: "b", in: scratch).contains("Up c")) ?? false }
      #expect(hasBegun, "\(run.errors)")
      let nodes = run.nodes()
      for id in nodes { kill(id, SIGSTOP) }
      // For longer than the silence that is borne; that time is what the test is about.
      try await Task.sleep(for: .seconds(4))
      for id in nodes { kill(id, SIGCONT) }
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      for node in ["a", "b", "c"] { #expect(try alarms(of: node, in: scratch) == [], "\(node)") }
      for hog in hogs { hog.signal(SIGKILL) }
      for hog in hogs { _ = await hog.end() }
      scratch.expectNothingLeft()
    }
  }
}
