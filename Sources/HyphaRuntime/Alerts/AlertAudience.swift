public import HyphaCore
public import HyphaTopology

/// Whom the alerts of a deployment are for, and whose alerts one node follows.
public struct AlertAudience: Sendable, Hashable, Codable {
  private struct Subscriber: Sendable, Hashable, Codable {
    var agent: AgentID
    var type: EventTypeName
    var subjects: Pattern
  }

  /// The agents on the node.
  public let agents: [AgentID]
  private let subscribers: [Subscriber]

  /// The audience of the alert types among `types`, seen from `node`.
  public init(_ topology: Topology, of types: Set<EventTypeName>, on node: NodeID) {
    agents = topology.agents(on: node).map(\.id)
    subscribers = topology.agents.flatMap { agent in
      agent.subscribes.filter { types.contains($0.type) }.map {
        Subscriber(agent: agent.id, type: $0.type, subjects: $0.subjects)
      }
    }
  }

  /// The agents that are to answer an alert.
  public func addressees(of header: RecordHeader) -> [AgentID] {
    if let addressee = header.addressee { return [addressee] }
    var addressees: [AgentID] = []
    for subscriber in subscribers
    where subscriber.type == header.type && subscriber.agent != header.agent
      && subscriber.subjects.matches(header.subject) && addressees.last != subscriber.agent
    {
      addressees.append(subscriber.agent)
    }
    return addressees
  }
}
