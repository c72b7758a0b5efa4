import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

@Suite struct `A written topology` {
  @Test func `reads back as the same, whatever its names and texts`() throws {
    for seed in seeds(1500) {
      var generator = TopologyGenerator(seed: seed)
      let (topology, kinds) = try generator.full()
      let text = try TopologyWriter.text(topology, kinds: kinds, comment: generator.text())
      do {
        let file = try TopologyFile.read(yaml: text, file: "seed-\(seed)")
        #expect(file.topology == topology, "seed \(seed):\n\(text)")
        #expect(Set(file.kinds.keys) == Set(kinds.keys), "seed \(seed)")
        // And it is the same text again: the form is settled.
        #expect(
          try TopologyWriter.text(file.topology, kinds: file.kinds) == withoutComment(text), "seed \(seed)")
      } catch {
        Issue.record("seed \(seed): \(error)\n\(text)")
        return
      }
    }
  }

  private func withoutComment(_ text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.drop { $0.hasPrefix("#") }.dropFirst().joined(separator: "\n")
  }

  @Test func `looks as a person would write it`() throws {
    let file = try TopologyFile.read(yaml: incidentRoom, file: "f")
    let long = String(repeating: "x", count: 60)
    var agents = file.topology.agents
    agents[2].settings["a: b"] = .string("12")
    agents[2].settings["note"] = .string(long)
    agents[2].publishes = [
      "work.HandedOver", EventTypeName(unchecked: long), EventTypeName(unchecked: "y\(long)"),
    ]
    let topology = try Topology(
      name: file.topology.name, version: 4, nodes: file.topology.nodes, agents: agents, log: file.topology.log
    )
    let text = try TopologyWriter.text(topology, kinds: file.kinds, comment: "An example.\n\nOf two parts.")
    #expect(
      text == """
        # An example.
        #
        # Of two parts.

        hypha: 1
        name: incident-room
        version: 4

        log:
          map-size: 32GiB
          inline-payload: 16KiB

        nodes:
          hq: {}
          ops: {address: "tcp://127.0.0.1:7410"}

        kinds:
          trace: {file: handovers.csv, speed: 3600}

        agents:
          director: {kind: supervisor, node: hq}
          triage: {kind: supervisor, node: ops, reports-to: director}
          ana:
            kind: trace
            node: ops
            reports-to: triage
            publishes:
              - work.HandedOver
              - \(long)
              - y\(long)
            subscribes: [ops.Signal, {type: ops.Signal, subject: "metrics.cpu.>"}]
            settings:
              "a: b": "12"
              note: \(long)
              resource: Ana
              speed: 60

        """)
  }

  @Test func `says once what all agents of a kind have, and no more`() throws {
    let kinds = ["k": JSONValue.object(["shared": .integer(1), "lacking": .integer(2)])]
    let topology = try Topology(
      name: "n", nodes: [NodeSpec(id: "m")],
      agents: [
        AgentSpec(
          id: "a", kind: "k", node: "m", settings: .object(["shared": .integer(1), "lacking": .integer(2)])),
        AgentSpec(id: "b", kind: "k", node: "m", reportsTo: "a", settings: .object(["shared": .integer(3)])),
      ])
    let text = try TopologyWriter.text(topology, kinds: kinds)
    #expect(text.contains("  k: {shared: 1}\n"))
    #expect(text.contains("    settings: {lacking: 2}\n"))
    #expect(text.contains("    settings: {shared: 3}\n"))
  }

  @Test func `is refused where its settings have no form in the file`() throws {
    func problem(_ settings: JSONValue) throws -> String? {
      let agents = [AgentSpec(id: "a", kind: "k", node: "m", settings: settings)]
      let topology = try Topology(name: "n", nodes: [NodeSpec(id: "m")], agents: agents)
      return #expect(throws: HyphaError.self) { try TopologyWriter.text(topology) }?.description
    }
    #expect(
      try problem(.null)
        == "invalidTopology: the settings of agent 'a' are not an object; give each setting a name")
    #expect(
      try problem(.object(["x": .number(.infinity)]))
        == "invalidTopology: the settings of agent 'a' have the number inf; use a finite number")
    let deep = (0..<10_000).reduce(JSONValue.null) { value, _ in .array([value]) }
    #expect(
      try problem(.object(["x": deep]))
        == "invalidTopology: the settings of agent 'a' are nested deeper than 56; "
        + "flatten them, or put them in a file of their own")
  }

  @Test func `reads back at the deepest nesting that is written`() throws {
    let deep = (0..<(TopologyWriter.settingsDepthMax - 1)).reduce(JSONValue.null) { value, _ in
      .array([value])
    }
    let agents = [AgentSpec(id: "a", kind: "k", node: "m", settings: .object(["x": deep]))]
    let topology = try Topology(name: "n", nodes: [NodeSpec(id: "m")], agents: agents)
    #expect(try TopologyFile.read(yaml: TopologyWriter.text(topology), file: "f").topology == topology)
  }
}
