import HyphaCore

/// The section `delegation` of a topology file: whose decisions are observed, and what may become of them. It is one set of
/// rules, or a list of them; each approver that one names gets a desk.
extension TopologyDecoder {
  static let delegationKeys = [
    "approvers", "mode", "version", "risk", "audit", "audit-within", "shadowed", "decisions", "strata",
    "amounts", "copies", "every",
  ]

  /// How long an audit may wait, and how often digests come.
  static let auditRange: ClosedRange<Duration> = .seconds(1) ... .seconds(365 * 86_400)

  /// The desks of the approvers that the section names; what is wrong is reported and left out.
  ///
  /// - Parameter agents: those of the file.
  mutating func decodeDelegation(_ member: Member?, among agents: [AgentSpec]) -> [AgentSpec] {
    guard let member else { return [] }
    var rules = [member.value]
    if case .sequence(let elements) = member.value.content { rules = elements }
    var desks: [AgentSpec] = []
    for rule in rules {
      for desk in decodeDesks(rule, at: rule.isNull ? member.keyMark : rule.mark, among: agents) {
        if desks.contains(where: { $0.id == desk.id }) {
          problems.report(
            rule.mark, "delegation names '\(desk.reportsTo?.text ?? "")' twice",
            remedy: "remove it from one of the lists of approvers")
        } else {
          desks.append(desk)
        }
      }
    }
    return desks
  }

  private mutating func decodeDesks(_ node: DocumentNode, at mark: SourceMark, among agents: [AgentSpec])
    -> [AgentSpec]
  {
    guard let parts = problems.members(of: node, in: "delegation", at: mark, keys: Self.delegationKeys) else {
      return []
    }
    guard let named = parts["approvers"] else {
      problems.report(
        mark, "delegation names no approvers",
        remedy: "write 'delegation: {approvers: [AGENT]}': the agents that take decisions")
      return []
    }
    var policy = DeskPolicy(approver: "nobody")
    decode(parts, into: &policy)
    guard problems.checked(mark, { try policy.check() }) != nil else { return [] }
    return (problems.elements(of: named.value, in: "approvers of delegation") ?? []).compactMap {
      desk(for: $0, policy, among: agents)
    }
  }

  private mutating func decode(_ parts: [String: Member], into policy: inout DeskPolicy) {
    func integer(_ key: String, _ range: ClosedRange<Int64>) -> Int64? {
      parts[key].flatMap { problems.integer(of: $0.value, in: "\(key) of delegation", from: range) }
    }
    if let version = integer("version", 1...Int64(UInt32.max)) { policy.version = UInt32(version) }
    for key in ["shadowed", "decisions", "strata"] {
      guard let bound = Delegation.Policy.bounds.first(where: { $0.key == key }) else { continue }
      let range = Int64(bound.range.lowerBound)...Int64(bound.range.upperBound)
      if let value = integer(key, range) { policy.delegation[keyPath: bound.path] = Int(value) }
    }
    if let risk = share(parts["risk"], of: 10_000, 1...5000) { policy.delegation.risk = risk }
    if let audit = share(parts["audit"], of: 1000, 1...1000) { policy.delegation.audit = audit }
    if let within = duration(parts["audit-within"], "audit-within", in: Self.auditRange) {
      policy.auditWithin = within
    }
    if let every = duration(parts["every"], "every", in: OversightRule.periodRange) { policy.every = every }
    if let mode = oneOf(ObserverPolicy.Mode.allCases, parts["mode"]) { policy.delegation.mode = mode }
    if let copies = oneOf([OversightRule.Mode.parallel, .after], parts["copies"]) { policy.copies = copies }
    if let every = parts["every"], policy.copies != .after {
      problems.report(
        every.keyMark, "every is for digests, which 'copies: \(policy.copies.rawValue)' has not",
        remedy: "remove it, or write 'copies: after'")
    }
    guard let amounts = parts["amounts"] else { return }
    policy.amounts = (problems.elements(of: amounts.value, in: "amounts of delegation") ?? []).compactMap {
      problems.integer(of: $0, in: "an amount of delegation", from: -(1 << 53)...(1 << 53))
    }
  }

