import HyphaCore
import HyphaLog
import HyphaRuntime

/// What a re-run shows: each difference with both sides beside each other, and what it came to in the end.
struct RerunView {
  private let data: String
  private let isJSON: Bool
  private let style: Style

  /// - Parameter data: the data directory, for advice on what to type next.
  init(_ data: String, isJSON: Bool, style: Style) {
    (self.data, self.isJSON, self.style) = (data, isJSON, style)
  }

  // MARK: A difference

  /// What is not as it was in one call: lines of text, or of JSON.
  func text(of outcome: RerunOutcome, on node: NodeID) throws -> String {
    if isJSON {
      return try outcome.differences.map { try json($0, of: outcome, on: node) }.joined(separator: "\n")
    }
    var lines = [style.bold("\(outcome.agent) on \(node): \(Self.call(outcome))")]
    for difference in outcome.differences { lines += try Self.lines(of: difference, style) }
    let ids = [outcome.input?.id, outcome.recorded.first?.id].compactMap(\.self).filter { $0 != .none }
    if outcome.position != nil, let id = ids.first {
      lines.append(style.dim("  next: \(Program.calledAs) trace \(id) --data \(data)"))
    }
    return lines.joined(separator: "\n")
  }

  /// What was called, in words.
  static func call(_ outcome: RerunOutcome) -> String {
    let place = outcome.position.map { ", position \($0)" } ?? ""
    let again = outcome.attempt > 1 ? ", attempt \(outcome.attempt)" : ""
    let input = outcome.input.map { "\($0.type) \($0.id) from \($0.agent)" } ?? "nothing"
    switch outcome.call {
    case .start: return "its start"
    case .wake: return "a wake"
    case .timer: return "a timer"
    case .question: return "the answer to \(input)"
    case .event, .realtime: return "its handler of \(input)\(place)\(again)"
    case nil: return "its state at the end"
    }
  }

  private static func lines(of difference: RerunDifference, _ style: Style) throws -> [String] {
    switch difference {
    case .changed(let recorded, let stated, let parts):
      return ["  differs in \(parts.map(\.rawValue).joined(separator: ", "))"]
        + (try beside(recorded, stated, parts, style))
    case .missing(let record):
      return ["  is not stated any more"] + (try beside(record, nil, [], style))
    case .added(let record): return ["  is stated now, and was not"] + (try beside(nil, record, [], style))
    case .timerFired(let record):
      return ["  has fired, and is not set now, or with something else"]
        + (try beside(record, nil, [], style))
    case .threw(let recorded, let now):
      return table([("threw", recorded ?? "nothing", now ?? "nothing", true)], style)
    case .timers(let recorded, let now):
      func text(_ delays: [UInt64]) -> String {
        delays.isEmpty
          ? "none" : delays.map { Human.duration(.microseconds(Int64(clamping: $0))) }.joined(separator: ", ")
      }
      return table([("timers", text(recorded), text(now), true)], style)
    case .took(let what): return ["  \(printable(what))"]
    case .state(let recorded, let now):
      return table(try members(recorded, now).filter(\.isOther), style)
    }
  }

  private typealias Row = (name: String, recorded: String, now: String, isOther: Bool)

  /// Two events, or one and nothing, member by member.
  private static func beside(
    _ recorded: Record?, _ stated: Record?, _ parts: [RerunDifference.Part], _ style: Style
  ) throws -> [String] {
    func row(_ name: String, _ part: RerunDifference.Part, _ text: (Record) -> String) -> Row {
      (name, recorded.map(text) ?? "", stated.map(text) ?? "", parts.contains(part))
    }
    var rows: [Row] = [
      row("type", .type) { $0.type.text }, row("to", .addressee) { $0.addressee?.text ?? "all" },
      row("subject", .subject) { $0.subject.text },
      row("caused by", .causation) { $0.causation == .none ? "nothing" : "\($0.causation)" },
    ]
    for (name, part) in [("channel", RerunDifference.Part.channel), ("version", .schemaVersion)]
    where parts.contains(part) {
      rows.append(row(name, part) { part == .channel ? "\($0.channel)" : "\($0.schemaVersion)" })
    }
    if parts.contains(.correlation) { rows.append(row("conversation", .correlation) { "\($0.correlation)" }) }
    return table(rows + (try members(payload(recorded), payload(stated))), style)
  }

