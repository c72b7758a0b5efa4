import HyphaCore
import HyphaRuntime
import HyphaTopology

/// What all of an operator's rules have on their command line.
struct RuleOptions: ArgumentGroup {
  @Option(name: .customLong("by"), help: "Who asks; default the user's name.", valueName: "name")
  var principal: AgentID?
  @Option(help: "Why; stands in the event.", valueName: "text") var note: String?
}

extension LiveTopologyOptions {
  /// Asks for a rule, and prints what came of it.
  func apply(_ rule: LinkRule, _ options: RuleOptions) async throws {
    let outcome = try await ask(rule, by: options.principal, note: options.note)
    guard outcome.refusal == nil, let version = outcome.version else {
      throw HyphaError(
        .failed, "\(ChangeText.rule(rule)): \(outcome.refusal ?? "the observer has not answered yet")",
        remedy: "see 'hypha topology history'")
    }
    try Output.standard.writeLine("\(ChangeText.rule(rule)): done, version \(SeatTerm.text(version))")
    for change in outcome.changes {
      if let end = change.promoted { try Output.standard.writeLine("+ \(end.link)") }
      for end in change.retired { try Output.standard.writeLine("− \(end.link)") }
    }
  }
}

/// What rules about one link have on their command line.
struct LinkRuleOptions: ArgumentGroup {
  @OptionGroup var deployment: LiveTopologyOptions
  @Argument(help: "One agent.") var one: AgentID
  @Argument(help: "The other one.") var other: AgentID
  @OptionGroup var options: RuleOptions

  /// Asks for a rule about the link of both.
  func apply(_ rule: (DirectLink) -> LinkRule) async throws {
    guard one != other else {
      throw HyphaError(.usage, "an agent has no link with itself", remedy: "name two agents")
    }
    try await deployment.apply(rule(DirectLink(one, other)), options)
  }
}

/// `hypha topology pin`.
struct TopologyPinCommand: Command {
  static let configuration = CommandConfiguration(
    name: "pin", abstract: "Link two agents for good.",
    discussion: "Where an end has no room, its weakest link goes. The observer must run.",
    examples: ["hypha topology pin topologies/incident-room.yaml Ana Faye --note 'war room'"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .pin($0) } }
}

/// `hypha topology unpin`.
struct TopologyUnpinCommand: Command {
  static let configuration = CommandConfiguration(
    name: "unpin", abstract: "Let the observer decide again about a pinned link.",
    examples: ["hypha topology unpin topologies/incident-room.yaml Ana Faye"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .unpin($0) } }
}

/// `hypha topology forbid`.
struct TopologyForbidCommand: Command {
  static let configuration = CommandConfiguration(
    name: "forbid", abstract: "Never link two agents; a link that is there goes.",
    examples: ["hypha topology forbid topologies/incident-room.yaml Ana Faye"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .forbid($0) } }
}

/// `hypha topology allow`.
struct TopologyAllowCommand: Command {
  static let configuration = CommandConfiguration(
    name: "allow", abstract: "Let the observer decide again about a forbidden link.",
    examples: ["hypha topology allow topologies/incident-room.yaml Ana Faye"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .allow($0) } }
}

/// `hypha topology retire`.
struct TopologyRetireCommand: Command {
  static let configuration = CommandConfiguration(
    name: "retire", abstract: "Take a link away; the traffic may earn it again.",
    examples: ["hypha topology retire topologies/incident-room.yaml Ana Faye"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .retire($0) } }
}

/// `hypha topology approve`.
struct TopologyApproveCommand: Command {
  static let configuration = CommandConfiguration(
    name: "approve", abstract: "Make a link that the observer suggests.",
    examples: ["hypha topology approve topologies/incident-room.yaml Ana Faye --by ana"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .approve($0) } }
}

/// `hypha topology reject`.
struct TopologyRejectCommand: Command {
  static let configuration = CommandConfiguration(
    name: "reject", abstract: "Drop a suggestion; new traffic may bring it again.",
    examples: ["hypha topology reject topologies/incident-room.yaml Ana Faye"])
  @OptionGroup var link: LinkRuleOptions
  func run() async throws { try await link.apply { .reject($0) } }
}

