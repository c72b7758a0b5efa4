import Foundation
import HyphaCore
import HyphaRuntime
import HyphaTopology

/// What a topology can be exported as.
enum TopologyFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
  case svg, dot, mermaid, graphml, json
}

/// `hypha topology export`: the topology for other programs, and as a picture.
struct TopologyExportCommand: Command {
  static let configuration = CommandConfiguration(
    name: "export", abstract: "Write the topology for another program, or as a picture.",
    discussion: """
      svg is a picture of the hierarchy with its direct links: the newer a link the brighter, the more it had saved when it \
      was made the wider; bottlenecks have a red ring, hot pairs without a link a red dashed line; where a supervisor's node is away, it is hollow, and dashed curves in \
      orange lead to whom its branch reports. dot is for Graphviz, mermaid for Mermaid, graphml for network analysis.
      """,
    examples: [
      "hypha topology export topologies/incident-room.yaml --format svg > topology.svg",
      "hypha topology export topologies/incident-room.yaml --format graphml --at 2026-01-31T12:00:00Z",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "As what to write it.") var format: TopologyFormat = .svg
  @Option(help: "Write it as it was at this place of the log.", valueName: "position|time") var at: Instant?

  func run() async throws {
    let (read, reading) = try deployment.read(through: at)
    // Agents that an earlier revision had are there for what they have stated alone.
    let topology = try read.replacing(agents: read.filedAgents)
    let text =
      switch format {
      case .svg: TopologyPicture(topology, reading.live, reading.findings.values.map(\.finding)).svg
      case .dot: Self.dot(topology, reading.live)
      case .mermaid: Self.mermaid(topology, reading.live)
      case .graphml: Self.graphML(topology, reading.live)
      case .json: try Self.json(topology, reading.live)
      }
    try Output.standard.write(text)
  }

  /// Whether an agent's branch or the agent itself reports to another than the file says.
  private static func isLeft(_ agent: AgentSpec, _ live: LiveTopology) -> Bool {
    agent.reportsTo.map { live.attachment(of: $0) != nil } ?? false
  }

  /// The edges that the file does not have.
  static func attached(_ topology: Topology, _ live: LiveTopology) -> [(agent: AgentID, up: AgentID)] {
    guard !live.attachments.isEmpty else { return [] }
    let supervisors = live.supervisors(topology)
    return topology.agents.compactMap { agent in
      guard let up = supervisors[agent.id], agent.reportsTo != up, topology.agent(up)?.reportsTo != agent.id
      else { return nil }
      return (agent.id, up)
    }
  }

  private static func quoted(_ text: some CustomStringConvertible) -> String { "\"\(text)\"" }

  private static func dot(_ topology: Topology, _ live: LiveTopology) -> String {
    var lines = ["graph \(quoted(topology.name)) {", "  node [shape=box];"]
    for agent in topology.agents {
      lines.append("  \(quoted(agent.id)) [tooltip=\(quoted("\(agent.kind) on \(agent.node)"))];")
      guard let up = agent.reportsTo else { continue }
      let style = isLeft(agent, live) ? " [style=dotted]" : ""
      lines.append("  \(quoted(up)) -- \(quoted(agent.id))\(style);")
    }
    for (agent, up) in attached(topology, live) {
      lines.append("  \(quoted(up)) -- \(quoted(agent)) [style=dashed, color=orange];")
    }
    for link in live.links.keys.sorted() {
      lines.append(
        "  \(quoted(link.one)) -- \(quoted(link.other)) [style=bold, color=green, constraint=false];")
    }
    return (lines + ["}", ""]).joined(separator: "\n")
  }

  /// Names of agents may have dots and dashes, which Mermaid's ids may not.
  private static func mermaid(_ topology: Topology, _ live: LiveTopology) -> String {
    let places = Dictionary(uniqueKeysWithValues: topology.agents.enumerated().map { ($1.id, "a\($0)") })
    func place(_ agent: AgentID) -> String { places[agent] ?? "unknown" }
    var lines = ["graph TD"]
    for agent in topology.agents { lines.append("  \(place(agent.id))[\(quoted(agent.id))]") }
    for agent in topology.agents {
      guard let up = agent.reportsTo else { continue }
      lines.append("  \(place(up)) \(isLeft(agent, live) ? "-.-" : "---") \(place(agent.id))")
    }
    for (agent, up) in attached(topology, live) {
      lines.append("  \(place(up)) ---|attached| \(place(agent))")
    }
    for link in live.links.keys.sorted() { lines.append("  \(place(link.one)) <==> \(place(link.other))") }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func graphML(_ topology: Topology, _ live: LiveTopology) -> String {
    var lines = [
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
      "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">",
      "  <key id=\"node\" for=\"node\" attr.name=\"node\" attr.type=\"string\"/>",
      "  <key id=\"kind\" for=\"node\" attr.name=\"kind\" attr.type=\"string\"/>",
      "  <key id=\"edge\" for=\"edge\" attr.name=\"edge\" attr.type=\"string\"/>",
      "  <key id=\"version\" for=\"edge\" attr.name=\"version\" attr.type=\"long\"/>",
      "  <graph id=\"\(XMLText.escaped(topology.name))\" edgedefault=\"undirected\">",
    ]
    for agent in topology.agents {
      lines.append(
        "    <node id=\"\(agent.id)\"><data key=\"node\">\(agent.node)</data>"
          + "<data key=\"kind\">\(XMLText.escaped(agent.kind))</data></node>")
    }
    for agent in topology.agents {
      guard let up = agent.reportsTo else { continue }
      let kind = isLeft(agent, live) ? "left" : "tree"
      lines.append(
        "    <edge source=\"\(up)\" target=\"\(agent.id)\"><data key=\"edge\">\(kind)</data></edge>")
    }
    for (agent, up) in attached(topology, live) {
      lines.append("    <edge source=\"\(up)\" target=\"\(agent)\"><data key=\"edge\">attached</data></edge>")
    }
    for (link, state) in live.links.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "    <edge source=\"\(link.one)\" target=\"\(link.other)\"><data key=\"edge\">link</data>"
          + "<data key=\"version\">\(state.version)</data></edge>")
    }
    return (lines + ["  </graph>", "</graphml>", ""]).joined(separator: "\n")
  }

  private struct Whole: Encodable {
    struct Agent: Encodable {
      let id: AgentID
      let node: NodeID
      let kind: String
      let reportsTo: AgentID?
    }

    struct Link: Encodable {
      let one, other: AgentID
      let version: UInt32
      let isPinned: Bool
    }

    let name: String
    let version: UInt32
    let agents: [Agent]
    let links: [Link]
    let attachments: [BranchAttachment]
  }

  private static func json(_ topology: Topology, _ live: LiveTopology) throws -> String {
    try JSON.text(
      Whole(
        name: topology.name, version: live.version,
        agents: topology.agents.map {
          .init(id: $0.id, node: $0.node, kind: $0.kind, reportsTo: $0.reportsTo)
        },
        links: live.links.sorted { $0.key < $1.key }.map {
          .init(one: $0.key.one, other: $0.key.other, version: $0.value.version, isPinned: $0.value.isPinned)
        }, attachments: live.attachments.map(\.attachment))) + "\n"
  }
}
