import HyphaCore
import HyphaTopology
import Testing

@Suite struct `A topology` {
  private func spec(_ id: AgentID, under supervisor: AgentID? = nil, on node: NodeID = "m") -> AgentSpec {
    AgentSpec(id: id, kind: "k", node: node, reportsTo: supervisor)
  }

  private func problem(nodes: [NodeSpec] = [NodeSpec(id: "m"), NodeSpec(id: "n")], _ agents: [AgentSpec])
    -> String?
  {
    #expect(throws: HyphaError.self) { try Topology(name: "t", nodes: nodes, agents: agents) }?.description
  }

  @Test func `knows its root, its depths and who reports to whom`() throws {
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "m"), NodeSpec(id: "n")],
      agents: [spec("c", under: "b"), spec("b", under: "a", on: "n"), spec("a"), spec("d", under: "a")])
    #expect(topology.root == "a")
    #expect(topology.children(of: "a") == ["b", "d"])
    #expect(topology.children(of: "unknown") == [])
    #expect(["a", "b", "c", "unknown"].map { topology.depth(of: $0) } == [0, 1, 2, nil])
    #expect(topology.agents(on: "m").map(\.id) == ["c", "a", "d"])
    #expect(topology.node("n") == NodeSpec(id: "n"))
    #expect(topology.agent("unknown") == nil)
  }

  @Test func `is refused where a reference leads nowhere`() {
    #expect(
      problem([spec("a", on: "x")])
        == "invalidTopology: agent 'a' is placed on node 'x', which does not exist; "
        + "add it under nodes:, or name one of m, n")
    #expect(
      problem([spec("a"), spec("b", under: "x")])
        == "invalidTopology: agent 'b' reports to 'x', which does not exist; add it under agents:")
  }

  @Test func `is refused where an id stands twice`() {
    #expect(
      problem([spec("a"), spec("a")])
        == "invalidTopology: agent 'a' is declared twice; rename or remove one of them")
    #expect(
      problem(nodes: [NodeSpec(id: "m"), NodeSpec(id: "m")], [spec("a")])
        == "invalidTopology: node 'm' is declared twice; rename or remove one of them")
  }

  @Test func `is refused where an agent has the name of a node as an author`() throws {
    #expect(
      problem([spec("hypha.node.m")])
        == "invalidTopology: agent 'hypha.node.m' has the name under which node 'm' states its events; rename the agent"
    )
    let long = try NodeID(String(repeating: "n", count: 63))
    let other = try NodeID(String(repeating: "n", count: 62) + "m")
    #expect(try AgentID(long.author.text) == long.author)
    #expect(long.author != other.author)
  }

  @Test func `is refused without a root, or with two`() {
    #expect(
      problem([spec("a", under: "b"), spec("b", under: "a")])
        == "invalidTopology: no agent is the root: all report to someone; "
        + "leave reports-to out at exactly one agent")
    #expect(
      problem([spec("a"), spec("b")])
        == "invalidTopology: more than one agent reports to nobody: a, b; "
        + "leave reports-to out at exactly one agent")
    #expect(problem([])?.hasPrefix("invalidTopology: ") == true)
  }

  @Test func `is refused where supervisors form a cycle`() {
    #expect(
      problem([spec("a"), spec("b", under: "c"), spec("c", under: "b")])
        == "invalidTopology: agent 'b' has no way to the root 'a': its supervisors form a cycle; "
        + "let one of them report to an agent outside of the cycle")
  }
}
