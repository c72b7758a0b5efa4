import HyphaCore

extension Topology {
  /// ``hash`` as text.
  public var fingerprint: String { String(hash, radix: 16) }

  /// A number that is equal for topologies that route alike, on every machine and in every run: FNV-1a over
  /// the version, over each agent's id, node, supervisor and subscriptions, over pinned links, over the agents that
  /// no link may lead around, over the observer's seat where that has a standby, over oversight, and over each node's replicas.
  ///
  /// Agents that were moved count where the topology file has them (``placing(_:)``).
  public var hash: UInt64 {
    if let filed { return filed.hash }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func add(_ text: String) {
      for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      hash = (hash ^ 0xFF) &* 0x100_0000_01B3
    }
    add("\(version)")
    for agent in agents.sorted(by: { $0.id < $1.id }) {
      add(agent.id.text)
      add(agent.node.text)
      add(agent.reportsTo?.text ?? "")
      for subscription in agent.subscribes { add("\(subscription.type) \(subscription.subjects)") }
    }
    for link in observer.pins.sorted() { add("link \(link.one) \(link.other)") }
    for agent in observer.mustPass.sorted() { add("gate \(agent)") }
    if let node = observer.node, let standby = observer.standby { add("seat \(node) \(standby)") }
    for rule in oversight.map({ "oversight \($0.type) \($0.by) \($0.mode.rawValue)" }).sorted() { add(rule) }
    for node in nodes.sorted(by: { $0.id < $1.id }) {
      for replica in node.replicas.nodes.sorted() { add("replica \(node.id) \(replica)") }
    }
    return hash
  }
}
