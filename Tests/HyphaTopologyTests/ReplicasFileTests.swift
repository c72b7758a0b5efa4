import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// The replicas of a node in a topology file.
@Suite struct ReplicasFileTests {
  private func file(_ node: String) -> String {
    """
    hypha: 1
    name: n
    nodes:
      hq: \(node)
      ops: {}
      lab: {}
    agents:
      root: {kind: supervisor, node: hq}
    """
  }

  private func replicas(_ node: String) throws -> ReplicationSettings? {
    try TopologyFile.read(yaml: file(node), file: "f").topology.node("hq")?.replicas
  }

  @Test func `says who holds copies, how many must, and for how long that is waited for`() throws {
    #expect(try replicas("{}") == ReplicationSettings())
    #expect(
      try replicas("{replicas: [ops, lab]}")
        == ReplicationSettings(nodes: ["ops", "lab"], level: 0, within: .seconds(5)))
    #expect(
      try replicas("{replicas: [ops, lab], replicated: 2, in-doubt-after: 300ms}")
        == ReplicationSettings(nodes: ["ops", "lab"], level: 2, within: .milliseconds(300)))
  }

  @Test(arguments: [
    ("{replicas: [hq]}", "f:4:18: node 'hq' is its own replica; name other nodes: its own log is no copy"),
    (
      "{replicas: [far]}",
      "f:4:18: node 'hq' has the replica 'far', which does not exist; add it under nodes:, or name one of hq, ops, lab"
    ), ("{replicas: [ops, ops]}", "f:4:18: node 'hq' has the replica 'ops' twice; name it once"),
    (
      "{replicas: [ops, lab], replicated: 3}",
      "f:4:42: replicated of node 'hq' must be a whole number; write a number from 0 to 2, without quotes"
    ),
    (
      "{replicated: 1}",
      "f:4:8: node 'hq' has replicated, and no replicas; name them: 'replicas: [A, B]', or remove replicated"
    ), ("{replicas: ops}", "f:4:18: replicas of node 'hq' must be a list, not a single value; write [ops]"),
  ])
  func `refuses what makes no sense`(_ node: String, _ problem: String) {
    #expect(problems(file(node)) == [problem])
  }

  @Test func `code that says the same nonsense is refused alike`() {
    for replicas in [
      ReplicationSettings(nodes: ["hq"]), .init(nodes: ["far"]), .init(nodes: ["ops", "ops"]),
      .init(nodes: ["ops"], level: 2), .init(level: 1), .init(nodes: ["ops"], level: -1),
    ] {
      #expect(throws: HyphaError.self) {
        try Topology(
          name: "n", nodes: [NodeSpec(id: "hq", replicas: replicas), NodeSpec(id: "ops")],
          agents: [AgentSpec(id: "root", kind: "supervisor", node: "hq")])
      }
    }
  }

  @Test func `a written file has the same replicas, and who they are is part of what nodes agree on`() throws
  {
    let read = try TopologyFile.read(
      yaml: file("{replicas: [lab, ops], replicated: 1, in-doubt-after: 2s}"), file: "f"
    ).topology
    let again = try TopologyFile.read(yaml: TopologyWriter.text(read), file: "g").topology
    #expect(again == read)
    func hash(_ node: String) throws -> UInt64 {
      try TopologyFile.read(yaml: file(node), file: "f").topology.hash
    }
    #expect(try hash("{replicas: [ops, lab]}") == hash("{replicas: [lab, ops], replicated: 2}"))
    #expect(try hash("{replicas: [ops, lab]}") != hash("{replicas: [ops]}"))
    #expect(try hash("{}") != hash("{replicas: [ops]}"))
  }
}
