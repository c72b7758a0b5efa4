import HyphaCore
import HyphaRuntime

/// What the nodes of a deployment have counted of losses, by channel and by cause.
struct LossSums: Encodable {
  /// One channel, each event counted once for each agent that it is for.
  struct ChannelSum: Encodable {
    let channel: String
    let forAgents, delivered, lost, waiting, unknown: UInt64
  }

  /// What a channel has lost for one reason.
  struct CauseSum: Encodable {
    let channel, cause: String
    let lost: UInt64
  }

  /// How many nodes have counted; an imported log has none.
  let nodes: Int
  let channels: [ChannelSum]
  /// The greatest first.
  let causes: [CauseSum]

  init(_ losses: [NodeLosses]) {
    let table = LossTable(losses)
    nodes = losses.count
    channels = table.channels.map {
      ChannelSum(
        channel: $0.channel.description, forAgents: $0.published, delivered: $0.delivered, lost: $0.lost,
        waiting: $0.waiting, unknown: $0.unknown)
    }
    var sums: [String: [String: UInt64]] = [:]
    for row in table.rows {
      sums[row.path.channel, default: [:]][row.cause.rawValue, default: 0] += row.count
    }
    causes = sums.flatMap { channel, causes in
      causes.map { CauseSum(channel: channel, cause: $0.key, lost: $0.value) }
    }.sorted { $0.lost != $1.lost ? $0.lost > $1.lost : ($0.channel, $0.cause) < ($1.channel, $1.cause) }
  }

  /// Prints it for people.
  func write() throws {
    guard nodes > 0 else { return try Output.standard.writeLine("no losses: no node has counted any here") }
    var table = Table([
      .init("channel"), .init("for agents", alignment: .right), .init("delivered", alignment: .right),
      .init("lost", alignment: .right), .init("waiting", alignment: .right),
      .init("unknown", alignment: .right),
    ])
    for row in channels {
      table.add(
        [.string(row.channel)]
          + [row.forAgents, row.delivered, row.lost, row.waiting, row.unknown].map {
            .integer(Int(clamping: $0))
          })
    }
    try table.write()
    for cause in causes {
      try Output.standard.writeLine("\(cause.channel): \(Human.count(cause.lost)) lost, \(cause.cause)")
    }
  }
}
