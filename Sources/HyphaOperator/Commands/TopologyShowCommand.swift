import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// `hypha topology show`: the topology as it is, or was.
struct TopologyShowCommand: Command {
  static let configuration = CommandConfiguration(
    name: "show", abstract: "Show the hierarchy with its direct links, as it is or was.",
    discussion: """
      Reads the logs; the nodes may run or not. A position is one of the log of the observer's node, or of the node that \
      --data names.
      """,
    examples: [
      "hypha topology show topologies/incident-room.yaml",
      "hypha topology show topologies/incident-room.yaml --at 2026-01-31T12:00:00Z --json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "Show how it was at this place of the log.", valueName: "position|time") var at: Instant?
  @Flag(help: "Draw every agent, also where many have no links.") var all = false
  @Flag(help: "Print as JSON.") var json = false

  private struct Report: Encodable {
    struct Link: Encodable {
      let one, other: AgentID
      let version: UInt32
      let since: String
      let isPinned: Bool
      let savedHops: Double
    }

    struct Oversight: Encodable {
      let type: EventTypeName
      let by: AgentID
      let mode: OversightRule.Mode
    }

    struct Seat: Encodable {
      let node: NodeID
      let standby: NodeID?
      let term: UInt32
    }

    let name: String
    let revision: UInt32
    let version: UInt32
    let seat: Seat?
    let isFrozen: Bool
    let links: [Link]
    let attachments: [BranchAttachment]
    let forbidden: [DirectLink]
    let oversight: [Oversight]
    let questions: [QuestionText.Line]
    let findings: [FindingText.Line]
    let moves: [Moves.Line]
  }

  func run() async throws {
    let (topology, reading) = try deployment.read(through: at)
    let live = reading.live
    let moves = try deployment.moves(of: topology, through: at).lines
    if json {
      return try Output.standard.writeLine(
        JSON.text(
          Report(
            name: topology.name, revision: topology.revision, version: live.version,
            seat: seat(of: topology, live),
            isFrozen: live.isFrozen,
            links: live.links.sorted { $0.key < $1.key }.map { link, state in
              .init(
                one: link.one, other: link.other, version: state.version, since: state.since.text,
                isPinned: state.isPinned, savedHops: Double(state.score) / 65_536)
            }, attachments: live.attachments.map(\.attachment), forbidden: live.forbidden.sorted(),
            oversight: topology.oversight.map { .init(type: $0.type, by: $0.by, mode: $0.mode) },
            questions: QuestionText.lines(reading), findings: FindingText.lines(reading), moves: moves)))
    }
    let style = Terminal.current.style()
    for line in TreeLines(topology: topology, live: live, style: style, showsAll: all).lines {
      try Output.standard.writeLine(line)
    }
    let frozen = live.isFrozen ? ", frozen" : ""
    try Output.standard.writeLine(
      "\nversion \(SeatTerm.text(live.version)): \(live.links.count) links between \(Human.count(topology.filedAgents.count)) agents\(frozen)"
    )
    if topology.revision > 1 {
      try Output.standard.writeLine("revision \(topology.revision) of the topology file")
    }
    if let seat = seat(of: topology, live), let standby = seat.standby {
      try Output.standard.writeLine(
        "observer: node '\(seat.node)' in term \(seat.term), with the standby '\(standby)'")
    }
    for attached in live.attachments {
      try Output.standard.writeLine(style.yellow(AttachmentText.text(attached)))
    }
    for link in live.forbidden.sorted() { try Output.standard.writeLine("forbidden: \(link)") }
    for question in reading.questions.promoted {
      let audience = question.audience.map { "; each fresh answer goes to \(QuestionText.text($0))" } ?? ""
      try Output.standard.writeLine(
        "ambient: \(QuestionText.name(question.key, question.sample))\(audience)")
    }
    for key in reading.questions.forbidden { try Output.standard.writeLine("forbidden: \(key)") }
    for line in DecisionText.summary(reading.seat?.decisions) { try Output.standard.writeLine(line) }
    for line in moves {
      let isThere = line.stage == Moves.Line.arrived
      try Output.standard.writeLine(isThere ? line.text : style.yellow(line.text))
    }
    for line in FindingText.lines(reading) {
      try Output.standard.writeLine(style.yellow("\(line.kind): \(line.text)"))
    }
  }

  private func seat(of topology: Topology, _ live: LiveTopology) -> Report.Seat? {
    guard let seat = topology.observer.node, let holder = live.holder ?? topology.observer.node else {
      return nil
    }
    let standby = topology.observer.standby
    return Report.Seat(
      node: holder, standby: holder == seat ? standby : seat,
      term: standby == nil ? 1 : SeatTerm.of(live.version))
  }
}

/// `hypha topology history`: how it came to be.
struct TopologyHistoryCommand: Command {
  static let configuration = CommandConfiguration(
    name: "history", abstract: "Show how the topology has changed, and why.",
    examples: ["hypha topology history topologies/incident-room.yaml --limit 20"])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "Only the newest of them.", valueName: "count") var limit: AtLeast<1>?
  @Option(help: "How to print.") var format: TableFormat = .table

  func run() async throws {
    let (topology, reading) = try deployment.read()
    var table = Table([
      .init("position", alignment: .right), .init("time"), .init("version", alignment: .right),
      .init("change"),
      .init("why"), .init("evidence", key: "evidenceHops", alignment: .right),
      .init("ledger", key: "ledgerHops", alignment: .right),
    ])
    // The links of each revision begin with its file.
    var entries: [TopologyReading.Entry?] = []
    let revisions = try deployment.revisions().revisions
    for revision in revisions {
      entries += try deployment.read(
        through: Instant(.time(Timestamp(rawValue: revision.orderedAt.rawValue - 1)))
      ).reading.entries
      entries.append(nil)
    }
    entries += reading.entries
    var next = revisions[...]
    let first = entries.count - min(entries.count, limit?.value ?? .max)
    for (place, entry) in entries.enumerated() {
      let revision = entry == nil ? next.popFirst() : nil
      guard place >= first else { continue }
      if let entry { add(entry, topology, to: &table) }
      if let revision { add(revision, to: &table) }
    }
    guard !table.rows.isEmpty || format != .table else {
      return try Output.standard.writeLine("the topology has not changed")
    }
    try table.write(as: format)
  }

  private func add(_ revision: Revisions.Revision, to table: inout Table) {
    let order = revision.order
    let gone =
      order.retired.isEmpty ? "" : "; without \(order.retired.map(\.agent.text).joined(separator: ", "))"
    let nodes = (order.leaving ?? []).filter { $0.since == order.revision }
    let leaving =
      nodes.isEmpty ? "" : "; \(nodes.map { "node '\($0.node)'" }.joined(separator: ", ")) leaving"
    table.add([
      .none, .string(revision.orderedAt.text), version(order.version),
      .string("revision \(order.revision) of the topology file\(gone)\(leaving)"), .string("applied"), .none,
      .none,
    ])
  }

  /// The first term's as a number.
  private func version(_ version: UInt32) -> Table.Cell {
    SeatTerm.of(version) == 1 ? .integer(Int(version)) : .string(SeatTerm.text(version))
  }

  private func add(_ entry: TopologyReading.Entry, _ topology: Topology, to table: inout Table) {
    let place: [Table.Cell] = [.integer(Int(clamping: entry.position.rawValue)), .string(entry.time.text)]
    func add(_ version: UInt32?, _ change: LinkChange, _ prefix: String) {
      let made = change.promoted.map { "+ \($0.link)" }
      let gone = change.retired.map { "− \($0.link)" }
      let what = (made.map { [$0] } ?? []) + gone
      let rule = change.rule.map(ChangeText.rule)
      table.add(
        place + [
          version.map(version(_:)) ?? .none,
          .string(prefix + (what.isEmpty ? rule ?? "nothing" : what.joined(separator: "  "))),
          .string(rule ?? change.cause.rawValue),
          change.cause == .earned ? .double(Double(change.credit) / 65_536) : .none,
          .integer(Int(change.ledgerAfter)),
        ])
    }
    switch entry.content {
    case .changed(let event):
      if let begun = event.begun {
        table.add(
          place + [
            version(event.version), .string("node '\(begun.node)' has the seat"),
            .string(ChangeText.reason(begun)), .none, .none,
          ])
      }
      for (what, why) in AttachmentText.changes(event.attachments, topology) {
        table.add(place + [version(event.version), .string(what), .string(why), .none, .none])
      }
      for change in event.changes { add(event.version, change, "") }
    case .superseded(let event):
      table.add(
        place + [.none, .string(ChangeText.text(event)), .string("term \(event.newerTerm)"), .none, .none])
    case .suggested(let event): for change in event.changes { add(nil, change, "suggested: ") }
    case .asked, .found, .askedQuestions: break
    case .questions(let content):
      for row in QuestionRows.rows(content) {
        table.add(place + row.cells)
      }
    case .refused(let event):
      table.add(
        place + [
          .none, .string("refused: \(ChangeText.rule(event.rule))"), .string(event.reason), .none, .none,
        ])
    }
  }
}

/// `hypha topology explain`: why a link is there, or is not.
struct TopologyExplainCommand: Command {
  static let configuration = CommandConfiguration(
    name: "explain", abstract: "Say why two agents are linked or a question is ambient, or why not.",
    discussion: """
      Reads the log of the observer's node and lets the observer see all of it once more, as it did when it decided.
      """,
    examples: [
      "hypha topology explain topologies/incident-room.yaml Ana Faye",
      "hypha topology explain topologies/incident-room.yaml 'shop/Price#00c0ffee00c0ffee'",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Argument(help: "One agent, or a question: AGENT/TYPE#NUMBER.", completion: .none) var one: String
  @Argument(help: "The other agent.", completion: .none) var other: AgentID?
  @Option(help: "Explain how it was at this place of the log.", valueName: "position|time") var at: Instant?

  func run() async throws {
    let (topology, reading) = try deployment.read(through: at)
    if let key = QuestionKey(one), other == nil {
      for line in QuestionText.explain(key, reading, topology) { try Output.standard.writeLine(line) }
      return
    }
    guard let other else {
      throw HyphaError(
        .usage, "'\(one)' is no question", remedy: "name two agents, or a question: AGENT/TYPE#NUMBER")
    }
    let one = try AgentID(one)
    for agent in [one, other] where topology.agent(agent) == nil {
      throw HyphaError(
        .usage, "the topology '\(topology.name)' has no agent '\(agent)'",
        remedy: "name one of those that 'hypha topology show' lists")
    }
    guard one != other else {
      throw HyphaError(.usage, "an agent has no link with itself", remedy: "name two agents")
    }
    for line in try ChangeText.explain(DirectLink(one, other), reading, topology) {
      try Output.standard.writeLine(line)
    }
    guard !topology.desks.isEmpty else { return }
    for line in DecisionText.explain(one, other, reading.seat?.decisions) {
      try Output.standard.writeLine(line)
    }
    for line in try DelegationReading(topology, in: deployment.logs(of: topology)).explain(one, other) {
      try Output.standard.writeLine(line)
    }
  }
}

/// `hypha topology diff`: what has changed between two places.
struct TopologyDiffCommand: Command {
  static let configuration = CommandConfiguration(
    name: "diff",
    abstract: "Show which links and ambient questions came and went between two places of the log.",
    examples: ["hypha topology diff topologies/incident-room.yaml 100 2000"])

  @OptionGroup var deployment: LiveTopologyOptions
  @Argument(help: "The earlier place: a position or a time.") var from: Instant
  @Argument(help: "The later one.") var to: Instant

  func run() async throws {
    let first = try deployment.read(through: from).reading
    let (topology, last) = try deployment.read(through: to)
    let (before, after) = (first.live, last.live)
    let (old, new) = (Set(before.links.keys), Set(after.links.keys))
    for link in new.subtracting(old).sorted() { try Output.standard.writeLine("+ \(link)") }
    for link in old.subtracting(new).sorted() { try Output.standard.writeLine("− \(link)") }
    for (what, _) in AttachmentText.changes(
      AttachmentsChange(from: before.attachments.map(\.attachment), to: after.attachments.map(\.attachment)),
      topology)
    {
      try Output.standard.writeLine(what)
    }
    for link in after.forbidden.subtracting(before.forbidden).sorted() {
      try Output.standard.writeLine("forbidden: \(link)")
    }
    for link in before.forbidden.subtracting(after.forbidden).sorted() {
      try Output.standard.writeLine("allowed: \(link)")
    }
    let (asked, asks) = (Set(first.questions.promoted.map(\.key)), Set(last.questions.promoted.map(\.key)))
    for key in asks.subtracting(asked).sorted() { try Output.standard.writeLine("+ \(key)") }
    for key in asked.subtracting(asks).sorted() { try Output.standard.writeLine("− \(key)") }
    try Output.standard.writeLine(
      "version \(SeatTerm.text(before.version)) to \(SeatTerm.text(after.version)): \(new.subtracting(old).count) came, "
        + "\(old.subtracting(new).count) went, \(new.intersection(old).count) stayed")
  }
}
