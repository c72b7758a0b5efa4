import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// What a ``WhatIfSession`` has come to, as a table and in words, or as a line of JSON.
struct WhatIfView {
  let session: WhatIfSession
  let directory: String
  let otherName: String

  private var whatIf: WhatIf { session.whatIf }

  // MARK: Words

  func show(differencesMax: Int) throws {
    let output = Output.standard
    let events = "\(Human.count(whatIf.eventCount)) events between two agents"
    let source = session.source == .reports ? "as nodes reported them" : "as the logs have them"
    let span = session.times.map { " in \(Human.duration($0.upperBound.since($0.lowerBound)))" } ?? ""
    try output.writeLine("\(directory): \(events), \(source)\(span)")
    for note in notes { try output.writeLine(note) }
    try output.writeLine()
    try table.write()
    try output.writeLine()
    for line in parting(differencesMax) { try output.writeLine(line) }
  }

  private var notes: [String] {
    var notes: [String] = []
    if whatIf.leftOutCount > 0 {
      notes.append(
        "\(Human.count(whatIf.leftOutCount)) more are of agents that one of the topologies does not have: left out of both"
      )
    }
    if whatIf.broadcastCount > 0 {
      notes.append(
        "\(Human.count(whatIf.broadcastCount)) were for more than \(FlowMeter.audienceMax) agents each: in neither's cost"
      )
    }
    if let beginning = session.beginning {
      let other =
        beginning.isShared
        ? "both begin there, with what the observer knew" : "the other one begins there without links"
      notes.append(
        "the log was pruned: reports are known from position \(beginning.position.next) on; \(other)")
    }
    if whatIf.ruleCount > 0 {
      let refused = whatIf.other.refusedCount
      notes.append(
        "operators' \(Human.count(whatIf.ruleCount)) commands were given to both"
          + (refused > 0 ? "; \(otherName) refuses \(Human.count(refused)) of them" : ""))
    }
    return notes
  }

  private var table: Table {
    var table = Table([
      .init(""), .init("recorded", alignment: .right), .init(otherName, alignment: .right),
      .init("ratio", alignment: .right),
    ])
    let (one, other) = (whatIf.recorded.row, whatIf.other.row)
    func add(_ name: String, _ value: (SimulationRow) -> Int64) {
      let (left, right) = (value(one), value(other))
      table.add([
        .string(name), .integer(Int(left)), .integer(Int(right)),
        left > 0 ? .double(Double(right) / Double(left), digits: 3) : .none,
      ])
    }
    add("hops by the tree alone") { $0.treeHops }
    add("hops") { $0.hops }
    add("changes") { Int64($0.changeCount) }
    add("cost: hops, and \(one.charge) a change") { $0.totalCost }
    add("relayed by the root") { $0.rootRelays }
    add("relayed by other supervisors") { $0.supervisorRelays }
    let links = (whatIf.recorded.links.count, whatIf.other.links.count)
    table.add([.string("links at the end"), .integer(links.0), .integer(links.1), .none])
    return table
  }

  private func parting(_ differencesMax: Int) -> [String] {
    guard let parting = whatIf.parting else {
      return ["They never part: both have the same links at every moment."]
    }
    var lines: [String] = []
    if parting.time == .zero {
      lines.append("They part from the start:")
    } else {
      let place = parting.position.map { "position \($0), " } ?? ""
      lines.append(
        "They part at \(place)\(parting.time.text), after \(Human.count(parting.eventCount)) events:")
    }
    for difference in parting.differences.prefix(differencesMax) {
      let (has, lacks) = difference.isRecorded ? ("recorded", otherName) : (otherName, "recorded")
      lines.append("  \(has) has \(difference.link); \(lacks) has not: \(reason(difference))")
    }
    let more = parting.differences.count - differencesMax
    if more > 0 { lines.append("  and \(Human.count(more)) more") }
    let both = whatIf.recorded.links.intersection(whatIf.other.links).count
    lines.append(
      "At the end \(Human.count(both)) links are in both, "
        + "\(Human.count(whatIf.recorded.links.count - both)) in the recorded one alone, "
        + "\(Human.count(whatIf.other.links.count - both)) in \(otherName) alone.")
    return lines
  }

  private func reason(_ difference: WhatIf.Difference) -> String {
    guard let evidence = difference.evidence else { return "it has not both agents" }
    let seat = difference.isRecorded ? whatIf.other.seat : whatIf.recorded.seat
    if seat.suggestions[difference.link] != nil { return "it is suggested, and no operator has approved it" }
    return ChangeText.obstacle(evidence, seat) ?? "nothing stands in its way"
  }

  // MARK: JSON

  private struct Line: Encodable {
    struct Side: Encodable {
      let treeHops, hops, cost, rootRelays, supervisorRelays: Int64
      let added, removed, readded, refusedRules: Int
      let links: [[AgentID]]
      let topologyHash: String
    }

    struct Parting: Encodable {
      let position: UInt64?
      let time: String?
      let events: Int
      let recordedAlone, otherAlone: [[AgentID]]
    }

    let events, leftOut: Int
    let broadcasts: UInt64
    let source: String
    let charge: Int64
    let recorded, other: Side
    let parting: Parting?
  }

  func writeJSON() throws {
    func ends(_ links: some Sequence<DirectLink>) -> [[AgentID]] {
      links.sorted().map { [$0.one, $0.other] }
    }
    func side(_ side: WhatIf.Side) -> Line.Side {
      let row = side.row
      return .init(
        treeHops: row.treeHops, hops: row.hops, cost: row.totalCost, rootRelays: row.rootRelays,
        supervisorRelays: row.supervisorRelays, added: row.addCount, removed: row.removeCount,
        readded: row.readdCount, refusedRules: side.refusedCount, links: ends(side.links),
        topologyHash: String(row.topologyHash ?? 0, radix: 16))
    }
    let parting = whatIf.parting.map { parting in
      Line.Parting(
        position: parting.position, time: parting.time == .zero ? nil : parting.time.text,
        events: parting.eventCount,
        recordedAlone: ends(parting.differences.filter(\.isRecorded).map(\.link)),
        otherAlone: ends(parting.differences.filter { !$0.isRecorded }.map(\.link)))
    }
    try Output.standard.writeLine(
      JSON.text(
        Line(
          events: whatIf.eventCount, leftOut: whatIf.leftOutCount, broadcasts: whatIf.broadcastCount,
          source: session.source == .reports ? "reports" : "events", charge: whatIf.recorded.row.charge,
          recorded: side(whatIf.recorded), other: side(whatIf.other), parting: parting)))
  }
}
