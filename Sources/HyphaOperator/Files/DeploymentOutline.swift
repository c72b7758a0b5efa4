import HyphaCore
import HyphaLog
import HyphaTopology

/// What a node's log keeps of the topology that it was last started with: who is there, who reports to whom, who takes what.
/// So a log says by itself which hierarchy its events went through. Settings and keys are left out.
struct DeploymentOutline: Codable, Equatable, Sendable {
  /// An agent as the topology has it.
  struct Agent: Codable, Equatable, Sendable {
    let id: AgentID
    let kind: String
    let node: NodeID
    let reportsTo: AgentID?
    /// The types that it subscribes to.
    let takes: [EventTypeName]
  }

  let name: String
  let version: UInt32
  /// The topology's fingerprint, which ``AgentActivated/topology`` has, too.
  let fingerprint: String
  let agents: [Agent]
  /// The links that are there from the start.
  let pins: [DirectLink]
  /// Who oversees what; nil in logs of versions before there was oversight.
  let oversight: [OversightRule]?

  /// The outline of a topology.
  init(_ topology: Topology) {
    name = topology.name
    version = topology.version
    fingerprint = topology.fingerprint
    pins = topology.observer.pins.sorted()
    oversight = topology.oversight
    agents = topology.agents.map { agent in
      Agent(
        id: agent.id, kind: agent.kind, node: agent.node, reportsTo: agent.reportsTo,
        takes: Set(agent.subscribes.map(\.type)).sorted())
    }
  }

  /// A topology of these agents, without settings and keys.
  func topology() throws -> Topology {
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
  static let owner: AgentID = "hypha.outline"

  /// What a log keeps; nil where it was written by a version that kept none, or that this one does not read.
  ///
  /// - Throws: what reading the log throws.
  static func read(in log: any LogReader) throws -> DeploymentOutline? {
    try log.snapshot(of: owner).flatMap { try? JSON.decode(DeploymentOutline.self, from: $0) }
  }

  /// Gives the log this outline to keep, unless it has it. It is durable some time later; a log that has no room keeps the
  /// one before.
  func save(in log: any EventLog) throws {
    guard try Self.read(in: log) != self else { return }
    log.submit(LogBatch(snapshots: [Self.owner: Array(try JSON.encode(self))])) { _ in }
  }
}
