import HyphaCore

/// One agent as far as it could be read; whether what it refers to exists is not known yet.
struct AgentDraft {
  /// What the file says of the supervisor.
  enum Supervisor: Equatable {
    case nobody
    case agent(AgentID)
    /// It is there, but it is no agent id; that is reported already.
    case unreadable
  }

  var id: AgentID
  var kind: String?
  var node: NodeID?
  /// Whether the file names a node, readable or not.
  var namesNode = false
  var supervisor: Supervisor = .nobody
  var standby: AgentID?
  var publishes: Set<EventTypeName>?
  var subscribes: [Subscription] = []
  var settings: [String: JSONValue] = [:]
  var supervision: SupervisionSettings?
  var realtime: RealtimeLimit?
}

/// Reading of the agents one by one.
extension TopologyDecoder {
  private static let agentKeys = [
    "kind", "node", "reports-to", "standby", "publishes", "subscribes", "settings", "supervision",
    "realtime",
  ]

  mutating func decodeAgents(_ section: Member) {
    guard let members = problems.members(of: section.value, in: "agents", at: section.mark) else { return }
    if members.isEmpty {
      problems.report(
        section.mark, "'agents' names no agent",
        remedy: "name one: 'agents: {director: {kind: supervisor}}'")
    }
    for member in members {
      guard let id = problems.checked(member.keyMark, { try AgentID(member.name) }) else { continue }
      decodeAgent(id, member)
    }
  }

  private mutating func decodeAgent(_ id: AgentID, _ member: Member) {
    let what = "agent '\(id)'"
    var draft = AgentDraft(id: id)
    var marks = SourceMap.Agent(id: member.keyMark, kind: member.keyMark)
    defer {
      drafts.append(draft)
      sources.agents[id] = marks
    }
    guard let parts = problems.members(of: member.value, in: what, at: member.mark, keys: Self.agentKeys)
    else {
      // Where it would have reported is not known, so it is no second root.
      draft.supervisor = .unreadable
      return
    }
    if let part = parts["kind"] {
      marks.kind = part.mark
      draft.kind = problems.name(KindName.self, of: part.value, in: "the kind of \(what)")?.text
    } else {
      problems.report(member.keyMark, "\(what) has no kind", remedy: "add 'kind: supervisor', or another")
    }
    if let part = parts["node"] {
      marks.node = part.mark
      draft.namesNode = true
      draft.node = problems.name(NodeID.self, of: part.value, in: "the node of \(what)")
    }
    if let part = parts["reports-to"] {
      marks.reportsTo = part.mark
      let supervisor = problems.name(AgentID.self, of: part.value, in: "reports-to of \(what)")
      draft.supervisor = supervisor.map { .agent($0) } ?? .unreadable
    }
    if let part = parts["standby"] {
      marks.standby = part.mark
      draft.standby = problems.name(AgentID.self, of: part.value, in: "standby of \(what)")
    }
    if let part = parts["publishes"] {
      draft.publishes = []
      for element in problems.elements(of: part.value, in: "publishes of \(what)") ?? [] {
        guard let type = problems.name(EventTypeName.self, of: element, in: "an event type of \(what)")
        else { continue }
        draft.publishes?.insert(type)
        marks.publishes[type] = marks.publishes[type] ?? element.mark
      }
    }
    if let part = parts["subscribes"] {
      for element in problems.elements(of: part.value, in: "subscribes of \(what)") ?? [] {
        guard let subscription = decodeSubscription(element, of: what) else { continue }
        draft.subscribes.append(subscription)
        marks.subscribes.append(element.mark)
      }
    }
    if let part = parts["settings"] {
      (draft.settings, marks.settings) = decodeSettings(part.value, of: what, at: part.mark)
    }
    draft.realtime = decodeRealtime(parts["realtime"], of: "realtime of \(what)")
    if let part = parts["supervision"] {
      draft.supervision = decodeSupervision(part, of: "supervision of \(what)", base: supervision)
    }
  }

  /// `TYPE`, or `{type: TYPE, subject: PATTERN}`.
  private mutating func decodeSubscription(_ node: DocumentNode, of owner: String) -> Subscription? {
    let what = "a subscription of \(owner)"
    guard case .mapping = node.content else {
      return problems.name(EventTypeName.self, of: node, in: what).map { Subscription(type: $0) }
    }
    guard let parts = problems.members(of: node, in: what, at: node.mark, keys: ["type", "subject"]) else {
      return nil
    }
    guard let type = parts["type"] else {
      problems.report(node.mark, "\(what) has no type", remedy: "write {type: TYPE, subject: PATTERN}")
      return nil
    }
    let name = problems.name(EventTypeName.self, of: type.value, in: "the type of \(what)")
    guard let subject = parts["subject"] else { return name.map { Subscription(type: $0) } }
    guard let text = problems.text(of: subject.value, in: "the subject of \(what)"),
      let pattern = problems.checked(subject.mark, { try Pattern(text) }), let name
    else { return nil }
    return Subscription(type: name, subjects: pattern)
  }
}
