import HyphaCore
import HyphaLog
import HyphaReplay

/// Statistics as one line of JSON; durations in microseconds.
struct StatisticsJSON: Encodable {
  struct ChannelJSON: Encodable {
    let channel: String
    let stated, received, bytes: UInt64
    let commit, travel: [String: UInt64]
  }
  struct Hit: Encodable {
    let name: String
    let entries, error: UInt64
  }
  struct Gap: Encodable {
    let node: NodeID
    let first, last: UInt64
    let kind: String
  }

  let logs: Int
  let entries, background, bytes: UInt64
  let bytesMax: Int
  let first, last: String?
  let channels: [ChannelJSON]
  let types, pairs, streams: [Hit]
  let gaps: [Gap]
  let losses: LossSums

  init(
    _ statistics: LogStatistics, _ top: Int, logCount: Int, _ gaps: [(node: NodeID, gap: LogGap)],
    _ losses: LossSums
  ) {
    self.losses = losses
    logs = logCount
    entries = statistics.entryCount
    background = statistics.backgroundCount
    bytes = statistics.byteCount
    bytesMax = statistics.byteCountMax
    first = statistics.times?.lowerBound.text
    last = statistics.times?.upperBound.text
    func percentiles(_ histogram: MicrosecondHistogram) -> [String: UInt64] {
      let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1)]
      return shares.reduce(into: [:]) { values, share in values[share.0] = histogram.percentile(share.1) }
    }
    channels = Channel.allCases.map { channel in
      let figures = statistics.channels[Int(channel.rawValue)]
      return ChannelJSON(
        channel: channel.description, stated: figures.statedCount, received: figures.receivedCount,
        bytes: figures.byteCount, commit: percentiles(figures.commit), travel: percentiles(figures.travel))
    }
    types = statistics.types.top(top, by: <).map { Hit(name: $0.key, entries: $0.count, error: $0.error) }
    pairs = statistics.pairs.top(top, by: { ($0.agent, $0.target) < ($1.agent, $1.target) }).map {
      Hit(name: "\($0.key.agent) → \($0.key.target)", entries: $0.count, error: $0.error)
    }
    streams = statistics.streams.top(top, by: <).map { Hit(name: $0.key, entries: $0.count, error: $0.error) }
    self.gaps = gaps.map { node, gap in
      let kind = gap.kind == .pruned ? "pruned" : "quarantined"
      return Gap(
        node: node, first: gap.range.lowerBound.rawValue, last: gap.range.upperBound.rawValue, kind: kind)
    }
  }
}
