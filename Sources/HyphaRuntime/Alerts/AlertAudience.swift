public import HyphaCore
public import HyphaTopology

/// Whom the alerts of a deployment are for, and whose alerts one node follows.
public struct AlertAudience: Sendable, Hashable, Codable {
  /// The agents on the node.
  public let agents: [AgentID]
  private let audience: Audience

  /// The audience of the alert types among `types`, seen from `node`.
  public init(_ topology: Topology, of types: Set<EventTypeName>, on node: NodeID) {
    self.init(topology, of: types, agents: topology.agents(on: node).map(\.id))
  }

  /// The audience of the alert types among `types`, seen from a node with some agents.
  public init(_ topology: Topology, of types: Set<EventTypeName>, agents: [AgentID]) {
    self.agents = agents
    audience = Audience(topology, of: types)
  }

  /// The agents that are to answer an alert.
  public func addressees(of header: RecordHeader) -> [AgentID] {
    header.addressee.map { [$0] } ?? audience.agents(for: header.type, header.subject, by: header.agent)
  }
}