  /// A payload as text that is JSON where it is.
  private static func payload(_ record: Record?) -> String? {
    guard let record else { return nil }
    guard record.contentType == .json else { return "\"\(record.payloadByteCount) bytes\"" }
    return String(decoding: record.payload, as: UTF8.self)
  }

  /// The members of two JSON texts, and which of them are other ones.
  private static func members(_ recorded: String?, _ now: String?) throws -> [Row] {
    func read(_ text: String?) -> [(path: String, value: JSONValue)] {
      guard let text else { return [] }
      guard let value = try? JSON.decode(JSONValue.self, from: text.utf8) else {
        return [("payload", .string(text))]
      }
      return StateChanges.members(of: value)
    }
    let (old, new) = (read(recorded), read(now))
    let known = Dictionary(new.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
    let before = Set(old.map(\.path))
    let all =
      old.map { ($0.path, JSONValue?.some($0.value), known[$0.path]) }
      + new.filter { !before.contains($0.path) }.map { ($0.path, nil, JSONValue?.some($0.value)) }
    return try all.map { path, old, new in
      let isOther = recorded != nil && now != nil && old != new
      return (
        path.isEmpty ? "payload" : path, try old.map { try JSON.text($0) } ?? "",
        try new.map { try JSON.text($0) } ?? "", isOther
      )
    }
  }

  private static func table(_ rows: [Row], _ style: Style) -> [String] {
    var table = Table([.init(" "), .init(""), .init("recorded"), .init("now")])
    for row in rows {
      table.add([
        .string(row.isOther ? "≠" : " ", .red), .string(row.name, .dim), .string(row.recorded),
        .string(row.now, row.isOther ? .red : .plain),
      ])
    }
    let terminal = Terminal.current
    return table.lines(width: terminal.isOutputTTY ? terminal.width - 2 : nil, style: style).map { "  \($0)" }
  }

  private func json(_ difference: RerunDifference, of outcome: RerunOutcome, on node: NodeID) throws -> String
  {
    func event(_ record: Record?) throws -> JSONValue {
      guard let record else { return .null }
      var members: [String: JSONValue] = [
        "id": .string("\(record.id)"), "type": .string(record.type.text),
        "channel": .string("\(record.channel)"),
        "addressee": record.addressee.map { .string($0.text) } ?? .null,
        "subject": .string(record.subject.text),
        "payload": Self.payload(record).flatMap { try? JSON.decode(JSONValue.self, from: $0.utf8) } ?? .null,
      ]
      // Missing where nothing caused it, as in a replay.
      if record.causation != .none { members["causation"] = .string("\(record.causation)") }
      return .object(members)
    }
    var members: [String: JSONValue] = [
      "agent": .string(outcome.agent.text), "node": .string(node.text),
      "call": outcome.call.map { .string($0.rawValue) } ?? .string("state"),
      "position": outcome.position.map { .integer(Int64($0.rawValue)) } ?? .null,
      "input": outcome.input.map { .string("\($0.id)") } ?? .null,
      "inputType": outcome.input.map { .string($0.type.text) } ?? .null,
    ]
    var (recorded, now) = (JSONValue.null, JSONValue.null)
    let name: String
    switch difference {
    case .changed(let old, let new, let parts):
      name = "changed"
      (recorded, now) = (try event(old), try event(new))
      members["parts"] = .array(parts.map { .string($0.rawValue) })
    case .missing(let old): (name, recorded) = ("missing", try event(old))
    case .added(let new): (name, now) = ("added", try event(new))
    case .timerFired(let old): (name, recorded) = ("timer", try event(old))
    case .threw(let old, let new):
      name = "threw"
      (recorded, now) = (old.map { .string($0) } ?? .null, new.map { .string($0) } ?? .null)
    case .timers(let old, let new):
      name = "timers"
      recorded = .array(old.map { .integer(Int64(clamping: $0)) })
      now = .array(new.map { .integer(Int64(clamping: $0)) })
    case .took(let what): (name, now) = ("took", .string(what))
    case .state(let old, let new):
      name = "state"
      recorded = try JSON.decode(JSONValue.self, from: old.utf8)
      now = try JSON.decode(JSONValue.self, from: new.utf8)
    }
    members["difference"] = .string(name)
    members["recorded"] = recorded
    members["now"] = now
    return try JSON.text(JSONValue.object(members))
  }

  // MARK: The end

  /// Says what it all came to.
  func show(_ session: RerunSession) throws {
    var table = Table([
      .init("agent"), .init("node"), .init("kind"), .init("calls"), .init("stated then", key: "statedThen"),
      .init("stated now", key: "statedNow"), .init("differences"), .init("not made", key: "notMade"),
    ])
    for summary in session.summaries {
      for agent in summary.agents {
        table.add([
          .string(agent.agent.text), .string(summary.node.text), .string(agent.kind),
          .integer(agent.callCount),
          .integer(agent.recordedCount), .integer(agent.statedCount),
          .count(agent.differenceCount, agent.differenceCount > 0 ? .red : .plain),
          .integer(agent.skippedCount),
        ])
      }
    }
    if isJSON { return try table.write(as: .jsonLines) }
    if session.isOver {
      return try Output.standard.writeLine(
        "not as recorded: this is the first difference by time; without --verify all are counted")
    }
    if session.differenceCount > session.shownCount {
      let left = session.differenceCount - session.shownCount
      try Output.standard.writeLine(style.dim("… and \(Human.count(left)) more"))
    }
    if session.differenceCount > 0 { try Output.standard.writeLine("") }
    try table.write()
    try Output.standard.writeLine("")
    for (type, counts) in session.byType.sorted(by: { $0.key < $1.key }) {
      let parts = [(counts.changed, "changed"), (counts.missing, "missing"), (counts.added, "added")]
      let text = parts.filter { $0.0 > 0 }.map { "\(Human.count($0.0)) \($0.1)" }.joined(separator: ", ")
      try Output.standard.writeLine("\(type): \(text)")
    }
    for line in Self.remarks(session) { try Output.standard.writeLine(line) }
    try Output.standard.writeLine(Self.verdict(session))
    if let directory = session.writers?.directory {
      try Output.standard.writeLine("next: \(Program.calledAs) replay --data \(directory)")
    }
  }

  /// What was not run again, and why.
  static func remarks(_ session: RerunSession) -> [String] {
    var lines = session.notRun.map { "\($0.agent) was not run again: \($0.reason)" }
    for summary in session.summaries {
      if summary.prunedThrough > .start {
        lines.append(
          "the log of \(summary.node) was pruned through position \(summary.prunedThrough): agents begin behind that"
        )
      }
      let cutOff = summary.agents.reduce(0) { $0 + $1.cutOffCount }
      if cutOff > 0 {
        lines.append("\(Human.count(cutOff)) alerts on \(summary.node) are of calls that a crash has cut off")
      }
      let unclaimed = summary.agents.reduce(0) { $0 + $1.unclaimedCount }
      if unclaimed > 0 {
        lines.append("\(Human.count(unclaimed)) events on \(summary.node) are of no call that the log knows")
      }
    }
    return lines
  }

  private static func verdict(_ session: RerunSession) -> String {
    let calls = session.earlierCallCount + session.summaries.reduce(0) { $0 + $1.callCount }
    let seconds = max(session.took / .seconds(1), 1e-6)
    let pace =
      "\(Human.count(calls)) calls made again in \(Human.duration(session.took)), \(Self.speed(session.recorded, session.round, seconds))"
    switch session.differenceCount {
    case 0 where calls == 0: return "nothing was run again"
    case 0:
      let times = session.round > 1 ? ", \(Human.count(session.round)) times" : ""
      return "all is as recorded\(times): \(pace)"
    case 1: return "1 thing is not as recorded: \(pace)"
    default: return "\(Human.count(session.differenceCount)) things are not as recorded: \(pace)"
    }
  }

  /// How fast it was, beside the time that was recorded, without its pauses.
  static func speed(_ recorded: RecordedTime, _ round: Int, _ seconds: Double) -> String {
    let speed = recorded.worked / .seconds(1) * Double(round) / seconds
    let text = "\(Human.decimal(speed, digits: 0)) times as fast as recorded"
    guard recorded.pauseCount > 0 else { return text }
    let pauses = Human.count(recorded.pauseCount, "pause")
    return text + ", \(pauses) of \(Human.duration(recorded.paused)) in all left out"
  }
}
