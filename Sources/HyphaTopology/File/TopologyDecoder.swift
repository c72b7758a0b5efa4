import HyphaCore

/// Reads the sections of a topology file one after the other, and goes on past what is wrong.
struct TopologyDecoder {
  var problems: DiagnosticCollector
  var sources = SourceMap()
  var nodes: [NodeSpec] = []
  var kinds: [String: JSONValue] = [:]
  var drafts: [AgentDraft] = []
  var supervision = SupervisionSettings()

  init(file: String) { problems = DiagnosticCollector(file: file) }

  /// The file, or nil where there are problems.
  mutating func decode(_ document: DocumentNode) -> TopologyFile? {
    let keys = [
      "hypha", "name", "version", "log", "alerts", "membership", "supervision", "security", "observer",
      "oversight", "realtime", "delegation", "nodes", "kinds", "agents",
    ]
    // A file of another format version is not measured by the rules of this one.
    guard formatIsKnown(document),
      let top = problems.members(of: document, in: "the topology file", at: document.mark, keys: keys)
    else { return nil }

    let name = required("name", top, at: document.mark, remedy: "add 'name: my-deployment'")
      .flatMap { problems.name(DeploymentName.self, of: $0.value, in: "name") }
    let version = top["version"].map {
      problems.integer(of: $0.value, in: "version", from: 1...TopologyFile.versionMax)
    }
    let log = decodeLog(top["log"])
    let alerts = decodeAlerts(top["alerts"])
    let membership = decodeMembership(top["membership"])
    supervision = decodeSupervision(top["supervision"], of: "supervision", base: supervision)
    let security = decodeSecurity(top["security"])
    if let member = required("nodes", top, at: document.mark, remedy: "add 'nodes: {main: {}}'") {
      decodeNodes(member)
    }
    if let member = top["kinds"] { decodeKinds(member) }
    let remedy = "add the agents: 'agents: {director: {kind: supervisor}}'"
    if let member = required("agents", top, at: document.mark, remedy: remedy) { decodeAgents(member) }

    var agents = placedAgents()
    agents += decodeDelegation(top["delegation"], among: agents)
    let known = Set(drafts.map(\.id))
    let observer =
      top["observer"].map { problems.observerPolicy($0, agents: known, nodes: nodes.map(\.id)) }
      ?? ObserverPolicy()
    let oversight = decodeOversight(top["oversight"])
    let realtime = decodeRealtime(top["realtime"], of: "realtime")
    guard problems.isEmpty, let name else { return nil }
    let topology = problems.checked(document.mark) { [nodes, supervision, agents] in
      try Topology(
        name: name.text, version: version.flatMap { $0 }.map(UInt32.init) ?? 1, nodes: nodes, agents: agents,
        log: log, alerts: alerts, membership: membership, supervision: supervision, security: security,
        observer: observer, oversight: oversight, realtime: realtime)
    }
    return topology.map {
      TopologyFile(file: problems.file, topology: $0, kinds: kinds, sources: sources)
    }
  }

  /// The value of a key that has to be there.
  private mutating func required(
    _ key: String, _ members: [String: Member], at mark: SourceMark, remedy: String
  ) -> Member? {
    if let member = members[key] { return member }
    problems.report(mark, "'\(key)' is missing", remedy: remedy)
    return nil
  }

  private mutating func formatIsKnown(_ document: DocumentNode) -> Bool {
    guard case .mapping(let entries) = document.content else { return true }
    let version = entries.first { entry in
      if case .scalar("hypha", _) = entry.key.content { true } else { false }
    }?.value
    guard let version, !version.isNull else {
      problems.report(
        document.mark, "'hypha' is missing: the version of the file's format",
        remedy: "begin the file with 'hypha: \(TopologyFile.formatVersion)'")
      return true
    }
    guard case .scalar(let text, quoted: false) = version.content,
      case .integer(let number)? = CoreSchema.value(ofPlain: text)
    else {
      problems.report(
        version.mark, "'hypha' must be the version of the file's format, a number",
        remedy: "write 'hypha: \(TopologyFile.formatVersion)'")
      return true
    }
    guard number == TopologyFile.formatVersion else {
      problems.report(
        version.mark,
        "the file has format version \(number); this program reads version \(TopologyFile.formatVersion)",
        remedy: number > TopologyFile.formatVersion
          ? "use a newer version of this program" : "write 'hypha: \(TopologyFile.formatVersion)'")
      return false
    }
    return true
  }

  private mutating func decodeKinds(_ section: Member) {
    guard let members = problems.members(of: section.value, in: "kinds", at: section.mark) else { return }
    for member in members {
      guard let name = problems.checked(member.keyMark, { try KindName(member.name).text }) else { continue }
      let what = "kind '\(name)'"
      let (settings, marks) = decodeSettings(member.value, of: what, at: member.mark)
      kinds[name] = .object(settings)
      sources.kinds[name] = SourceMap.Kind(name: member.keyMark, settings: marks)
    }
  }

  /// Settings with their marks.
  mutating func decodeSettings(_ node: DocumentNode, of owner: String, at mark: SourceMark)
    -> ([String: JSONValue], [String: SourceMark])
  {
    let what = "the settings of \(owner)"
    var values: [String: JSONValue] = [:]
    var marks: [String: SourceMark] = [:]
    for member in problems.members(of: node, in: what, at: mark) ?? [] {
      values[member.name] = problems.json(
        of: member.value, in: "the setting \(quoted(member.name)) of \(owner)")
      marks[member.name] = member.keyMark
    }
    return (values, marks)
  }
}
