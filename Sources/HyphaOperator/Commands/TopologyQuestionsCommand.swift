import HyphaCore
import HyphaRuntime
public import HyphaTopology

extension QuestionKey: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
  public static var argumentDescription: String {
    "a question as 'hypha topology questions' lists it: AGENT/TYPE#NUMBER"
  }
  public var argumentText: String { description }
}

extension LiveTopologyOptions {
  /// Asks for a rule about questions, and prints what came of it.
  func apply(_ rule: QuestionRule, _ options: RuleOptions) async throws {
    let outcome = try await send(
      "questions.ask", by: options.principal,
      NodeOperations.AboutQuestion(rule: rule, note: options.note), as: NodeOperations.QuestionOutcome.self)
    guard outcome.refusal == nil, let version = outcome.version else {
      throw HyphaError(
        .failed, "\(QuestionText.rule(rule)): \(outcome.refusal ?? "the observer has not answered yet")",
        remedy: "see 'hypha topology history'")
    }
    try Output.standard.writeLine(
      "\(QuestionText.rule(rule)): done, version \(QuestionText.version(version))")
    for line in outcome.changes.flatMap(QuestionText.what) { try Output.standard.writeLine(line) }
  }
}

/// `hypha topology questions`: what is ambient, and what is asked.
struct TopologyQuestionsCommand: Command {
  static let configuration = CommandConfiguration(
    name: "questions",
    abstract: "List the questions that are asked again and again, and those that are ambient.",
    discussion: """
      An ambient question's answers are stated as copies for the nodes whose agents ask it; who asks with 'maxAge' has them from \
      there. Counted are questions whose answerer may share its answers. All counts but 'saved' fade with the number of \
      asks. asks: how often it was asked; repeats: how many of these had, or could have had, the answer from a copy; changes: how \
      often the answer was another one; copies: how many were stated; saved: answers from copies since it is ambient; audience: the \
      nodes that use copies again and again, and are given each fresh answer, whoever has asked for it.
      """,
    examples: [
      "hypha topology questions topologies/incident-room.yaml",
      "hypha topology questions topologies/incident-room.yaml --all --format json",
    ])

  @OptionGroup var deployment: LiveTopologyOptions
  @Option(help: "Those at this place of the log.", valueName: "position|time") var at: Instant?
  @Flag(help: "Also those that are neither ambient nor suggested nor forbidden.") var all = false
  @Option(help: "How to print.") var format: TableFormat = .table

  func run() async throws {
    let reading = try deployment.read(through: at).reading
    let suggested = Set(reading.seat?.ambient.suggestions.compactMap(\.promoted) ?? [])
    var seen: [QuestionKey: (sample: String?, evidence: QuestionEvidence?)] = [:]
    for known in reading.seat?.ambient.known ?? [] { seen[known.key] = (known.sample, known.evidence) }
    let ambient = Dictionary(reading.questions.promoted.map { ($0.key, $0) }) { $1 }
    var keys = Set(ambient.keys).union(suggested).union(reading.questions.forbidden)
    if all { keys.formUnion(seen.keys) }
    var table = Table([
      .init("question"), .init("state"), .init("since", alignment: .right), .init("asks", alignment: .right),
      .init("repeats", alignment: .right), .init("changes", alignment: .right),
      .init("copies", alignment: .right), .init("saved", alignment: .right), .init("audience"),
      .init("example"),
    ])
    func rank(_ key: QuestionKey) -> Int { ambient[key] != nil ? 0 : suggested.contains(key) ? 1 : 2 }
    for key in keys.sorted(by: { (rank($0), $0) < (rank($1), $1) }) {
      let known = seen[key]?.evidence
      func cell(_ count: Int64?) -> Table.Cell { count.map { .integer(Int($0)) } ?? .none }
      let state =
        ambient[key] != nil
        ? "ambient"
        : suggested.contains(key)
          ? "suggested" : reading.questions.forbidden.contains(key) ? "forbidden" : "seen"
      table.add([
        .string("\(key)"), .string(state),
        ambient[key].map { .string(QuestionText.version($0.version)) } ?? .none, cell(known?.asks),
        cell(known?.repeats), cell(known?.changes), cell(known?.stated),
        ambient[key] == nil ? .none : cell(known?.saved),
        ambient[key]?.audience.map { .string(QuestionText.text($0)) } ?? .none,
        .string(ambient[key]?.sample ?? seen[key]?.sample ?? ""),
      ])
    }
    guard !table.rows.isEmpty || format != .table else {
      return try Output.standard.writeLine(all ? "no question was counted" : "no question is ambient")
    }
    try table.write(as: format)
  }
}

/// `hypha topology question`: an operator's rule about one.
struct TopologyQuestionCommand: Command {
  enum Verb: String, CaseIterable, ExpressibleByArgument { case approve, reject, retire, forbid, allow }

  static let configuration = CommandConfiguration(
    name: "question", abstract: "Approve, reject, retire, forbid or allow an ambient question.",
    discussion: """
      approve: make a suggested question ambient. reject: drop the suggestion. retire: take one back; it may be earned again. \
      forbid: never make it ambient. allow: let the observer decide about it again.
      """,
    examples: [
      "hypha topology question retire topologies/incident-room.yaml 'shop/Price#00c0ffee00c0ffee' --note 'prices move today'"
    ])
  @Argument(help: "What to do.") var verb: Verb
  @OptionGroup var deployment: LiveTopologyOptions
  @Argument(help: "The question.", completion: .none) var question: QuestionKey
  @OptionGroup var options: RuleOptions

  func run() async throws {
    let rule: QuestionRule =
      switch verb {
      case .approve: .approve(question)
      case .reject: .reject(question)
      case .retire: .retire(question)
      case .forbid: .forbid(question)
      case .allow: .allow(question)
      }
    try await deployment.apply(rule, options)
  }
}
