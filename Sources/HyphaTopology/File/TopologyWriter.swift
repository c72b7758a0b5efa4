public import HyphaCore

/// Writes a topology as the text of a topology file, such that reading it gives the same topology.
public struct TopologyWriter {
  /// The text of `topology` as ``TopologyFile`` describes it. Kinds and settings are sorted by name, nodes
  /// and agents keep their order, so equal topologies give equal texts.
  ///
  /// - Parameters:
  ///   - topology: what to write.
  ///   - kinds: the settings to write once for a kind. What not all agents of the kind have is left to
  ///     those that do; what an agent has otherwise is written there as well.
  ///   - comment: what a reader should know, of any number of lines, at the head of the file.
  /// - Throws: ``HyphaError/Code/invalidTopology`` where a settings value has no form in the file: settings
  ///   that are not an object, numbers that are not finite, or values nested deeper than
  ///   ``settingsDepthMax``.
  public static func text(
    _ topology: Topology, kinds: [String: JSONValue] = [:], comment: String? = nil
  ) throws -> String {
    var writer = TopologyWriter(kinds: try sharedSettings(kinds, topology))
    if let comment { writer.comment(comment) }
    writer.line("hypha: \(TopologyFile.formatVersion)")
    writer.line("name: \(YAMLText.scalar(topology.name))")
    writer.line("version: \(topology.version)")
    if topology.log != LogSettings() {
      writer.section("log")
      let (size, payload) = (topology.log.mapByteCount, topology.log.inlinePayloadByteCountMax)
      if size != LogSettings().mapByteCount { writer.line("  map-size: \(ByteCountText.text(size))") }
      if payload != LogSettings().inlinePayloadByteCountMax {
        writer.line("  inline-payload: \(ByteCountText.text(payload))")
      }
      for part in topology.log.retention.parts { writer.line("  \(part)") }
    }
    if topology.alerts != AlertSettings() {
      writer.section("alerts")
      writer.line("  deadline: \(DurationText.text(topology.alerts.deadline))")
      writer.line("  redelivery: \(DurationText.text(topology.alerts.redelivery))")
    }
    writer.membership(topology.membership)
    let supervision = topology.supervision.parts(beside: SupervisionSettings())
    if !supervision.isEmpty {
      writer.section("supervision")
      for part in supervision { writer.line("  \(part)") }
    }
    if topology.security != SecuritySettings() {
      writer.section("security")
      if let keys = topology.security.keysDirectory { writer.line("  keys: \(YAMLText.scalar(keys))") }
      if topology.security.allowsPlain { writer.line("  plain: allowed") }
    }
    writer.observer(topology.observer)
    writer.oversight(topology.oversight)
    if let realtime = topology.realtime {
      writer.line("\nrealtime: {\(realtime.parts.joined(separator: ", "))}")
    }
    writer.section("nodes")
    for node in topology.nodes { writer.node(node) }
    if !writer.kinds.isEmpty { writer.section("kinds") }
    for (name, settings) in writer.kinds.sorted(by: { $0.key < $1.key }) {
      try writer.settings(settings, under: YAMLText.scalar(name), indentation: 2, of: "kind '\(name)'")
    }
    writer.section("agents")
    for agent in topology.agents { try writer.agent(agent, beside: topology.supervision) }
    return writer.output
  }

  /// The deepest nesting of lists and objects in a setting.
  public static let settingsDepthMax = 56

  private static let lineWidth = 100
  private var output = ""
  private let kinds: [String: [String: JSONValue]]

  private init(kinds: [String: [String: JSONValue]]) { self.kinds = kinds }

  /// Of the settings of each kind, those that every agent of the kind has, under whatever value.
  private static func sharedSettings(_ kinds: [String: JSONValue], _ topology: Topology) throws
    -> [String: [String: JSONValue]]
  {
    var shared = try kinds.reduce(into: [:]) { shared, kind in
      shared[kind.key] = try members(of: kind.value, "kind '\(kind.key)'")
    }
    for agent in topology.agents where shared[agent.kind] != nil {
      let own = try members(of: agent.settings, "agent '\(agent.id)'")
      shared[agent.kind] = shared[agent.kind]?.filter { own[$0.key] != nil }
    }
    return shared
  }

  private static func members(of settings: JSONValue, _ owner: String) throws -> [String: JSONValue] {
    guard case .object(let members) = settings else {
      throw HyphaError(
        .invalidTopology, "the settings of \(owner) are not an object", remedy: "give each setting a name")
    }
    return members
  }

  private mutating func membership(_ settings: MembershipSettings) {
    guard settings != MembershipSettings() else { return }
    section("membership")
    line("  heartbeat: \(DurationText.text(settings.heartbeat))")
    switch settings.suspicion {
    case .fixed(let after): line("  suspect-after: \(DurationText.text(after))")
    case .phi(let level, let pause):
      line("  suspect-level: \(level)")
      line("  suspect-pause: \(DurationText.text(pause))")
    }
    line("  down-after: \(DurationText.text(settings.downAfter))")
  }

  private mutating func node(_ node: NodeSpec) {
    var parts: [String] = []
    if node.address != .local { parts.append("address: \(YAMLText.scalar(node.address.fileText))") }
    if let listen = node.listen { parts.append("listen: \(YAMLText.scalar(listen.fileText))") }
    if let key = node.key { parts.append("key: \(YAMLText.scalar(key.text))") }
    let replicas = node.replicas
    if !replicas.nodes.isEmpty {
      parts.append("replicas: [\(replicas.nodes.map { YAMLText.scalar($0.text) }.joined(separator: ", "))]")
      if replicas.level > 0 { parts.append("replicated: \(replicas.level)") }
      if replicas.within != ReplicationSettings().within {
        parts.append("in-doubt-after: \(DurationText.text(replicas.within))")
      }
    }
    parts += node.retention.parts
    line("  \(YAMLText.scalar(node.id.text)): {\(parts.joined(separator: ", "))}")
  }

