import Foundation
import Testing

extension Commands {
  /// `hypha topology simulate` from the outside.
  @Suite struct SimulateTests {
    /// An edge list in which two pairs of different groups talk, and others seldom.
    private static let trace: String = {
      let lines = (0..<600).map { place in
        place % 3 == 0
          ? "\(place % 40) \((place * 7 + 1) % 40) \(place)" : "\(place % 2) \(30 + place % 2) \(place)"
      }
      return lines.joined(separator: "\n") + "\n"
    }()

    private func rows(_ text: String) throws -> [[String: Any]] {
      try text.split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }

    @Test func `prints a row for each rule, and what the columns say of the traffic`() async throws {
      let scratch = try Scratch()
      let trace = try scratch.file("trace.txt", Self.trace)
      let result = try await scratch.hypha("topology", "simulate", trace, "--group-size", "10")
      #expect(result.status == 0 && result.errors == "", "\(result.errors)")
      #expect(
        result.lines[0].hasSuffix("trace.txt: 600 events among 40 agents, 3 levels"), "\(result.lines[0])")
      for rule in ["observer", "tree", "mesh", "hindsight", "batch", "BMA", "R-BMA", "LRU"] {
        #expect(result.lines.contains { $0.hasPrefix("\(rule) ") }, "\(result.output)")
      }
      #expect(result.lines.allSatisfy { $0.count <= 80 || $0.contains("trace.txt") }, "\(result.output)")
    }

    @Test func `two processes come to the same links by the same decisions`() async throws {
      let scratch = try Scratch()
      let trace = try scratch.file("trace.txt", Self.trace)
      var seen: Set<String> = []
      for _ in 0..<2 {
        let words = ["topology", "simulate", trace, "--group-size", "10", "--json", "--rule", "observer"]
        let result = try await Hypha.run(words, in: scratch)
        var row = try #require(try rows(result.output).first)
        #expect(row.removeValue(forKey: "eventsPerSecond") is Double)
        #expect(row["rule"] as? String == "observer" && (row["added"] as? Int ?? 0) > 0)
        #expect(row["topologyHash"] is String && row["events"] as? Int == 600)
        seen.insert(row.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " "))
      }
      #expect(seen.count == 1, "\(seen)")
    }

    @Test func `a policy file and a topology file change what the observer may do`() async throws {
      let scratch = try Scratch()
      let trace = try scratch.file("trace.txt", String(repeating: "ana bo 1\n", count: 50))
      let policy = try scratch.file("policy.yaml", "observer: {charge: 2, forbids: [[ana, bo]]}\n")
      let topology = try scratch.file(
        "topology.yaml",
        """
        hypha: 1
        name: n
        observer: {mode: off}
        nodes: {hq: {}}
        agents: {boss: {kind: k}, ana: {kind: k, reports-to: boss}, bo: {kind: k, reports-to: boss}}
        """)
      func added(_ words: String...) async throws -> Int? {
        let result = try await Hypha.run(
          ["topology", "simulate", trace, "--json", "--rule", "observer"] + words, in: scratch)
        return try rows(result.output).first?["added"] as? Int
      }
      #expect(try await added() == 1)
      #expect(try await added("--policy", policy) == 0)
      #expect(try await added("--topology", topology) == 0)
    }

    @Test(
      arguments: [
        (
          "trace.txt --groups g --group-size 3", 2,
          "--topology, --groups and --group-size each say who stands where; give one"
        ),
        ("trace.txt --group-size 0", 2, "--group-size is 0; use 1 or more"),
        (
          "words.txt --group-size 3", 1,
          "names 'ana', which is no number; give --groups FILE in place of --group-size"
        ),
        (
          "trace.txt --topology words.yaml", 1,
          "and words.yaml has no such agent; give the topology that the recording"
        ),
        (
          "trace.txt --policy bad.yaml", 1,
          "bad.yaml:1:1: the policy file has an unknown key, 'observr'; did you mean 'observer'?"
        ),
        (
          "words.txt --policy other.yaml", 1,
          "the policy names agent 'eve', which the simulation does not have; name an agent"
        ),
        ("missing.txt", 1, "missing.txt cannot be opened; give the path of a readable file"),
        ("times.txt", 1, "times.txt line 2: 'noon' is no time; give lines of the form 'from to time'"),
        ("ends.txt", 1, "ends.txt line 2: it has 1 fields; give lines of the form 'from to time'"),
      ])
    func `input that it cannot use is named with a remedy`(_ words: String, _ status: Int32, _ text: String)
      async throws
    {
      let scratch = try Scratch()
      for (name, content) in [
        "trace.txt": Self.trace, "words.txt": "ana bo 1\nbo ana 2\n", "bad.yaml": "observr: {}\n",
        "times.txt": "a b 1\na b noon\n", "ends.txt": "a b 1\na\n",
        "other.yaml": "observer: {pins: [[ana, eve]]}\n",
        "words.yaml": "hypha: 1\nname: n\nnodes: {hq: {}}\nagents: {boss: {kind: k}}\n",
      ] { _ = try scratch.file(name, content) }
      let result = try await Hypha.run(
        ["topology", "simulate"] + words.split(separator: " ").map(String.init), in: scratch)
      #expect(result.status == status && result.output == "", "\(result)")
      #expect(result.errorLines.count == 1 && result.errors.contains(text), "\(result.errors)")
    }
  }
}
