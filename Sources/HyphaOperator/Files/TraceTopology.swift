import HyphaCore
import HyphaFormats
import HyphaTopology

/// Makes a deployment out of a recorded event log: a root, a supervisor for each group, an agent for each
/// resource.
struct TraceTopology {
  let topology: Topology
  /// The settings that all `trace` agents share.
  let kinds: [String: JSONValue]

  /// - Parameters:
  ///   - nodeCount: over how many nodes the groups are spread; the root has the first.
  ///   - file: the hand-over file, as the topology file is to name it.
  init(
    name: AgentID, of recording: HandOvers, nodeCount: Int, file: String, speed: Double
  ) throws {
    let resources = ResourceAgents(of: recording.all)
    var taken = Set(resources.agents.values)
    let root = ResourceAgents.free("root", &taken)
    let nodes = try (1...max(1, nodeCount)).map { NodeSpec(id: try NodeID("node\($0)")) }
    var agents = [AgentSpec(id: root, kind: "supervisor", node: nodes[0].id)]
    let members = Dictionary(grouping: resources.agents.keys) { recording.resources[$0] ?? nil }
    let shared = JSONValue.object(["file": .string(file), "speed": .number(speed)])
    func trace(_ resource: String, _ node: NodeID, under supervisor: AgentID) -> AgentSpec? {
      guard let id = resources.agents[resource] else { return nil }
      var settings = shared
      settings["resource"] = .string(resource)
      return AgentSpec(id: id, kind: "trace", node: node, reportsTo: supervisor, settings: settings)
    }
    // The largest groups first, each to the node with the fewest agents so far.
    var load = [Int](repeating: 0, count: nodes.count)
    let groups = members.compactMap { group, names in group.map { (name: $0, members: names.sorted()) } }
    for group in groups.sorted(by: { ($1.members.count, $0.name) < ($0.members.count, $1.name) }) {
      let place = load.indices.min { load[$0] < load[$1] } ?? 0
      load[place] += group.members.count + 1
      let supervisor = ResourceAgents.free(group.name, &taken)
      agents.append(AgentSpec(id: supervisor, kind: "supervisor", node: nodes[place].id, reportsTo: root))
      agents += group.members.compactMap { trace($0, nodes[place].id, under: supervisor) }
    }
    // Who is in no group reports to the root, spread over the nodes.
    for resource in (members[nil] ?? []).sorted() {
      let place = load.indices.min { load[$0] < load[$1] } ?? 0
      load[place] += 1
      agents += [trace(resource, nodes[place].id, under: root)].compactMap { $0 }
    }
    topology = try Topology(name: name.text, nodes: nodes, agents: agents)
    kinds = ["trace": shared]
  }
}