  private mutating func agent(_ agent: AgentSpec, beside supervision: SupervisionSettings) throws {
    let shared = kinds[agent.kind] ?? [:]
    let settings = try Self.members(of: agent.settings, "agent '\(agent.id)'").filter {
      shared[$0.key] != $0.value
    }
    var parts = ["kind: \(YAMLText.scalar(agent.kind))", "node: \(YAMLText.scalar(agent.node.text))"]
    if let supervisor = agent.reportsTo { parts.append("reports-to: \(YAMLText.scalar(supervisor.text))") }
    if let standby = agent.standby { parts.append("standby: \(YAMLText.scalar(standby.text))") }
    let own = agent.supervision?.parts(beside: supervision) ?? []
    let isPlain =
      agent.publishes == nil && agent.subscribes.isEmpty && settings.isEmpty && own.isEmpty
      && agent.realtime == nil
    let id = YAMLText.scalar(agent.id.text)
    if isPlain { return line("  \(id): {\(parts.joined(separator: ", "))}") }

    line("  \(id):")
    for part in parts { line("    \(part)") }
    if let publishes = agent.publishes {
      list(publishes.sorted().map { YAMLText.scalar($0.text) }, under: "publishes")
    }
    if !agent.subscribes.isEmpty {
      list(agent.subscribes.map(Self.subscription), under: "subscribes")
    }
    if !settings.isEmpty {
      try self.settings(settings, under: "settings", indentation: 4, of: "agent '\(agent.id)'")
    }
    if !own.isEmpty { line("    supervision: {\(own.joined(separator: ", "))}") }
    if let realtime = agent.realtime { line("    realtime: {\(realtime.parts.joined(separator: ", "))}") }
  }

  private static func subscription(_ subscription: Subscription) -> String {
    let type = YAMLText.scalar(subscription.type.text)
    guard subscription.subjects != .everything else { return type }
    return "{type: \(type), subject: \(YAMLText.scalar(subscription.subjects.text))}"
  }

  /// A list on one line where it fits, otherwise one element a line.
  private mutating func list(_ elements: [String], under key: String) {
    let flow = "    \(key): [\(elements.joined(separator: ", "))]"
    if flow.utf8.count <= Self.lineWidth || elements.isEmpty { return line(flow) }
    line("    \(key):")
    for element in elements { line("      - \(element)") }
  }

  /// Settings on one line where they fit, otherwise one a line.
  private mutating func settings(
    _ settings: [String: JSONValue], under key: String, indentation: Int, of owner: String
  ) throws {
    let margin = String(repeating: " ", count: indentation)
    let flow = "\(margin)\(key): \(try YAMLText.flow(.object(settings), of: owner))"
    // A key beyond 1,024 characters needs a form of its own, which the flow has.
    let isLong = settings.keys.contains { $0.utf8.count > YAMLText.keyByteCountMax }
    if flow.utf8.count <= Self.lineWidth || isLong { return line(flow) }
    line("\(margin)\(key):")
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
      line("\(margin)  \(YAMLText.scalar(name)): \(try YAMLText.flow(value, of: owner))")
    }
  }

  /// The observer's policy, of which only what is not the default stands in the file.
  private mutating func observer(_ policy: ObserverPolicy) {
    let standard = ObserverPolicy()
    guard policy != standard else { return }
    section("observer")
    if let node = policy.node { line("  node: \(YAMLText.scalar(node.text))") }
    if let standby = policy.standby { line("  standby: \(YAMLText.scalar(standby.text))") }
    if policy.standbyAfter != standard.standbyAfter {
      line("  standby-after: \(DurationText.text(policy.standbyAfter))")
    }
    if policy.mode != standard.mode { line("  mode: \(policy.mode.rawValue)") }
    if policy.version != standard.version { line("  version: \(policy.version)") }
    for (key, path, _) in ObserverPolicy.bounds where policy[keyPath: path] != standard[keyPath: path] {
      line("  \(key): \(policy[keyPath: path])")
    }
    if policy.kinds != standard.kinds {
      let names = LinkKind.allCases.filter(policy.kinds.contains).map(\.name)
      line("  kinds: [\(names.joined(separator: ", "))]")
    }
    if !policy.mustPass.isEmpty {
      let names = policy.mustPass.map { YAMLText.scalar($0.text) }
      line("  must-pass: [\(names.joined(separator: ", "))]")
    }
    for (key, links) in [("pins", policy.pins), ("forbids", policy.forbids)] where !links.isEmpty {
      line("  \(key):")
      for link in links {
        line("    - [\(YAMLText.scalar(link.one.text)), \(YAMLText.scalar(link.other.text))]")
      }
    }
  }

  private mutating func oversight(_ rules: [OversightRule]) {
    guard !rules.isEmpty else { return }
    section("oversight")
    for rule in rules {
      var parts = ["type: \(YAMLText.scalar(rule.type.text))", "by: \(YAMLText.scalar(rule.by.text))"]
      parts.append("mode: \(rule.mode.rawValue)")
      if rule.every != OversightRule.usualPeriod { parts.append("every: \(DurationText.text(rule.every))") }
      line("  - {\(parts.joined(separator: ", "))}")
    }
  }

  private mutating func section(_ name: String) { output += "\n\(name):\n" }

  private mutating func line(_ text: String) { output += "\(text)\n" }

  private mutating func comment(_ text: String) {
    for part in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      line(part.isEmpty ? "#" : "# \(YAMLText.withoutControls(part))")
    }
    output += "\n"
  }
}