/// `hypha topology freeze`.
struct TopologyFreezeCommand: Command {
  static let configuration = CommandConfiguration(
    name: "freeze", abstract: "Stop all changes but operators'.",
    examples: ["hypha topology freeze topologies/incident-room.yaml --note 'audit'"])
  @OptionGroup var deployment: LiveTopologyOptions
  @OptionGroup var options: RuleOptions
  func run() async throws { try await deployment.apply(.freeze, options) }
}

/// `hypha topology hand-over`.
struct TopologyHandOverCommand: Command {
  static let configuration = CommandConfiguration(
    name: "hand-over", abstract: "Give the observer's seat to the other node that may have it.",
    discussion: """
      For a topology whose observer has a standby. The node that has the seat decides nothing more, and the other one \
      begins its next term at once. Both must run.
      """,
    examples: ["hypha topology hand-over topologies/incident-room.yaml --note 'hq is back'"])
  @OptionGroup var deployment: LiveTopologyOptions
  @OptionGroup var options: RuleOptions
  func run() async throws { try await deployment.apply(.handOver, options) }
}

/// `hypha topology thaw`.
struct TopologyThawCommand: Command {
  static let configuration = CommandConfiguration(
    name: "thaw", abstract: "Let the observer change links again.",
    examples: ["hypha topology thaw topologies/incident-room.yaml"])
  @OptionGroup var deployment: LiveTopologyOptions
  @OptionGroup var options: RuleOptions
  func run() async throws { try await deployment.apply(.thaw, options) }
}

/// `hypha topology revert`.
struct TopologyRevertCommand: Command {
  static let configuration = CommandConfiguration(
    name: "revert", abstract: "Go back to the links and ambient questions of an earlier place of the log.",
    discussion: "Links that came since go, those that went come back. What is pinned or forbidden stays so.",
    examples: ["hypha topology revert topologies/incident-room.yaml --to 1042"])
  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "The place.", valueName: "position|time") var to: Instant?
  @OptionGroup var options: RuleOptions

  func run() async throws {
    guard let to else {
      throw HyphaError(.usage, "--to is missing", remedy: "give a position, or a time (RFC 3339)")
    }
    let past = try deployment.read(through: to).reading
    let live = past.live
    try await deployment.apply(.revert(version: live.version, links: live.links.keys.sorted()), options)
    let questions = past.questions.promoted.map(\.key)
    let present = try deployment.read().reading.questions.promoted.map(\.key)
    guard Set(present) != Set(questions) else { return }
    try await deployment.apply(.revert(version: past.questions.version, promoted: questions), options)
  }
}

/// `hypha topology suggestions`.
struct TopologySuggestionsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "suggestions", abstract: "List the links that the observer suggests and nobody has answered.",
    examples: ["hypha topology suggestions topologies/incident-room.yaml"])
  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "How to print.") var format: TableFormat = .table

  func run() async throws {
    let (topology, reading) = try deployment.read()
    guard let seat = reading.seat else {
      throw HyphaError(
        .usage, "suggestions stand in the log of the observer's node",
        remedy: topology.observer.node.map { "give --data DIRECTORY/\($0)" }
          ?? "give the observer a seat: 'observer: {node: NAME}'")
    }
    var table = Table([
      .init("one"), .init("other"), .init("kind"), .init("evidence", key: "evidenceHops", alignment: .right),
    ])
    for (link, change) in seat.suggestions.sorted(by: {
      ($1.value.credit, $0.key) < ($0.value.credit, $1.key)
    }) {
      table.add([
        .string(link.one.text), .string(link.other.text), .string(change.promoted?.kind.name ?? ""),
        .double(Double(change.credit) / 65_536),
      ])
    }
    guard !table.rows.isEmpty || format != .table else {
      return try Output.standard.writeLine("nothing is suggested")
    }
    try table.write(as: format)
  }
}