  private mutating func desk(
    for node: DocumentNode, _ policy: DeskPolicy, among agents: [AgentSpec]
  ) -> AgentSpec? {
    guard let id = problems.name(AgentID.self, of: node, in: "an approver of delegation") else { return nil }
    guard let approver = agents.first(where: { $0.id == id }) else {
      // One that could not be read is reported where it stands.
      guard !drafts.contains(where: { $0.id == id }) else { return nil }
      problems.report(
        node.mark, "delegation names '\(id)', which does not exist",
        remedy: problems.remedy(
          nearestTo: id.text, among: drafts.map(\.id.text), otherwise: "add it under agents"))
      return nil
    }
    guard id.text.utf8.count <= DeskPolicy.approverByteCountMax else {
      problems.report(
        node.mark, "the name '\(id)' leaves no room for that of its desk, '\(DeskPolicy.prefix)\(id)'",
        remedy: "keep the name of an approver to \(DeskPolicy.approverByteCountMax) bytes")
      return nil
    }
    let desk = DeskPolicy.desk(of: id)
    guard !drafts.contains(where: { $0.id == desk }) else {
      problems.report(
        node.mark, "an agent is called '\(desk)', which is the name of the desk of '\(id)'",
        remedy: "rename that agent")
      return nil
    }
    var own = policy
    own.approver = id
    sources.desks[id] = node.mark
    let settings = problems.checked(node.mark) { [own] in
      try JSON.decode(JSONValue.self, from: JSON.encode(own))
    }
    return settings.map {
      AgentSpec(id: desk, kind: DeskPolicy.kind, node: approver.node, reportsTo: id, settings: $0)
    }
  }

  private mutating func oneOf<Value: RawRepresentable<String>>(_ values: [Value], _ member: Member?) -> Value?
  {
    guard let member, let text = problems.text(of: member.value, in: "\(member.name) of delegation") else {
      return nil
    }
    if let value = values.first(where: { $0.rawValue == text }) { return value }
    let names = values.map(\.rawValue)
    problems.report(
      member.mark, "\(member.name) of delegation must be one of \(listed(names)), not \(quoted(text))",
      remedy: problems.remedy(
        nearestTo: text, among: names, otherwise: "write '\(member.name): \(names[0])'"))
    return nil
  }

  /// A share as people write it, `2%` or `0.5%`, in parts of `whole`.
  private mutating func share(_ member: Member?, of whole: Int, _ range: ClosedRange<Int>) -> Int? {
    guard let member, let text = problems.text(of: member.value, in: "\(member.name) of delegation") else {
      return nil
    }
    let unit = whole / 100
    let digitCount = "\(unit)".utf8.count - 1
    let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
    func isNumber(_ text: Substring) -> Bool {
      (1...4).contains(text.utf8.count) && text.allSatisfy { ("0"..."9").contains($0) }
    }
    if text.hasSuffix("%"), (1...2).contains(parts.count), parts.allSatisfy(isNumber),
      parts.count == 1 || parts[1].utf8.count <= digitCount, let percent = Int(parts[0])
    {
      var fraction = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
      if parts.count == 2 { for _ in parts[1].utf8.count..<digitCount { fraction *= 10 } }
      let value = percent * unit + fraction
      if range.contains(value) { return value }
    }
    func percent(_ value: Int) -> String {
      let rest = "\(value % unit + unit)".dropFirst()
      return value % unit == 0 ? "\(value / unit)%" : "\(value / unit).\(rest)%"
    }
    problems.report(
      member.mark, "\(member.name) of delegation is \(quoted(text))",
      remedy: "use \(percent(range.lowerBound)) to \(percent(range.upperBound)), such as '\(member.name): 2%'"
    )
    return nil
  }
}

extension TopologyFile {
  /// Finds approvers whose kind takes no decisions: they would wait without end.
  func checkDesks(
    _ problems: inout DiagnosticCollector, _ declaration: (String) -> KindDeclaration?
  ) {
    for agent in topology.agents where agent.id.text.hasPrefix(DeskPolicy.prefix) {
      guard agent.kind != DeskPolicy.kind, let marks = sources.agents[agent.id] else { continue }
      problems.report(
        marks.id, "agent '\(agent.id)' has the name of an approver's desk", remedy: "rename it")
    }
    for (approver, mark) in sources.desks.sorted(by: { $0.value < $1.value }) {
      guard let agent = topology.agent(approver), let declared = declaration(agent.kind) else { continue }
      let kind = agent.kind
      let taken = declared.isOpen ? Set(agent.subscribes.map(\.type)) : declared.handles
      let desk = topology.agent(DeskPolicy.desk(of: approver))
      let policy = desk.flatMap { try? JSON.decode(DeskPolicy.self, from: JSON.encode($0.settings)) }
      var needed = [DecisionReferred.eventType]
      if let mode = policy?.delegation.mode, mode != .off { needed.append(DecisionsDelegated.eventType) }
      for type in needed where !taken.contains(type) {
        problems.report(
          mark, "'\(approver)' is to take decisions, but its kind '\(kind)' does not handle \(type)",
          remedy: declared.isOpen
            ? "add it to the agent's subscribes"
            : "let that kind handle it, or give '\(approver)' another kind")
      }
      if !declared.published(by: agent).contains(DecisionAnswered.eventType) {
        problems.report(
          mark,
          "'\(approver)' is to take decisions, but its kind '\(kind)' does not publish \(DecisionAnswered.eventType)",
          remedy: declared.isOpen
            ? "add it to the agent's publishes"
            : "add it to the kind's publishes, or give '\(approver)' another kind")
      }
    }
  }
}
