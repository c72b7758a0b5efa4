import HyphaCore
import HyphaRuntime

/// What the nodes of a deployment have counted of losses, by channel and by cause.
struct LossSums: Encodable {
  /// One channel, each event counted once for each agent that it is for.
  struct ChannelSum: Encodable {
    let channel: String
    let forAgents, delivered, lost, waiting, unknown: UInt64
    /// Events, each once, and from publication to the handler, where no log has them.
    let published, latencyP50Microseconds, latencyP99Microseconds: UInt64?
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
        waiting: $0.waiting, unknown: $0.unknown, published: $0.events,
        latencyP50Microseconds: $0.latency.flatMap { $0.count > 0 ? $0.percentile(0.5) : nil },
        latencyP99Microseconds: $0.latency.flatMap { $0.count > 0 ? $0.percentile(0.99) : nil })
    }
    var sums: [String: [String: UInt64]] = [:]
    for row in table.rows {
      sums[row.path.channel, default: [:]][row.cause.rawValue, default: 0] += row.count
    }
    causes = sums.flatMap { channel, causes in
      causes.map { CauseSum(channel: channel, cause: $0.key, lost: $0.value) }
    }.sorted { $0.lost != $1.lost ? $0.lost > $1.lost : ($0.channel, $0.cause) < ($1.channel, $1.cause) }
  }

  /// What nodes have counted of the channel that no log has.
  var realtime: ChannelSum? {
    channels.first { $0.channel == Channel.realtime.description && $0.published != nil }
  }

  /// Prints what there was of the channel that no log has, for people.
  func writeRealtime() throws {
    guard let row = realtime, let published = row.published, published > 0 else { return }
    func cell(_ microseconds: UInt64?) -> Table.Cell {
      microseconds.map { .duration(.microseconds(Int64(clamping: $0))) } ?? .none
    }
    var table = Table([
      .init("channel"), .init("published", alignment: .right), .init("for agents", alignment: .right),
      .init("delivered", alignment: .right), .init("lost", alignment: .right),
      .init("handled p50", alignment: .right), .init("p99", alignment: .right),
    ])
    table.add([
      .string(row.channel), .integer(Int(clamping: published)), .integer(Int(clamping: row.forAgents)),
      .integer(Int(clamping: row.delivered)), .integer(Int(clamping: row.lost)),
      cell(row.latencyP50Microseconds), cell(row.latencyP99Microseconds),
    ])
    try Output.standard.writeLine()
    try table.write()
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
