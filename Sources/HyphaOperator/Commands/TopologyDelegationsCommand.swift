import HyphaCore
import HyphaRuntime
import HyphaTopology

/// `hypha topology delegations`: whose decisions are observed, what is delegated, and what that has missed.
struct TopologyDelegationsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "delegations",
    abstract: "Show which decisions are delegated, on what evidence, and what that missed.",
    discussion: """
      A line for each stratum: the decisions of one approver about one kind, for one role, in one range of amounts. bound: \
      what at least of them is approved (Wilson's lower bound, 95 %). granted: without the approver; audited: those of them \
      that it was to look at. missed: how many the approver rejected of those that were or would have been granted, and of how \
      many its answer is known. Reads the logs; the nodes may run or not.
      """,
    examples: [
      "hypha topology delegations topologies/office.yaml",
      "hypha topology delegations topologies/office.yaml --history --json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Flag(help: "Each change of a stratum's state, with its evidence, instead.") var history = false
  @Flag(help: "Print as JSON.") var json = false

  func run() async throws {
    let filed = try deployment.topology()
    let topology = try deployment.moves(of: filed).moves.placing(filed)
    let desks = try DelegationReading(topology, in: deployment.logs(of: topology)).desks
    guard !desks.isEmpty || json else {
      return try Output.standard.writeLine(
        "nobody's decisions are observed: name approvers in the topology file, 'delegation: {approvers: [AGENT]}'"
      )
    }
    let table = history ? changes(desks) : strata(desks)
    if json { return try table.write(as: .json) }
    for desk in desks {
      try Output.standard.writeLine(DelegationText.mode(desk))
      guard let since = desk.ledger.waitingSince else { continue }
      let count = desk.ledger.open.values.count { $0.audited == nil }
      let usual = Duration.microseconds(Int64(clamping: desk.ledger.usualWaitMicroseconds))
      try Output.standard.writeLine(
        "\(desk.approver): \(Human.count(count)) waiting, the oldest since \(since.text); usual: \(Human.duration(usual))"
      )
    }
    guard !table.rows.isEmpty else {
      return try Output.standard.writeLine(history ? "nothing has changed" : "no decision was taken")
    }
    try Output.standard.writeLine("")
    try table.write()
  }

  private func strata(_ desks: [DelegationReading.Desk]) -> Table {
    var table = Table([
      .init("approver"), .init("kind"), .init("role"), .init("amount"), .init("state"),
      .init("decisions", alignment: .right), .init("approved", alignment: .right),
      .init("bound", key: "boundPercent", alignment: .right), .init("granted", alignment: .right),
      .init("audited", alignment: .right), .init("missed", alignment: .right),
      .init("of", key: "lookedAt", alignment: .right), .init("open", alignment: .right), .init("grant"),
    ])
    for desk in desks {
      for (stratum, report) in desk.ledger.strata {
        let open = desk.ledger.open.values.count { $0.stratum == stratum }
        table.add([
          .string(stratum.approver), .string(stratum.kind), .string(stratum.requester),
          .string(DelegationText.amount(stratum)), .string(report.stage.rawValue),
          .integer(Int(report.approved + report.rejected)), .integer(Int(report.approved)),
          .double(Double(report.bound) / 100, digits: 2, unit: "%"), .integer(Int(report.granted)),
          .integer(Int(report.audited)), .integer(Int(report.misses)), .integer(Int(report.lookedAt)),
          .integer(open), .optional(report.grant),
        ])
      }
    }
    return table
  }

  private func changes(_ desks: [DelegationReading.Desk]) -> Table {
    var table = Table([
      .init("time"), .init("stratum"), .init("from"), .init("to"), .init("grant"), .init("authority"),
      .init("why"),
    ])
    let all = desks.flatMap(\.changes).sorted { $0.time < $1.time }
    for (time, authority, event) in all {
      let isEnd = event.from == .delegated
      table.add([
        .string(time.text), .string("\(event.stratum.approver): \(DelegationText.stratum(event.stratum))"),
        .string(event.from.rawValue), .string(event.to.rawValue), .optional(event.grant),
        .string(authority.principal.text),
        .string(isEnd ? DelegationText.end(event) : DelegationText.reason(event)),
      ])
    }
    return table
  }
}

