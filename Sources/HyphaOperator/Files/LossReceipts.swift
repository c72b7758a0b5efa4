import HyphaCore
import HyphaLog
import HyphaRuntime

/// What the nodes of a deployment have stated of their losses, the oldest first.
struct LossReceipts {
  private struct Row: Encodable {
    let time: String
    let at: NodeID
    let position: UInt64
    let agent, from: AgentID
    let channel, lane, cause: String
    let count: UInt64
  }

  private struct Report: Encodable {
    let receipts: [Row]
    /// Events of paths that no receipt had room for.
    let others: UInt64
  }

  private let report: Report

  /// Reads the logs below `data`, of nodes that run and of others.
  ///
  /// - Parameter agent: the agent that the events were for; nil for all.
  init(_ data: String, agent: AgentID?) throws {
    let program = try Program.require()
    var rows: [Row] = []
    var others: UInt64 = 0
    for path in try DataPlaces.logs(in: data) {
      for (position, time, lost) in try LossReading.receipts(in: program.readLog(path)) {
        others += lost.otherCount
        for receipt in lost.receipts where agent == nil || receipt.path.subscriber == agent {
          let path = receipt.path
          rows.append(
            Row(
              time: time.text, at: lost.node, position: position.rawValue, agent: path.subscriber,
              from: path.from,
              channel: path.channel, lane: path.target, cause: receipt.cause.rawValue, count: receipt.count))
        }
      }
    }
    // The sort keeps the order of one event's.
    rows.sort { ($0.time, $0.at, $0.position) < ($1.time, $1.at, $1.position) }
    report = Report(receipts: rows, others: others)
  }

  func write(asJSON: Bool) throws {
    if asJSON { return try Output.standard.writeLine(JSON.text(report)) }
    guard !report.receipts.isEmpty || report.others > 0 else {
      return try Output.standard.writeLine("no node has said that it dropped anything")
    }
    var table = Table([
      .init("time"), .init("at"), .init("agent"), .init("from"), .init("lane"), .init("cause"),
      .init("lost", alignment: .right),
    ])
    for row in report.receipts {
      table.add([
        .string(row.time), .string(row.at.text), .string(row.agent.text),
        .string(row.from.text), .string("\(row.channel) \(row.lane)"), .string(row.cause),
        .integer(Int(clamping: row.count)),
      ])
    }
    try table.write(as: .table)
    if report.others > 0 {
      try Output.standard.writeLine("\(Human.count(report.others)) more, of paths that are not told apart")
    }
  }
}
