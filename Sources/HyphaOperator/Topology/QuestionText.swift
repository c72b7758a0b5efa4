import HyphaCore
import HyphaRuntime
import HyphaTopology

/// Ambient questions in words.
enum QuestionText {
  /// A question as programs read it.
  struct Line: Encodable {
    let question: String
    let asks: String?
    let version: UInt32
    let audience: [NodeID]?
  }

  /// What is ambient, in the order of the keys.
  static func lines(_ reading: TopologyReading) -> [Line] {
    reading.questions.promoted.map {
      Line(question: "\($0.key)", asks: $0.sample, version: $0.version, audience: $0.audience)
    }
  }

  /// A version of what is ambient, which is none of the links: `q7`, in the second term `q2.7`.
  static func version(_ version: UInt32) -> String { "q\(SeatTerm.text(version))" }

  /// A question with what it asks.
  static func name(_ key: QuestionKey, _ sample: String?) -> String {
    "\(key)" + (sample.map { " \($0)" } ?? "")
  }

  /// What a change does: `+` comes, `−` goes.
  static func what(_ change: QuestionChange) -> [String] {
    (change.promoted.map { ["+ \(name($0, change.sample))"] } ?? []) + change.retired.map { "− \($0)" }
      + (change.audience.map { ["\($0.question) to \($0.nodes.isEmpty ? "who asks" : text($0.nodes))"] } ?? [])
  }

  /// The nodes of an audience in a line.
  static func text(_ nodes: [NodeID]) -> String {
    nodes.map(\.text).joined(separator: ", ")
  }

  /// Why a change was made, with its evidence.
  static func reason(_ change: QuestionChange) -> String {
    let seen = change.evidence.map { ": \(text($0))" } ?? ""
    if change.audience != nil, change.cause != .operated {
      return change.cause == .earned
        ? "agents there are answered from copies again and again\(seen)"
        : "nobody has used copies for long at a node that was one of them"
    }
    switch change.cause {
    case .earned: return "it is asked again and again with the same answer\(seen)"
    case .changing: return "its answers change too often, or its copies cost more than they save\(seen)"
    case .idle: return "nobody has asked it for long"
    case .operated: return "an operator asked for it"
    }
  }

  /// Evidence in one line.
  static func text(_ evidence: QuestionEvidence) -> String {
    let share = evidence.asks == 0 ? 0 : 100 * Double(evidence.repeats) / Double(evidence.asks)
    return
      "of \(Human.count(evidence.asks)) asks lately \(Human.decimal(share, digits: 0)) % had, or could have had, "
      + "the answer from a copy; \(Human.count(evidence.changes)) changed answers, \(Human.count(evidence.stated)) copies stated"
  }

  /// An operator's rule.
  static func rule(_ rule: QuestionRule) -> String {
    switch rule {
    case .approve(let key): "approve \(key)"
    case .reject(let key): "reject \(key)"
    case .retire(let key): "retire \(key)"
    case .forbid(let key): "forbid \(key)"
    case .allow(let key): "allow \(key)"
    case .revert(let version, _): "revert questions to version \(Self.version(version))"
    }
  }

  /// Why a question is ambient, or is not, in whole sentences.
  static func explain(_ key: QuestionKey, _ reading: TopologyReading, _ topology: Topology) -> [String] {
    var lines: [String] = []
    if let known = reading.questions.promoted.first(where: { $0.key == key }) {
      lines.append("\(name(key, known.sample)) is ambient since version \(version(known.version)).")
      if let audience = known.audience {
        lines.append("Each fresh answer goes to \(text(audience)), whose agents use copies again and again.")
      }
    } else {
      lines.append("\(key) is not ambient.")
    }
    if reading.questions.forbidden.contains(key) { lines.append("It is forbidden.") }
    var changes: [(at: Timestamp, change: QuestionChange)] = []
    for entry in reading.entries {
      guard case .questions(.changed(let event)) = entry.content else { continue }
      for change in event.changes where change.promoted == key || change.retired.contains(key) {
        changes.append((entry.time, change))
      }
    }
    if let (at, change) = changes.last {
      let comes = change.promoted == key
      let reason =
        comes || change.promoted == nil
        ? reason(change) : "\(change.promoted.map { "\($0)" } ?? "another") took its place"
      lines.append("It \(comes ? "came" : "went") at \(at.text) because \(reason).")
    }
    if changes.count > 1 { lines.append("It has come or gone \(changes.count) times.") }
    guard let seat = reading.seat else {
      return lines + [
        topology.observer.node.map {
          "What the observer has seen of it stands in the log of its seat, node '\($0)'."
        }
          ?? "Nobody observes this deployment: its topology file gives the observer no seat."
      ]
    }
    guard let evidence = seat.ambient.evidence(of: key) else {
      return lines + [
        "The observer has seen nothing of it lately: it is counted where its answerer may share answers."
      ]
    }
    lines.append("Seen: \(text(evidence)).")
    if reading.questions.isPromoted(key) {
      lines.append("\(Human.count(evidence.saved)) asks were answered from copies since, without a message.")
    } else {
      lines.append(
        "Its credit, repeats less four for each change since it last came or went, is \(Human.count(evidence.credit)); "
          + "\(Human.count(evidence.threshold)) are enough.")
    }
    return lines
  }
}

/// What entries of the log say of questions, a row each.
struct QuestionRows {
  var version: UInt32?
  var what, why: String
  var credit: Int64?

  /// The cells of a history: version, what, why, the evidence and no ledger.
  var cells: [Table.Cell] {
    [
      version.map { .string(QuestionText.version($0)) } ?? .none, .string(what), .string(why),
      credit.map { .integer(Int($0)) } ?? .none, .none,
    ]
  }

  static func rows(_ content: AmbientSeat.Answer.Content) -> [QuestionRows] {
    func rows(_ changes: [QuestionChange], _ version: UInt32?, _ prefix: String) -> [QuestionRows] {
      changes.map { change in
        let what = QuestionText.what(change)
        let rule = change.rule.map(QuestionText.rule)
        return QuestionRows(
          version: version, what: prefix + (what.isEmpty ? rule ?? "nothing" : what.joined(separator: "  ")),
          why: rule ?? QuestionText.reason(change),
          credit: change.promoted != nil && change.cause == .earned ? change.evidence?.credit : nil)
      }
    }
    switch content {
    case .changed(let event) where event.changes.isEmpty:
      let count = event.promoted.count
      return [
        QuestionRows(
          version: event.version, what: "\(Human.count(count, "ambient question"))",
          why: "the term begins with what there was")
      ]
    case .changed(let event): return rows(event.changes, event.version, "")
    case .suggested(let event): return rows(event.changes, nil, "suggested: ")
    case .refused(let event):
      return [QuestionRows(what: "refused: \(QuestionText.rule(event.rule))", why: event.reason)]
    }
  }
}
