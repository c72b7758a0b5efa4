import Foundation
import Testing

extension Commands {
  /// `hypha topology what-if`, and `simulate` of logs, on what a deployment left that nobody observed.
  @Suite struct WhatIfCommandTests {
    private static let recorded = """
      hypha: 1
      name: room
      nodes: {hq: {}, desk: {}}
      agents:
        lead: {kind: supervisor, node: hq}
        front: {kind: supervisor, node: desk, reports-to: lead}
        ana: {kind: recorder, node: desk, reports-to: front}
        bo: {kind: recorder, node: hq, reports-to: lead}
      """

    private func object(_ line: String) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func `the events of logs are tried under another hierarchy and another policy`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      let file = try scratch.file("topology.yaml", Self.recorded)
      let flat = try scratch.file(
        "flat.yaml", Self.recorded.replacingOccurrences(of: "reports-to: front", with: "reports-to: lead"))
      let eager = try scratch.file("eager.yaml", "observer: {charge: 1}\n")
      let command = ["topology", "what-if", file, "--data", logs.data]
      var line = try object(
        try await Hypha.run(command + ["--topology", flat, "--json"], in: scratch).output)
      #expect(line["events"] as? Int == 40 && line["source"] as? String == "events")
      var (recorded, other) = (line["recorded"] as? [String: Any], line["other"] as? [String: Any])
      #expect(recorded?["hops"] as? Int == 120 && recorded?["added"] as? Int == 0)
      #expect((other?["treeHops"] as? Int) == 80)
      line = try object(try await Hypha.run(command + ["--policy", eager, "--json"], in: scratch).output)
      (recorded, other) = (line["recorded"] as? [String: Any], line["other"] as? [String: Any])
      #expect(recorded?["added"] as? Int == 0 && other?["links"] as? [[String]] == [["ana", "bo"]])
      #expect(line["parting"] is [String: Any])
      let text = try await Hypha.run(command + ["--policy", eager], in: scratch)
      #expect(text.status == 0 && text.errors == "", "\(text)")
      #expect(text.output.contains("other has ana ↔ bo; recorded has not: the observer is off"), "\(text)")
      #expect(text.output.contains("cost: hops, and 10 a change"), "\(text)")
      // All of it in one report: the links come behind the traffic.
      #expect(text.output.contains("after 40 events"), "\(text)")
    }

    @Test func `simulate takes logs, which say who stands where`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      let result = try await scratch.hypha("topology", "simulate", logs.data, "--rule", "tree", "--json")
      let line = try object(result.output)
      #expect(line["events"] as? Int == 40 && line["treeHops"] as? Int == 120, "\(result)")
      let refused = try await scratch.hypha("topology", "simulate", logs.data, "--group-size", "4")
      #expect(refused.status == 2 && refused.errors.contains("is a directory of logs"), "\(refused)")
      let bare = try Scratch()
      let outlineless = try await EvolvingLogs(in: bare, outlined: false)
      let unknown = try await bare.hypha("topology", "simulate", outlineless.data)
      #expect(unknown.status == 2 && unknown.errors.contains("give --topology FILE"), "\(unknown)")
    }

    @Test func `what cannot be compared is refused by name`() async throws {
      let scratch = try Scratch()
      let logs = try await EvolvingLogs(in: scratch)
      let observed = try scratch.file(
        "observed.yaml",
        Self.recorded.replacingOccurrences(of: "agents:", with: "observer: {node: far}\nagents:")
          .replacingOccurrences(of: "desk: {}}", with: "desk: {}, far: {}}"))
      let seatless = try await scratch.hypha("topology", "what-if", observed, "--data", logs.data)
      #expect(seatless.status == 1 && seatless.errors.contains("has no log of node 'far'"), "\(seatless)")
      let file = try scratch.file("topology.yaml", Self.recorded)
      let missing = try await scratch.hypha(
        "topology", "what-if", file, "--data", logs.data, "--policy", scratch("none.yaml"))
      #expect(missing.status == 1 && missing.errors.contains("none.yaml cannot be read"), "\(missing)")
      let wrong = try scratch.file("wrong.yaml", "observer: {charge: 0}\n")
      let refused = try await scratch.hypha(
        "topology", "what-if", file, "--data", logs.data, "--policy", wrong)
      #expect(refused.status == 1 && refused.errors.contains("charge"), "\(refused)")
    }
  }
}
