import HyphaCore

/// What one agent has done since its node started.
struct AgentMetrics: Sendable {
  var latency: [Channel: Histogram] = [:]
  var hops: [Channel: Histogram] = [:]
  var failureCount: UInt64 = 0
  var unhandledCount: UInt64 = 0
  var expiredCount: UInt64 = 0
  var gauges: [String: Int64] = [:]
  /// Whether the agent has something to finish.
  let isWorker: Bool
  var isFinished = false
  /// Whether it has given up until its node starts again.
  var isBroken = false

  init(isWorker: Bool) { self.isWorker = isWorker }

  /// Events of one channel that were on their way for so many microseconds each.
  mutating func delivered(_ arrivals: [UInt64], on channel: Channel, hops: UInt8?) {
    for microseconds in arrivals { latency[channel, default: Histogram()].add(microseconds) }
    if let hops { self.hops[channel, default: Histogram()].add(UInt64(hops), times: arrivals.count) }
  }

  mutating func delivered(_ delivery: Delivery, at now: Timestamp) {
    let channel = delivery.channel
    latency[channel, default: Histogram()].add(now.since(delivery.time).wholeMicroseconds)
    if let hops = delivery.hops { self.hops[channel, default: Histogram()].add(UInt64(hops)) }
  }
}
