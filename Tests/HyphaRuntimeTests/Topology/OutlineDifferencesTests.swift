import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaRuntime

@Suite struct OutlineDifferencesTests {
  private func topology(
    version: UInt32 = 1, replicas: [NodeID] = [], pins: [DirectLink] = [], mustPass: [AgentID] = [],
    oversight: [OversightRule] = [], _ change: (inout [AgentSpec]) -> Void = { _ in }
  ) throws -> Topology {
    var agents = [
      AgentSpec(id: "root", kind: "supervisor", node: "x"),
      AgentSpec(id: "desk", kind: "supervisor", node: "x", reportsTo: "root"),
      AgentSpec(
        id: "ana", kind: "clerk", node: "y", reportsTo: "desk",
        subscribes: [Subscription(type: "work.Asked", subjects: "work.a.>"), Subscription(type: "work.Done")]),
    ]
    change(&agents)
    var policy = ObserverPolicy()
    (policy.pins, policy.mustPass) = (pins, mustPass)
    return try Topology(
      name: "office", version: version,
      nodes: [NodeSpec(id: "x", replicas: ReplicationSettings(nodes: replicas)), NodeSpec(id: "y")],
      agents: agents, observer: policy, oversight: oversight)
  }

  /// Both ways.
  private func expect(_ other: Topology, _ there: [String], _ back: [String]) throws {
    let (before, after) = (DeploymentOutline(try topology()), DeploymentOutline(other))
    #expect(before.differences(from: after) == there)
    #expect(after.differences(from: before) == back)
  }

  @Test func `outlines of the same have no difference`() throws {
    try expect(topology(), [], [])
    let rules = [1, 2].map { OversightRule("work.Asked", by: "desk", .after, every: .seconds($0)) }
    let (one, other) = try (topology(oversight: [rules[0]]), topology(oversight: [rules[1]]))
    #expect(one.fingerprint == other.fingerprint)
    #expect(DeploymentOutline(one).differences(from: DeploymentOutline(other)) == [])
  }

  @Test func `the observer's seat has a standby, or has none any more`() throws {
    var policy = ObserverPolicy()
    (policy.node, policy.standby) = ("x", "y")
    try expect(
      topology().replacing(observer: policy),
      ["the observer's seat has node 'x' and the standby 'y', and had no standby"],
      ["the observer's seat has no standby, and had node 'x' and the standby 'y'"])
  }

  @Test func `agents are new, gone, elsewhere, or report to somebody else`() throws {
    try expect(
      topology { $0.append(AgentSpec(id: "bo", kind: "clerk", node: "y", reportsTo: "root")) },
      ["agent 'bo' is new"], ["agent 'bo' is gone"])
    try expect(
      topology { $0[2].node = "x" }, ["agent 'ana' is on node 'x', and was on 'y'"],
      ["agent 'ana' is on node 'y', and was on 'x'"])
    try expect(
      topology {
        $0[0].reportsTo = "desk"
        $0[1].reportsTo = nil
      },
      [
        "agent 'desk' reports to nobody, and did to 'root'",
        "agent 'root' reports to 'desk', and did to nobody",
      ],
      [
        "agent 'desk' reports to 'root', and did to nobody",
        "agent 'root' reports to nobody, and did to 'desk'",
      ])
  }

  @Test func `subscriptions are told with their subjects`() throws {
    try expect(
      topology { $0[2].subscribes[0].subjects = "work.b.>" },
      [
        "agent 'ana' subscribes to work.Asked work.b.>, and did not",
        "agent 'ana' does not subscribe to work.Asked work.a.> any more",
      ],
      [
        "agent 'ana' subscribes to work.Asked work.a.>, and did not",
        "agent 'ana' does not subscribe to work.Asked work.b.> any more",
      ])
    try expect(
      topology { $0[2].subscribes.removeLast() }, ["agent 'ana' does not subscribe to work.Done any more"],
      ["agent 'ana' subscribes to work.Done, and did not"])
  }

  @Test func `links, gates, oversight, replicas and the version are told, and kinds last`() throws {
    try expect(
      topology(
        version: 2, replicas: ["y"], pins: [DirectLink("root", "ana")], mustPass: ["desk"],
        oversight: [OversightRule("work.Asked", by: "desk", .parallel)]
      ) { $0[2].kind = "writer" },
      [
        "its version is 2, and was 1", "the link of 'ana' and 'root' is pinned, and was not",
        "links may not lead around 'desk', and might", "'desk' oversees work.Asked 'parallel', and did not",
        "node 'y' is a replica of 'x', and was not", "agent 'ana' is of kind 'writer', and was of 'clerk'",
      ],
      [
        "its version is 1, and was 2", "the link of 'ana' and 'root' is not pinned any more",
        "links may lead around 'desk', and might not",
        "'desk' does not oversee work.Asked 'parallel' any more",
        "node 'y' is not a replica of 'x' any more", "agent 'ana' is of kind 'clerk', and was of 'writer'",
      ])
  }

  @Test func `what an outline of an older version does not have is no difference`() throws {
    let outline = DeploymentOutline(
      try topology(replicas: ["y"], mustPass: ["desk"]) { $0[2].subscribes[0].subjects = "work.b.>" })
    guard case .object(var old) = try JSON.decode(JSONValue.self, from: JSON.encode(outline)),
      case .array(let agents)? = old["agents"]
    else { return }
    for key in ["gates", "replicas", "oversight"] { old[key] = nil }
    old["agents"] = .array(
      agents.map { agent in
        guard case .object(var members) = agent else { return agent }
        members["subscriptions"] = nil
        return .object(members)
      })
    let decoded = try JSON.decode(DeploymentOutline.self, from: JSON.encode(JSONValue.object(old)))
    #expect(decoded.differences(from: DeploymentOutline(try topology())) == [])
  }
}
