import HyphaCore
import HyphaRuntime
import HyphaTopology

/// What the observer knows of decisions, in words.
enum DecisionText {
  /// A line for each stratum.
  static func table(_ watch: DecisionWatch) -> Table {
    var table = Table([
      .init("approver"), .init("kind"), .init("role"), .init("amount"), .init("state"),
      .init("approved", alignment: .right), .init("rejected", alignment: .right),
      .init("granted", alignment: .right), .init("audits", key: "auditsApproved", alignment: .right),
      .init("missed", key: "auditsRejected", alignment: .right), .init("waiting", alignment: .right),
      .init("half in", key: "halfSeconds", alignment: .right),
      .init("most in", key: "ninetyPercentSeconds", alignment: .right),
      .init("longest", key: "longestSeconds", alignment: .right), .init("node"), .init("as of"),
    ])
    for known in watch.lines {
      let (stratum, figure) = (known.line.stratum, known.line.figure)
      table.add([
        .string(stratum.approver), .string(stratum.kind), .string(stratum.requester),
        .string(stratum.rangeText), .string(known.line.report.stage.rawValue),
        .integer(Int(figure.approved)), .integer(Int(figure.rejected)), .integer(Int(figure.granted)),
        .integer(Int(figure.auditApproved)), .integer(Int(figure.auditRejected)),
        .integer(known.line.waiting), duration(figure.waits.usualMicroseconds),
        duration(figure.waits.microseconds(percent: 90)), duration(figure.waits.longestMicroseconds),
        .string(known.node.text), .string(known.time.text),
      ])
    }
    return table
  }

  private static func duration(_ microseconds: UInt64) -> Table.Cell {
    .duration(.microseconds(Int64(clamping: microseconds)))
  }

  /// A line for each approver, for `hypha topology show`.
  static func summary(_ watch: DecisionWatch?) -> [String] {
    var approvers: [(name: String, sum: DecisionFigure, waiting: Int, delegated: Int)] = []
    for known in watch?.lines ?? [] {
      let line = known.line
      if approvers.last?.name != line.stratum.approver {
        approvers.append((line.stratum.approver, DecisionFigure(), 0, 0))
      }
      let place = approvers.count - 1
      approvers[place].sum.add(line.figure)
      approvers[place].waiting += line.waiting
      if line.report.stage == .delegated { approvers[place].delegated += 1 }
    }
    return approvers.map { one in
      let delegated = one.delegated == 0 ? "" : ", \(Human.count(one.delegated)) sorts delegated"
      let waiting = one.waiting == 0 ? "" : ", \(Human.count(one.waiting)) waiting"
      return
        "decisions of \(one.name): \(Human.count(one.sum.approved)) approved, \(Human.count(one.sum.rejected)) rejected, "
        + "\(Human.count(one.sum.granted)) granted without it\(delegated)\(waiting)"
    }
  }

  /// What the observer knows of the decisions that one of two agents takes, for `hypha topology explain`.
  static func explain(_ one: AgentID, _ other: AgentID, _ watch: DecisionWatch?) -> [String] {
    (watch?.lines ?? []).filter { [one.text, other.text].contains($0.line.stratum.approver) }.map { known in
      let (line, figure) = (known.line, known.line.figure)
      let usual = Human.duration(.microseconds(Int64(clamping: figure.waits.usualMicroseconds)))
      let waits = figure.waits.count == 0 ? "" : "; half of them within \(usual) lately"
      return
        "observed: \(line.stratum.approver): \(line.stratum.text), \(line.report.stage.rawValue): "
        + "\(Human.count(figure.approved)) approved, \(Human.count(figure.rejected)) rejected\(waits); "
        + "\(Human.count(figure.granted)) granted without it, of which it would have rejected "
        + "\(Human.count(figure.auditRejected)) of \(Human.count(figure.auditApproved + figure.auditRejected))"
    }
  }
}
