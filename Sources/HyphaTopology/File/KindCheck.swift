public import HyphaCore

/// What a kind of agent can do, as far as a topology file can be checked against it.
public struct KindDeclaration: Sendable, Hashable {
  /// The event types that agents of the kind may publish.
  public var publishes: Set<EventTypeName>
  /// The event types that they handle.
  public var handles: Set<EventTypeName>
  /// The types of the shared values that they read.
  public var reads: Set<EventTypeName>
  /// The types of the questions that they answer.
  public var answers: Set<EventTypeName>
  /// The names of the settings that they read.
  public var settingNames: Set<String>
  /// Whether a topology file names what else they publish and handle.
  public var isOpen: Bool

  /// A declaration of its parts.
  public init(
    publishes: Set<EventTypeName> = [], handles: Set<EventTypeName> = [], reads: Set<EventTypeName> = [],
    settingNames: Set<String> = [], answers: Set<EventTypeName> = [], isOpen: Bool = false
  ) {
    self.publishes = publishes
    self.handles = handles
    self.reads = reads
    self.settingNames = settingNames
    self.answers = answers
    self.isOpen = isOpen
  }

  /// Whether the kind can do with events of a type that come to its agents: it handles them, or reads them as values.
  func takes(_ type: EventTypeName) -> Bool { handles.contains(type) || reads.contains(type) }

  /// What an agent of the kind may publish: what the kind declares, as far as the topology file does not narrow it; of an
  /// open kind all that it declares, and what the file names. To ask for decisions, or take them, such an agent must be named.
  public func published(by agent: AgentSpec) -> Set<EventTypeName> {
    guard isOpen else { return agent.publishes.map(publishes.intersection) ?? publishes }
    let named = agent.publishes ?? []
    return publishes.filter { !Self.namedOnly.contains($0) || named.contains($0) }
      .union(named.filter { !$0.isOfTheBus })
  }

  /// What an agent of an open kind publishes as what it is, and only where the topology file says so.
  public static let namedOnly: Set<EventTypeName> = [
    DecisionRequested.eventType, DecisionAnswered.eventType,
  ]
}

extension EventTypeName {
  /// Whether events of this type are stated by the bus and its logs alone.
  var isOfTheBus: Bool { text.hasPrefix("hypha.") || text.hasPrefix("log.") }
}

extension TopologyFile {
  /// What the file asks of its kinds that they cannot do: kinds that do not exist, event types that a kind
  /// neither publishes nor handles, settings that it does not read.
  ///
  /// - Parameters:
  ///   - kindNames: the names of all kinds, to suggest the one that was meant.
  ///   - declaration: the declaration of a kind; nil where there is no such kind.
  /// - Returns: the diagnostics by line, none where all is well.
  public func problems(kindNames: [String], declaration: (String) -> KindDeclaration?) -> [Diagnostic] {
    var problems = DiagnosticCollector(file: file)
    let kindNames = kindNames.sorted()
    for (kind, marks) in sources.kinds.sorted(by: { $0.key < $1.key }) {
      guard let declared = declaration(kind) else {
        problems.reportUnknown(kind, at: marks.name, among: kindNames)
        continue
      }
      problems.check(settings: marks.settings, of: "kind '\(kind)'", kind: kind, declared)
    }
    for agent in topology.agents {
      guard let marks = sources.agents[agent.id] else { continue }
      guard let declared = declaration(agent.kind) else {
        problems.reportUnknown(agent.kind, at: marks.kind, among: kindNames)
        continue
      }
      for type in (agent.publishes ?? []).subtracting(declared.published(by: agent)).sorted() {
        problems.report(
          marks.publishes[type] ?? marks.id,
          "agent '\(agent.id)' is to publish \(type), which its kind '\(agent.kind)' does not declare",
          remedy: declared.isOpen
            ? "name another type: the bus states these itself"
            : problems.remedy(type, among: declared.publishes, verb: "publishes"))
      }
      for (subscription, mark) in zip(agent.subscribes, marks.subscribes)
      where !declared.takes(subscription.type) && !declared.isOpen {
        problems.report(
          mark,
          "agent '\(agent.id)' subscribes to \(subscription.type), which its kind '\(agent.kind)' does not handle",
          remedy: problems.remedy(
            subscription.type, among: declared.handles.union(declared.reads), verb: "handles"))
      }
      problems.check(settings: marks.settings, of: "agent '\(agent.id)'", kind: agent.kind, declared)
    }
    for (rule, mark) in zip(topology.oversight, sources.oversight) {
      check(rule, at: mark, &problems, declaration)
    }
    checkDesks(&problems, declaration)
    return problems.sorted()
  }

  /// Finds a rule of oversight about what nobody publishes, or what its supervisor does not handle: it would end there unseen.
  private func check(
    _ rule: OversightRule, at mark: SourceMark, _ problems: inout DiagnosticCollector,
    _ declaration: (String) -> KindDeclaration?
  ) {
    let publishers = topology.agents.filter {
      declaration($0.kind)?.published(by: $0).contains(rule.type) ?? false
    }
    let isBelow = publishers.contains { publisher in
      sequence(first: publisher.id) { topology.agent($0)?.reportsTo }.dropFirst().contains(rule.by)
    }
    if !isBelow {
      problems.report(
        mark, "'\(rule.by)' is to oversee \(rule.type), which nobody below it publishes",
        remedy: publishers.isEmpty
          ? "name a type that an agent below it publishes"
          : "name a supervisor of \(publishers.prefix(4).map(\.id.text).joined(separator: ", "))")
    }
    guard let kind = topology.agent(rule.by)?.kind, let declared = declaration(kind) else { return }
    let handled = rule.mode == .after ? OversightDigest.eventType : rule.type
    if rule.mode != .outside, !declared.isOpen, !declared.handles.contains(handled) {
      problems.report(
        mark, "'\(rule.by)' is to oversee \(rule.type), but its kind '\(kind)' does not handle \(handled)",
        remedy: "let that kind handle it, or give '\(rule.by)' another kind")
    }
  }
}

extension DiagnosticCollector {
  fileprivate mutating func reportUnknown(_ kind: String, at mark: SourceMark, among kinds: [String]) {
    let fallback = kinds.isEmpty ? "register it in the program" : "use one of \(listed(kinds))"
    report(
      mark, "there is no kind '\(kind)' in this program",
      remedy: remedy(nearestTo: kind, among: kinds, otherwise: fallback))
  }

  fileprivate func remedy(_ type: EventTypeName, among types: Set<EventTypeName>, verb: String) -> String {
    let names = types.map(\.text).sorted()
    let fallback = names.isEmpty ? "remove it: that kind \(verb) nothing" : "it \(verb) \(listed(names))"
    return remedy(nearestTo: type.text, among: names, otherwise: fallback)
  }

  fileprivate mutating func check(
    settings: [String: SourceMark], of owner: String, kind: String, _ declared: KindDeclaration
  ) {
    let known = declared.settingNames.sorted()
    for (name, mark) in settings.sorted(by: { $0.value < $1.value })
    where !declared.settingNames.contains(name) {
      let fallback =
        known.isEmpty ? "remove it: that kind has no settings" : "use one of \(listed(known))"
      report(
        mark, "\(owner) has an unknown setting, \(quoted(name))",
        remedy: remedy(nearestTo: name, among: known, otherwise: fallback))
    }
  }
}
