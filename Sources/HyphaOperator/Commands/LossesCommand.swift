import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha losses`: what did not arrive, and why.
struct LossesCommand: Command {
  static let configuration = CommandConfiguration(
    name: "losses", abstract: "Say what did not come to the agents that it was for, and why.",
    discussion: """
      Asks the nodes that run, and reads of the others what their logs keep. Each event counts once for each agent that it \
      is for. On the persistent and alert channels what is not delivered waits in a log and is lost nowhere; a realtime \
      event that comes too late, or that a newer one replaces, is dropped, and counted here.

      'at' names the node that has dropped it. What left its author's node and did not arrive is 'lost on a link'; while \
      nodes run, some of it may still be under way. A node that is killed takes its realtime counts of the last 10 s with \
      it; the column 'unknown' has what is missing for that, on balance of all nodes. On the other channels the logs say it \
      all. As JSON, 'passages' has what each path's nodes have sent and got, so that two moments can be held against each other.

      Each node also states once a second what it has dropped since, in its log (hypha.EventsLost): --receipts lists that, with \
      the time. Of what was lost on a link there is no receipt, for no node has dropped it.
      """,
    examples: [
      "hypha losses data/incident-room", "hypha losses data/incident-room --agent pager --json",
      "hypha losses data/incident-room --receipts",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "Show the losses of one agent alone.", valueName: "agent") var agent: AgentID?
  @Flag(help: "List what nodes have said of their losses, and when.") var receipts = false
  @Flag(help: "Print as JSON.") var json = false

  private struct Row: Encodable {
    let agent, from: AgentID
    let channel, lane, cause: String
    let at: NodeID
    let count: UInt64
  }

  private struct PassageRow: Encodable {
    let agent, from: AgentID
    let channel, lane: String
    let sent, arrived: UInt64
  }

  private struct ChannelRow: Encodable {
    let channel: String
    let forAgents, delivered, lost, waiting, unknown: UInt64
  }

  private struct Report: Encodable {
    let channels: [ChannelRow]
    let losses: [Row]
    let passages: [PassageRow]
  }

  func run() async throws {
    if receipts { return try LossReceipts(data, agent: agent).write(asJSON: json) }
    let table = LossTable(try await DeploymentLosses.read(data))
    let report = Report(
      channels: table.channels.map {
        ChannelRow(
          channel: $0.channel.description, forAgents: $0.published, delivered: $0.delivered, lost: $0.lost,
          waiting: $0.waiting, unknown: $0.unknown)
      },
      losses: table.rows.filter { agent == nil || $0.path.subscriber == agent }.map {
        Row(
          agent: $0.path.subscriber, from: $0.path.from, channel: $0.path.channel, lane: $0.path.target,
          cause: $0.cause.rawValue, at: $0.node, count: $0.count)
      },
      passages: table.passages.filter { agent == nil || $0.path.subscriber == agent }.map {
        PassageRow(
          agent: $0.path.subscriber, from: $0.path.from, channel: $0.path.channel, lane: $0.path.target,
          sent: $0.sent, arrived: $0.arrived)
      })
    if json { return try Output.standard.writeLine(JSON.text(report)) }
    try write(report)
  }

  private func write(_ report: Report) throws {
    let hasUnknown = report.channels.contains { $0.unknown > 0 }
    var channels = Table(
      [.init("channel")]
        + (["for agents", "delivered", "lost", "waiting"] + (hasUnknown ? ["unknown"] : [])).map {
          .init($0, alignment: .right)
        })
    for row in report.channels {
      let counts = [row.forAgents, row.delivered, row.lost, row.waiting] + (hasUnknown ? [row.unknown] : [])
      channels.add([.string(row.channel)] + counts.map { .integer(Int(clamping: $0)) })
    }
    try channels.write(as: .table)
    try Output.standard.writeLine("")
    guard !report.losses.isEmpty else {
      return try Output.standard.writeLine(agent.map { "\($0) has lost nothing" } ?? "nothing was lost")
    }
    var losses = Table([
      .init("agent"), .init("from"), .init("lane"), .init("cause"), .init("at"),
      .init("lost", alignment: .right),
    ])
    for row in report.losses {
      losses.add([
        .string(row.agent.text), .string(row.from.text), .string("\(row.channel) \(row.lane)"),
        .string(row.cause), .string(row.at.text), .integer(Int(clamping: row.count)),
      ])
    }
    try losses.write(as: .table)
  }
}
