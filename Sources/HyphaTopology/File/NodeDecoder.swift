import HyphaCore

/// Reading of the nodes, their addresses and keys, and of how links are protected.
extension TopologyDecoder {
  mutating func decodeSecurity(_ member: Member?) -> SecuritySettings {
    var security = SecuritySettings()
    guard let member,
      let members = problems.members(
        of: member.value, in: "security", at: member.mark, keys: ["keys", "plain"])
    else { return security }
    security.keysDirectory = members["keys"].flatMap { problems.text(of: $0.value, in: "keys of security") }
    if let plain = members["plain"], let text = problems.text(of: plain.value, in: "plain of security") {
      switch text {
      case "allowed": security.allowsPlain = true
      case "refused": break
      default:
        problems.report(
          plain.mark, "plain of security must be 'allowed' or 'refused', not \(quoted(text))",
          remedy: "write 'plain: allowed' where links without keys may leave their machine")
      }
      if security.allowsPlain, security.keysDirectory != nil {
        problems.report(
          plain.mark, "security has keys, so no TCP link is plain", remedy: "remove 'plain', or 'keys'")
      }
    }
    return security
  }

  mutating func decodeNodes(_ section: Member) {
    guard let members = problems.members(of: section.value, in: "nodes", at: section.mark) else { return }
    if members.isEmpty {
      problems.report(section.mark, "'nodes' names no node", remedy: "name one: 'nodes: {main: {}}'")
    }
    let names = members.compactMap { try? NodeID($0.name) }
    // Of each port that is taken, the first node that takes it.
    var taken: [String: [Int: NodeSpec]] = [:]
    for member in members {
      guard let id = problems.checked(member.keyMark, { try NodeID(member.name) }) else { continue }
      sources.nodes[id] = member.keyMark
      // The node counts as declared even where its address is wrong, so that references to it are not.
      nodes.append(NodeSpec(id: id))
      let what = "node '\(id)'"
      guard
        let parts = problems.members(
          of: member.value, in: what, at: member.mark,
          keys: ["address", "listen", "key", "replicas", "replicated", "in-doubt-after"] + Self.retentionKeys)
      else { continue }
      var node = decodeNode(id, parts)
      node.replicas = decodeReplicas(of: id, parts, among: names) ?? ReplicationSettings()
      node.retention = decodeRetention(parts)
      nodes[nodes.count - 1] = node
      if let part = parts["address"] { checkPorts(of: node, at: part.mark, &taken) }
    }
  }

  private mutating func decodeNode(_ id: NodeID, _ parts: [String: Member]) -> NodeSpec {
    let what = "node '\(id)'"
    var node = NodeSpec(id: id)
    var hasAddress = false
    if let part = parts["address"], let text = problems.text(of: part.value, in: "the address of \(what)"),
      let address = problems.checked(part.mark, { try NodeAddress(fileText: text) })
    {
      node.address = address
      hasAddress = true
    }
    if let part = parts["listen"], let text = problems.text(of: part.value, in: "listen of \(what)") {
      node.listen = problems.checked(part.mark) { try NodeAddress(fileText: text, listens: true) }
      if node.listen != nil, parts["address"] == nil || node.address == .local && hasAddress {
        problems.report(
          part.mark, "\(what) says where it listens and not at which port others reach it",
          remedy: "write 'address: tcp://HOST:PORT' beside it, or remove 'listen'")
      }
    }
    if let part = parts["key"], let text = problems.text(of: part.value, in: "the key of \(what)") {
      node.key = problems.checked(part.mark) { try LinkKey(text) }
    }
    return node
  }

  private mutating func decodeReplicas(of id: NodeID, _ parts: [String: Member], among names: [NodeID])
    -> ReplicationSettings?
  {
    var settings = ReplicationSettings()
    if let part = parts["replicas"] {
      guard let elements = problems.elements(of: part.value, in: "replicas of node '\(id)'") else {
        return nil
      }
      settings.nodes = elements.compactMap {
        problems.name(NodeID.self, of: $0, in: "a replica of node '\(id)'")
      }
      guard settings.nodes.count == elements.count else { return nil }
    }
    for key in ["replicated", "in-doubt-after"] where settings.nodes.isEmpty {
      guard let part = parts[key] else { continue }
      problems.report(
        part.keyMark, "node '\(id)' has \(key), and no replicas",
        remedy: "name them: 'replicas: [A, B]', or remove \(key)")
      return nil
    }
    if let part = parts["replicated"] {
      let all = Int64(0)...Int64(max(settings.nodes.count, 0))
      guard let level = problems.integer(of: part.value, in: "replicated of node '\(id)'", from: all) else {
        return nil
      }
      settings.level = Int(level)
    }
    if let within = duration(parts["in-doubt-after"], "in-doubt-after") { settings.within = within }
    guard let part = parts["replicas"] else { return settings }
    return problems.checked(part.mark) {
      try settings.check(for: id, among: names)
      return settings
    }
  }

  private mutating func checkPorts(
    of node: NodeSpec, at mark: SourceMark, _ taken: inout [String: [Int: NodeSpec]]
  ) {
    guard let (host, ports) = node.address.ports else { return }
    let known = taken[host] ?? [:]
    if let other = ports.compactMap({ known[$0] }).first {
      let line = sources.nodes[other.id]?.line ?? 0
      let others = other.address.ports?.range ?? ports
      problems.report(
        mark,
        "node '\(node.id)' takes the ports \(ports.lowerBound) to \(ports.upperBound), and node '\(other.id)' "
          + "(line \(line)) \(others.lowerBound) to \(others.upperBound)",
        remedy: "give them first ports that are 4 or more apart")
    }
    for port in ports where taken[host]?[port] == nil { taken[host, default: [:]][port] = node }
  }
}
