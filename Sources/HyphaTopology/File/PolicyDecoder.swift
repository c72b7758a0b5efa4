import HyphaCore

extension ObserverPolicy {
  /// The policy that a document says: one whose only key is `observer`, with the same section as in a topology file.
  ///
  /// - Parameters:
  ///   - document: what a YAML parser has read.
  ///   - file: the file's name for diagnostics.
  /// - Throws: all that is wrong with it, by line.
  public static func decode(_ document: DocumentNode, file: String) throws(TopologyDiagnostics)
    -> ObserverPolicy
  {
    var problems = DiagnosticCollector(file: file)
    var policy = ObserverPolicy()
    let top = problems.members(of: document, in: "the policy file", at: document.mark, keys: ["observer"])
    if let section = top?["observer"] {
      policy = problems.observerPolicy(section, agents: nil)
    } else if problems.isEmpty {
      problems.report(document.mark, "'observer' is missing", remedy: "write 'observer: {mode: auto}'")
    }
    guard problems.isEmpty else { throw TopologyDiagnostics(problems.sorted()) }
    return policy
  }
}

/// Reading of what the observer may do.
extension DiagnosticCollector {
  /// The policy of a section `observer`; what is wrong is reported and left at its default.
  ///
  /// - Parameters:
  ///   - agents: the agents that the section may name; nil where they are not known.
  ///   - nodes: the nodes that it may name; nil where they are not known.
  mutating func observerPolicy(_ section: Member, agents: Set<AgentID>?, nodes: [NodeID]? = nil)
    -> ObserverPolicy
  {
    var policy = ObserverPolicy()
    let keys =
      ["node", "standby", "standby-after", "mode", "version"] + ObserverPolicy.bounds.map(\.key) + [
        "kinds", "must-pass", "pins", "forbids",
      ]
    guard let members = members(of: section.value, in: "observer", at: section.mark, keys: keys) else {
      return policy
    }
    if let member = members["node"], let id = name(NodeID.self, of: member.value, in: "node of observer") {
      policy.node = id
      if let nodes, !nodes.contains(id) {
        report(
          member.mark, "node of observer is '\(id)', which does not exist",
          remedy: remedy(nearestTo: id.text, among: nodes.map(\.text), otherwise: "add it under nodes"))
      }
    }
    if let member = members["standby"] { policy.standby = standby(member, beside: policy.node, nodes) }
    if let member = members["standby-after"],
      let after = duration(member, "standby-after", in: MembershipSettings.silenceRange)
    {
      policy.standbyAfter = after
    }
    if let member = members["mode"] { policy.mode = mode(member) ?? policy.mode }
    if let member = members["version"],
      let version = integer(of: member.value, in: "version of observer", from: 1...Int64(UInt32.max))
    {
      policy.version = UInt32(version)
    }
    for (key, path, range) in ObserverPolicy.bounds {
      guard let member = members[key],
        let value = integer(of: member.value, in: "\(key) of observer", from: range)
      else { continue }
      policy[keyPath: path] = Int(value)
    }
    if let member = members["kinds"] { policy.kinds = kinds(member) }
    if let member = members["must-pass"] {
      policy.mustPass = (elements(of: member.value, in: "must-pass of observer") ?? []).compactMap {
        agent($0, in: "must-pass of observer", agents)
      }
    }
    if let member = members["pins"] { policy.pins = links(member, agents) }
    if let member = members["forbids"] { policy.forbids = links(member, agents) }
    if let pin = policy.pins.first(where: { policy.forbids.contains($0) }),
      let member = members["forbids"]
    {
      report(
        member.mark, "the link of '\(pin.one)' and '\(pin.other)' is both pinned and forbidden",
        remedy: "remove it from one of pins and forbids")
    }
    return policy
  }

  private mutating func standby(_ member: Member, beside seat: NodeID?, _ nodes: [NodeID]?) -> NodeID? {
    guard let id = name(NodeID.self, of: member.value, in: "standby of observer") else { return nil }
    if seat == nil {
      report(
        member.keyMark, "observer has a standby, and no node with its seat",
        remedy: "write 'observer: {node: NAME, standby: \(id)}'")
    } else if id == seat {
      report(
        member.mark, "standby of observer is '\(id)', the node with its seat", remedy: "name another node")
    } else if let nodes, !nodes.contains(id) {
      report(
        member.mark, "standby of observer is '\(id)', which does not exist",
        remedy: remedy(nearestTo: id.text, among: nodes.map(\.text), otherwise: "add it under nodes"))
    } else {
      return id
    }
    return nil
  }

  private mutating func mode(_ member: Member) -> ObserverPolicy.Mode? {
    guard let text = text(of: member.value, in: "mode of observer") else { return nil }
    let names = ObserverPolicy.Mode.allCases.map(\.rawValue)
    guard let mode = ObserverPolicy.Mode(rawValue: text) else {
      report(
        member.mark, "mode of observer must be one of \(listed(names)), not \(quoted(text))",
        remedy: remedy(nearestTo: text, among: names, otherwise: "write 'mode: auto'"))
      return nil
    }
    return mode
  }

  private mutating func kinds(_ member: Member) -> Set<LinkKind> {
    let names = LinkKind.allCases.map(\.name)
    var kinds: Set<LinkKind> = []
    for element in elements(of: member.value, in: "kinds of observer") ?? [] {
      guard let text = text(of: element, in: "a kind of link") else { continue }
      guard let kind = LinkKind.allCases.first(where: { $0.name == text }) else {
        report(
          element.mark, "\(quoted(text)) is no kind of link",
          remedy: remedy(nearestTo: text, among: names, otherwise: "use some of \(listed(names))"))
        continue
      }
      kinds.insert(kind)
    }
    return kinds
  }

  private mutating func agent(_ node: DocumentNode, in what: String, _ agents: Set<AgentID>?) -> AgentID? {
    guard let id = name(AgentID.self, of: node, in: "an agent in \(what)") else { return nil }
    if let agents, !agents.contains(id) {
      report(
        node.mark, "\(what) names agent '\(id)', which does not exist",
        remedy: remedy(
          nearestTo: id.text, among: agents.lazy.map(\.text).sorted(), otherwise: "add it under agents"))
      return nil
    }
    return id
  }

  private mutating func links(_ member: Member, _ agents: Set<AgentID>?) -> [DirectLink] {
    let what = "\(member.name) of observer"
    var links: [DirectLink] = []
    for element in elements(of: member.value, in: what) ?? [] {
      guard let ends = elements(of: element, in: "a link in \(what)") else { continue }
      guard ends.count == 2 else {
        report(element.mark, "a link in \(what) has \(ends.count) ends", remedy: "write [A, B]")
        continue
      }
      guard let one = agent(ends[0], in: what, agents), let other = agent(ends[1], in: what, agents) else {
        continue
      }
      guard one != other else {
        report(element.mark, "a link in \(what) joins '\(one)' with itself", remedy: "name two agents")
        continue
      }
      links.append(.init(one, other))
    }
    return links
  }
}
