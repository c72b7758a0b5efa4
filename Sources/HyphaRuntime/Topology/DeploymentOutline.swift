package import HyphaCore
package import HyphaLog
package import HyphaTopology

/// What a node's log keeps of the topology that it was last started with: who is there, who reports to whom, who takes what.
/// So a log says by itself which hierarchy its events went through. Settings and keys are left out.
package struct DeploymentOutline: Codable, Equatable, Sendable {
  /// An agent as the topology has it.
  package struct Agent: Codable, Equatable, Sendable {
    package let id: AgentID
    package let kind: String
    package let node: NodeID
    package let reportsTo: AgentID?
    /// The types that it subscribes to.
    package let takes: [EventTypeName]
    /// The same with the subjects; nil in logs of versions that did not keep them.
    package let subscriptions: [String]?
  }

  package let name: String
  package let version: UInt32
  /// The topology's fingerprint, which ``AgentActivated/topology`` has, too.
  package let fingerprint: String
  package let agents: [Agent]
  /// The links that are there from the start.
  package let pins: [DirectLink]
  /// Who oversees what; nil in logs of versions before there was oversight.
  package let oversight: [OversightRule]?
  /// The agents that no link may lead around, and the replicas of each node that has some; nil in logs of versions that did not
  /// keep them.
  package let gates: [AgentID]?
  package let replicas: [String: [NodeID]]?
  /// The node with the observer's seat and its standby; nil where it has none.
  package let seats: [NodeID]?

  /// The outline of a topology.
  package init(_ topology: Topology) {
    name = topology.name
    version = topology.version
    fingerprint = topology.fingerprint
    pins = topology.observer.pins.sorted()
    oversight = topology.oversight
    gates = topology.observer.mustPass.sorted()
    replicas = Dictionary(
      topology.nodes.filter { !$0.replicas.nodes.isEmpty }.map { ($0.id.text, $0.replicas.nodes.sorted()) }
    ) { $1 }
    seats = topology.observer.standby == nil ? nil : topology.observer.seats
    agents = topology.agents.map { agent in
      Agent(
        id: agent.id, kind: agent.kind, node: agent.node, reportsTo: agent.reportsTo,
        takes: Set(agent.subscribes.map(\.type)).sorted(),
        subscriptions: agent.subscribes.map { "\($0.type) \($0.subjects)" })
    }
  }

  /// A topology of these agents, without settings and keys.
  package func topology() throws -> Topology {
    var nodes: [NodeID] = []
    for agent in agents where !nodes.contains(agent.node) { nodes.append(agent.node) }
    var policy = ObserverPolicy()
    policy.pins = pins
    return try Topology(
      name: name, version: version, nodes: nodes.map { NodeSpec(id: $0) },
      agents: agents.map { agent in
        AgentSpec(
          id: agent.id, kind: agent.kind, node: agent.node, reportsTo: agent.reportsTo,
          subscribes: agent.takes.map { Subscription(type: $0) })
      }, observer: policy, oversight: oversight ?? [])
  }

  /// The name under which the log keeps it, beside the snapshots of agents.
  package static let owner: AgentID = "hypha.outline"

  /// What a log keeps; nil where it was written by a version that kept none, or that this one does not read.
  ///
  /// - Throws: what reading the log throws.
  package static func read(in log: any LogReader) throws -> DeploymentOutline? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(DeploymentOutline.self, from: $0) }
  }

  /// This outline for a log to keep; nothing where it has it.
  package func snapshot(in log: any LogReader) throws -> [AgentID: [UInt8]] {
    try Self.read(in: log) == self ? [:] : [Self.owner: Array(try JSON.encode(self))]
  }
}
