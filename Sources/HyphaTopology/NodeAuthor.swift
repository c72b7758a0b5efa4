public import HyphaCore

extension NodeID {
  /// What the names begin with under which nodes state events.
  public static let authorPrefix = "hypha.node."

  /// The name under which the node itself states events, such as those of membership: `hypha.node.` and the node's name,
  /// which is cut and given a fingerprint where that is longer than a name may be. No agent may be called so.
  public var author: AgentID {
    let prefix = Self.authorPrefix
    let room = AgentID.byteCountMax - prefix.utf8.count
    guard text.utf8.count > room else { return AgentID(unchecked: prefix + text) }
    let digits = String(SeededGenerator.fingerprint(of: text), radix: 16)
    return AgentID(unchecked: prefix + text.prefix(room - digits.count - 1) + "-" + digits)
  }
}

extension Lane {
  /// Whether the bus states what is in it, in a node's name or an agent's: records of handlers, activations, what nodes tell each
  /// other. Its answers to alerts go to one agent each, in that agent's lanes, and are not told from the agent's own.
  public var isOfBus: Bool {
    if agent.text.hasPrefix(NodeID.authorPrefix) { return true }
    if case .type(let type) = target { return type.text.hasPrefix("hypha.") }
    return false
  }
}
