internal import HyphaCore

/// Which node may subscribe to which prefixes of a channel: to those of the agents for which the plan sends it frames.
struct SubscriptionRights {
  private let prefixes: [NodeID: Set<[UInt8]>]

  init(outgoing: [NodeID: [AgentID]]) {
    prefixes = outgoing.mapValues { Set($0.map { Frame.topicPrefix(via: $0) }) }
  }

  /// Whether `node` may subscribe to `prefix`.
  func allow(_ prefix: [UInt8], for node: NodeID) -> Bool { prefixes[node]?.contains(prefix) ?? false }
}