/// What rules about delegations have on their command line.
struct DelegationRuleOptions: ArgumentGroup {
  @OptionGroup var deployment: LiveTopologyOptions
  @Argument(help: "The approver.", completion: .none) var approver: AgentID
  @Option(help: "Only decisions of this kind.", valueName: "text") var kind: String?
  @Option(help: "Only those asked for in this role.", valueName: "text") var role: String?
  @OptionGroup var options: RuleOptions

  /// Asks the desk's node where that runs, and any other one where it does not.
  func apply(_ rule: DelegationRuled.Rule) async throws {
    let filed = try deployment.topology()
    let topology = try deployment.moves(of: filed).moves.placing(filed)
    let request = try OperatorRequest(
      "delegation.rule", by: OperatorClient.authority(options.principal),
      parameters: NodeOperations.DelegationRule(
        approver: approver, rule: DelegationRuled(rule, kind: kind, role: role, note: options.note)))
    let home = topology.agent(DeskPolicy.desk(of: approver))?.node
    let logs = try deployment.logs(of: topology)
    for path in logs.filter({ $0.hasSuffix("/\(home?.text ?? "")") }) + logs {
      guard
        let outcome = try await OperatorClient.ask(path, request, as: NodeOperations.DelegationOutcome.self)
      else { continue }
      return try report(outcome, rule)
    }
    throw HyphaError(
      .failed, "no node of '\(topology.name)' runs",
      remedy: "start it: '\(Program.calledAs) run \(deployment.file)'")
  }

  private func report(_ outcome: NodeOperations.DelegationOutcome, _ rule: DelegationRuled.Rule) throws {
    if let refusal = outcome.refusal {
      throw HyphaError(
        .failed, "\(rule.rawValue): \(refusal)",
        remedy: "see '\(Program.calledAs) topology delegations \(deployment.file)'")
    }
    guard !outcome.changes.isEmpty else {
      return try Output.standard.writeLine(
        "\(rule.rawValue): on its way to the desk of '\(approver)', which has not answered yet; see 'hypha topology delegations'"
      )
    }
    for change in outcome.changes {
      try Output.standard.writeLine(
        "\(change.stratum.approver): \(DelegationText.stratum(change.stratum)): \(change.from.rawValue) → \(change.to.rawValue)"
          + (change.grant.map { " (\($0))" } ?? ""))
    }
  }
}

/// `hypha topology delegate`.
struct TopologyDelegateCommand: Command {
  static let configuration = CommandConfiguration(
    name: "delegate", abstract: "Delegate the decisions that are proposed.",
    discussion: "Under 'mode: suggest'. All that are proposed of the approver, or those of a kind or a role.",
    examples: ["hypha topology delegate topologies/office.yaml director --kind travel --by ana"])
  @OptionGroup var rule: DelegationRuleOptions
  func run() async throws { try await rule.apply(.delegate) }
}

/// `hypha topology revoke`.
struct TopologyRevokeCommand: Command {
  static let configuration = CommandConfiguration(
    name: "revoke", abstract: "Take delegations back at once, or proposals.",
    discussion: """
      All of the approver, or those of a kind or a role. All evidence is needed anew then. It holds from the commit on in \
      which the approver's desk takes it: where the desk's node cannot be reached, it is granted there until it can.
      """,
    examples: ["hypha topology revoke topologies/office.yaml director --note 'new rules'"])
  @OptionGroup var rule: DelegationRuleOptions
  func run() async throws { try await rule.apply(.revoke) }
}
